#include "tidegate/json.h"

#include <array>
#include <cmath>

namespace tidegate {
namespace {

// nlohmann's own serializer brings printf and its parse() a second parser for callbacks we do not use: together 30 kB of Wasm. Writing a tree of values
// is a screen; reading stays theirs, through the one SAX path.
void append_string(std::string& out, const std::string& text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

void append_number(std::string& out, double value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    std::array<char, 64> digits;
    const char* end = nlohmann::detail::to_chars(digits.data(), digits.data() + digits.size(), value);
    out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void append_value(std::string& out, const Json& value) {
    char before = value.is_array() ? '[' : '{';
    switch (value.type()) {
        case Json::value_t::object:
            for (const auto& [key, member] : value.get_ref<const Json::object_t&>()) {
                out += before;
                append_string(out, key);
                out += ':';
                append_value(out, member);
                before = ',';
            }
            out += before == '{' ? "{}" : "}";
            return;
        case Json::value_t::array:
            for (const Json& item : value.get_ref<const Json::array_t&>()) {
                out += before;
                append_value(out, item);
                before = ',';
            }
            out += before == '[' ? "[]" : "]";
            return;
        case Json::value_t::string: return append_string(out, value.get_ref<const std::string&>());
        case Json::value_t::boolean: out += value.get<bool>() ? "true" : "false"; return;
        case Json::value_t::number_integer: out += std::to_string(value.get<std::int64_t>()); return;
        case Json::value_t::number_unsigned: out += std::to_string(value.get<std::uint64_t>()); return;
        case Json::value_t::number_float: return append_number(out, value.get<double>());
        default: out += "null"; return;
    }
}

}  // namespace

bool depth_within(std::string_view text, int max_depth) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth) return false;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return true;
}

Result<Json> parse_json(std::string_view text, int max_depth) {
    if (!depth_within(text, max_depth))
        return Error{"json-depth", "", "JSON nested deeper than " + std::to_string(max_depth) + " levels is not taken"};
    Json value;
    nlohmann::detail::json_sax_dom_parser<Json> reader(value, false);
    if (!Json::sax_parse(text.data(), text.data() + text.size(), &reader)) return Error{"json-syntax", "", "not a JSON text"};
    return value;
}

std::string dump_json(const Json& value) {
    std::string out;
    append_value(out, value);
    return out;
}

ObjectBuilder& ObjectBuilder::set(const char* key, Json value) {
    object_[key] = std::move(value);
    return *this;
}
ObjectBuilder& ObjectBuilder::set(const char* key, double value) { return set(key, Json(value)); }
ObjectBuilder& ObjectBuilder::set(const char* key, bool value) { return set(key, Json(value)); }
ObjectBuilder& ObjectBuilder::set(const char* key, std::int64_t value) { return set(key, Json(value)); }
ObjectBuilder& ObjectBuilder::set(const char* key, std::uint64_t value) { return set(key, Json(value)); }
ObjectBuilder& ObjectBuilder::set(const char* key, std::string_view value) { return set(key, Json(std::string(value))); }

std::string quote_value(const Json& value) {
    std::string text = dump_json(value);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
}

}  // namespace tidegate
