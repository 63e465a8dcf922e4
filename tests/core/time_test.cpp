#include "tidegate/time.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using namespace tidegate;

namespace {
const double kNan = std::nan("");
const double kInf = std::numeric_limits<double>::infinity();
constexpr double kNow = 1795262400000.0;  // 2026-11-21T12:00:00Z
}  // namespace

TEST_CASE("a clock reading that makes no sense changes nothing, a jump is taken as it is") {
    for (const double bad : {kNan, kInf, -kInf, -1.0, 9e15}) CHECK(clamp_clock(kNow, bad) == kNow);
    CHECK(clamp_clock(kNow, kNow - kDayMs) == kNow - kDayMs);
    CHECK(clamp_clock(kNow, kNow + kDayMs) == kNow + kDayMs);
}

TEST_CASE("a wait is never negative, never longer than its kind, and never endless when the clock goes backwards") {
    CHECK(remaining_ms(kNow + 5000, kNow, 300000) == 5000);
    CHECK(remaining_ms(kNow, kNow, 300000) == 0);
    CHECK(remaining_ms(kNow - 5000, kNow, 300000) == 0);
    // Small steps of clock discipline keep the wait, cut to its kind.
    CHECK(remaining_ms(kNow + 300000, kNow - 20, 300000) == 300000);
    // A jump back by a year: the wait is over, not a year long.
    CHECK(remaining_ms(kNow + 5000, kNow - 365 * kDayMs, 300000) == 0);
    // For every jump back, the rest of the wait as seen by a clock that then runs on is bounded by its kind and the slack.
    for (double jump = 0; jump < 2 * kDayMs; jump += 13 * kSecondMs) {
        double waited = 0, now = kNow - jump;
        while (const double left = remaining_ms(kNow + 300000, now, 300000)) {
            now += left;
            waited += left;
        }
        REQUIRE(waited <= 300000 + kClockSlackMs);
    }
    for (const double bad : {kNan, kInf, -kInf, -1.0, 9e15}) {
        CHECK(remaining_ms(bad, kNow) == 0);
        CHECK(remaining_ms(kNow, bad) == 0);
        CHECK(remaining_ms(kNow + 5, kNow, bad) <= 5);
    }
    CHECK(due_ms(kNow + 5000, kNow) == kNow + 5000);
    CHECK(due_ms(kNow - 5000, kNow) == kNow);
}

TEST_CASE("elapsed time is never negative and a forward jump counts once, up to its limit") {
    CHECK(elapsed_ms(kNow - 5000, kNow, kDayMs) == 5000);
    CHECK(elapsed_ms(kNow + 5000, kNow, kDayMs) == 0);
    CHECK(elapsed_ms(0, kNow, kDayMs) == kDayMs);
    for (const double bad : {kNan, kInf, -kInf, -1.0}) {
        CHECK(elapsed_ms(bad, kNow, kDayMs) == 0);
        CHECK(elapsed_ms(kNow, bad, kDayMs) == 0);
    }
}

TEST_CASE("an instant of the past is never in the future") {
    CHECK(clamp_past(kNow - 1, kNow) == kNow - 1);
    CHECK(clamp_past(kNow + 1, kNow) == kNow);
    CHECK(clamp_past(kNan, kNow) == kNow);
    CHECK(clamp_past(kInf, kNow) == kNow);
    CHECK(clamp_past(-kInf, kNow) == 0);
}

TEST_CASE("the local day and minute follow the offset, over midnight both ways") {
    CHECK(local_minute_of_day(kNow, 0) == 720);
    CHECK(local_minute_of_day(kNow, 60) == 780);
    CHECK(local_minute_of_day(kNow, 13 * 60) == 60);
    CHECK(local_minute_of_day(kNow, -13 * 60) == 23 * 60);
    CHECK(local_day(kNow, 13 * 60) == local_day(kNow, 0) + 1);
    CHECK(local_day(kNow, -13 * 60) == local_day(kNow, 0) - 1);
    for (double offset = -12 * 60; offset <= 14 * 60; offset += 15) {
        const double midnight = next_local_midnight_ms(kNow, offset);
        CHECK(midnight > kNow);
        CHECK(midnight <= kNow + kDayMs);
        CHECK(local_minute_of_day(midnight, offset) == 0);
        CHECK(local_day(midnight, offset) == local_day(kNow, offset) + 1);
    }
    CHECK(local_minute_of_day(kNow, kNan) == 720);
    CHECK(local_minute_of_day(kNow, 1e9) == 720);
    CHECK(local_minute_of_day(kNan, 0) == 0);
}
