// Any document and any patch: an answer within the limits, valid JSON when the document was.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tidegate/json_text.h"
#include "tidegate/patch.h"

using namespace tidegate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t border = input.find('\0');
    if (border == std::string_view::npos) return 0;
    const std::string_view document = input.substr(0, border), patch = input.substr(border + 1);
    const PatchOptions options{std::size_t{1} << 16, (data[0] & 1) != 0};
    for (const bool merge : {false, true}) {
        const Result<std::string> result = merge ? apply_merge_patch(document, patch, options) : apply_json_patch(document, patch, options);
        if (!result.ok()) continue;
        if (result.value().size() > options.max_output_bytes) std::abort();
        if (validate_json(document).ok() && !validate_json(result.value(), kMaxTextDepth).ok()) std::abort();
    }
    return 0;
}
