#include "tidegate/budget.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using namespace tidegate;

namespace {
constexpr double kNow = 1795262400000.0;
}

TEST_CASE("retries stop after five failures in a row, but each wake may retry once") {
    RetryBudget b = on_wake(RetryBudget{});
    int retries = 0;
    for (int i = 0; i < 20; ++i) {
        b = on_answer(b, true, kNow);
        if (!may_retry(b, kNow)) continue;
        b = on_retry(b, kNow);
        ++retries;
    }
    CHECK(retries == 5);  // 9, 8, 7, 6 tokens left, then the reserve at 5
    CHECK(!may_retry(b, kNow));
    b = on_wake(b);
    CHECK(may_retry(b, kNow));
    b = on_retry(b, kNow);
    CHECK(!may_retry(b, kNow));
}

TEST_CASE("successes and time give tokens back, up to the full bucket") {
    RetryBudget b;
    for (int i = 0; i < 10; ++i) b = on_answer(b, true, kNow);
    b.reserve_used = true;
    CHECK(b.tokens == 0);
    RetryBudget helped = b;
    for (int i = 0; i < 51; ++i) helped = on_answer(helped, false, kNow);
    CHECK(may_retry(helped, kNow));
    const double again = retry_again_ms(b, kNow);
    CHECK(again == kNow + 5 * kRetryRefillMs + 1);
    CHECK(!may_retry(b, again - 2));
    CHECK(may_retry(b, again));
    CHECK(on_answer(b, false, kNow + 365 * kDayMs).tokens == kRetryTokens);
    CHECK(retry_again_ms(RetryBudget{}, kNow) == kNow);
}

TEST_CASE("an origin that fails one request in ten keeps its retries, one that fails every second loses them") {
    for (const int every : {10, 2}) {
        RetryBudget b = on_wake(RetryBudget{});
        b.reserve_used = true;
        int refused = 0;
        for (int i = 1; i <= 1000; ++i) {
            b = on_answer(b, i % every == 0, kNow);
            refused += !may_retry(b, kNow);
        }
        CAPTURE(every);
        CHECK((refused == 0) == (every == 10));
    }
}

TEST_CASE("a clock that goes backwards adds no tokens and strands nothing") {
    RetryBudget b;
    for (int i = 0; i < 10; ++i) b = on_answer(b, true, kNow);
    b.reserve_used = true;
    b = on_answer(b, true, kNow - kDayMs);
    CHECK(b.tokens == 0);
    CHECK(may_retry(b, retry_again_ms(b, kNow - kDayMs)));
    b = on_answer(b, false, std::nan(""));
    CHECK(b.tokens == doctest::Approx(kRetryRefund));
}

TEST_CASE("the breaker: every event in every state") {
    Random random(1);
    const Breaker closed;
    Breaker open = closed;
    for (int i = 0; i < kBreakerFailures; ++i) {
        CHECK(open.state == BreakerState::closed);
        CHECK(may_send(open, kNow));
        open = on_result(open, true, kNow, random);
    }
    const Breaker half = on_send(open, open.until_ms);
    CHECK(open.state == BreakerState::open);
    CHECK(half.state == BreakerState::half_open);
    // send
    CHECK(on_send(closed, kNow) == closed);
    CHECK(on_send(open, open.until_ms).state == BreakerState::half_open);
    CHECK(on_send(half, half.until_ms).state == BreakerState::half_open);
    // success
    for (const Breaker& b : {closed, open, half}) CHECK(on_result(b, false, kNow, random) == Breaker{});
    // failure
    CHECK(on_result(closed, true, kNow, random).failures == 1);
    CHECK(on_result(open, true, kNow, random) == open);
    CHECK(on_result(half, true, kNow, random).state == BreakerState::open);
    CHECK(on_result(half, true, kNow, random).openings == 2);
}

TEST_CASE("an open breaker lets exactly one probe through when its time is over") {
    Random random(5);
    Breaker b;
    for (int i = 0; i < kBreakerFailures; ++i) b = on_result(b, true, kNow, random);
    CHECK(b.until_ms >= kNow + kBreakerOpenMs / 2);
    CHECK(b.until_ms <= kNow + kBreakerOpenMs);
    CHECK(send_again_ms(b, kNow) == b.until_ms);
    for (double t = kNow; t < b.until_ms; t += 500) REQUIRE(!may_send(b, t));
    const double at = b.until_ms;
    REQUIRE(may_send(b, at));
    b = on_send(b, at);
    CHECK(!may_send(b, at));
    CHECK(!may_send(b, at + kBreakerProbeMs - 1));
    CHECK(may_send(b, at + kBreakerProbeMs));  // the probe was lost with its worker
    CHECK(on_result(b, false, at + 10, random).state == BreakerState::closed);
}

