// The change between two versions of a document, text to text: JSON Patch (RFC 6902) or JSON Merge Patch (RFC 7396).
//
// Both texts are read in lock-step, 64 bytes at a time, and only where they differ is anything looked at more closely; no tree is
// built. Whitespace, key order, escapes and the notation of numbers are no change (json_value.h). Elements of an array are told
// apart by an id member where they have one, else by content; what stays in order stays, the rest is moved, added, removed.
// The patch is one line without whitespace; a changed member is written as `add`, which replaces it and is shorter than `replace`. Work is bounded: past kDiffWorkFactor times the input a container is replaced whole.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/result.h"

namespace tidegate {

inline constexpr std::size_t kDiffWorkFactor = 16;

struct DiffOptions {
    // `base` is known to be valid JSON without duplicate keys (it was checked when it was stored). Then `next` is still checked,
    // but only where it differs: bytes equal to valid bytes at the same place of the grammar are valid. A false promise gives a
    // wrong patch or an error, never more.
    bool trusted_base = false;
    // Write a `test` op with the old value before every remove and every change, and changes as `replace`.
    bool tests = false;
    // Members that identify an element of an array, in order of preference.
    std::vector<std::string_view> id_keys = {"id", "_id", "uuid", "key"};
};

// The RFC 6902 patch that makes `next` of `base`; "[]" when they mean the same. Never much larger than `next`: a root replace is the
// worst. Error codes: those of validate_json; the message says which text.
Result<std::string> diff_json_patch(std::string_view base, std::string_view next, const DiffOptions& options = {});

class Differ;

// diff_json_patch for many pairs: keeps its memory from call to call.
class JsonDiffer {
public:
    JsonDiffer();
    ~JsonDiffer();
    JsonDiffer(const JsonDiffer&) = delete;
    JsonDiffer& operator=(const JsonDiffer&) = delete;

    // The patch is readable until the next call. REQUIRES: `options` outlives the call.
    Result<std::string_view> patch(std::string_view base, std::string_view next, const DiffOptions& options);

private:
    std::unique_ptr<Differ> engine_;
};

// The RFC 7396 patch that makes `next` of `base`; nullopt where there is none, because `next` has a null member that would have to be
// written. Errors as above.
Result<std::optional<std::string>> diff_merge_patch(std::string_view base, std::string_view next);

}  // namespace tidegate
