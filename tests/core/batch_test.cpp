#include "tidegate/batch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "tidegate/random.h"

using namespace tidegate;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Candidate op(double key, std::uint32_t bytes, std::uint32_t lane, std::uint32_t chain = 0, std::uint32_t group = 0, double value = 0) {
    Candidate c;
    c.order_key = key;
    c.bytes = bytes;
    c.lane = lane;
    c.chain = chain;
    c.group = group;
    c.value = value;
    return c;
}

BatchBudget budget(double bytes, std::size_t ops, bool short_window = false, bool oversize_alone = true) {
    BatchBudget b;
    b.max_bytes = bytes;
    b.max_ops = ops;
    b.short_window = short_window;
    b.oversize_alone = oversize_alone;
    return b;
}

using Indexes = std::vector<std::size_t>;

// The rule of batch.h for order keys, written plainly: quadratic, over all candidates, no subset, no heap.
Indexes plain_rule(const std::vector<Candidate>& all, const BatchBudget& b) {
    const std::size_t n = all.size();
    using Rank = std::pair<double, std::size_t>;
    std::vector<Rank> rank(n);
    const auto before = [&](std::size_t a, std::size_t c) { return all[a].lane == all[c].lane && all[a].chain < all[c].chain; };
    const auto mates = [&](std::size_t a, std::size_t c) { return a == c || (all[a].group != 0 && all[a].group == all[c].group); };
    for (std::size_t i = 0; i < n; ++i) rank[i] = {std::isnan(all[i].order_key) ? kInf : all[i].order_key, i};
    for (bool changed = true; changed;) {
        changed = false;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < n; ++j)
                if ((before(i, j) || mates(i, j)) && rank[j] < rank[i]) {
                    rank[i] = rank[j];
                    changed = true;
                }
    }
    std::set<std::size_t> taken, passed;
    Indexes chosen;
    double bytes = 0;
    std::size_t passed_over = 0;
    for (;;) {
        std::size_t best = n;
        std::pair<Rank, std::size_t> best_turn;
        for (std::size_t i = 0; i < n; ++i) {
            if (taken.count(i) || passed.count(i)) continue;
            bool available = true, first = true;
            for (std::size_t m = 0; m < n; ++m) {
                if (!mates(i, m)) continue;
                first = first && m >= i;
                for (std::size_t p = 0; p < n; ++p)
                    if (before(p, m) && !mates(p, m) && !taken.count(p)) available = false;
            }
            if (!available || !first) continue;
            const std::pair<Rank, std::size_t> turn{rank[i], i};
            if (best == n || turn < best_turn) best = i, best_turn = turn;
        }
        if (best == n) return chosen;
        Indexes unit;
        double size = 0;
        for (std::size_t m = 0; m < n; ++m)
            if (mates(best, m)) unit.push_back(m), size += all[m].bytes;
        if (chosen.size() + unit.size() > b.max_ops || bytes + size > b.max_bytes) {
            if (chosen.empty() && passed_over == 0 && b.oversize_alone) return unit;
            if (++passed_over > kMaxPassedOver) return chosen;
            for (const std::size_t m : unit) passed.insert(m);
            continue;
        }
        for (const std::size_t m : unit) {
            taken.insert(m);
            chosen.push_back(m);
        }
        bytes += size;
        if (chosen.size() == b.max_ops) return chosen;
    }
}

// A queue with lanes of several ops, groups across lanes, few distinct keys.
std::vector<Candidate> random_queue(Random& random, std::size_t n, std::uint32_t lanes, double group_share, double keys, std::uint32_t max_bytes) {
    std::vector<Candidate> all;
    std::map<std::uint32_t, std::uint32_t> next;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto lane = static_cast<std::uint32_t>(random.between(0, lanes));
        const bool grouped = random.unit() < group_share;
        if (!grouped || random.unit() < 0.4) ++group;
        const auto bytes = static_cast<std::uint32_t>(random.between(1, max_bytes));
        all.push_back(op(std::floor(random.between(0, keys)), bytes, lane, next[lane]++, grouped ? group : 0, std::floor(random.between(0, 200))));
    }
    return all;
}

