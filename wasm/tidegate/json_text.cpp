#include "tidegate/json_text.h"

#include <cstring>

#include "tidegate/say.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Length of the well-formed UTF-8 sequence at p (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF), or 0.
std::size_t utf8_length(const unsigned char* p, std::size_t left) {
    const auto tail = [&](std::size_t i) { return (p[i] & 0xc0) == 0x80; };
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2) return 0;
    if (p[0] < 0xe0) return left >= 2 && tail(1) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (left < 3 || !tail(1) || !tail(2)) return 0;
        if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
        if (p[0] == 0xed && p[1] > 0x9f) return 0;
        return 3;
    }
    if (p[0] > 0xf4 || left < 4 || !tail(1) || !tail(2) || !tail(3)) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return 4;
}

std::size_t fail(TextFault& fault, const char* expected, std::size_t at) {
    fault = {"json-syntax", expected, at};
    return kNoOffset;
}

std::size_t check_number(std::string_view text, std::size_t at, TextFault& fault) {
    const auto digits = [&] {
        const std::size_t from = at;
        while (at < text.size() && is_digit(text[at])) ++at;
        return at > from;
    };
    if (text[at] == '-') ++at;
    if (at < text.size() && text[at] == '0') ++at;
    else if (!digits()) return fail(fault, "a digit", at);
    if (at < text.size() && text[at] == '.') {
        ++at;
        if (!digits()) return fail(fault, "a digit after the decimal point", at);
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        if (!digits()) return fail(fault, "a digit in the exponent", at);
    }
    return at;
}

std::size_t check_literal(std::string_view text, std::size_t at, std::string_view word, TextFault& fault) {
    if (text.substr(at, word.size()) != word) return fail(fault, "true, false or null", at);
    return at + word.size();
}

// A key with its colon; the offset of the value behind them.
std::size_t check_key(std::string_view text, std::size_t at, TextFault& fault) {
    if (at >= text.size() || text[at] != '"') return fail(fault, "a key in double quotes", at);
    at = check_string(text, at, fault);
    if (at == kNoOffset) return at;
    at = skip_space(text, at);
    if (at >= text.size() || text[at] != ':') return fail(fault, "a colon after the key", at);
    return skip_space(text, at + 1);
}

std::size_t check_scalar(std::string_view text, std::size_t at, TextFault& fault) {
    if (at >= text.size()) return fail(fault, "a value", at);
    const char c = text[at];
    if (c == '"') return check_string(text, at, fault);
    if (c == '-' || is_digit(c)) return check_number(text, at, fault);
    if (c == 't') return check_literal(text, at, "true", fault);
    if (c == 'f') return check_literal(text, at, "false", fault);
    if (c == 'n') return check_literal(text, at, "null", fault);
    return fail(fault, "a value", at);
}

// Which of the open containers are objects, one bit each.
struct Nesting {
    std::uint64_t words[kMaxTextDepth / 64] = {};
    int depth = 0;
    void push(bool object) {
        const std::uint64_t bit = 1ull << (depth & 63);
        if (object) words[depth >> 6] |= bit;
        else words[depth >> 6] &= ~bit;
        ++depth;
    }
    bool object() const { return words[(depth - 1) >> 6] >> ((depth - 1) & 63) & 1; }
};

simd::Block load_tail(std::string_view text, std::size_t at) {
    char buffer[simd::kBlock];
    std::memset(buffer, ' ', sizeof buffer);
    std::memcpy(buffer, text.data() + at, text.size() - at);
    return simd::load(buffer);
}

// Brackets and commas outside of strings, 64 bytes at a time, read as the text is walked.
class ReadBlocks {
public:
    ReadBlocks(std::string_view text, std::size_t from) : text_(text), first_(from) {}
    std::size_t first() const { return first_; }
    std::uint64_t valid() const { return ~0ull; }  // of the first block
    TG_HOT simd::Brackets brackets(std::size_t at) {
        const std::size_t left = text_.size() - at;
        block_ = left >= simd::kBlock ? simd::load(text_.data() + at) : load_tail(text_, at);
        outside_ = ~strings_.step(block_, ~0ull);
        const simd::Brackets kinds = simd::brackets_by_kind(block_);
        return {kinds.open & outside_, kinds.close & outside_};
    }
    std::uint64_t commas(std::size_t) const { return simd::where(block_, ',') & outside_; }

private:
    std::string_view text_;
    std::size_t first_;
    simd::StringState strings_;
    simd::Block block_;
    std::uint64_t outside_ = 0;
};

