// Any three texts: merge3 takes exactly the valid ones, gives valid JSON, and keeps the change of one side when the other made none.
#include <cstdint>
#include <string_view>

#include "require.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/merge.h"

using namespace tidegate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t first = input.find('\0');
    const std::size_t second = first == std::string_view::npos ? first : input.find('\0', first + 1);
    if (second == std::string_view::npos) return 0;
    const std::string_view base = input.substr(0, first), ours = input.substr(first + 1, second - first - 1), theirs = input.substr(second + 1);
    const bool valid = validate_json(base).ok() && validate_json(ours).ok() && validate_json(theirs).ok();
    const Result<MergeResult> merged = merge3(base, ours, theirs);
    require(merged.ok() == valid);
    if (!valid) return 0;
    require(validate_json(merged.value().document).ok());
    const Result<MergeResult> one = merge3(base, ours, base);
    require(one.ok() && one.value().clashes.empty() && same_value(one.value().document, trim_space(ours)));
    return 0;
}
