#include "tidegate/backoff.h"

#include <doctest/doctest.h>

#include <climits>
#include <cmath>
#include <limits>

using namespace tidegate;

namespace {

constexpr RetryStrategy kStrategies[] = {RetryStrategy::linear, RetryStrategy::exponential, RetryStrategy::adaptive};
constexpr Jitter kJitters[] = {Jitter::none, Jitter::full, Jitter::equal, Jitter::decorrelated};

BackoffPolicy policy(RetryStrategy strategy, Jitter jitter) {
    BackoffPolicy p;
    p.strategy = strategy;
    p.jitter = jitter;
    return p;
}

}  // namespace

TEST_CASE("without jitter the waits are exactly 1, 2, 4 … 256, 300, 300 seconds") {
    const double expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000, 300000};
    Random random(1);
    for (int n = 1; n <= 12; ++n) CHECK(wait_ms(policy(RetryStrategy::exponential, Jitter::none), n, 0, random) == expected[n - 1]);
    CHECK(random.next() == Random(1).next());  // nothing was drawn
}

TEST_CASE("linear grows by the base, adaptive between linear and exponential by the pressure") {
    for (int n = 1; n <= 12; ++n) {
        BackoffPolicy p = policy(RetryStrategy::adaptive, Jitter::none);
        const double linear = ceiling_ms(policy(RetryStrategy::linear, Jitter::none), n);
        const double exponential = ceiling_ms(policy(RetryStrategy::exponential, Jitter::none), n);
        CHECK(linear == std::min(300.0, static_cast<double>(n)) * 1000.0);
        CHECK(linear <= exponential);
        p.pressure = 0;
        CHECK(ceiling_ms(p, n) == linear);
        p.pressure = 1;
        CHECK(ceiling_ms(p, n) == exponential);
        p.pressure = 0.5;
        CHECK(ceiling_ms(p, n) == (linear + exponential) / 2.0);
    }
}

TEST_CASE("each jitter stays in its range and uses it") {
    Random random(42);
    for (const RetryStrategy strategy : kStrategies)
        for (int n = 1; n <= 14; ++n) {
            const double c = ceiling_ms(policy(strategy, Jitter::none), n);
            double full_low = 1e9, full_high = 0, equal_low = 1e9, equal_high = 0;
            for (int i = 0; i < 500; ++i) {
                const double full = wait_ms(policy(strategy, Jitter::full), n, 0, random);
                const double equal = wait_ms(policy(strategy, Jitter::equal), n, 0, random);
                const double decorrelated = wait_ms(policy(strategy, Jitter::decorrelated), n, c, random);
                full_low = std::min(full_low, full), full_high = std::max(full_high, full);
                equal_low = std::min(equal_low, equal), equal_high = std::max(equal_high, equal);
                REQUIRE((decorrelated >= 1000 && decorrelated <= std::min(300000.0, 3 * c)));
            }
            REQUIRE((full_low >= 0 && full_low < 0.1 * c && full_high > 0.9 * c && full_high <= c));
            REQUIRE((equal_low >= 0.5 * c && equal_low < 0.6 * c && equal_high > 0.9 * c && equal_high <= c));
        }
}

TEST_CASE("the mean of full jitter is half the ceiling") {
    Random random(3);
    double sum = 0;
    for (int i = 0; i < 20000; ++i) sum += wait_ms(BackoffPolicy{}, 9, 0, random);
    CHECK(std::fabs(sum / 20000 / 128000 - 1.0) < 0.02);
}

TEST_CASE("hostile numbers never give a negative, endless or meaningless wait") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    const double odd[] = {nan, inf, -inf, -1, 0, 1e-308, 1, 1e308};
    const int counts[] = {INT_MIN, -1, 0, 1, 2, 64, INT_MAX};
    Random random(8);
    for (const RetryStrategy strategy : kStrategies)
        for (const Jitter jitter : kJitters)
            for (const double base : odd)
                for (const double max : odd)
                    for (const double previous : odd)
                        for (const int failures : counts) {
                            BackoffPolicy p = policy(strategy, jitter);
                            p.base_ms = base;
                            p.max_ms = max;
                            p.pressure = previous;
                            const double wait = wait_ms(p, failures, previous, random);
                            REQUIRE((wait >= 0.0 && wait <= kMaxWaitMs));
                        }
}

TEST_CASE("jitters are read by the names they are written with") {
    for (const Jitter jitter : kJitters) CHECK(parse_jitter(name(jitter)) == jitter);
    CHECK(!parse_jitter("Full"));
    CHECK(!parse_jitter(""));
}