// Walks a container whose inside the blocks begin with, calls on_separator(offset) for every comma of its own and for its closing
// bracket; without kCommas only for the latter. Returns the closing bracket's offset, or kNoOffset when the brackets do not close.
// on_separator returns false to stop. Blocks that lie wholly inside of deeper containers are only counted.
template <bool kCommas, class Blocks, class OnSeparator>
std::size_t walk_container(Blocks blocks, std::size_t size, OnSeparator on_separator) {
    int depth = 1;
    std::uint64_t valid = blocks.valid();
    for (std::size_t at = blocks.first(); at < size; at += simd::kBlock, valid = ~0ull) {
        simd::Brackets kinds = blocks.brackets(at);
        kinds.open &= valid;
        kinds.close &= valid;
        const int closed = simd::count(kinds.close);
        if (depth - closed > (kCommas ? 1 : 0)) {
            depth += simd::count(kinds.open) - closed;
            continue;
        }
        std::uint64_t commas = kCommas ? blocks.commas(at) & valid : 0;
        for (std::uint64_t brackets = kinds.open | kinds.close; brackets; brackets &= brackets - 1) {
            const std::uint64_t before = (brackets & (~brackets + 1)) - 1;
            if (depth == 1)
                for (std::uint64_t mine = commas & before; mine; mine &= mine - 1)
                    if (!on_separator(at + static_cast<std::size_t>(simd::lowest(mine)))) return kNoOffset;
            commas &= ~before;
            if (kinds.open & (before + 1)) {
                ++depth;
            } else if (--depth == 0) {
                const std::size_t here = at + static_cast<std::size_t>(simd::lowest(brackets));
                return on_separator(here) ? here : kNoOffset;
            }
        }
        if (depth == 1)
            for (; commas; commas &= commas - 1)
                if (!on_separator(at + static_cast<std::size_t>(simd::lowest(commas)))) return kNoOffset;
    }
    return kNoOffset;
}

// The child that lies in [from, to).
bool read_child(std::string_view text, std::size_t from, std::size_t to, bool object, Child& child) {
    const std::string_view part = text.substr(0, to);
    std::size_t at = skip_space(part, from);
    child = {0, 0, 0, 0};
    if (object) {
        if (at >= to || text[at] != '"') return false;
        const std::size_t end = string_end(part, at);
        if (end == kNoOffset) return false;
        child.key = static_cast<std::uint32_t>(at + 1);
        child.key_end = static_cast<std::uint32_t>(end - 1);
        at = skip_space(part, end);
        if (at >= to || text[at] != ':') return false;
        at = skip_space(part, at + 1);
    }
    while (to > at && is_space(text[to - 1])) --to;
    child.value = static_cast<std::uint32_t>(at);
    child.value_end = static_cast<std::uint32_t>(to);
    return to > at;
}

}  // namespace

Error text_error(const TextFault& fault, std::string_view what) {
    std::string message = say(what, " is not taken: at byte ", fault.at, " expected ", fault.expected);
    return Error{fault.code, "", message};
}

std::size_t check_string(std::string_view text, std::size_t at, TextFault& fault) {
    const char* s = text.data();
    const std::size_t end = text.size();
    for (++at; at < end;) {
        if (end - at >= 16) {
            const std::uint32_t m = simd::specials16(s + at);
            if (m == 0) {
                at += 16;
                continue;
            }
            at += static_cast<std::size_t>(__builtin_ctz(m));
        }
        const unsigned char c = static_cast<unsigned char>(s[at]);
        if (c == '"') return at + 1;
        if (c < 0x20) return fail(fault, "no control character inside a string", at);
        if (c == '\\') {
            const char e = at + 1 < end ? s[at + 1] : '\0';
            if (e == 'u') {
                for (std::size_t i = at + 2; i < at + 6; ++i)
                    if (i >= end || !is_hex(s[i])) return fail(fault, "four hex digits after \\u", i);
                at += 6;
            } else if (e == '"' || e == '\\' || e == '/' || e == 'b' || e == 'f' || e == 'n' || e == 'r' || e == 't') {
                at += 2;
            } else {
                return fail(fault, "a known escape after the backslash", at + 1);
            }
        } else {
            const std::size_t length = utf8_length(reinterpret_cast<const unsigned char*>(s + at), end - at);
            if (length == 0) return fail(fault, "well-formed UTF-8", at);
            at += length;
        }
    }
    return fail(fault, "the closing quote of a string", at);
}

