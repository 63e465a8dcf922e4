#include "tidegate/merge.h"

#include <algorithm>

#include "tidegate/json_value.h"
#include "tidegate/merge_engine.h"
#include "tidegate/simd.h"

namespace tidegate {

bool Merger::put(std::string_view value) {
    result_->document += value;
    return !value.empty();
}

bool Merger::clash(std::string_view base, std::string_view ours, std::string_view theirs) {
    result_->clashes.push_back({path_, std::string(base), std::string(ours), std::string(theirs), options_->prefer});
    return put(options_->prefer == Side::ours ? ours : theirs);
}

// At least one of the three is absent, a scalar, or of another kind than the others.
bool Merger::scalar(std::string_view base, std::string_view ours, std::string_view theirs) {
    if (same_value(ours, theirs)) return put(ours);
    if (same_value(base, ours)) return put(theirs);
    if (same_value(base, theirs)) return put(ours);
    return clash(base, ours, theirs);
}

bool Merger::value(std::string_view base, std::string_view ours, std::string_view theirs) {
    if (simd::same_bytes(ours, theirs)) return put(ours);
    if (simd::same_bytes(base, ours)) return put(theirs);
    if (simd::same_bytes(base, theirs)) return put(ours);
    if (ours.empty() || theirs.empty() || ours[0] != theirs[0] || (options_->whole_members && !path_.empty())) return scalar(base, ours, theirs);
    const bool alike = !base.empty() && base[0] == ours[0];
    if (ours[0] == '{') return object(alike ? base : "{}", ours, theirs), true;
    // Without a common array nobody knows whether an element that one side lacks was removed or never there: that is a clash.
    if (ours[0] == '[' && alike) return array(base, ours, theirs), true;
    return scalar(base, ours, theirs);
}

JsonMerger::JsonMerger() = default;
JsonMerger::~JsonMerger() = default;

Result<MergeResult> JsonMerger::merge(std::string_view base, std::string_view ours, std::string_view theirs, const MergeOptions& options) {
    std::string_view texts[3] = {base, ours, theirs};
    std::string without_duplicates[3];
    const char* const names[3] = {"base", "ours", "theirs"};
    for (int i = 0; i < 3; ++i) {
        if (options.trusted) {
            texts[i] = trim_space(texts[i]);
            if (texts[i].empty() || texts[i].size() > kMaxTextBytes) return text_error({"json-syntax", "a value", 0}, names[i]);
            continue;
        }
        const Result<std::string_view> valid = validate_json(texts[i], kMaxTextDepth, names[i]);
        if (!valid) return valid.error();
        texts[i] = valid.value();
        if (has_duplicate_keys(texts[i])) texts[i] = without_duplicates[i] = drop_duplicate_keys(texts[i]);
    }
    MergeResult result;
    result.document.reserve(std::max(texts[1].size(), texts[2].size()) + 256);
    // A large document's memory is not kept.
    constexpr std::size_t kKeep = std::size_t{4} << 20;
    if (!engine_ || largest_ > kKeep) engine_ = std::make_unique<Merger>();
    largest_ = std::max({texts[0].size(), texts[1].size(), texts[2].size()});
    engine_->start(texts, options, result);
    engine_->value(texts[0], texts[1], texts[2]);
    return result;
}

Result<MergeResult> merge3(std::string_view base, std::string_view ours, std::string_view theirs, const MergeOptions& options) {
    return JsonMerger().merge(base, ours, theirs, options);
}

}  // namespace tidegate
