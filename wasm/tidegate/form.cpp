#include "tidegate/form.h"

#include "tidegate/diff.h"
#include "tidegate/json_text.h"

namespace tidegate {

Result<Form> choose_form(std::optional<std::string_view> base, std::string_view next) {
    if (auto valid = validate_json(next); !valid) return valid.error();
    Form best;
    if (!base) return best;
    std::size_t smallest = next.size();
    // A base that does not parse (written by an older version, damaged) costs the delta, not the op.
    if (auto patch = diff_json_patch(*base, next, DiffOptions{}); patch && patch.value().size() < smallest) {
        smallest = patch.value().size();
        best = {Codec::json_patch, std::move(patch.value())};
    }
    if (auto merge = diff_merge_patch(*base, next); merge && merge.value() && merge.value()->size() < smallest)
        best = {Codec::merge_patch, std::move(*merge.value())};
    return best;
}

}  // namespace tidegate
