#include "tidegate/retry_after.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using namespace tidegate;

namespace {

constexpr double kNow = 1795262400000.0;  // 2026-11-21T12:00:00Z

std::optional<double> wait(std::string_view value) { return parse_retry_after(value, kNow); }

RateLimitHeaders structured(std::string_view limit, std::string_view policy = "") {
    RateLimitHeaders h;
    h.rate_limit = limit;
    h.rate_limit_policy = policy;
    return h;
}

RateLimitHeaders older(std::string_view limit, std::string_view remaining, std::string_view reset) {
    RateLimitHeaders h;
    h.limit = limit;
    h.remaining = remaining;
    h.reset = reset;
    return h;
}

}  // namespace

TEST_CASE("Retry-After: seconds and dates are honoured, the rest ignored, the longest clamped") {
    struct Row {
        const char* value;
        std::optional<double> expected;
    };
    const Row rows[] = {
        {"120", 120000.0}, {"0", 0.0}, {"Sat, 21 Nov 2026 12:00:30 GMT", 30000.0}, {"Sat, 21 Nov 2026 11:00:00 GMT", 0.0},
        {"-5", std::nullopt}, {"soon", std::nullopt}, {"1.5", std::nullopt}, {"999999999999", kMaxRetryAfterMs},
        {" 7\t", 7000.0}, {"", std::nullopt}, {" ", std::nullopt}, {"+5", std::nullopt}, {"1e3", std::nullopt}, {"0x10", std::nullopt},
        {"5 seconds", std::nullopt}, {"NaN", std::nullopt}, {"Infinity", std::nullopt}, {"86400", kMaxRetryAfterMs}, {"86399", 86399000.0},
        {"99999999999999999999999999999999999999999999", kMaxRetryAfterMs}, {"Fri, 21 Nov 3026 12:00:00 GMT", kMaxRetryAfterMs},
    };
    for (const Row& row : rows) {
        CAPTURE(row.value);
        CHECK(wait(row.value) == row.expected);
    }
}

TEST_CASE("the three forms of an HTTP-date name the same instant") {
    constexpr double kInstant = 784111777000.0;  // RFC 9110, 5.6.7
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow) == kInstant);
    CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow) == kInstant);
    CHECK(parse_http_date("Sun Nov  6 08:49:37 1994", kNow) == kInstant);
    CHECK(parse_http_date("Sun Nov 16 08:49:37 1994", kNow) == kInstant + 10 * kDayMs);
}

TEST_CASE("a two-digit year is at most 50 years ahead") {
    CHECK(wait("Saturday, 21-Nov-26 12:01:00 GMT") == 60000.0);
    CHECK(parse_http_date("Saturday, 21-Nov-75 00:00:00 GMT", kNow).value() > kNow);    // 2075
    CHECK(parse_http_date("Saturday, 21-Nov-77 00:00:00 GMT", kNow).value() < kNow);    // 1977
    CHECK(parse_http_date("Thursday, 01-Jan-70 00:00:00 GMT", 0) == 0.0);
    CHECK(parse_http_date("Thursday, 01-Jan-70 00:00:00 GMT", kMaxInstantMs).has_value());
}

TEST_CASE("every day from 1900 to 2200 is one day after the one before") {
    const char* const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    double last = 0;
    int days = 0;
    for (int year = 1900; year < 2200; ++year)
        for (const char* month : months)
            for (int day = 1; day <= 31; ++day) {
                const std::string two = (day < 10 ? "0" : "") + std::to_string(day);
                const auto at = parse_http_date("Mon, " + two + " " + month + " " + std::to_string(year) + " 00:00:00 GMT", kNow);
                if (!at) continue;
                if (days++ > 0) REQUIRE(*at - last == kDayMs);
                last = *at;
            }
    CHECK(days == 109573);  // 300 * 365 + 73 leap days: 2000 is one, 1900 and 2100 are none
}

