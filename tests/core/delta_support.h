// What the delta tests share: fixtures, and generators of JSON texts and of edited versions of them.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json.h"
#include "tidegate/random.h"

namespace tidegate::delta_test {

inline std::string read_fixture(const std::string& name) {
    const std::string path = std::string(TG_SOURCE_DIR "/tests/fixtures/delta/") + name;
    std::string text;
    if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
        char buffer[65536];
        for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
        std::fclose(file);
    }
    return text;
}

inline Json read_fixture_json(const std::string& name) { return Json::parse(read_fixture(name), nullptr, false); }

inline std::string from_base64(std::string_view text) {
    static const std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned value = 0, bits = 0;
    for (const char c : text) {
        const std::size_t digit = kAlphabet.find(c);
        if (digit == std::string_view::npos) break;
        value = value << 6 | static_cast<unsigned>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out.push_back(static_cast<char>(value >> bits & 0xff));
        }
    }
    return out;
}

// Random JSON with what is hard about it: escapes, numbers beyond double, ids, keys that need escaping, whitespace anywhere.
class TextGenerator {
public:
    explicit TextGenerator(std::uint64_t seed) : random_(seed) { spaced_ = below(2) == 0; }

    std::uint64_t below(std::uint64_t limit) { return random_.next() % limit; }

    std::string value(int depth) {
        const std::uint64_t kind = below(10);
        if (depth <= 0 || kind < 4) return scalar();
        return kind < 7 ? array(depth) : object(depth);
    }

    std::string object(int depth) {
        std::string out = "{" + space();
        const std::uint64_t members = below(6);
        for (std::uint64_t i = 0; i < members; ++i)
            out += (i ? "," : "") + space() + "\"" + key() + "\"" + space() + ":" + space() + value(depth - 1) + space();
        return out + "}";
    }

    // Some changes at random places of the parsed value.
    Json edited(Json value) {
        if (below(12) == 0) return Json::parse(this->value(2), nullptr, false);
        if (value.is_object()) {
            for (auto& member : value.items())
                if (below(3) == 0) member.value() = edited(member.value());
            if (below(5) == 0) value["n" + std::to_string(below(4))] = Json::parse(this->value(1), nullptr, false);
            if (below(5) == 0 && !value.empty()) value.erase(value.begin());
        } else if (value.is_array()) {
            for (auto& element : value)
                if (below(4) == 0) element = edited(element);
            if (below(3) == 0) insert(value, Json::parse(this->value(1), nullptr, false));
            if (below(3) == 0 && !value.empty()) value.erase(value.begin() + static_cast<std::ptrdiff_t>(below(value.size())));
            if (below(3) == 0 && value.size() > 1) {
                const auto from = value.begin() + static_cast<std::ptrdiff_t>(below(value.size()));
                Json moved = *from;
                value.erase(from);
                insert(value, std::move(moved));
            }
        } else if (below(3) == 0) {
            return Json::parse(scalar(), nullptr, false);
        }
        return value;
    }

private:
    std::string space() {
        static const char* const kSpaces[] = {"", " ", "\n  ", "\t"};
        return spaced_ ? kSpaces[below(4)] : "";
    }

    std::string key() {
        static const char* const kKeys[] = {"a", "b", "c", "id", "x/y", "m~n", "\\u0061", "key", "a key that is longer than a vector", "", "\\\"q", "é"};
        return kKeys[below(12)];
    }

    std::string scalar() {
        switch (below(9)) {
            case 0: return "null";
            case 1: return "true";
            case 2: return "false";
            case 3: return std::to_string(below(5));
            case 4: return "1.0";
            case 5: return "9007199254740993";
            case 6: return "\"\\u0041b\"";
            case 7: return "\"" + std::string(below(90), 's') + "\\\\\"";
            default: return "\"t" + std::to_string(below(20)) + "\"";
        }
    }

    std::string array(int depth) {
        std::string out = "[" + space();
        const std::uint64_t elements = below(6);
        const bool ids = below(2) == 0;
        for (std::uint64_t i = 0; i < elements; ++i) {
            out += (i ? "," : "") + space();
            if (ids) out += "{" + space() + "\"id\":" + space() + std::to_string(below(8)) + ",\"v\":" + value(depth - 1) + "}";
            else out += value(depth - 1);
            out += space();
        }
        return out + "]";
    }

    void insert(Json& array, Json element) {
        array.insert(array.begin() + static_cast<std::ptrdiff_t>(below(array.size() + 1)), std::move(element));
    }

    Random random_;
    bool spaced_;
};

}  // namespace tidegate::delta_test
