#include "tidegate/form.h"

#include "tidegate/diff.h"
#include "tidegate/json_text.h"

namespace tidegate {

namespace {

constexpr double kCompressFromBytes = 860;  // below this a gzip header and an empty dictionary gain nothing
// CompressionStream in Chromium on a desktop: a call, its throughput, and what batches of JSON lose by it (bench/RESULTS.md, wire).
constexpr double kCompressCallMs = 2, kCompressBytesPerMs = 16000, kCompressSaves = 0.7;

}  // namespace

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

bool worth_compressing(double bytes, double goodput) {
    return bytes >= kCompressFromBytes && kCompressSaves * bytes * 1000 >= goodput * (kCompressCallMs + bytes / kCompressBytesPerMs);
}

}  // namespace tidegate
