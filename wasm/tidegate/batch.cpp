// How choose_batch works. The rule of batch.h needs, for each op, the best key of everything behind it. Looking at all lanes would cost a sort of
// the queue; but only what is among the best few hundred keys, or stands before such an op, can get into the batch. So: find the K best keys
// (threshold), add what stands before them (closure), and apply the rule to that subset, for as long as it is certain to decide as it
// would over all: while the unit in turn has a key within the threshold. If the batch is not closed by then, take 8 times as many.
// Test: tests/core/batch_test.cpp, which compares with the rule written down plainly, over all candidates.
#include "tidegate/batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <tuple>

#include "tidegate/sort.h"

namespace tidegate {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kMaxClosurePasses = 8;

using Index = std::uint32_t;

// A key and the candidate that lends it: a total order without ties.
struct Rank {
    double key = kInfinity;
    Index lender = std::numeric_limits<Index>::max();
    friend bool operator<(const Rank& a, const Rank& b) { return a.key < b.key || (a.key == b.key && a.lender < b.lender); }
};

double value_of(const Candidate& c) { return c.value > 0.0 ? std::min(c.value, 1e300) : 0.0; }
double cost_of(const Candidate& c) { return static_cast<double>(c.bytes) + kCandidateOverheadBytes; }

Rank own_rank(std::span<const Candidate> all, Index i, bool short_window) {
    const double key = short_window ? -value_of(all[i]) / cost_of(all[i]) : all[i].order_key;
    return {std::isnan(key) ? kInfinity : key, i};
}

// The K smallest ranks, in no order; `edge` becomes the largest of them. One pass: a buffer of 4 K is cut back to K whenever it is full.
std::vector<Index> smallest(std::span<const Candidate> all, bool short_window, std::size_t k, Rank& edge) {
    std::vector<Rank> kept;
    kept.reserve(4 * k);
    edge = Rank{};
    const auto cut = [&] {
        if (kept.size() <= k) return;
        put_smallest_first(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(k) - 1, kept.end());
        kept.resize(k);
        edge = kept.back();
    };
    for (Index i = 0; i < all.size(); ++i) {
        const Rank rank = own_rank(all, i, short_window);
        if (!(rank < edge)) continue;
        kept.push_back(rank);
        if (kept.size() == 4 * k) cut();
    }
    cut();
    std::vector<Index> indexes;
    indexes.reserve(kept.size());
    for (const Rank& rank : kept) indexes.push_back(rank.lender);
    return indexes;
}

// Adds to a subset what stands before its members in their lanes, and whole groups with what stands before those.
class Closure {
public:
    Closure(std::span<const Candidate> all, std::vector<Index>& subset) : all_(all), subset_(subset), member_(all.size()) {
        std::size_t bits = 64;
        while (bits < 2 * subset.size() * 8) bits *= 2;
        maybe_lane_.resize(bits);
        for (const Index i : subset) want(i);
    }

    // False when it did not come to an end within kMaxClosurePasses.
    bool run() {
        for (int pass = 0; pass < kMaxClosurePasses; ++pass) {
            if (!needed_) return true;
            needed_ = false;
            for (Index i = 0; i < all_.size(); ++i)
                if (!member_[i] && is_wanted(all_[i])) {
                    subset_.push_back(i);
                    want(i, all_[i].group == 0);
                }
        }
        return !needed_;
    }

private:
    // known: stands before a member of its lane, so the lane needs no further look.
    void want(Index i, bool known = false) {
        member_[i] = 1;
        const Candidate& c = all_[i];
        if (!known && c.chain > 0) {
            const auto [it, fresh] = reach_.try_emplace(c.lane, c.chain);
            if (fresh || it->second < c.chain) needed_ = true;
            it->second = std::max(it->second, c.chain);
            maybe_lane_[c.lane & (maybe_lane_.size() - 1)] = true;
        }
        if (c.group != 0 && groups_.insert(c.group).second) needed_ = true;
    }

    // The bit field answers most candidates without a look into the map.
    bool is_wanted(const Candidate& c) const {
        if (c.group != 0 && groups_.count(c.group)) return true;
        if (!maybe_lane_[c.lane & (maybe_lane_.size() - 1)]) return false;
        const auto it = reach_.find(c.lane);
        return it != reach_.end() && c.chain < it->second;
    }

