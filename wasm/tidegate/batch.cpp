// The rule of batch.h: units, their ranks, what each inherits from those behind it, then the smallest available one again and again.
// Test: tests/core/batch_test.cpp, which compares with the rule written down plainly.
#include "tidegate/batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <queue>
#include <tuple>

#include "tidegate/sort.h"

namespace tidegate {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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

class Chooser {
public:
    Chooser(std::span<const Candidate> all, const BatchBudget& budget) : all_(all), ops_(all.size()), budget_(budget) {
        for (Index i = 0; i < all.size(); ++i) ops_[i] = i;
        sort_all(ops_.begin(), ops_.end(), [&](Index a, Index b) {
            return std::tie(all_[a].lane, all_[a].chain, a) < std::tie(all_[b].lane, all_[b].chain, b);
        });
        make_units();
        rank_units();
        inherit();
    }

    std::vector<std::size_t> run() {
        std::vector<std::size_t> chosen;
        std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
        for (std::size_t u = 0; u < units_.size(); ++u)
            if (units_[u].waits_for == 0) turns.push(turn(u));
        double bytes = 0;
        std::size_t passed_over = 0;
        while (!turns.empty()) {
            const std::size_t u = std::get<3>(turns.top());
            const Unit& unit = units_[u];
            turns.pop();
            if (chosen.size() + unit.ops.size() > budget_.max_ops || bytes + unit.bytes > budget_.max_bytes) {
                if (chosen.empty() && passed_over == 0 && budget_.oversize_alone) {
                    take(unit, chosen);
                    break;
                }
                if (++passed_over > kMaxPassedOver) break;
                continue;
            }
            take(unit, chosen);
            bytes += unit.bytes;
            if (chosen.size() == budget_.max_ops) break;
            for (const std::size_t place : unit.ops)
                if (const std::size_t next = unit_behind(place); next != kNone && --units_[next].waits_for == 0) turns.push(turn(next));
        }
        return chosen;
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
    std::vector<Index> ops_;                // by lane and place
    std::vector<std::size_t> unit_of_;      // by place in ops_
    std::vector<Unit> units_;
    BatchBudget budget_;
};

}  // namespace

std::vector<std::size_t> choose_batch(std::span<const Candidate> candidates, const BatchBudget& budget) {
    if (!(budget.max_bytes > 0.0) || budget.max_ops == 0 || candidates.empty()) return {};
    return Chooser(candidates, budget).run();
}

}  // namespace tidegate
