// Applying patches, bytes to bytes: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396).
//
// Only the places that the patch names are opened; everything else is copied as it lies in the document. A patch
// is applied whole or not at all. `__proto__` is a key like any other. Of equal keys in one object the last counts.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tidegate/result.h"

namespace tidegate {

// Largest result that is built unless the caller asks for less: repeated `copy` ops can double a document each time.
inline constexpr std::size_t kMaxPatchedBytes = std::size_t{64} << 20;
// Work a patch may cause (members looked at, elements shifted, bytes opened), about a second: beyond it the patch is refused.
inline constexpr std::size_t kMaxPatchWork = std::size_t{1} << 29;

struct PatchOptions {
    std::size_t max_output_bytes = kMaxPatchedBytes;
    // The document is known to be valid JSON without a key twice in one object (it was checked when it was stored): it is not checked
    // again, and a patch that walks forward through it, as those of diff do, is applied in one pass over the text. A false promise gives a
    // wrong document or an error, never more.
    bool trusted_document = false;
};

class Patcher;

// The functions below for many documents: keeps its memory from call to call. The result is readable until the next call.
class JsonPatcher {
public:
    JsonPatcher();
    ~JsonPatcher();
    JsonPatcher(const JsonPatcher&) = delete;
    JsonPatcher& operator=(const JsonPatcher&) = delete;

    Result<std::string_view> json_patch(std::string_view document, std::string_view patch, const PatchOptions& options);
    Result<std::string_view> merge_patch(std::string_view document, std::string_view patch, const PatchOptions& options);

private:
    Patcher& engine();
    std::unique_ptr<Patcher> engine_;
};

// Error path "/3" names the op. Codes: those of validate_json (path "" when the document is meant), "patch-syntax" (not a patch),
// "patch-path" (the place is not there), "patch-test" (a test op failed), "patch-limit" (result or work too large).
Result<std::string> apply_json_patch(std::string_view document, std::string_view patch, const PatchOptions& options);
Result<std::string> apply_merge_patch(std::string_view document, std::string_view patch, const PatchOptions& options);

inline Result<std::string> apply_json_patch(std::string_view document, std::string_view patch,
                                            std::size_t max_output_bytes = kMaxPatchedBytes) {
    return apply_json_patch(document, patch, PatchOptions{max_output_bytes, false});
}
inline Result<std::string> apply_merge_patch(std::string_view document, std::string_view patch,
                                             std::size_t max_output_bytes = kMaxPatchedBytes) {
    return apply_merge_patch(document, patch, PatchOptions{max_output_bytes, false});
}

}  // namespace tidegate