    std::span<const Candidate> all_;
    std::vector<Index>& subset_;
    std::vector<char> member_;
    std::vector<char> maybe_lane_;                  // by lane modulo its size
    std::map<Index, Index> reach_;                  // lane → the largest place wanted in it
    std::set<Index> groups_;
    bool needed_ = false;
};

// The rule of batch.h, applied to a subset that holds everything standing before each of its members.
class Chooser {
public:
    Chooser(std::span<const Candidate> all, std::vector<Index> subset, const BatchBudget& budget) : all_(all), ops_(std::move(subset)), budget_(budget) {
        sort_all(ops_.begin(), ops_.end(), [&](Index a, Index b) {
            return std::tie(all_[a].lane, all_[a].chain, a) < std::tie(all_[b].lane, all_[b].chain, b);
        });
        make_units();
        rank_units();
        inherit();
    }

    // Chooses while units rank up to `edge`. True when the batch is closed: nothing beyond the edge could get in.
    bool run(const Rank& edge, std::vector<std::size_t>& chosen) {
        std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
        for (std::size_t u = 0; u < units_.size(); ++u)
            if (units_[u].waits_for == 0) turns.push(turn(u));
        double bytes = 0;
        std::size_t passed_over = 0;
        while (!turns.empty()) {
            const std::size_t u = std::get<3>(turns.top());
            const Unit& unit = units_[u];
            if (edge < unit.rank) return false;
            turns.pop();
            const bool count_fits = chosen.size() + unit.ops.size() <= budget_.max_ops;
            if (!count_fits || bytes + unit.bytes > budget_.max_bytes) {
                if (chosen.empty() && passed_over == 0 && count_fits && budget_.oversize_alone) {
                    take(unit, chosen);
                    return true;
                }
                if (++passed_over > kMaxPassedOver) return true;
                continue;
            }
            take(unit, chosen);
            bytes += unit.bytes;
            if (chosen.size() == budget_.max_ops) return true;
            for (const std::size_t place : unit.ops)
                if (const std::size_t next = unit_behind(place); next != kNone && --units_[next].waits_for == 0) turns.push(turn(next));
        }
        return edge.key == kInfinity && edge.lender == Rank{}.lender;
    }

private:
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    // One op or one atomic group. Ops are places in ops_.
    struct Unit {
        std::vector<std::size_t> ops;
        double bytes = 0;
        Rank rank;
        std::size_t waits_for = 0;  // units right before one of its ops in a lane, and not yet taken
    };
    using Turn = std::tuple<double, Index, Index, std::size_t>;  // key, lender, first op, unit

    Turn turn(std::size_t u) const { return {units_[u].rank.key, units_[u].rank.lender, ops_[units_[u].ops.front()], u}; }

    bool same_lane(std::size_t a, std::size_t b) const { return all_[ops_[a]].lane == all_[ops_[b]].lane; }

    std::size_t unit_before(std::size_t place) const {
        if (place == 0 || !same_lane(place - 1, place) || unit_of_[place - 1] == unit_of_[place]) return kNone;
        return unit_of_[place - 1];
    }

    std::size_t unit_behind(std::size_t place) const {
        if (place + 1 == ops_.size() || !same_lane(place, place + 1) || unit_of_[place + 1] == unit_of_[place]) return kNone;
        return unit_of_[place + 1];
    }

    void take(const Unit& unit, std::vector<std::size_t>& chosen) const {
        const std::size_t first = chosen.size();
        for (const std::size_t place : unit.ops) chosen.push_back(ops_[place]);
        sort_all(chosen.begin() + static_cast<std::ptrdiff_t>(first), chosen.end());
    }

    void make_units() {
        std::map<Index, Index> groups;
        unit_of_.reserve(ops_.size());
        for (std::size_t place = 0; place < ops_.size(); ++place) {
            const Candidate& c = all_[ops_[place]];
            std::size_t u = units_.size();
            if (c.group != 0) u = groups.try_emplace(c.group, static_cast<Index>(u)).first->second;
            if (u == units_.size()) units_.emplace_back();
            units_[u].ops.push_back(place);
            units_[u].bytes += static_cast<double>(c.bytes);
            unit_of_.push_back(u);
        }
        for (std::size_t place = 0; place < ops_.size(); ++place)
            if (unit_before(place) != kNone) ++units_[unit_of_[place]].waits_for;
    }

