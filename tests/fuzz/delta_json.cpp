// Any two texts: diff agrees with the validator about what is JSON, and its patch makes next of base; both appliers of ours agree.
#include <cstdint>
#include <string_view>

#include "require.h"
#include "tidegate/canonical.h"
#include "tidegate/diff.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/patch.h"

using namespace tidegate;

// The input is two texts with a zero byte between them; a first byte chooses the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t border = input.find('\0');
    if (border == std::string_view::npos) return 0;
    const std::string_view base = input.substr(0, border), next = input.substr(border + 1);
    DiffOptions options;
    options.tests = data[0] & 1;
    const bool base_valid = validate_json(base).ok(), next_valid = validate_json(next).ok();
    options.trusted_base = (data[0] & 2) && base_valid && !has_duplicate_keys(base);
    const Result<std::string> patch = diff_json_patch(base, next, options);
    require(patch.ok() == (base_valid && next_valid));
    if (!patch.ok()) {
        // Whatever is promised about the base, only an answer is owed.
        options.trusted_base = true;
        diff_json_patch(base, next, options);
        return 0;
    }
    const Result<std::string> result = apply_json_patch(base, patch.value());
    require(result.ok() && same_value(result.value(), trim_space(next)));
    require(canonical_hash(result.value()).value() == canonical_hash(next).value());
    const Result<std::optional<std::string>> merge = diff_merge_patch(base, next);
    require(merge.ok());
    if (merge.value()) {
        const Result<std::string> merged = apply_merge_patch(base, *merge.value());
        require(merged.ok() && same_value(merged.value(), trim_space(next)));
    }
    return 0;
}
