#include <algorithm>

#include "tidegate/json_value.h"
#include "tidegate/merge_engine.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

// In one piece where key and value stand side by side in their text, together with the comma in front of them.
void Merger::put_member(std::string_view key, bool& first, std::string_view value) {
    const char* const quote = key.data() - 1;
    if (key.data() + key.size() + 2 != value.data()) {
        if (!first) result_->document.push_back(',');
        result_->document.append("\"").append(key).append("\":").append(value);
    } else {
        const bool with_comma = !first && quote[-1] == ',';
        if (!first && !with_comma) result_->document.push_back(',');
        const char* const from = with_comma ? quote - 1 : quote;
        result_->document.append(from, static_cast<std::size_t>(value.data() + value.size() - from));
    }
    first = false;
}

void Merger::member(std::string_view key, bool& first, std::string_view base, std::string_view ours, std::string_view theirs) {
    const std::size_t path_length = path_.size(), start = result_->document.size();
    if (simd::same_bytes(ours, theirs)) {
        put_member(key, first, ours);
        return;
    }
    if (!first) result_->document.push_back(',');
    result_->document.append("\"").append(key).append("\":");
    // The path is only needed where the sides differ, but then all of it.
    path_.push_back('/');
    std::string token;
    append_pointer_token(token, key);
    append_unescaped(path_, token);
    if (value(base, ours, theirs)) first = false;
    else result_->document.resize(start);
    path_.resize(path_length);
}

// The order is that of ours; a member that only theirs has comes behind the member it follows there and what ours added at that place.
void Merger::object(std::string_view base, std::string_view ours, std::string_view theirs) {
    Level& level = take_level();
    std::vector<Child>&bs = level.base, &os = level.ours, &ts = level.theirs;
    bs.clear(), os.clear(), ts.clear();
    index_[0].split(base, bs);
    index_[1].split(ours, os);
    index_[2].split(theirs, ts);
    pair_members(base, bs, ours, os, level.in_base);
    pair_members(ours, os, theirs, ts, level.in_ours);
    MemberPairs& theirs_in_base = level.theirs_in_base;
    const std::vector<std::int32_t>&base_of_ours = level.in_base.of_b, &ours_of_theirs = level.in_ours.of_b;
    std::vector<std::int32_t>& theirs_of_ours = level.theirs_of_ours;
    theirs_of_ours.assign(os.size(), -1);
    auto& extra = level.extra;
    extra.clear();
    std::int32_t last = -1;
    for (std::size_t t = 0; t < ts.size(); ++t) {
        const std::int32_t partner = ours_of_theirs[t];
        if (partner < 0) {
            extra.push_back({last, static_cast<std::int32_t>(t)});
        } else {
            theirs_of_ours[static_cast<std::size_t>(partner)] = static_cast<std::int32_t>(t);
            last = partner;
        }
    }
    sort_all(extra.begin(), extra.end());
    if (!extra.empty()) pair_members(base, bs, theirs, ts, theirs_in_base);
    const auto base_at = [&](std::int32_t k) { return k < 0 ? std::string_view() : value_of(base, bs[static_cast<std::size_t>(k)]); };
    result_->document.push_back('{');
    bool first = true;
    std::size_t next = 0;
    const auto flush = [&](std::int32_t before) {
        for (; next < extra.size() && extra[next].first < before; ++next) {
            const std::size_t t = static_cast<std::size_t>(extra[next].second);
            member(key_of(theirs, ts[t]), first, base_at(theirs_in_base.of_b[t]), std::string_view(), value_of(theirs, ts[t]));
        }
    };
    for (std::size_t o = 0; o < os.size(); ++o) {
        const std::int32_t t = theirs_of_ours[o];
        if (t >= 0) flush(static_cast<std::int32_t>(o));
        member(key_of(ours, os[o]), first, base_at(base_of_ours[o]), value_of(ours, os[o]),
               t < 0 ? std::string_view() : value_of(theirs, ts[static_cast<std::size_t>(t)]));
    }
    flush(static_cast<std::int32_t>(os.size()));
    --levels_used_;
    result_->document.push_back('}');
}

}  // namespace tidegate