TEST_CASE("no opening lasts longer than the longest wait that is set") {
    Random random(9);
    Breaker b;
    for (int i = 0; i < 40; ++i) {
        b = on_result(on_send(b, kNow), true, kNow, random, 400);
        CHECK(b.until_ms <= kNow + 400);
    }
    CHECK(b.state == BreakerState::open);
}

TEST_CASE("breakers that opened together do not come back together") {
    double first = 1e18, last = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        Breaker b;
        for (int i = 0; i < kBreakerFailures; ++i) b = on_result(b, true, kNow, random);
        first = std::min(first, b.until_ms - kNow);
        last = std::max(last, b.until_ms - kNow);
    }
    CHECK(first < 0.55 * kBreakerOpenMs);
    CHECK(last > 0.95 * kBreakerOpenMs);
}

TEST_CASE("breakers whose probes failed together come back over three times the time") {
    double first = 1e18, last = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        Breaker b;
        b.state = BreakerState::half_open;
        b.openings = 1;
        b = on_result(b, true, kNow, random);
        first = std::min(first, b.until_ms - kNow);
        last = std::max(last, b.until_ms - kNow);
    }
    CHECK(first >= kBreakerOpenMs);
    CHECK(first < 1.1 * kBreakerOpenMs);
    CHECK(last > 0.95 * kBreakerSpread * 2 * kBreakerOpenMs);
    CHECK(last < kBreakerSpread * 2 * kBreakerOpenMs);
}

TEST_CASE("openings in a row double up to five minutes; successes between failures keep it closed") {
    Random random(9);
    Breaker b;
    for (int i = 0; i < kBreakerFailures; ++i) b = on_result(b, true, kNow, random);
    double now = kNow, longest = 0;
    for (int opening = 1; opening <= 60; ++opening) {
        const double length = std::min(kBreakerMaxOpenMs, kBreakerOpenMs * static_cast<double>(1 << std::min(opening - 1, 10)));
        REQUIRE(b.until_ms - now >= length / 2 - 1);
        REQUIRE(b.until_ms - now <= (opening == 1 ? length : std::min(kBreakerMaxOpenMs, kBreakerSpread * length)) + 1);
        longest = std::max(longest, b.until_ms - now);
        now = b.until_ms;
        b = on_result(on_send(b, now), true, now, random);
    }
    CHECK(longest > kBreakerMaxOpenMs * 0.9);
    Breaker steady;
    for (int i = 0; i < 1000; ++i) steady = on_result(steady, i % kBreakerFailures != 0, kNow, random);
    CHECK(steady.state == BreakerState::closed);
}

TEST_CASE("no jump of the clock keeps the breaker open for longer than its longest time") {
    Random random(2);
    Breaker b;
    for (int i = 0; i < kBreakerFailures; ++i) b = on_result(b, true, kNow, random);
    CHECK(may_send(b, kNow - 365 * kDayMs));
    CHECK(may_send(b, kNow + 365 * kDayMs));
    CHECK(may_send(b, std::nan("")));
    for (double jump = 0; jump < kDayMs; jump += 11 * kSecondMs)
        REQUIRE(send_again_ms(b, kNow - jump) <= kNow - jump + kBreakerMaxOpenMs);
}

TEST_CASE("budgets and breakers survive JSON, damaged ones start anew") {
    Random random(4);
    RetryBudget budget = on_retry(on_answer(RetryBudget{}, true, kNow), kNow);
    Breaker breaker;
    for (int i = 0; i < 7; ++i) breaker = on_result(breaker, true, kNow, random);
    CHECK(from_json<RetryBudget>(to_json(budget)) == budget);
    CHECK(from_json<Breaker>(to_json(breaker)) == breaker);
    CHECK(from_json<Breaker>(to_json(on_send(breaker, breaker.until_ms))) == on_send(breaker, breaker.until_ms));
    for (const char* bad : {"null", "[]", "5", "\"x\"", R"({"tokens":"a","state":7,"atMs":-1})", R"({"tokens":1e9,"state":"ajar","failures":-3,"openings":1.5,"untilMs":1e300})"}) {
        CHECK(from_json<RetryBudget>(parse_json(bad).value()) == RetryBudget{});
        CHECK(from_json<Breaker>(parse_json(bad).value()) == Breaker{});
    }
}
