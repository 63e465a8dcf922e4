// JSON as text: strict validation, and finding values in it without building a tree. RFC 8259.
//
// Two kinds of functions live here. `validate_json` and `check_value` trust nothing. The others (`value_end`, `split`, …) find
// spans fast by matching brackets and quotes only: on valid text they are exact; on any other text they stay inside it and their
// answer is either refused or a span that still has to be checked. Offsets are 32 bits: texts are at most kMaxTextBytes long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/result.h"

namespace tidegate {

// Deepest nesting that is ever taken; a smaller limit can be asked for, a larger one cannot.
inline constexpr int kMaxTextDepth = 256;
// Longest text taken. 16 MiB is the largest op body; the rest is room for callers outside the queue.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;
inline constexpr std::size_t kNoOffset = static_cast<std::size_t>(-1);

// Why a text was refused, before it becomes an Error.
struct TextFault {
    const char* code = "json-syntax";  // or "json-depth"
    const char* expected = "";         // "a colon after the key" …
    std::size_t at = 0;                // byte offset
};

// The error for a fault; `what` names the text: "base", "patch" …
Error text_error(const TextFault& fault, std::string_view what);

// Checks one whole JSON text: syntax, UTF-8 (RFC 3629), nesting. Numbers of any size and lone surrogate escapes are text and taken.
// Returns the value without the whitespace around it. Codes: "json-syntax", "json-depth", "json-size". O(n), no recursion.
Result<std::string_view> validate_json(std::string_view text, int max_depth = kMaxTextDepth, std::string_view what = "text");

// Checks the value that starts exactly at `at`; the offset behind it, or kNoOffset with `fault` filled. Strict like validate_json.
std::size_t check_value(std::string_view text, std::size_t at, int max_depth, TextFault& fault);

// Checks the string literal at `at` (its opening quote); the offset behind its closing quote, or kNoOffset with `fault` filled.
std::size_t check_string(std::string_view text, std::size_t at, TextFault& fault);

inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

inline std::size_t skip_space(std::string_view text, std::size_t at) {
    while (at < text.size() && is_space(text[at])) ++at;
    return at;
}

// The span without whitespace at its ends.
std::string_view trim_space(std::string_view text);

// Offset behind the string literal that opens at `at`; kNoOffset if it does not end.
std::size_t string_end(std::string_view text, std::size_t at);

// Offset behind the value that starts at `at`; kNoOffset if there is none.
std::size_t value_end(std::string_view text, std::size_t at);

// Offset behind the bracket that closes the container in which `at` lies, between two of its members; kNoOffset if none does.
std::size_t container_end(std::string_view text, std::size_t at);

// One member of an object, or one element of an array (then key == key_end == 0). Offsets into the text; the key without quotes.
struct Child {
    std::uint32_t key, key_end, value, value_end;
};

inline std::string_view key_of(std::string_view text, const Child& c) { return text.substr(c.key, c.key_end - c.key); }
inline std::string_view value_of(std::string_view text, const Child& c) { return text.substr(c.value, c.value_end - c.value); }

// True when no nesting in the valid text goes deeper.
bool nested_within(std::string_view text, int max_depth);

// Appends the children of the container from offset `from`, which is the start of a child or the closing bracket, on. Returns the
// offset of the closing bracket, or kNoOffset. `object` says which kind it is. Keys are string-shaped, values are unchecked.
std::size_t split_from(std::string_view text, std::size_t from, bool object, std::vector<Child>& children);

// Same for the container that opens at `open`. REQUIRES: text[open] is { or [.
std::size_t split(std::string_view text, std::size_t open, std::vector<Child>& children);

// Where the brackets and commas of a text are, read once: every container of it is then split without looking at its strings again.
class TextIndex {
public:
    // REQUIRES: the text outlives the index's use.
    void read(std::string_view text);
    bool empty() const { return text_.empty(); }
    void forget() { text_ = {}; }

    // split_from for a container that ends at or before `end`.
    std::size_t split_from(std::size_t from, std::size_t end, bool object, std::vector<Child>& children) const;

    // split for a value: a part of the text, or any other text, which is then read for itself. Offsets into the value.
    std::size_t split(std::string_view value, std::vector<Child>& children) const;

private:
    class Kept;
    struct Marks {
        std::uint64_t open, close, commas;
    };
    std::string_view text_;
    std::vector<Marks> marks_;
};

// Writes a value without the whitespace between its tokens and moves `to` behind it. False when whitespace alone separated two tokens:
// then the value was not valid, and what was written hides it. REQUIRES: room for all of the value and kCompactSlack
// bytes more.
inline constexpr std::size_t kCompactSlack = 16;
bool write_compact(char*& to, std::string_view value);

// Appends the same.
void append_compact(std::string& out, std::string_view value);

// Appends the characters that a string literal's inside stands for, as UTF-8; a lone surrogate becomes its three-byte form (WTF-8).
// REQUIRES: `inside` was checked.
void append_unescaped(std::string& out, std::string_view inside);

// Appends characters (UTF-8 or WTF-8) as the inside of a string literal, with the escapes of RFC 8785 and \udxxx for lone surrogates.
void append_escaped(std::string& out, std::string_view characters);

// Appends a key's inside as one JSON Pointer token (RFC 6901), itself escaped as the inside of a string literal.
void append_pointer_token(std::string& out, std::string_view key_inside);

// True when some object of the valid text has a key twice. Most readers take the last one; delta needs to know before it pairs by place.
bool has_duplicate_keys(std::string_view text);

// The valid text with all but the last of equal keys dropped.
std::string drop_duplicate_keys(std::string_view text);

}  // namespace tidegate
