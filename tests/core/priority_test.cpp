#include "tidegate/priority.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tidegate/batch.h"
#include "tidegate/gate.h"

using namespace tidegate;

namespace {

constexpr double kNow = 1795262400000.0;
constexpr Band kBands[] = {Band::low, Band::normal, Band::high, Band::critical};
const AgingOptions kAging;

double key(Band band, double score, double created) { return order_key(band, score, created, kAging); }

// Scores and waiting times that together cover borders and what lies between.
const double kScores[] = {0, 1, 25, 49.5, 50, 75, 100, 125, 150, 199, 200};
double age(int step) { return step * 37.0 * kMinuteMs; }
constexpr int kAges = 60;  // up to 37 hours, beyond the bound

}  // namespace

TEST_CASE("base points are 25, 50, 75, and rule points add within 0 to 200") {
    CHECK(base_points(Band::low) == 25);
    CHECK(base_points(Band::normal) == 50);
    CHECK(base_points(Band::high) == 75);
    CHECK(score(Band::normal, 25) == 75);
    CHECK(score(Band::high, 1e9) == kMaxScore);
    CHECK(score(Band::low, -1e9) == 0);
    CHECK(score(Band::low, std::nan("")) == 25);
}

TEST_CASE("an effective score of 75 shows as high, only a declared critical is critical") {
    CHECK(effective_band(Band::normal, 75) == Band::high);
    CHECK(effective_band(Band::normal, 74.9) == Band::normal);
    CHECK(effective_band(Band::low, 50) == Band::normal);
    CHECK(effective_band(Band::high, 40) == Band::low);
    CHECK(effective_band(Band::low, 200) == Band::high);
    CHECK(effective_band(Band::critical, 0) == Band::critical);
    CHECK(effective_band(Band::normal, std::nan("")) == Band::low);
}

TEST_CASE("priority, then FIFO: of one age the higher score goes first, of one score the older") {
    for (const Band band : kBands)
        for (const double a : kScores)
            for (const double b : kScores)
                for (int i = 0; i < kAges; ++i) {
                    const double older = kNow - age(i);
                    if (a > b) REQUIRE(key(band, a, older) < key(band, b, kNow - age(0)));
                    if (a >= b) REQUIRE(key(band, a, older) <= key(band, b, older));
                    REQUIRE(key(band, a, older) <= key(band, a, kNow));
                }
}

TEST_CASE("critical before normal: whatever their scores, until the other has waited the lead") {
    for (const Band band : {Band::low, Band::normal, Band::high})
        for (const double a : kScores)
            for (const double b : kScores)
                for (int i = 0; i < kAges; ++i)
                    if (age(i) < kAging.critical_lead_ms) REQUIRE(key(Band::critical, a, kNow) < key(band, b, kNow - age(i)));
}

TEST_CASE("no op goes after one that was accepted more than the wait bound later") {
    CHECK(wait_bound_ms(kAging) == 24 * kHourMs);
    for (const Band waiting : kBands)
        for (const Band fresh : kBands)
            for (const double a : kScores)
                for (const double b : kScores) {
                    for (int i = 0; i < kAges; ++i)
                        if (age(i) > wait_bound_ms(kAging)) REQUIRE(key(waiting, a, kNow - age(i)) < key(fresh, b, kNow));
                    if (waiting != Band::critical && fresh != Band::critical)
                        REQUIRE(key(waiting, a, kNow - kMaxScore * kAging.ms_per_point - 1) < key(fresh, b, kNow));
                }
}

TEST_CASE("the wait bound is reached: it is not stated larger than it is") {
    const double bound = wait_bound_ms(kAging);
    CHECK(key(Band::low, 0, kNow - bound + 1) > key(Band::critical, kMaxScore, kNow));
    CHECK(key(Band::low, 0, kNow - bound - 1) < key(Band::critical, kMaxScore, kNow));
}