// What batch.h promises of any choice, whatever the order.
void check_promises(const std::vector<Candidate>& all, const BatchBudget& b, const Indexes& chosen) {
    std::map<std::size_t, std::size_t> at;
    double bytes = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        CHECK(at.emplace(chosen[i], i).second);  // nothing twice
        bytes += all[chosen[i]].bytes;
    }
    bool one_unit = true;
    for (const std::size_t i : chosen) one_unit = one_unit && (i == chosen[0] || (all[i].group != 0 && all[i].group == all[chosen[0]].group));
    CHECK(((chosen.size() <= b.max_ops && bytes <= b.max_bytes) || (b.oversize_alone && one_unit)));
    for (std::size_t i = 0; i < all.size(); ++i)
        for (const std::size_t j : chosen) {
            const bool earlier = all[i].lane == all[j].lane && all[i].chain < all[j].chain;
            if (earlier) {
                REQUIRE(at.count(i));
                CHECK(at[i] < at[j]);
            }
            if (all[i].group != 0 && all[i].group == all[j].group) REQUIRE(at.count(i));
        }
    for (std::size_t i = 1; i + 1 < chosen.size(); ++i)  // a group is unbroken
        if (all[chosen[i - 1]].group != 0 && all[chosen[i]].group != all[chosen[i - 1]].group)
            for (std::size_t j = i; j < chosen.size(); ++j) CHECK(all[chosen[j]].group != all[chosen[i - 1]].group);
}

}  // namespace

TEST_CASE("the smallest keys are chosen, in their order, up to the count") {
    const std::vector<Candidate> all = {op(5, 10, 0), op(1, 10, 1), op(3, 10, 2), op(2, 10, 3)};
    CHECK(choose_batch(all, budget(1000, 3)) == Indexes{1, 3, 2});
}

TEST_CASE("equal keys go by index") {
    const std::vector<Candidate> all = {op(1, 10, 3), op(1, 10, 2), op(1, 10, 1), op(1, 10, 0)};
    CHECK(choose_batch(all, budget(1000, 10)) == Indexes{0, 1, 2, 3});
}

TEST_CASE("an op that does not fit is passed over for smaller ones, its lane with it") {
    const std::vector<Candidate> all = {op(1, 60, 0), op(2, 60, 1), op(3, 10, 1, 1), op(4, 30, 2)};
    CHECK(choose_batch(all, budget(100, 10)) == Indexes{0, 3});
}

TEST_CASE("a lane keeps its order and lends its head the best key behind it") {
    const std::vector<Candidate> all = {op(9, 10, 0, 0), op(1, 10, 0, 1), op(5, 10, 1)};
    CHECK(choose_batch(all, budget(1000, 2)) == Indexes{0, 1});
}

TEST_CASE("a group goes whole or not at all, and waits for all its heads") {
    const std::vector<Candidate> all = {op(9, 10, 0, 0), op(2, 30, 0, 1, 7), op(2, 30, 1, 0, 7), op(5, 10, 2)};
    SUBCASE("with what stands before it, in index order") { CHECK(choose_batch(all, budget(100, 10)) == Indexes{0, 1, 2, 3}); }
    SUBCASE("bytes for half of it are not enough") { CHECK(choose_batch(all, budget(65, 10)) == Indexes{0, 3}); }
    SUBCASE("room for one of it is not enough") { CHECK(choose_batch(all, budget(100, 2)) == Indexes{0, 3}); }
}

TEST_CASE("two groups that wait for each other are never chosen and hang nothing") {
    const std::vector<Candidate> all = {op(1, 10, 0, 0, 1), op(1, 10, 1, 0, 2), op(1, 10, 0, 1, 2), op(1, 10, 1, 1, 1), op(4, 10, 2)};
    CHECK(choose_batch(all, budget(1000, 10)) == Indexes{4});
}