std::size_t check_value(std::string_view text, std::size_t at, int max_depth, TextFault& fault) {
    if (max_depth > kMaxTextDepth) max_depth = kMaxTextDepth;
    Nesting open;
    for (;;) {
        const char c = at < text.size() ? text[at] : '\0';
        if (c == '{' || c == '[') {
            if (open.depth >= max_depth) {
                fault = {"json-depth", "no deeper nesting", at};
                return kNoOffset;
            }
            open.push(c == '{');
            at = skip_space(text, at + 1);
            if (at >= text.size() || text[at] != (c == '{' ? '}' : ']')) {
                if (c == '{') at = check_key(text, at, fault);
                if (at == kNoOffset) return at;
                continue;
            }
        } else {
            at = check_scalar(text, at, fault);
            if (at == kNoOffset || open.depth == 0) return at;
            at = skip_space(text, at);
        }
        // Behind a value, or on the bracket that closes an empty container.
        for (;;) {
            const char d = at < text.size() ? text[at] : '\0';
            if (d == ',') break;
            if (d != (open.object() ? '}' : ']')) return fail(fault, open.object() ? "a comma or }" : "a comma or ]", at);
            ++at;
            if (--open.depth == 0) return at;
            at = skip_space(text, at);
        }
        at = skip_space(text, at + 1);
        if (open.object()) at = check_key(text, at, fault);
        if (at == kNoOffset) return at;
    }
}

Result<std::string_view> validate_json(std::string_view text, int max_depth, std::string_view what) {
    if (text.size() > kMaxTextBytes)
        return Error{"json-size", "", say(what, " has ", text.size(), " bytes, at most ", kMaxTextBytes, " are taken")};
    TextFault fault;
    const std::size_t from = skip_space(text, 0);
    const std::size_t to = check_value(text, from, max_depth, fault);
    if (to == kNoOffset) return text_error(fault, what);
    const std::size_t rest = skip_space(text, to);
    if (rest != text.size()) return text_error({"json-syntax", "nothing behind the value", rest}, what);
    return text.substr(from, to - from);
}

std::string_view trim_space(std::string_view text) {
    const std::size_t from = skip_space(text, 0);
    std::size_t to = text.size();
    while (to > from && is_space(text[to - 1])) --to;
    return text.substr(from, to - from);
}

std::size_t string_end(std::string_view text, std::size_t at) {
    const char* s = text.data();
    for (++at; at < text.size();) {
        if (text.size() - at >= 16) {
            const std::uint32_t m = simd::string_ends16(s + at);
            if (m == 0) {
                at += 16;
                continue;
            }
            at += static_cast<std::size_t>(__builtin_ctz(m));
        }
        if (s[at] == '"') return at + 1;
        at += s[at] == '\\' ? 2 : 1;
    }
    return kNoOffset;
}

std::size_t container_end(std::string_view text, std::size_t at) {
    const std::size_t close = walk_container<false>(ReadBlocks(text, at), text.size(), [](std::size_t) { return true; });
    return close == kNoOffset ? kNoOffset : close + 1;
}

std::size_t value_end(std::string_view text, std::size_t at) {
    if (at >= text.size()) return kNoOffset;
    if (text[at] == '"') return string_end(text, at);
    if (text[at] == '{' || text[at] == '[') return container_end(text, at + 1);
    const std::size_t from = at;
    while (at < text.size() && !is_space(text[at]) && text[at] != ',' && text[at] != '}' && text[at] != ']') ++at;
    return at > from ? at : kNoOffset;
}