    // The rank of each unit by itself. In a short window a group counts by its ratio as a whole, and runs of a lane by Sidney's blocks.
    void rank_units() {
        for (Unit& unit : units_) {
            double value = 0, cost = 0;
            for (const std::size_t place : unit.ops) {
                unit.rank = std::min(unit.rank, own_rank(all_, ops_[place], budget_.short_window));
                value += value_of(all_[ops_[place]]);
                cost += cost_of(all_[ops_[place]]);
            }
            if (budget_.short_window && unit.ops.size() > 1) unit.rank.key = std::max(unit.rank.key, -value / cost);
        }
        if (!budget_.short_window) return;
        for (std::size_t first = 0; first < ops_.size();) {
            std::size_t end = first + 1;
            while (end < ops_.size() && same_lane(first, end)) ++end;
            rank_blocks(first, end);
            first = end;
        }
    }

    struct Block {
        std::size_t first = 0, end = 0;
        double value = 0, cost = 0;
        Rank best;
        bool alone = false;  // a member of a group is never merged
    };

    // Pools neighbours while a later block has the better ratio (pool adjacent violators). What lies beyond the byte budget pulls nothing forward.
    void rank_blocks(std::size_t first, std::size_t end) {
        std::vector<Block> blocks;
        double bytes = 0;
        for (std::size_t place = first; place < end; ++place) {
            const Candidate& c = all_[ops_[place]];
            bytes += static_cast<double>(c.bytes);
            const bool beyond = place > first && bytes > budget_.max_bytes;
            if (beyond && c.group == 0) units_[unit_of_[place]].rank = {kInfinity, ops_[place]};
            Block block{place, place + 1, value_of(c), cost_of(c), units_[unit_of_[place]].rank, c.group != 0 || beyond};
            while (!blocks.empty() && !block.alone && !blocks.back().alone && block.value * blocks.back().cost > blocks.back().value * block.cost) {
                const Block& before = blocks.back();
                block = {before.first, block.end, before.value + block.value, before.cost + block.cost, std::min(before.best, block.best), false};
                blocks.pop_back();
            }
            blocks.push_back(block);
        }
        for (const Block& block : blocks) {
            if (block.alone || block.end - block.first == 1) continue;
            const Rank rank{std::max(block.best.key, -block.value / block.cost), block.best.lender};
            for (std::size_t place = block.first; place < block.end; ++place) units_[unit_of_[place]].rank = rank;
        }
    }

    // Every unit takes the best rank of what waits behind it. Units in order of their own rank pass it forward; the first to arrive is the best.
    void inherit() {
        std::vector<std::size_t> order(units_.size());
        for (std::size_t u = 0; u < order.size(); ++u) order[u] = u;
        sort_all(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            if (units_[a].rank < units_[b].rank) return true;
            return !(units_[b].rank < units_[a].rank) && a < b;
        });
        std::vector<char> settled(units_.size());
        std::vector<std::size_t> stack;
        for (const std::size_t u : order) {
            if (settled[u]) continue;
            const Rank rank = units_[u].rank;
            settled[u] = true;
            stack.push_back(u);
            while (!stack.empty()) {
                const std::size_t v = stack.back();
                stack.pop_back();
                units_[v].rank = rank;
                for (const std::size_t place : units_[v].ops)
                    if (const std::size_t before = unit_before(place); before != kNone && !settled[before]) {
                        settled[before] = true;
                        stack.push_back(before);
                    }
            }
        }
    }

    std::span<const Candidate> all_;
    std::vector<Index> ops_;                // of the subset, by lane and place
    std::vector<std::size_t> unit_of_;      // by place in ops_
    std::vector<Unit> units_;
    BatchBudget budget_;
};

std::vector<Index> everything(std::size_t n) {
    std::vector<Index> indexes(n);
    for (Index i = 0; i < n; ++i) indexes[i] = i;
    return indexes;
}

}  // namespace

std::vector<std::size_t> choose_batch(std::span<const Candidate> candidates, const BatchBudget& budget) {
    std::vector<std::size_t> chosen;
    if (!(budget.max_bytes > 0.0) || budget.max_ops == 0 || candidates.empty()) return chosen;
    for (std::size_t k = 2 * (std::min(budget.max_ops, candidates.size()) + kMaxPassedOver);; k *= 8) {
        Rank edge;
        std::vector<Index> subset;
        if (k < candidates.size() / 4) {
            subset = smallest(candidates, budget.short_window, k, edge);
            if (!Closure(candidates, subset).run()) subset.clear();
        }
        if (subset.empty()) {
            subset = everything(candidates.size());
            edge = Rank{};
        }
        chosen.clear();
        if (Chooser(candidates, std::move(subset), budget).run(edge, chosen)) return chosen;
    }
}

}  // namespace tidegate
