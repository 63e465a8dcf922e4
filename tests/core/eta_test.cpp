#include "tidegate/eta.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace tidegate;

namespace {
constexpr double kNow = 1795262400000.0;
}

TEST_CASE("nothing known is unknown, nothing left is zero") {
    CHECK(!eta_of(Eta{}, 1000, kNow));
    REQUIRE(eta_of(Eta{}, 0, kNow));
    CHECK(eta_of(Eta{}, 0, kNow)->seconds == 0);
    CHECK(eta_of(Eta{}, 0, kNow)->high == 0);
}

TEST_CASE("a steady rate gives the true rest, with a band that narrows") {
    Eta eta = eta_started(Eta{}, kNow);
    double early_band = 0;
    for (int i = 1; i <= 60; ++i) {
        eta = eta_completed(eta, 1000, kNow + i * 1000);  // 1 work per ms
        if (i == 2) early_band = eta_of(eta, 60000, kNow + i * 1000)->high;
    }
    const auto e = eta_of(eta, 60000, kNow + 60000);
    REQUIRE(e);
    CHECK(std::fabs(e->seconds - 60.0) < 1.0);
    CHECK(e->low <= e->seconds);
    CHECK(e->seconds <= e->high);
    CHECK(e->high < early_band);
}

TEST_CASE("a batch of 50 that completes at one instant counts as 50, the last one included") {
    Eta eta = eta_started(Eta{}, kNow);
    for (int i = 0; i < 50; ++i) eta = eta_completed(eta, 100, kNow + 5000);
    const auto e = eta_of(eta, 5000, kNow + 5000);
    REQUIRE(e);
    CHECK(e->seconds == doctest::Approx(5.0));
}

TEST_CASE("two batches at once count as what they achieve together") {
    Eta one = eta_started(Eta{}, kNow), both = one;
    for (int i = 1; i <= 40; ++i) {
        one = eta_completed(one, 1000, kNow + i * 1000);
        both = eta_completed(eta_completed(both, 1000, kNow + i * 1000 - 500), 1000, kNow + i * 1000);
    }
    const double alone = eta_of(one, 50000, kNow + 40000)->seconds, together = eta_of(both, 50000, kNow + 40000)->seconds;
    CHECK(together == doctest::Approx(alone / 2).epsilon(0.02));
}

TEST_CASE("the usual silence between completions changes nothing, a longer one slows the estimate, without end it is unknown") {
    Eta eta = eta_started(Eta{}, kNow);
    for (int i = 1; i <= 20; ++i) eta = eta_completed(eta, 20000, kNow + i * 20000);
    const double now = kNow + 20 * 20000;
    const double usual = eta_of(eta, 100000, now)->seconds;
    CHECK(eta_of(eta, 100000, now + 19000)->seconds == usual);
    double last = usual;
    for (double silence = 40000; silence <= 640000; silence *= 2) {
        const auto e = eta_of(eta, 100000, now + silence);
        REQUIRE(e);
        CHECK(e->seconds > last);
        last = e->seconds;
    }
    CHECK(!eta_of(eta, 1e12, now + 20 * kHourMs));
}

TEST_CASE("time between drains does not count") {
    Eta eta = eta_started(Eta{}, kNow);
    for (int i = 1; i <= 10; ++i) eta = eta_completed(eta, 1000, kNow + i * 1000);
    const double before = eta_of(eta, 5000, kNow + 10000)->seconds;
    eta = eta_started(eta_stopped(eta), kNow + 10 * kHourMs);
    CHECK(eta_of(eta, 5000, kNow + 10 * kHourMs)->seconds == doctest::Approx(before).epsilon(0.001));
}

TEST_CASE("hostile values and jumping clocks never give a negative, endless or meaningless estimate") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    const double odd[] = {nan, inf, -inf, -1, 0, 1, 1e308, kNow, kNow - kDayMs, kNow + kDayMs};
    for (const double start : odd)
        for (const double work : odd)
            for (const double at : odd)
                for (const double rest : odd)
                    for (const double now : odd) {
                        const Eta eta = eta_completed(eta_completed(eta_started(Eta{}, start), work, at), work, now);
                        const auto e = eta_of(eta, rest, now);
                        if (!e) continue;
                        REQUIRE((e->low >= 0 && e->low <= e->seconds && e->seconds <= e->high));
                        REQUIRE(e->seconds <= kMaxEtaSeconds);
                        REQUIRE(std::isfinite(e->high));
                    }
    CHECK(work_of(nan) == kEtaOpBytes);
    CHECK(work_of(-5) == kEtaOpBytes);
    CHECK(work_of(100) == kEtaOpBytes + 100);
}

TEST_CASE("an estimate survives JSON, a damaged one is learned again") {
    Eta eta = eta_started(Eta{}, kNow);
    for (int i = 1; i <= 5; ++i) eta = eta_completed(eta, 700 + i, kNow + i * 1300);
    CHECK(from_json<Eta>(to_json(eta)) == eta);
    CHECK(from_json<Eta>(Json()) == Eta{});
    CHECK(from_json<Eta>(parse_json(R"({"rate":-1,"deviation":"x","atMs":1e300,"pending":[]})").value()) == Eta{});
}
