// The part of the engine for arrays: elements are told apart by id or content, the longest run that keeps its order stays
// (longest increasing subsequence, Fredman 1975), the others are removed, moved or added.
//
// Order of the ops: removals from the back, so that no index shifts under them; then from front to back what has to be put into
// place; then the changes inside of elements, at the places they have in the end.
#include <algorithm>

#include "tidegate/diff_engine.h"
#include "tidegate/hash.h"
#include "tidegate/json_value.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

namespace {

// How many of the elements that wait to be moved stand before a place. Fenwick tree (Fenwick 1994) over their order in a.
class Waiting {
public:
    Waiting(const std::vector<std::int32_t>& places, std::vector<std::int32_t>& sums) : places_(places), sums_(sums) {
        sums_.assign(places.size() + 1, 0);
        for (std::size_t k = 0; k < places.size(); ++k) change(k, 1);
    }
    std::int32_t before(std::int32_t place) const {
        std::size_t k = static_cast<std::size_t>(std::lower_bound(places_.begin(), places_.end(), place) - places_.begin());
        std::int32_t sum = 0;
        for (; k; k &= k - 1) sum += sums_[k];
        return sum;
    }
    void remove(std::int32_t place) {
        change(static_cast<std::size_t>(std::lower_bound(places_.begin(), places_.end(), place) - places_.begin()), -1);
    }

private:
    void change(std::size_t k, std::int32_t by) {
        for (++k; k < sums_.size(); k += k & (~k + 1)) sums_[k] += by;
    }
    const std::vector<std::int32_t>& places_;
    std::vector<std::int32_t>& sums_;
};

// Marks the longest increasing subsequence of the partners (in the order of b; -1 are skipped) in `stays`.
void mark_longest(const std::vector<std::int32_t>& of_b, std::vector<char>& stays, std::vector<std::int32_t>& tails, std::vector<std::int32_t>& before) {
    tails.clear();  // places in of_b
    before.assign(of_b.size(), -1);
    for (std::size_t t = 0; t < of_b.size(); ++t) {
        if (of_b[t] < 0) continue;
        const auto at = std::lower_bound(tails.begin(), tails.end(), of_b[t], [&](std::int32_t place, std::int32_t value) {
            return of_b[static_cast<std::size_t>(place)] < value;
        });
        if (at != tails.begin()) before[t] = *(at - 1);
        if (at == tails.end()) tails.push_back(static_cast<std::int32_t>(t));
        else *at = static_cast<std::int32_t>(t);
    }
    for (std::int32_t t = tails.empty() ? -1 : tails.back(); t >= 0; t = before[static_cast<std::size_t>(t)])
        stays[static_cast<std::size_t>(of_b[static_cast<std::size_t>(t)])] = 1;
}

bool is_container(std::string_view value) { return value[0] == '{' || value[0] == '['; }

}  // namespace

// What an element is known by: its id, else its content.
void Differ::recognise(std::string_view text, const std::vector<Child>& items, std::vector<std::uint64_t>& keys, std::vector<char>& by_id) const {
    keys.resize(items.size());
    by_id.resize(items.size());
    for (std::size_t k = 0; k < items.size(); ++k) {
        const std::string_view value = value_of(text, items[k]), id = find_id(value, options_->id_keys);
        by_id[k] = !id.empty();
        keys[k] = id.empty() ? value_hash(value) : xxh64(id, 17);
    }
}

