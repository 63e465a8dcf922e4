#include "tidegate/json.h"

#include <cmath>
#include <limits>

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/say.h"

namespace tidegate {
namespace {

// Builds the tree of a valid text. Of equal keys the last counts.
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    // "" or what is wrong: a text can be valid and still hold what no tree of ours holds.
    const char* read(Json& out) {
        at_ = skip_space(text_, at_);
        switch (text_[at_]) {
            case '{': return read_object(out);
            case '[': return read_array(out);
            case '"': return read_string(out = std::string());
            case 't': return word(out, Json(true), 4);
            case 'f': return word(out, Json(false), 5);
            case 'n': return word(out, Json(), 4);
            default: return read_number(out);
        }
    }

private:
    const char* word(Json& out, Json value, std::size_t length) {
        out = std::move(value);
        at_ += length;
        return "";
    }

    // Moves to the token that comes next and says what it begins with.
    char next() { return text_[at_ = skip_space(text_, at_)]; }

    const char* read_object(Json& out) {
        out = Json::object();
        ++at_;
        while (next() != '}') {
            if (text_[at_] == ',') ++at_;
            next();
            Json key = std::string();
            if (const char* fault = read_string(key); *fault) return fault;
            next();
            ++at_;  // the colon
            if (const char* fault = read(out[key.get_ref<const std::string&>()]); *fault) return fault;
        }
        ++at_;
        return "";
    }

    const char* read_array(Json& out) {
        out = Json::array();
        ++at_;
        while (next() != ']') {
            if (text_[at_] == ',') ++at_;
            out.push_back(Json());
            if (const char* fault = read(out.back()); *fault) return fault;
        }
        ++at_;
        return "";
    }

    const char* read_string(Json& out) {
        const std::size_t end = string_end(text_, at_);
        const std::string_view inside = text_.substr(at_ + 1, end - at_ - 2);
        std::string& characters = out.get_ref<std::string&>();
        append_unescaped(characters, inside);
        at_ = end;
        // Names that are not UTF-8 could not be written back; in checked text only an escape can make a surrogate.
        for (std::size_t i = 0; i + 1 < characters.size(); ++i)
            if (characters[i] == '\xed' && static_cast<unsigned char>(characters[i + 1]) >= 0xa0) return "a string with half of a surrogate pair is not taken";
        return "";
    }

    const char* read_number(Json& out) {
        const std::size_t end = value_end(text_, at_);
        const std::string_view number = text_.substr(at_, end - at_);
        at_ = end;
        if (read_integer(number, out)) return "";
        const Decimal decimal = read_decimal(number);
        const double value = decimal.huge ? std::numeric_limits<double>::infinity() : nearest_double(decimal);
        out = value;
        return std::isfinite(value) ? "" : "a number beyond the range of a double is not taken";
    }

    // False when it has a fraction or an exponent, or fits neither 64-bit type.
    static bool read_integer(std::string_view number, Json& out) {
        const bool negative = number[0] == '-';
        const std::uint64_t limit = negative ? std::uint64_t{1} << 63 : std::numeric_limits<std::uint64_t>::max();
        std::uint64_t value = 0;
        for (const char c : number.substr(negative ? 1 : 0)) {
            if (c < '0' || c > '9') return false;
            const auto digit = static_cast<std::uint64_t>(c - '0');
            if (value > (limit - digit) / 10) return false;
            value = value * 10 + digit;
        }
        if (negative) out = static_cast<std::int64_t>(0 - value);
        else out = value;
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

Result<Json> parse_json(std::string_view text, int max_depth) {
    const Result<std::string_view> valid = validate_json(text, max_depth);
    if (!valid) return valid.error();
    Json value;
    if (const char* fault = Reader(valid.value()).read(value); *fault) return Error{"json-syntax", "", fault};
    return value;
}

Json tree_of(std::string_view text) {
    Json value;
    Reader(text).read(value);
    return value;
}

Json verbatim(std::string_view text) { return Json::binary({text.begin(), text.end()}); }

// nlohmann's own serializer and parser bring printf, strtod and a sentence per control character: 70 kB of Wasm. Texts are checked by validate_json,
// which document code needs anyway; after that, reading and writing a tree of values is a screen each.
void append_string(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        out.append(text, done, i - done);
        done = i;
        out += '\\';
        if (byte >= 0x20) continue;
        out += "u00";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
        ++done;
    }
    out.append(text, done);
    out += '"';
}

void append_json(std::string& out, const Json& value) {
    char before = value.is_array() ? '[' : '{';
    switch (value.type()) {
        case Json::value_t::object:
            for (const auto& [key, member] : value.get_ref<const Json::object_t&>()) {
                out += before;
                append_string(out, key);
                out += ':';
                append_json(out, member);
                before = ',';
            }
            out += before == '{' ? "{}" : "}";
            return;
        case Json::value_t::array:
            for (const Json& item : value.get_ref<const Json::array_t&>()) {
                out += before;
                append_json(out, item);
                before = ',';
            }
            out += before == '[' ? "[]" : "]";
            return;
        case Json::value_t::string: return append_string(out, value.get_ref<const std::string&>());
        case Json::value_t::binary: return void(out.append(value.get_binary().begin(), value.get_binary().end()));
        case Json::value_t::boolean: out += value.get<bool>() ? "true" : "false"; return;
        case Json::value_t::number_integer: out += std::to_string(value.get<std::int64_t>()); return;
        case Json::value_t::number_unsigned: out += std::to_string(value.get<std::uint64_t>()); return;
        case Json::value_t::number_float:
            if (std::isfinite(value.get<double>())) return append_double(out, value.get<double>());
            [[fallthrough]];
        default: out += "null"; return;
    }
}

std::string dump_json(const Json& value) {
    std::string out;
    append_json(out, value);
    return out;
}

void set(Json& object, const char* key, Json value) { object[key] = std::move(value); }
void set(Json& object, const char* key, double value) { set(object, key, Json(value)); }
void set(Json& object, const char* key, bool value) { set(object, key, Json(value)); }
void set(Json& object, const char* key, std::int64_t value) { set(object, key, Json(value)); }
void set(Json& object, const char* key, std::uint64_t value) { set(object, key, Json(value)); }
void set(Json& object, const char* key, std::string_view value) { set(object, key, Json(std::string(value))); }

std::string quote_value(const Json& value) {
    std::string text = dump_json(value);
    if (text.size() > 60) text = say(text.substr(0, 57), "...");
    return text;
}

}  // namespace tidegate