TEST_CASE("an op larger than every batch goes alone, when its turn comes first and where that is allowed") {
    const std::vector<Candidate> all = {op(2, 10, 0), op(1, 5000, 1), op(3, 10, 1, 1)};
    CHECK(choose_batch(all, budget(1000, 10)) == Indexes{1});
    CHECK(choose_batch(all, budget(1000, 10, false, false)) == Indexes{0});
}

TEST_CASE("a group of more ops than a batch takes goes alone, when its turn comes first, whatever larger group stands behind it") {
    const std::vector<Candidate> all = {op(1, 300, 1, 0, 1), op(1, 300, 2, 0, 1), op(2, 300, 3, 0, 2), op(2, 300, 4, 0, 2), op(2, 300, 5, 0, 2), op(3, 10, 6)};
    CHECK(choose_batch(all, budget(400, 1)) == Indexes{0, 1});
    CHECK(choose_batch(all, budget(400, 2)) == Indexes{0, 1});
    CHECK(choose_batch(all, budget(400, 1, false, false)) == Indexes{5});
    std::vector<Candidate> dense = all;
    for (Candidate& c : dense) c.value = c.group == 2 ? 200 : 20;   // in a short window the larger group is first in turn
    CHECK(choose_batch(dense, budget(400, 2, true)) == Indexes{2, 3, 4});
}

TEST_CASE("a budget of nothing chooses nothing") {
    const std::vector<Candidate> all = {op(1, 0, 0)};
    CHECK(choose_batch(all, budget(0, 10)).empty());
    CHECK(choose_batch(all, budget(-1, 10)).empty());
    CHECK(choose_batch(all, budget(std::nan(""), 10)).empty());
    CHECK(choose_batch(all, budget(100, 0)).empty());
    CHECK(choose_batch({}, budget(100, 10)).empty());
    CHECK(choose_batch(all, budget(kInf, 10)) == Indexes{0});
}

TEST_CASE("keys and values that are no numbers go last and break nothing") {
    const double nan = std::nan("");
    const std::vector<Candidate> all = {op(nan, 10, 0, 0, 0, nan), op(kInf, 10, 1, 0, 0, kInf), op(-kInf, 10, 2, 0, 0, -kInf), op(3, 10, 3, 0, 0, 5)};
    CHECK(choose_batch(all, budget(1000, 10)) == Indexes{2, 3, 0, 1});
    CHECK(choose_batch(all, budget(1000, 10, true)) == Indexes{1, 3, 0, 2});
}

TEST_CASE("in a short window the cost of delay per byte decides, not the key") {
    const std::vector<Candidate> all = {op(1, 10000, 0, 0, 0, 75), op(2, 100, 1, 0, 0, 25), op(3, 400, 2, 0, 0, 50)};
    CHECK(choose_batch(all, budget(600, 10, true, false)) == Indexes{1, 2});
    CHECK(choose_batch(all, budget(600, 10, false, false)) == Indexes{1, 2});
    CHECK(choose_batch(all, budget(20000, 1, true)) == Indexes{1});
    CHECK(choose_batch(all, budget(20000, 1, false)) == Indexes{0});
}

TEST_CASE("in a short window a lane counts by its best prefix: a dear head is not chosen for a cheap follower it does not pay for") {
    // Lane 0: 10 points for 9840 bytes, then 1000 points for 0 bytes: together 1010 / 10160. Lane 1: 50 points for 340 bytes.
    const std::vector<Candidate> all = {op(1, 9840, 0, 0, 0, 10), op(1, 0, 0, 1, 0, 1000), op(1, 340, 1, 0, 0, 50)};
    CHECK(choose_batch(all, budget(20000, 1, true)) == Indexes{2});
    // At ten times the value the prefix pays: 10010 / 10160 > 50 / 500.
    std::vector<Candidate> rich = all;
    rich[1].value = 10000;
    CHECK(choose_batch(rich, budget(20000, 2, true)) == Indexes{0, 1});
    // What does not fit with its head pulls nothing forward.
    rich[1].bytes = 30000;
    CHECK(choose_batch(rich, budget(20000, 1, true)) == Indexes{2});
}