TEST_CASE("dates that do not exist or are not written as the RFC says are ignored") {
    for (const char* bad :
         {"Sat, 31 Nov 2026 12:00:00 GMT", "Sat, 29 Feb 2026 12:00:00 GMT", "Sat, 00 Nov 2026 12:00:00 GMT", "Sat, 21 Nov 2026 24:00:00 GMT",
          "Sat, 21 Nov 2026 12:60:00 GMT", "Sat, 21 Nov 2026 12:00:61 GMT", "Sat, 21 Nov 2026 12:00:30", "Sat, 21 Nov 2026 12:00:30 UTC",
          "Sat, 21 Nov 2026 12:00:30 GMT+1", "sat, 21 nov 2026 12:00:30 gmt", "Sat 21 Nov 2026 12:00:30 GMT", "2026-11-21T12:00:30Z",
          "Sat, 1 Nov 2026 12:00:30 GMT", "Sat, 21 Nov 26 12:00:30 GMT", "Sat, 21 Nov 2026 1:00:30 GMT", "Sat Nov 6 08:49:37 1994",
          "Saturday, 21 Nov 2026 12:00:30 GMT", "Sat,", "Sat, 21 Nov 2026 12:00:30 GMT x", "S"})
        CHECK_MESSAGE(!wait(bad), bad);
    CHECK(!parse_retry_after("Sat, 21 Nov 2026 12:00:30 GMT", std::nan("")));
}

TEST_CASE("RateLimit: the most restrictive policy counts, with its quota") {
    const auto one = parse_rate_limit(structured("\"default\";r=50;t=30", "\"default\";q=100;w=60"), kNow);
    REQUIRE(one);
    CHECK(one->remaining == 50);
    CHECK(one->quota == 100.0);
    CHECK(one->reset_ms == 30000.0);
    const auto two = parse_rate_limit(structured("\"day\";r=900;t=40000, \"burst\";r=3;t=5", "\"burst\";q=10;w=10,\"day\";q=1000;w=86400"), kNow);
    REQUIRE(two);
    CHECK(two->remaining == 3);
    CHECK(two->quota == 10.0);
    CHECK(two->reset_ms == 5000.0);
    const auto bare = parse_rate_limit(structured("\"a,b;r=1\";r=7"), kNow);
    REQUIRE(bare);
    CHECK(bare->remaining == 7);
    CHECK(!bare->quota);
    CHECK(!bare->reset_ms);
}

TEST_CASE("older forms are read: one header of three pairs, three headers, reset as a duration or an instant") {
    const auto draft = parse_rate_limit(structured("limit=100, remaining=50, reset=5"), kNow);
    REQUIRE(draft);
    CHECK(draft->remaining == 50);
    CHECK(draft->quota == 100.0);
    CHECK(draft->reset_ms == 5000.0);
    const auto three = parse_rate_limit(older("100, 100;w=60", "1", "30"), kNow);
    REQUIRE(three);
    CHECK(three->quota == 100.0);
    CHECK(three->reset_ms == 30000.0);
    CHECK(parse_rate_limit(older("60", "0", "1795262460"), kNow)->reset_ms == 60000.0);
    CHECK(parse_rate_limit(older("60", "0", "1795262000"), kNow)->reset_ms == 0.0);
}

TEST_CASE("rate limits that do not parse are ignored") {
    for (const char* bad : {"", "\"default\"", "\"default\";r=x;t=3", "\"default\";r=-1", "r=5", ";;;,,,", "\"", "\"a\\", "remaining=", "remaining=1.5", "="})
        CHECK_MESSAGE(!parse_rate_limit(structured(bad), kNow), bad);
    CHECK(!parse_rate_limit(older("100", "", "5"), kNow));
    CHECK(!parse_rate_limit(older("100", "many", "5"), kNow));
    std::string endless;
    for (int i = 0; i < 10000; ++i) endless += "\"p\";r=5;t=1,";
    CHECK(parse_rate_limit(structured(endless, endless), kNow)->remaining == 5);
}

TEST_CASE("pacing spreads what is left over the rest of the window, once less than half is left") {
    RateLimit limit;
    limit.quota = 100;
    limit.reset_ms = 30000;
    limit.remaining = 50;
    CHECK(pacing_ms(limit) == 0);
    limit.remaining = 49;
    CHECK(pacing_ms(limit) == 600);
    limit.remaining = 0;
    CHECK(pacing_ms(limit) == 30000);
    limit.quota.reset();
    limit.remaining = 99;
    CHECK(pacing_ms(limit) == 300);
    limit.reset_ms.reset();
    CHECK(pacing_ms(limit) == 0);
    limit.remaining = std::nan("");
    CHECK(pacing_ms(limit) == 0);
}
