// Any document and any patch: an answer within the limits, valid JSON when the document was; the same one whether it was trusted or not.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/patch.h"

using namespace tidegate;

namespace {

// Whitespace counts as output, and the two ways keep different amounts of it.
bool limited(const Result<std::string>& result) { return !result.ok() && result.error().code == "patch-limit"; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t border = input.find('\0');
    if (border == std::string_view::npos) return 0;
    const std::string_view document = input.substr(0, border), patch = input.substr(border + 1);
    const PatchOptions options{std::size_t{1} << 16, (data[0] & 1) != 0};
    for (const bool merge : {false, true}) {
        const Result<std::string> result = merge ? apply_merge_patch(document, patch, options) : apply_json_patch(document, patch, options);
        const bool fit = validate_json(document).ok() && !has_duplicate_keys(document);
        if (fit && !merge) {
            const Result<std::string> other = apply_json_patch(document, patch, PatchOptions{options.max_output_bytes, !options.trusted_document});
            if (other.ok() && result.ok() ? !same_value(other.value(), result.value()) : other.ok() != result.ok() && !limited(other) && !limited(result)) std::abort();
        }
        if (!result.ok()) continue;
        if (result.value().size() > options.max_output_bytes) std::abort();
        if (validate_json(document).ok() && !validate_json(result.value(), kMaxTextDepth).ok()) std::abort();
    }
    return 0;
}