TEST_CASE("it decides as the plain rule does") {
    Random random(20261121);
    for (int round = 0; round < 400; ++round) {
        const auto n = static_cast<std::size_t>(random.between(1, 90));
        const auto lanes = static_cast<std::uint32_t>(random.between(1, 60));
        const auto all = random_queue(random, n, lanes, round % 3 == 0 ? 0.4 : 0.0, round % 2 ? 5 : 1e6, 100);
        const BatchBudget b = budget(random.between(1, 2000), static_cast<std::size_t>(random.between(1, 20)), false, round % 5 != 0);
        const Indexes chosen = choose_batch(all, b);
        REQUIRE(chosen == plain_rule(all, b));
        check_promises(all, b, chosen);
    }
}

TEST_CASE("far larger queues too") {
    Random random(7);
    for (int round = 0; round < 6; ++round) {
        const auto all = random_queue(random, 700, round < 3 ? 600 : 40, round % 2 ? 0.1 : 0.0, round == 2 ? 1 : 1e6, 100);
        const BatchBudget b = budget(150, static_cast<std::size_t>(1 + round % 3));
        const Indexes chosen = choose_batch(all, b);
        REQUIRE(chosen == plain_rule(all, b));
    }
}

TEST_CASE("in a short window dense ops behind dear heads crowd nobody out, however many there are") {
    // 300 lanes: nothing for 9840 bytes, then 1000 points for none (together 0.098 a byte). Then 1000 ops of 50 points for 340 bytes (0.1 a byte).
    std::vector<Candidate> all;
    for (std::uint32_t lane = 0; lane < 300; ++lane) {
        all.push_back(op(1, 9840, lane, 0, 0, 0));
        all.push_back(op(1, 0, lane, 1, 0, 1000));
    }
    for (std::uint32_t lane = 300; lane < 1300; ++lane) all.push_back(op(1, 340, lane, 0, 0, 50));
    CHECK(choose_batch(all, budget(20000, 2, true)) == Indexes{600, 601});
}

TEST_CASE("every choice in a short window keeps lanes, groups and budgets") {
    Random random(99);
    for (int round = 0; round < 300; ++round) {
        const auto all = random_queue(random, static_cast<std::size_t>(random.between(1, 120)), 30, round % 2 ? 0.3 : 0.0, 10, 300);
        const BatchBudget b = budget(random.between(1, 3000), static_cast<std::size_t>(random.between(1, 30)), true, round % 3 != 0);
        check_promises(all, b, choose_batch(all, b));
    }
}

TEST_CASE("a short window is filled better by density than by key, over many windows") {
    Random random(5);
    double by_density = 0, by_key = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<Candidate> all;
        for (std::uint32_t i = 0; i < 40; ++i) {
            const double value = std::floor(random.between(1, 100));
            all.push_back(op(-value, static_cast<std::uint32_t>(random.between(100, 8000)), i, 0, 0, value));
        }
        const auto value_of = [&](const Indexes& chosen) {
            double sum = 0;
            for (const std::size_t i : chosen) sum += all[i].value;
            return sum;
        };
        by_density += value_of(choose_batch(all, budget(20000, 40, true, false)));
        by_key += value_of(choose_batch(all, budget(20000, 40, false, false)));
    }
    CHECK(by_density > 1.2 * by_key);
}

TEST_CASE("a hundred thousand candidates in every bad order give the same batch") {
    constexpr std::size_t n = 100000;
    std::vector<Candidate> descending, equal, one_lane;
    for (std::size_t i = 0; i < n; ++i) {
        const auto lane = static_cast<std::uint32_t>(i);
        descending.push_back(op(static_cast<double>(n - i), 10, lane * 2654435761u));
        equal.push_back(op(1, 10, lane));
        one_lane.push_back(op(static_cast<double>(n - i), 10, 0, lane));
    }
    const Indexes last = choose_batch(descending, budget(1e6, 3));
    CHECK(last == Indexes{n - 1, n - 2, n - 3});
    CHECK(choose_batch(equal, budget(1e6, 3)) == Indexes{0, 1, 2});
    CHECK(choose_batch(one_lane, budget(1e6, 3)) == Indexes{0, 1, 2});
}
