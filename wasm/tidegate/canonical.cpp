#include "tidegate/canonical.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tidegate/hash.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/sort.h"

namespace tidegate {

namespace {

enum class Numbers { kDouble, kExact };

// UTF-16 code unit order on UTF-8: the same as byte order but for U+E000..U+FFFF, which come after the supplementary planes.
bool utf16_less(const std::string& a, const std::string& b) {
    const std::size_t n = std::min(a.size(), b.size());
    for (std::size_t i = 0; i < n; ++i) {
        const unsigned char x = static_cast<unsigned char>(a[i]), y = static_cast<unsigned char>(b[i]);
        if (x == y) continue;
        const bool swap = (x >= 0xf0 && (y == 0xee || y == 0xef)) || (y >= 0xf0 && (x == 0xee || x == 0xef));
        return swap ? x > y : x < y;
    }
    return a.size() < b.size();
}

// ECMA-262 Number::toString, steps 6 to 12, for the digits and the place of the decimal point.
void append_decimal(std::string& out, const Decimal& d) {
    if (d.digits.empty()) {
        out.push_back('0');
        return;
    }
    if (d.negative) out.push_back('-');
    const std::int64_t k = static_cast<std::int64_t>(d.digits.size()), n = d.point;
    if (k <= n && n <= 21) {
        out += d.digits;
        out.append(static_cast<std::size_t>(n - k), '0');
    } else if (0 < n && n <= 21) {
        out.append(d.digits, 0, static_cast<std::size_t>(n)).push_back('.');
        out.append(d.digits, static_cast<std::size_t>(n));
    } else if (-6 < n && n <= 0) {
        out += "0.";
        out.append(static_cast<std::size_t>(-n), '0') += d.digits;
    } else {
        out.push_back(d.digits[0]);
        if (k > 1) out.append(".").append(d.digits, 1);
        out.append(n > 0 ? "e+" : "e-").append(std::to_string(n > 0 ? n - 1 : 1 - n));
    }
}

// The shortest decimal that reads back as the double nearest to `number`. False when that double is infinite.
bool nearest_double(std::string_view number, Decimal& d) {
    const std::string text(number);
    const double value = std::strtod(text.c_str(), nullptr);
    if (!std::isfinite(value)) return false;
    char buffer[40];
    for (int precision = 0; precision < 17; ++precision) {
        std::snprintf(buffer, sizeof buffer, "%.*e", precision, value);
        if (std::strtod(buffer, nullptr) == value) break;
    }
    d = read_decimal(buffer);
    return true;
}

class Writer {
public:
    Writer(std::string& out, Numbers numbers) : out_(out), numbers_(numbers) {}

    // "" or the code of what RFC 8785 does not take.
    const char* write(std::string_view value) {
        const char c = value[0];
        if (c == '"') return write_string(value.substr(1, value.size() - 2));
        if (c == '{') return write_object(value);
        if (c == '[') return write_array(value);
        if (c == '-' || (c >= '0' && c <= '9')) return write_number(value);
        out_ += value;
        return "";
    }

private:
    const char* write_number(std::string_view number) {
        Decimal d = read_decimal(number);
        if (numbers_ == Numbers::kExact) {
            if (d.huge) out_ += number;
            else append_decimal(out_, d);
            return "";
        }
        const bool exact = !d.huge && d.digits.size() <= 15 && d.point < 300 && d.point > -290;
        if (!exact && !nearest_double(number, d)) return "json-number";
        append_decimal(out_, d);
        return "";
    }

    const char* write_string(std::string_view inside) {
        std::string characters;
        append_unescaped(characters, inside);
        return write_characters(characters);
    }

    const char* write_characters(const std::string& characters) {
        if (numbers_ == Numbers::kDouble)
            for (std::size_t i = 0; i + 1 < characters.size(); ++i)
                if (characters[i] == '\xed' && static_cast<unsigned char>(characters[i + 1]) >= 0xa0) return "json-surrogate";
        out_.push_back('"');
        append_escaped(out_, characters);
        out_.push_back('"');
        return "";
    }

    const char* write_array(std::string_view value) {
        std::vector<Child> children;
        split(value, 0, children);
        out_.push_back('[');
        for (std::size_t i = 0; i < children.size(); ++i) {
            if (i) out_.push_back(',');
            const char* problem = write(value_of(value, children[i]));
            if (*problem) return problem;
        }
        out_.push_back(']');
        return "";
    }

    const char* write_object(std::string_view value) {
        std::vector<Child> children;
        split(value, 0, children);
        std::vector<std::string> keys(children.size());
        std::vector<std::size_t> order(children.size());
        for (std::size_t i = 0; i < children.size(); ++i) {
            append_unescaped(keys[i], key_of(value, children[i]));
            order[i] = i;
        }
        sort_all(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            if (keys[a] != keys[b]) return utf16_less(keys[a], keys[b]);
            return a < b;
        });
        out_.push_back('{');
        bool first = true;
        for (std::size_t i = 0; i < order.size(); ++i) {
            if (i + 1 < order.size() && keys[order[i]] == keys[order[i + 1]]) continue;
            if (!first) out_.push_back(',');
            first = false;
            const char* problem = write_characters(keys[order[i]]);
            if (*problem) return problem;
            out_.push_back(':');
            problem = write(value_of(value, children[order[i]]));
            if (*problem) return problem;
        }
        out_.push_back('}');
        return "";
    }

    std::string& out_;
    Numbers numbers_;
};

}  // namespace

Result<std::string> canonicalize(std::string_view text) {
    const Result<std::string_view> valid = validate_json(text);
    if (!valid) return valid.error();
    std::string out;
    out.reserve(text.size());
    const std::string problem = Writer(out, Numbers::kDouble).write(valid.value());
    if (problem == "json-number") return Error{problem, "", "RFC 8785 takes no number beyond the range of a double"};
    if (!problem.empty()) return Error{problem, "", "RFC 8785 takes no lone surrogate in a string"};
    return out;
}

Result<std::uint64_t> canonical_hash(std::string_view text) {
    const Result<std::string_view> valid = validate_json(text);
    if (!valid) return valid.error();
    std::string out;
    out.reserve(text.size());
    Writer(out, Numbers::kExact).write(valid.value());
    return xxh64(out);
}

}  // namespace tidegate