bool nested_within(std::string_view text, int max_depth) {
    simd::StringState strings;
    int depth = 0;
    for (std::size_t at = 0; at < text.size(); at += simd::kBlock) {
        const simd::Block block = text.size() - at >= simd::kBlock ? simd::load(text.data() + at) : load_tail(text, at);
        for (std::uint64_t brackets = simd::brackets(block) & ~strings.step(block, ~0ull); brackets; brackets &= brackets - 1) {
            const char c = text[at + static_cast<std::size_t>(simd::lowest(brackets))];
            if (c != '{' && c != '[') --depth;
            else if (++depth > max_depth) return false;
        }
    }
    return true;
}

namespace {

template <class Blocks>
std::size_t split_blocks(const Blocks& blocks, std::string_view text, std::size_t from, bool object, std::vector<Child>& children) {
    std::size_t start = from;
    bool first = true;
    const char close = object ? '}' : ']';
    return walk_container<true>(blocks, text.size(), [&](std::size_t at) {
        if (text[at] != ',' && text[at] != close) return false;
        Child child;
        if (first && text[at] != ',' && skip_space(text, start) == at) return true;
        first = false;
        if (!read_child(text, start, at, object, child)) return false;
        children.push_back(child);
        start = at + 1;
        return true;
    });
}

}  // namespace

std::size_t split_from(std::string_view text, std::size_t from, bool object, std::vector<Child>& children) {
    return split_blocks(ReadBlocks(text, from), text, from, object, children);
}

// The same blocks, read once for the whole text.
class TextIndex::Kept {
public:
    Kept(const TextIndex& index, std::size_t from) : marks_(index.marks_.data()), from_(from) {}
    std::size_t first() const { return from_ / simd::kBlock * simd::kBlock; }
    std::uint64_t valid() const { return ~0ull << (from_ % simd::kBlock); }
    simd::Brackets brackets(std::size_t at) const { return {marks_[at / simd::kBlock].open, marks_[at / simd::kBlock].close}; }
    std::uint64_t commas(std::size_t at) const { return marks_[at / simd::kBlock].commas; }

private:
    const Marks* marks_;
    std::size_t from_;
};

void TextIndex::read(std::string_view text) {
    text_ = text;
    marks_.resize((text.size() + simd::kBlock - 1) / simd::kBlock);
    simd::StringState strings;
    Marks* to = marks_.data();
    const auto mark = [&](const simd::Block& block) TG_HOT {
        const std::uint64_t outside = ~strings.step(block, ~0ull);
        const simd::Brackets kinds = simd::brackets_by_kind(block);
        *to++ = {kinds.open & outside, kinds.close & outside, simd::where(block, ',') & outside};
    };
    const char* at = text.data();
    for (std::size_t left = text.size() / simd::kBlock; left > 0; --left, at += simd::kBlock) mark(simd::load(at));
    const std::size_t whole = static_cast<std::size_t>(at - text.data());
    if (whole < text.size()) mark(load_tail(text, whole));
}

std::size_t TextIndex::split_from(std::size_t from, std::size_t end, bool object, std::vector<Child>& children) const {
    return split_blocks(Kept(*this, from), text_.substr(0, end), from, object, children);
}

std::size_t TextIndex::split(std::string_view value, std::vector<Child>& children) const {
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(text_.data()), at = reinterpret_cast<std::uintptr_t>(value.data());
    if (at < begin || at + value.size() > begin + text_.size()) return tidegate::split(value, 0, children);
    const std::size_t first = children.size(), offset = at - begin;
    const std::size_t close = split_from(offset + 1, offset + value.size(), value[0] == '{', children);
    if (close == kNoOffset) return close;
    const std::uint32_t shift = static_cast<std::uint32_t>(offset), key_shift = value[0] == '{' ? shift : 0;
    for (std::size_t i = first; i < children.size(); ++i) {
        Child& c = children[i];
        c = {c.key - key_shift, c.key_end - key_shift, c.value - shift, c.value_end - shift};
    }
    return close - offset;
}

std::size_t split(std::string_view text, std::size_t open, std::vector<Child>& children) {
    return split_from(text, open + 1, text[open] == '{', children);
}

}  // namespace tidegate
