// The part of the engine for objects whose members do not stand in the same order, and what objects and arrays share.
#include <algorithm>

#include "tidegate/diff_engine.h"
#include "tidegate/json_value.h"
#include "tidegate/simd.h"

namespace tidegate {

bool Differ::spend(std::size_t bytes) {
    if (bytes > budget_) return false;
    budget_ -= bytes;
    return true;
}

// What is left of both containers from the frame's mark on, as children.
bool Differ::split_both(const Place& frame, const Span& span, std::vector<Child>& as, std::vector<Child>& bs, std::uint32_t& close_a,
                        std::uint32_t& close_b) {
    if (frame.object && ++splits_ == kFewSplits) {
        index_a_.read(a_);
        index_b_.read(b_);
    }
    const bool indexed = !index_a_.empty();
    const std::size_t end_a = indexed ? index_a_.split_from(frame.mark_a, span.a1, frame.object, as)
                                      : split_from(a_.substr(0, span.a1), frame.mark_a, frame.object, as);
    const std::size_t end_b = indexed ? index_b_.split_from(frame.mark_b, span.b1, frame.object, bs)
                                      : split_from(b_.substr(0, span.b1), frame.mark_b, frame.object, bs);
    if (end_a == kNoOffset || end_b == kNoOffset) return refuse(frame.object ? "members and }" : "elements and ]", frame.mark_b);
    if (bs.empty() && b_[frame.mark_b - 1] == ',') return refuse("a value after the comma", frame.mark_b);
    close_a = static_cast<std::uint32_t>(end_a);
    close_b = static_cast<std::uint32_t>(end_b);
    return true;
}

// The work is spent: replaces the whole container instead of looking into it.
bool Differ::give_up(const Place& frame, std::uint32_t close_a, std::uint32_t close_b) {
    const std::size_t end = check_value(b_.substr(0, close_b + 1), frame.open_b, depth_left() + 1, fault_);
    if (end == kNoOffset) return false;
    if (end != close_b + 1) return refuse("a closing bracket", end);
    ops_.truncate(frame.first_op);
    path_.shrink(frame.path_length);
    if (options_->tests) ops_.test(frame.open_a, path_.view(), a_.substr(frame.open_a, close_a + 1 - frame.open_a));
    ops_.replace(frame.open_a, path_.view(), b_.substr(frame.open_b, close_b + 1 - frame.open_b));
    return true;
}

Differ::Lists& Differ::take_lists() {
    if (lists_used_ == lists_.size()) lists_.push_back(std::make_unique<Lists>());
    Lists& lists = *lists_[lists_used_++];
    lists.as.clear();
    lists.bs.clear();
    return lists;
}

bool Differ::rest_of_object(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    render(depth_ - 1, span);
    const Place frame = place(depth_ - 1);
    Lists& lists = take_lists();
    if (!split_both(frame, span, lists.as, lists.bs, i, j)) return false;
    const bool done = spend(i - frame.mark_a + j - frame.mark_b) ? write_members(lists, frame, j) : give_up(frame, i, j);
    --lists_used_;
    return done;
}

bool Differ::write_members(Lists& lists, const Place& frame, std::uint32_t end_b) {
    pair_members(a_, lists.as, b_, lists.bs, lists.members);
    const std::vector<std::int32_t>& of_b = lists.members.of_b;
    lists.kept.assign(lists.as.size(), 0);
    for (const std::int32_t k : of_b)
        if (k >= 0) lists.kept[static_cast<std::size_t>(k)] = 1;
    for (std::size_t m = 0; m < lists.bs.size(); ++m) {
        const Child& b = lists.bs[m];
        const bool known = of_b[m] >= 0;
        if (!known || !simd::same_bytes(key_of(b_, b), key_of(a_, lists.as[static_cast<std::size_t>(of_b[m])]))) {
            const std::size_t end = check_string(b_.substr(0, end_b), b.key - 1, fault_);
            if (end == kNoOffset) return false;
            if (end != b.key_end + 1u) return refuse("a colon after the key", end);
        }
        if (!known) continue;
        const Child a = lists.as[static_cast<std::size_t>(of_b[m])];
        if (simd::same_bytes(value_of(a_, a), value_of(b_, b))) continue;
        path_to(frame.path_length, key_of(a_, a));
        if (!run(a.value, a.value_end, b.value, b.value_end)) return false;
    }
    return write_new_members(lists, frame, end_b);
}

// Members that only one side has. One under a new key with the value of one that is gone was renamed; that is looked for only where it is cheap.
bool Differ::write_new_members(Lists& lists, const Place& frame, std::uint32_t end_b) {
    constexpr std::size_t kFewMembers = 16, kShortValue = 24;
    const std::vector<std::int32_t>& of_b = lists.members.of_b;
    const auto added = std::count(of_b.begin(), of_b.end(), -1);
    const bool look_for_moves = added <= static_cast<std::ptrdiff_t>(kFewMembers) && lists.as.size() <= 64 && !options_->tests;
    for (std::size_t m = 0; m < lists.bs.size() && added; ++m) {
        if (of_b[m] >= 0) continue;
        const std::string_view value = value_of(b_, lists.bs[m]);
        std::size_t old = lists.as.size();
        if (look_for_moves && value.size() >= kShortValue)
            for (old = 0; old < lists.as.size() && (lists.kept[old] || !simd::same_bytes(value_of(a_, lists.as[old]), value));) ++old;
        if (old < lists.as.size()) {
            lists.kept[old] = 1;
            path_to(frame.path_length, key_of(a_, lists.as[old]));
            const std::string from(path_.view());
            path_to(frame.path_length, key_of(b_, lists.bs[m]));
            ops_.move(frame.mark_a, from, path_.view());
        } else {
            if (!check_b(lists.bs[m], end_b)) return false;
            path_to(frame.path_length, key_of(b_, lists.bs[m]));
            ops_.add(frame.mark_a, path_.view(), value);
        }
    }
    for (std::size_t k = 0; k < lists.as.size(); ++k) {
        if (lists.kept[k]) continue;
        path_to(frame.path_length, key_of(a_, lists.as[k]));
        if (options_->tests) ops_.test(frame.mark_a, path_.view(), value_of(a_, lists.as[k]));
        ops_.remove(frame.mark_a, path_.view());
    }
    return true;
}

}  // namespace tidegate
