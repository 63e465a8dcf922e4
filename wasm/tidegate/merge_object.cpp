#include <algorithm>

#include "tidegate/json_value.h"
#include "tidegate/merge_engine.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

void Merger::member(std::string_view key, bool& first, std::string_view base, std::string_view ours, std::string_view theirs) {
    const std::size_t path_length = path_.size(), start = result_.document.size();
    if (!first) result_.document.push_back(',');
    result_.document.append("\"").append(key).append("\":");
    if (simd::same_bytes(ours, theirs)) {
        put(ours);
        first = false;
        return;
    }
    // The path is only needed where the sides differ, but then all of it.
    path_.push_back('/');
    std::string token;
    append_pointer_token(token, key);
    append_unescaped(path_, token);
    if (value(base, ours, theirs)) first = false;
    else result_.document.resize(start);
    path_.resize(path_length);
}

// The order is that of ours; a member that only theirs has comes behind the member it follows there and what ours added at that place.
void Merger::object(std::string_view base, std::string_view ours, std::string_view theirs) {
    std::vector<Child> bs, os, ts;
    bs.reserve(16), os.reserve(16), ts.reserve(16);
    split(base, 0, bs);
    split(ours, 0, os);
    split(theirs, 0, ts);
    MemberPairs in_base, in_ours, theirs_in_base;
    pair_members(base, bs, ours, os, in_base);
    pair_members(ours, os, theirs, ts, in_ours);
    const std::vector<std::int32_t>&base_of_ours = in_base.of_b, &ours_of_theirs = in_ours.of_b;
    std::vector<std::int32_t> theirs_of_ours(os.size(), -1);
    std::vector<std::pair<std::int32_t, std::int32_t>> extra;  // (member of ours it follows, member of theirs)
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
    result_.document.push_back('{');
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
    result_.document.push_back('}');
}

}  // namespace tidegate
