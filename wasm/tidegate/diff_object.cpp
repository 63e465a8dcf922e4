// The part of the engine for objects whose members do not stand in the same order, and what objects and arrays share.
#include <algorithm>

#include "tidegate/diff_engine.h"
#include "tidegate/json_value.h"

namespace tidegate {

bool Differ::spend(std::size_t bytes) {
    if (bytes > budget_) return false;
    budget_ -= bytes;
    return true;
}

// What is left of both containers from the frame's mark on, as children.
bool Differ::split_both(const Frame& frame, const Span& span, std::vector<Child>& as, std::vector<Child>& bs, std::uint32_t& close_a,
                        std::uint32_t& close_b) {
    const std::size_t end_a = split_from(a_.substr(0, span.a1), frame.mark_a, frame.object, as);
    const std::size_t end_b = split_from(b_.substr(0, span.b1), frame.mark_b, frame.object, bs);
    if (end_a == kNoOffset || end_b == kNoOffset) return refuse(frame.object ? "members and }" : "elements and ]", frame.mark_b);
    if (bs.empty() && b_[frame.mark_b - 1] == ',') return refuse("a value after the comma", frame.mark_b);
    close_a = static_cast<std::uint32_t>(end_a);
    close_b = static_cast<std::uint32_t>(end_b);
    return true;
}

// The work is spent: replaces the whole container instead of looking into it.
bool Differ::give_up(const Frame& frame, std::uint32_t close_a, std::uint32_t close_b) {
    const std::size_t end = check_value(b_.substr(0, close_b + 1), frame.open_b, depth_left() + 1, fault_);
    if (end == kNoOffset) return false;
    if (end != close_b + 1) return refuse("a closing bracket", end);
    ops_.truncate(frame.first_op);
    path_.resize(frame.path_length);
    if (options_.tests) ops_.test(frame.open_a, path_, a_.substr(frame.open_a, close_a + 1 - frame.open_a));
    ops_.replace(frame.open_a, path_, b_.substr(frame.open_b, close_b + 1 - frame.open_b));
    return true;
}

bool Differ::rest_of_object(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    render(depth_ - 1, span);
    const Frame frame = frames_[depth_ - 1];
    std::vector<Child> as, bs;
    if (!split_both(frame, span, as, bs, i, j)) return false;
    if (!spend(i - frame.mark_a + j - frame.mark_b)) return give_up(frame, i, j);
    std::vector<std::int32_t> of_b = pair_members(a_, as, b_, bs);
    return write_members(as, bs, of_b, frame, j);
}

bool Differ::write_members(const std::vector<Child>& as, const std::vector<Child>& bs, std::vector<std::int32_t>& of_b, const Frame& frame,
                           std::uint32_t end_b) {
    const auto go_to = [&](std::string_view key) {
        path_.resize(frame.path_length);
        path_.push_back('/');
        append_pointer_token(path_, key);
    };
    std::vector<char> kept(as.size(), 0);
    for (const std::int32_t k : of_b)
        if (k >= 0) kept[static_cast<std::size_t>(k)] = 1;
    std::size_t added = 0;
    for (std::size_t m = 0; m < bs.size(); ++m) {
        const Child& b = bs[m];
        const std::string_view key = key_of(b_, b);
        if (of_b[m] < 0 || key != key_of(a_, as[static_cast<std::size_t>(of_b[m])])) {
            const std::size_t end = check_string(b_.substr(0, end_b), b.key - 1, fault_);
            if (end == kNoOffset) return false;
            if (end != b.key_end + 1u) return refuse("a colon after the key", end);
        }
        if (of_b[m] < 0) {
            ++added;
            continue;
        }
        const Child& a = as[static_cast<std::size_t>(of_b[m])];
        if (value_of(a_, a) == value_of(b_, b)) continue;
        go_to(key_of(a_, a));
        if (!run(a.value, a.value_end, b.value, b.value_end)) return false;
    }
    // A member under a new key with the value of one that is gone was renamed. Looked for only where that is cheap.
    constexpr std::size_t kFewMembers = 16, kShortValue = 24;
    const bool look_for_moves = added <= kFewMembers && as.size() <= 64 && !options_.tests;
    std::string from;
    for (std::size_t m = 0; m < bs.size() && added; ++m) {
        if (of_b[m] >= 0) continue;
        const std::string_view value = value_of(b_, bs[m]);
        std::size_t old = as.size();
        if (look_for_moves && value.size() >= kShortValue)
            for (old = 0; old < as.size() && (kept[old] || value_of(a_, as[old]) != value);) ++old;
        if (old < as.size()) {
            kept[old] = 1;
            go_to(key_of(a_, as[old]));
            from = path_;
            go_to(key_of(b_, bs[m]));
            ops_.move(frame.mark_a, from, path_);
        } else {
            if (!check_b(bs[m], end_b)) return false;
            go_to(key_of(b_, bs[m]));
            ops_.add(frame.mark_a, path_, value);
        }
    }
    for (std::size_t k = 0; k < as.size(); ++k) {
        if (kept[k]) continue;
        go_to(key_of(a_, as[k]));
        if (options_.tests) ops_.test(frame.mark_a, path_, value_of(a_, as[k]));
        ops_.remove(frame.mark_a, path_);
    }
    return true;
}

}  // namespace tidegate