// Partners are those with the same key; of several the first with the first, the second with the second.
void Differ::pair_elements(Lists& lists) const {
    constexpr std::size_t kFew = 1024;  // pairs of elements that are looked at without sorting
    Pairing& pairing = lists.pairing;
    const std::vector<Child>&as = lists.as, &bs = lists.bs;
    pairing.of_a.assign(as.size(), -1);
    pairing.of_b.assign(bs.size(), -1);
    pairing.stays.assign(as.size(), 0);
    if (as.empty() || bs.empty()) return;
    recognise(a_, as, lists.keys_a, pairing.by_id_a);
    recognise(b_, bs, lists.keys_b, pairing.by_id_b);
    const auto pair = [&](std::size_t k, std::size_t m) {
        pairing.of_a[k] = static_cast<std::int32_t>(m);
        pairing.of_b[m] = static_cast<std::int32_t>(k);
    };
    if (as.size() * bs.size() <= kFew) {
        for (std::size_t m = 0; m < bs.size(); ++m)
            for (std::size_t k = 0; k < as.size() && pairing.of_b[m] < 0; ++k)
                if (lists.keys_a[k] == lists.keys_b[m] && pairing.of_a[k] < 0) pair(k, m);
    } else {
        using Entry = std::pair<std::uint64_t, std::uint32_t>;
        const auto sorted = [](const std::vector<std::uint64_t>& keys) {
            std::vector<Entry> all(keys.size());
            for (std::uint32_t k = 0; k < keys.size(); ++k) all[k] = {keys[k], k};
            sort_all(all.begin(), all.end());
            return all;
        };
        const std::vector<Entry> x = sorted(lists.keys_a), y = sorted(lists.keys_b);
        for (std::size_t k = 0, m = 0; k < x.size() && m < y.size();) {
            if (x[k].first < y[m].first) ++k;
            else if (y[m].first < x[k].first) ++m;
            else pair(x[k++].second, y[m++].second);
        }
    }
    mark_longest(pairing.of_b, pairing.stays, lists.tails, lists.before);
    pair_gaps(as, bs, pairing);
}

// Between two elements that stay, what is left on both sides without an id is taken as changed in place, in order, like with like.
void Differ::pair_gaps(const std::vector<Child>& as, const std::vector<Child>& bs, Pairing& pairing) const {
    std::size_t k = 0;
    for (std::size_t m = 0; m < bs.size(); ++m) {
        const std::int32_t partner = pairing.of_b[m];
        if (partner >= 0) {
            if (pairing.stays[static_cast<std::size_t>(partner)]) k = static_cast<std::size_t>(partner) + 1;
            continue;
        }
        if (pairing.by_id_b[m]) continue;
        const std::string_view value = value_of(b_, bs[m]);
        for (; k < as.size() && !pairing.stays[k]; ++k) {
            if (pairing.of_a[k] >= 0 || pairing.by_id_a[k]) continue;
            const std::string_view old = value_of(a_, as[k]);
            if (is_container(old) != is_container(value) || (is_container(old) && old[0] != value[0])) continue;
            pairing.of_a[k] = static_cast<std::int32_t>(m);
            pairing.of_b[m] = static_cast<std::int32_t>(k);
            pairing.stays[k] = 1;
            ++k;
            break;
        }
    }
}

bool Differ::rest_of_array(std::size_t number, std::uint32_t& i, std::uint32_t& j, const Span& span) {
    rendered_ = std::min(rendered_, number + 1);
    render(number, span);
    const Place frame = place(number);
    depth_ = number + 1;
    ops_.take_back(frame.mark_a, span.first_op);
    Lists& lists = take_lists();
    std::vector<Child>&as = lists.as, &bs = lists.bs;
    if (!split_both(frame, span, as, bs, i, j)) return false;
    const std::uint32_t close_b = j;
    // Recognising elements by content costs several times as much as finding them.
    const std::size_t factor = as.empty() || find_id(value_of(a_, as[0]), options_->id_keys).empty() ? 4 : 1;
    bool done = false;
    if (!spend(factor * (i - frame.mark_a + j - frame.mark_b))) {
        done = give_up(frame, i, j);
    } else {
        while (!as.empty() && !bs.empty() && simd::same_bytes(value_of(a_, as.back()), value_of(b_, bs.back()))) {
            as.pop_back();
            bs.pop_back();
        }
        pair_elements(lists);
        write_removals(as, lists.pairing, frame, close_b);
        done = write_order(lists, frame, close_b) && write_changes(lists, frame, close_b);
        if (done && costs_more(frame, close_b)) done = give_up(frame, i, j);
    }
    --lists_used_;
    return done;
}

