// RFC 7396: what a merge patch can say is "these members have these values, those are gone". A member that is null cannot be said.
#include "tidegate/diff.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"

namespace tidegate {

namespace {

// True when an object inside the value, reached through objects only, has a null member: applying would drop it (RFC 7396 section 2).
bool loses_nulls(std::string_view value) {
    if (value[0] != '{') return false;
    std::vector<Child> members;
    split(value, 0, members);
    for (const Child& m : members) {
        const std::string_view v = value_of(value, m);
        if (v[0] == 'n' || loses_nulls(v)) return true;
    }
    return false;
}

// Writes the patch from a to b. False when there is none.
bool write(std::string& out, std::string_view a, std::string_view b) {
    if (b[0] != '{' || a[0] != '{') {
        append_compact(out, b);
        return !loses_nulls(b);
    }
    std::vector<Child> as, bs;
    split(a, 0, as);
    split(b, 0, bs);
    const std::vector<KeyedChild> x = members_by_key(a, as), y = members_by_key(b, bs);
    out.push_back('{');
    bool first = true;
    const auto key = [&](std::string_view inside) {
        if (!first) out.push_back(',');
        first = false;
        out.append("\"").append(inside).append("\":");
    };
    for (std::size_t k = 0, m = 0; k < x.size() || m < y.size();) {
        const int order = k == x.size() ? 1 : m == y.size() ? -1 : x[k].key.compare(y[m].key);
        if (order < 0) {
            key(key_of(a, as[x[k++].index]));
            out += "null";
            continue;
        }
        const Child& member = bs[y[m++].index];
        const std::string_view value = value_of(b, member);
        const std::string_view old = order == 0 ? value_of(a, as[x[k++].index]) : std::string_view("0");
        const bool both_objects = old[0] == '{' && value[0] == '{';
        if (order == 0 && !both_objects && same_value(old, value)) continue;
        if (value[0] == 'n') return false;
        const std::size_t before = out.size();
        const bool was_first = first;
        key(key_of(b, member));
        const std::size_t from = out.size();
        if (!write(out, old, value)) return false;
        if (both_objects && out.size() - from == 2) {  // "{}": nothing changed inside
            out.resize(before);
            first = was_first;
        }
    }
    out.push_back('}');
    return true;
}

}  // namespace

Result<std::optional<std::string>> diff_merge_patch(std::string_view base, std::string_view next) {
    const Result<std::string_view> a = validate_json(base, kMaxTextDepth, "base");
    if (!a) return a.error();
    const Result<std::string_view> b = validate_json(next, kMaxTextDepth, "next");
    if (!b) return b.error();
    std::string out;
    if (!write(out, a.value(), b.value())) return std::optional<std::string>();
    return std::optional<std::string>(std::move(out));
}

}  // namespace tidegate
