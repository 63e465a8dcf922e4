// The part of json_text.h that rewrites text: compacting, escapes, JSON Pointer tokens, duplicate keys.
#include <algorithm>
#include <cstring>

#include "tidegate/hash.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

namespace {

int hex_digit(char c) {
    if (c <= '9') return c - '0';
    return (c | 0x20) - 'a' + 10;
}

std::uint32_t hex4(const char* p) {
    return static_cast<std::uint32_t>(hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]));
}

void append_utf8(std::string& out, std::uint32_t c) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | c >> 6);
        put(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put(0xe0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    } else {
        put(0xf0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3f));
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    }
}

void append_hex4(std::string& out, std::uint32_t c) {
    static const char digits[] = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out.push_back(digits[c >> shift & 15]);
}

char short_escape(char letter) {
    switch (letter) {
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        default: return letter;
    }
}

// Equal for equal keys. Keys of one object rarely share it otherwise; where they do, they are looked at again.
std::uint64_t key_print(std::string_view inside) {
    if (simd::find_byte(inside, '\\') < inside.size()) {
        std::string characters;
        append_unescaped(characters, inside);
        if (simd::find_byte(characters, '\\') == characters.size()) return key_print(characters);
        return xxh64(characters, 2);
    }
    if (inside.size() > 16) return xxh64(inside, 1);
    std::uint64_t first = 0, last = 0;
    if (inside.size() >= 8) {
        std::memcpy(&first, inside.data(), 8);
        std::memcpy(&last, inside.data() + inside.size() - 8, 8);
    } else {
        for (const char c : inside) first = first << 8 | static_cast<unsigned char>(c);
    }
    return mix64(first * 0x9e3779b97f4a7c15ull + last) + inside.size();
}

// Indices of the children sorted by key, equal keys in order of appearance.
std::vector<std::uint32_t> order_by_key(std::string_view text, const std::vector<Child>& children) {
    std::vector<std::string> keys(children.size());
    std::vector<std::uint32_t> order(children.size());
    for (std::uint32_t i = 0; i < children.size(); ++i) {
        append_unescaped(keys[i], key_of(text, children[i]));
        order[i] = i;
    }
    sort_all(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        const int c = keys[a].compare(keys[b]);
        return c != 0 ? c < 0 : a < b;
    });
    return order;
}

void append_without_duplicates(std::string& out, std::string_view text, std::string_view value) {
    if (value[0] != '{' && value[0] != '[') {
        out += value;
        return;
    }
    const bool object = value[0] == '{';
    std::vector<Child> children;
    split(value, 0, children);
    std::vector<bool> dropped(children.size(), false);
    if (object) {
        const std::vector<std::uint32_t> order = order_by_key(value, children);
        for (std::size_t i = 1; i < order.size(); ++i)
            if (same_string(key_of(value, children[order[i - 1]]), key_of(value, children[order[i]]))) dropped[order[i - 1]] = true;
    }
    out.push_back(object ? '{' : '[');
    bool first = true;
    for (std::size_t i = 0; i < children.size(); ++i) {
        if (dropped[i]) continue;
        if (!first) out.push_back(',');
        first = false;
        if (object) out.append("\"").append(key_of(value, children[i])).append("\":");
        append_without_duplicates(out, text, value_of(value, children[i]));
    }
    out.push_back(object ? '}' : ']');
}

}  // namespace

namespace {

// Where whitespace stands that separates two tokens which nothing else separates, as `1 2`. Bits of one block after the other.
class JoinedTokens {
public:
    bool found() const { return found_; }
    void step(std::uint64_t spaces, std::uint64_t tokens) {
        std::uint64_t starts = spaces & (tokens << 1 | (after_token_ ? 1 : 0));  // runs of whitespace behind a token
        if (pending_ && (tokens & 1)) found_ = true;
        if (pending_) starts |= spaces & 1;
        const std::uint64_t sum = spaces + starts;  // the carry goes through the run to what stands behind it
        found_ = found_ || (sum & ~spaces & tokens);
        pending_ = sum < spaces;
        after_token_ = tokens >> 63;
    }

private:
    bool found_ = false, pending_ = false, after_token_ = false;
};

}  // namespace

bool write_compact(char*& to, std::string_view value) {
    simd::StringState strings;
    JoinedTokens joined;
    for (std::size_t at = 0; at < value.size(); at += simd::kBlock) {
        const std::size_t left = value.size() - at;
        const char* p = value.data() + at;
        char part[simd::kBlock + kCompactSlack] = {};
        if (left < sizeof part) {
            simd::copy_bytes(part, p, left);
            p = part;
        }
        const std::uint64_t valid = left < simd::kBlock ? (1ull << left) - 1 : ~0ull;
        const simd::Block block = simd::load(p);
        const std::uint64_t outside = ~strings.step(block, valid) & valid;
        const std::uint64_t spaces = simd::spaces(block) & outside;
        joined.step(spaces, valid & ~spaces & ~(simd::structure(block) & outside));
        for (std::uint64_t keep = ~spaces & valid; keep;) {
            const int from = simd::lowest(keep);
            const std::uint64_t behind = ~keep & ~((1ull << from) - 1);
            const int end = behind ? simd::lowest(behind) : 64;
            for (int i = from; i < end; i += 16) std::memcpy(to + (i - from), p + i, 16);
            to += end - from;
            keep &= end == 64 ? 0 : ~0ull << end;
        }
    }
    return !joined.found();
}

