// A JSON Patch (RFC 6902) as a list of operations, read and validated in one pass. Internal to patch.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/result.h"

namespace tidegate {

// Views of the patch's text; name, path and from are the insides of string literals.
struct PatchOp {
    enum class Kind : unsigned char { add, remove, replace, move, copy, test, unknown };
    std::string_view name, path, from, value;
    Kind kind = Kind::unknown;
    bool has_path = false, has_from = false;
};

struct PatchOps {
    std::vector<PatchOp> list;
    Error problem;  // why the last of the list is no operation; empty when all are
};

// The text is validated whole (as validate_json does) even behind an operation that is none. Error: the text is no JSON, or no array.
Error read_patch(std::string_view patch, PatchOps& ops);

// A JSON Pointer (RFC 6901), its tokens as characters.
struct Pointer {
    std::string storage;  // of tokens that were escaped; otherwise they are views of the patch's text
    std::vector<std::string_view> tokens;
};

// REQUIRES: `inside` is the inside of a checked string literal. False when it is not a pointer.
bool read_pointer(std::string_view inside, Pointer& pointer);

// The array index a token names, at most `limit`; kNoOffset otherwise. No leading zeros, no sign (RFC 6901 section 4).
std::size_t read_index(std::string_view token, std::size_t limit);

// "an object", "a string" …
const char* kind_of_value(std::string_view value);

}  // namespace tidegate