// The ops for the inside of a container take more than replacing it, as close_container() would then: the rest of them need not be written. Where code is
// built for size they are: the patch is the same.
bool Differ::costs_more([[maybe_unused]] const Place& frame, [[maybe_unused]] std::uint32_t close_b) const {
#ifdef __OPTIMIZE_SIZE__
    return false;
#else
    return ops_.bytes_since(frame.first_op) > close_b + 1 - frame.open_b + kReplaceFrame + frame.path_length;
#endif
}

void Differ::write_removals(const std::vector<Child>& as, const Pairing& pairing, const Place& frame, std::uint32_t close_b) {
    for (std::size_t k = as.size(); k-- > 0 && !costs_more(frame, close_b);) {
        if (pairing.of_a[k] >= 0) continue;
        path_to(frame.path_length, frame.index + static_cast<std::uint32_t>(k));
        if (options_->tests) ops_.test(frame.mark_a, path_.view(), value_of(a_, as[k]));
        ops_.remove(frame.mark_a, path_.view());
    }
}

// Moves and additions. At step t the first t elements of b stand in their order; among and behind them are still those that wait
// to be moved. An element is put directly behind the one before it, so before all that wait behind that one.
bool Differ::write_order(Lists& lists, const Place& frame, std::uint32_t close_b) {
    const std::vector<Child>& bs = lists.bs;
    const Pairing& pairing = lists.pairing;
    const std::size_t n = pairing.of_a.size();
    std::vector<std::int32_t>&waiting_places = lists.tails, &stays_before = lists.stays_before, &step_of_stay = lists.before;
    waiting_places.clear();
    stays_before.assign(n + 1, 0);
    step_of_stay.clear();
    for (std::size_t k = 0; k < n; ++k) {
        stays_before[k + 1] = stays_before[k] + (pairing.stays[k] ? 1 : 0);
        if (pairing.stays[k]) step_of_stay.push_back(pairing.of_a[k]);
        else if (pairing.of_a[k] >= 0) waiting_places.push_back(static_cast<std::int32_t>(k));
    }
    Waiting waiting(waiting_places, lists.sums);
    std::string from;
    std::int32_t last = -1;  // place in a of the last element that stays and was passed
    for (std::size_t t = 0; t < bs.size() && !costs_more(frame, close_b); ++t) {
        const std::int32_t partner = pairing.of_b[t];
        if (partner >= 0 && pairing.stays[static_cast<std::size_t>(partner)]) {
            last = partner;
            continue;
        }
        const std::int32_t step = static_cast<std::int32_t>(t);
        std::int32_t to = step + waiting.before(last);
        if (partner < 0) {
            if (!check_b(bs[t], close_b)) return false;
            path_to(frame.path_length, frame.index + static_cast<std::uint32_t>(to));
            ops_.add(frame.mark_a, path_.view(), value_of(b_, bs[t]));
            continue;
        }
        const std::size_t place = static_cast<std::size_t>(partner);
        const std::int32_t stays = stays_before[place];
        std::int32_t at = waiting.before(partner);
        if (partner < last) at += step_of_stay[static_cast<std::size_t>(stays)], --to;
        else at += step + stays - stays_before[static_cast<std::size_t>(last + 1)];
        waiting.remove(partner);
        if (at == to) continue;
        path_to(frame.path_length, frame.index + static_cast<std::uint32_t>(at));
        from = path_.view();
        path_to(frame.path_length, frame.index + static_cast<std::uint32_t>(to));
        ops_.move(frame.mark_a, from, path_.view());
    }
    return true;
}

// Elements that are paired but not the same text.
bool Differ::write_changes(const Lists& lists, const Place& frame, std::uint32_t close_b) {
    const std::vector<Child>&as = lists.as, &bs = lists.bs;
    const Pairing& pairing = lists.pairing;
    for (std::size_t t = 0; t < bs.size() && !costs_more(frame, close_b); ++t) {
        if (pairing.of_b[t] < 0) continue;
        const Child& a = as[static_cast<std::size_t>(pairing.of_b[t])];
        const Child& b = bs[t];
        if (simd::same_bytes(value_of(a_, a), value_of(b_, b))) continue;
        path_to(frame.path_length, frame.index + static_cast<std::uint32_t>(t));
        if (!run(a.value, a.value_end, b.value, b.value_end)) return false;
    }
    return true;
}

}  // namespace tidegate