TEST_CASE("the order of two ops is the order of their aged scores at every moment, so it never changes with the clock") {
    for (const double a : kScores)
        for (const double b : kScores)
            for (int i = 0; i < kAges; ++i)
                for (const double later : {0.0, kMinuteMs, kHourMs, 30 * kDayMs}) {
                    const double now = kNow + later;
                    const double aged_a = a + (now - (kNow - age(i))) / kAging.ms_per_point, aged_b = b + (now - kNow) / kAging.ms_per_point;
                    if (std::fabs(aged_a - aged_b) < 1e-6) continue;
                    REQUIRE((key(Band::low, a, kNow - age(i)) < key(Band::low, b, kNow)) == (aged_a > aged_b));
                }
}

TEST_CASE("under a constant stream of critical ops a low op is sent within the bound") {
    // One op is sent per minute and one critical op arrives per minute: without aging the low op would never go.
    std::vector<Candidate> queue;
    Candidate low;
    low.order_key = key(Band::low, 25, kNow);
    queue.push_back(low);
    double sent_at = 0;
    for (int minute = 0; minute < 3 * 24 * 60 && sent_at == 0; ++minute) {
        Candidate critical;
        critical.order_key = key(Band::critical, 100, kNow + minute * kMinuteMs);
        critical.lane = static_cast<std::uint32_t>(minute + 1);
        queue.push_back(critical);
        BatchBudget one;
        one.max_bytes = 1e6;
        one.max_ops = 1;
        const auto chosen = choose_batch(queue, one);
        REQUIRE(chosen.size() == 1);
        if (chosen[0] == 0) sent_at = kNow + minute * kMinuteMs;
        else queue.erase(queue.begin() + static_cast<std::ptrdiff_t>(chosen[0]));
    }
    REQUIRE(sent_at > 0);
    CHECK(sent_at - kNow <= wait_bound_ms(kAging));
    CHECK(sent_at - kNow > kAging.critical_lead_ms);
}

TEST_CASE("hostile numbers give finite keys and never break the bounds") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    const double odd[] = {nan, inf, -inf, -1, 0, 1, 1e308, kNow};
    for (const Band band : kBands)
        for (const double s : odd)
            for (const double created : odd)
                for (const double per_point : odd)
                    for (const double lead : odd) {
                        AgingOptions aging;
                        aging.ms_per_point = per_point;
                        aging.critical_lead_ms = lead;
                        REQUIRE(std::isfinite(order_key(band, s, created, aging)));
                        REQUIRE((wait_bound_ms(aging) > 0 && std::isfinite(wait_bound_ms(aging))));
                        REQUIRE(order_key(Band::low, 0, kNow - wait_bound_ms(aging) - 1000, aging) <= order_key(band, s, kNow, aging));
                        REQUIRE((std::isfinite(cost_of_delay(s, created, aging)) && cost_of_delay(s, created, aging) >= 0));
                        const double place = order_key(band, s, created, aging);
                        REQUIRE((std::isfinite(cost_of_delay(place, kNow, aging)) && cost_of_delay(place, kNow, aging) >= 0));
                        const double d = density(s, created, per_point);
                        REQUIRE((d >= 0 || s == inf));
                    }
}

TEST_CASE("a critical op outweighs others of its size in a short window, a small op a large one of equal cost") {
    const auto cost = [](Band band, double score) { return cost_of_delay(key(band, score, kNow), kNow, kAging); };
    CHECK(density(cost(Band::critical, 0), 16e6) > density(cost(Band::high, kMaxScore), 0));
    CHECK(density(50, 100) > density(50, 200));
    CHECK(density(75, 100) > density(25, 100));
}

TEST_CASE("the cost of delay is the score with what waiting added, and a critical one's from the moment no new critical op goes before it") {
    for (const double s : kScores)
        for (int i = 0; i < kAges; ++i) {
            const double cost = cost_of_delay(key(Band::normal, s, kNow - age(i)), kNow, kAging);
            const bool as_critical = key(Band::normal, s, kNow - age(i)) <= key(Band::critical, 0, kNow);
            REQUIRE(cost - (as_critical ? kCriticalCost : 0) == doctest::Approx(s + age(i) / kAging.ms_per_point));
            REQUIRE(cost_of_delay(key(Band::critical, s, kNow - age(i)), kNow, kAging) >= kCriticalCost);
        }
}

TEST_CASE("low ops wait for idleness as long as the critical lead") { CHECK(kLowIdleWaitMs == kAging.critical_lead_ms); }