void append_compact(std::string& out, std::string_view value) {
    const std::size_t before = out.size();
    out.resize(before + value.size() + kCompactSlack);
    char* end = &out[before];
    write_compact(end, value);
    out.resize(static_cast<std::size_t>(end - out.data()));
}

void append_unescaped(std::string& out, std::string_view inside) {
    for (std::size_t i = 0; i < inside.size();) {
        const std::size_t slash = i + simd::find_byte(inside.substr(i), '\\');
        out.append(inside.data() + i, slash - i);
        i = slash;
        if (i + 1 >= inside.size()) break;
        if (inside[i + 1] != 'u') {
            out.push_back(short_escape(inside[i + 1]));
            i += 2;
            continue;
        }
        if (i + 6 > inside.size()) break;
        std::uint32_t c = hex4(inside.data() + i + 2);
        i += 6;
        if (c >= 0xd800 && c < 0xdc00 && i + 6 <= inside.size() && inside[i] == '\\' && inside[i + 1] == 'u') {
            const std::uint32_t low = hex4(inside.data() + i + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 6;
            }
        }
        append_utf8(out, c);
    }
}

void append_escaped(std::string& out, std::string_view characters) {
    for (std::size_t i = 0; i < characters.size(); ++i) {
        const unsigned char c = static_cast<unsigned char>(characters[i]);
        switch (c) {
            case '"': out += "\\\""; continue;
            case '\\': out += "\\\\"; continue;
            case '\b': out += "\\b"; continue;
            case '\f': out += "\\f"; continue;
            case '\n': out += "\\n"; continue;
            case '\r': out += "\\r"; continue;
            case '\t': out += "\\t"; continue;
            default: break;
        }
        if (c < 0x20) {
            append_hex4(out, c);
        } else if (c == 0xed && i + 2 < characters.size() && static_cast<unsigned char>(characters[i + 1]) >= 0xa0) {
            const std::uint32_t b1 = static_cast<unsigned char>(characters[i + 1]), b2 = static_cast<unsigned char>(characters[i + 2]);
            append_hex4(out, 0xd000 | (b1 & 0x3f) << 6 | (b2 & 0x3f));
            i += 2;
        } else {
            out.push_back(static_cast<char>(c));
        }
    }
}

void append_pointer_token(std::string& out, std::string_view key_inside) {
    bool plain = true;
    for (const char c : key_inside) plain = plain && c != '\\' && c != '~' && c != '/';
    if (plain) {
        out += key_inside;
        return;
    }
    std::string characters, token;
    append_unescaped(characters, key_inside);
    for (const char c : characters) {
        if (c == '~') token += "~0";
        else if (c == '/') token += "~1";
        else token.push_back(c);
    }
    append_escaped(out, token);
}

bool has_duplicate_keys(std::string_view text) {
    constexpr std::size_t kFew = 24;
    std::vector<std::uint64_t> prints;  // of the keys of the objects that are open
    std::vector<std::size_t> starts;    // where each open container's keys begin in `prints`
    prints.reserve(64);
    starts.reserve(32);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '{' || c == '[') {
            starts.push_back(prints.size());
        } else if (c == '}' || c == ']') {
            if (starts.empty()) return false;
            const std::size_t from = starts.back();
            if (prints.size() - from > kFew) {
                sort_all(prints.begin() + static_cast<std::ptrdiff_t>(from), prints.end());
                if (std::adjacent_find(prints.begin() + static_cast<std::ptrdiff_t>(from), prints.end()) != prints.end()) return true;
            } else {
                for (std::size_t x = from + 1; x < prints.size(); ++x)
                    for (std::size_t y = from; y < x; ++y)
                        if (prints[x] == prints[y]) return true;
            }
            prints.resize(from);
            starts.pop_back();
        } else if (c == '"') {
            const std::size_t end = string_end(text, i);
            if (end == kNoOffset) return false;
            const std::size_t next = skip_space(text, end);
            if (next < text.size() && text[next] == ':') prints.push_back(key_print(text.substr(i + 1, end - i - 2)));
            i = end - 1;
        }
    }
    return false;
}

std::string drop_duplicate_keys(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    append_without_duplicates(out, text, trim_space(text));
    return out;
}

}  // namespace tidegate
