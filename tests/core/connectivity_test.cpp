#include "tidegate/connectivity.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using namespace tidegate;

namespace {

constexpr double kNow = 1795262400000.0;
using End = Exchange::End;

Exchange exchange(double start, double duration, double bytes = 1000, End end = End::answered) {
    Exchange e;
    e.end = end;
    e.started_ms = start;
    e.ended_ms = start + duration;
    e.bytes = bytes;
    return e;
}

// A link and its clock.
struct Link {
    Connectivity c;
    double now = kNow;
    Random random{1};

    void run(double duration, double bytes = 1000, End end = End::answered, bool retried = false, int in_flight = 1) {
        Exchange e = exchange(now, duration, bytes, end);
        e.retried = retried;
        e.in_flight = in_flight;
        now += duration;
        c = after_exchange(c, e, now, random);
        now += 10;
    }
    void fail(int times = 1) {
        for (int i = 0; i < times; ++i) run(100, 0, End::failed);
    }
    void read(std::optional<bool> online, const char* type = "") {
        LinkReadings r;
        r.online = online;
        r.effective_type = type;
        c = after_readings(c, r, now);
    }
};

Link excellent() {
    Link link;
    for (int i = 0; i < 10; ++i) link.run(50);
    return link;
}

}  // namespace

TEST_CASE("round trips are averaged as RFC 6298 says") {
    Link link;
    link.run(100);
    CHECK(link.c.srtt_ms == 100);
    CHECK(link.c.rttvar_ms == 50);
    link.run(200);
    CHECK(link.c.rttvar_ms == 0.75 * 50 + 0.25 * 100);
    CHECK(link.c.srtt_ms == 0.875 * 100 + 0.125 * 200);
    CHECK(rto_ms(link.c) == kMinRtoMs);
    Link slow;
    slow.run(2000);
    CHECK(rto_ms(slow.c) == 2000 + 4 * 1000);
}

TEST_CASE("Karn: a retried request gives no time sample, a timeout doubles the RTO until a clean one comes") {
    Link link;
    link.run(2000);
    const double rto = rto_ms(link.c);
    link.run(90, 1000, End::answered, true);
    CHECK(link.c.srtt_ms == 2000);
    link.run(6000, 0, End::timeout);
    CHECK(rto_ms(link.c) == 2 * rto);
    link.run(90, 1000, End::answered, true);
    CHECK(rto_ms(link.c) == 2 * rto);
    link.run(2000);
    CHECK(link.c.rto_factor == 1);
    for (int i = 0; i < 50; ++i) link.run(1000, 0, End::timeout);
    CHECK(rto_ms(link.c) == kMaxRtoMs);
}

TEST_CASE("exchanges with impossible times give no sample") {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    for (const double start : {nan, inf, -inf, -1.0, kNow})
        for (const double end : {nan, inf, -inf, -1.0, kNow - 1, kNow + 11 * kMinuteMs})
            for (const double bytes : {nan, inf, -inf, -5.0, 0.0, 1e308}) {
                if (start == kNow && end > kNow && end < inf && end - start <= 600000) continue;
                Exchange e;
                e.started_ms = start;
                e.ended_ms = end;
                e.bytes = bytes;
                Random random(1);
                const Connectivity c = after_exchange(Connectivity{}, e, end, random);
                REQUIRE(c.srtt_ms == 0);
                REQUIRE(c.goodput_slow == 0);
                REQUIRE(from_json<Connectivity>(to_json(c)) == c);  // everything finite and in range
            }
}

TEST_CASE("goodput comes from large exchanges, the fast average leads the slow one") {
    Link link;
    link.run(50);
    link.run(1050, 100000);  // 100 kB/s beyond the round trip
    CHECK(link.c.goodput_slow == doctest::Approx(100000));
    for (int i = 0; i < 3; ++i) link.run(10050, 100000);
    CHECK(link.c.goodput_fast < 40000);
    CHECK(link.c.goodput_slow > 80000);
    CHECK(expected_goodput(link.c) <= link.c.goodput_fast);
    CHECK(expected_goodput(link.c) > 0);
}

TEST_CASE("a link is good until known, then follows what is measured, after two equal verdicts") {
    Link link;
    CHECK(link.c.quality == Quality::good);
    link.run(50);
    CHECK(link.c.quality == Quality::good);
    link.run(50);
    CHECK(link.c.quality == Quality::excellent);
    link.run(30000);  // one slow answer is no class
    CHECK(link.c.quality == Quality::excellent);
    link.run(30000);
    CHECK(link.c.quality == Quality::poor);
}

TEST_CASE("a verdict that flips every time never changes the class, to whichever side it flips") {
    struct Row {
        Quality quality;
        double rtt_ms[2];
    };
    for (const Row& row : {Row{Quality::excellent, {100, 5000}}, Row{Quality::excellent, {500, 100}}, Row{Quality::good, {100, 5000}}, Row{Quality::poor, {5000, 100}}}) {
        Connectivity c = excellent().c;
        c.quality = row.quality;
        Random random(1);
        double now = kNow + kHourMs;
        for (int i = 0; i < 100; ++i) {
            c.srtt_ms = row.rtt_ms[i % 2];  // as if measured
            c.rttvar_ms = 0;
            Exchange e = exchange(now, 100, 1000);
            e.retried = true;
            c = after_exchange(c, e, now += 200, random);
            REQUIRE(c.quality == row.quality);
        }
    }
}

TEST_CASE("the platform's offline counts at once and ends at once, its online proves nothing") {
    Link link = excellent();
    link.read(false);
    CHECK(link.c.quality == Quality::offline);
    CHECK(!may_try(link.c, link.now));
    CHECK(!next_try_ms(link.c, link.now));
    CHECK(stability(link.c) == 0);
    link.read(true);
    CHECK(link.c.quality == Quality::excellent);
    CHECK(may_try(link.c, link.now));
    link.fail(3);
    link.read(true);
    CHECK(link.c.quality == Quality::offline);  // still: it said online before, too
}

TEST_CASE("three failures in a row are offline; probing backs off; one answer brings the link back") {
    Link link = excellent();
    link.fail(2);
    CHECK(link.c.quality != Quality::offline);
    link.fail();
    CHECK(link.c.quality == Quality::offline);
    double last_wait = 0;
    for (int i = 0; i < 20; ++i) {
        CHECK(!may_try(link.c, link.now));
        const double at = next_try_ms(link.c, link.now).value();
        CHECK(at > link.now);
        CHECK(at <= link.now + kProbeMaxMs);
        last_wait = at - link.now;
        link.now = at;
        CHECK(may_try(link.c, link.now));
        link.fail();
    }
    CHECK(last_wait > kProbeMaxMs / 2 - 1000);
    link.now += kProbeMaxMs;
    link.run(50);
    CHECK(link.c.quality != Quality::offline);
    CHECK(link.c.probe_failures == 0);
}

TEST_CASE("requests that fail together are one event, not several") {
    Link link = excellent();
    const double start = link.now;
    for (int i = 0; i < 3; ++i) link.c = after_exchange(link.c, exchange(start, 500 + i, 0, End::failed), start + 500 + i, link.random);
    CHECK(link.c.failures_in_row == 1);
    CHECK(link.c.quality != Quality::offline);
}

TEST_CASE("a probe is never put off by more than its longest wait, whatever the clock does") {
    Link link;
    link.fail(3);
    CHECK(may_try(link.c, link.now - 365 * kDayMs));
    CHECK(may_try(link.c, link.now + 365 * kDayMs));
    for (double jump = 0; jump < kDayMs; jump += 17 * kSecondMs) {
        const auto at = next_try_ms(link.c, link.now - jump);
        if (at) REQUIRE(*at <= link.now - jump + kProbeMaxMs);
    }
}

TEST_CASE("a captive portal is offline until somebody real answers") {
    Link link = excellent();
    link.run(80, 500, End::captive);
    CHECK(link.c.captive);
    CHECK(link.c.quality == Quality::offline);
    CHECK(link.c.next_probe_ms > 0);
    link.now += kProbeMaxMs;
    link.run(80);
    CHECK(!link.c.captive);
    CHECK(link.c.quality != Quality::offline);
}

TEST_CASE("what looks like a captive portal") {
    CHECK(looks_captive(200, "text/html", true));
    CHECK(looks_captive(200, "Text/HTML; charset=utf-8", true));
    CHECK(looks_captive(511, "", false));
    CHECK(looks_captive(302, "", false));
    CHECK(!looks_captive(200, "text/html", false));
    CHECK(!looks_captive(200, "application/json", true));
    CHECK(!looks_captive(200, "application/problem+json", true));
    CHECK(!looks_captive(200, "", true));
    CHECK(!looks_captive(404, "text/html", true));
    CHECK(!looks_captive(503, "text/html", true));
    CHECK(!looks_captive(304, "", true));
}

TEST_CASE("without any hint the estimators end where they end with one") {
    Link with, without;
    with.read(true, "2g");
    CHECK(with.c.quality == Quality::poor);  // a hint counts while nothing was measured …
    without.read(std::nullopt);
    for (int i = 0; i < 30; ++i) {
        with.run(60);
        without.run(60);
        with.run(700, 100000);
        without.run(700, 100000);
    }
    CHECK(with.c.quality == without.c.quality);  // … and not afterwards
    CHECK(profile(with.c).batch_bytes == profile(without.c).batch_bytes);
    CHECK(profile(with.c).max_concurrent == profile(without.c).max_concurrent);
    CHECK(timeout_ms(with.c, 1e5) == timeout_ms(without.c, 1e5));
}

TEST_CASE("hints decide only while nothing was measured") {
    struct Row {
        const char* type;
        Quality expected;
    };
    for (const Row& row : {Row{"slow-2g", Quality::poor}, Row{"2g", Quality::poor}, Row{"3g", Quality::good}, Row{"4g", Quality::good}, Row{"6g", Quality::good}}) {
        Link link;
        link.read(true, row.type);
        CHECK(link.c.quality == row.expected);
        Link known = excellent();
        known.read(true, row.type);
        CHECK(known.c.quality == Quality::excellent);
    }
}

TEST_CASE("concurrency grows by one per window in use, halves on failure, and idle capacity earns nothing") {
    Link link;
    for (int i = 0; i < 100; ++i) link.run(50, 1000, End::answered, false, 1);
    CHECK(profile(link.c, 6).max_concurrent <= 3);  // one at a time proves at most twice that, and a step
    Link busy;
    for (int i = 0; i < 100; ++i) busy.run(50, 1000, End::answered, false, profile(busy.c, 6).max_concurrent);
    CHECK(profile(busy.c, 6).max_concurrent == 6);
    CHECK(profile(busy.c).max_concurrent == kMaxConcurrency);
    CHECK(profile(busy.c, 0).max_concurrent == 1);
    CHECK(profile(busy.c, 1000).max_concurrent == kConcurrencyCeiling);
    busy.fail();
    CHECK(profile(busy.c, 6).max_concurrent == 3);
    for (int i = 0; i < 10; ++i) busy.fail();
    CHECK(busy.c.concurrency == 1);
}

TEST_CASE("batches shrink on failure and find their way back, also when everything is a retry") {
    for (const bool retried : {false, true}) {
        Link link = excellent();
        link.fail(20);
        CHECK(link.c.batch_bytes == kMinBatchBytes);
        link.now += kProbeMaxMs;
        for (int i = 0; i < 200; ++i) link.run(50 + profile(link.c).batch_bytes / 1000, profile(link.c).batch_bytes, End::answered, retried);
        CHECK(link.c.batch_bytes >= 64 * 1024);
        if (!retried) CHECK(link.c.batch_bytes == kMaxBatchBytes);
    }
    Link small = excellent();
    const double before = small.c.batch_bytes;
    for (int i = 0; i < 100; ++i) small.run(50, 1000);
    CHECK(small.c.batch_bytes == before);  // small answers say nothing of large batches
}

TEST_CASE("a 413 halves the limit, lasts, and is not forgotten for what the server says of itself") {
    Connectivity c = after_server_limit(Connectivity{}, 524288);
    CHECK(c.server_batch_bytes == 524288);
    c = after_too_large(c, 200000);
    CHECK(c.server_batch_bytes == 100000);
    CHECK(after_server_limit(c, 524288).server_batch_bytes == 100000);
    CHECK(after_server_limit(c, 5000).server_batch_bytes == 5000);
    CHECK(after_too_large(c, 50000).server_batch_bytes == 25000);
    CHECK(profile(c).batch_bytes <= 100000);
    for (const double odd : {std::nan(""), -1.0, 0.0, std::numeric_limits<double>::infinity()}) {
        CHECK(after_too_large(c, odd) == c);
        CHECK(after_server_limit(c, odd) == c);
    }
}

TEST_CASE("the profile of each quality") {
    Connectivity c;
    for (const Quality q : {Quality::offline, Quality::poor, Quality::good, Quality::excellent}) {
        c.quality = q;
        c.concurrency = 6;
        const Profile p = profile(c);
        const bool weak = q <= Quality::poor;
        CHECK(p.prioritize == weak);
        CHECK(p.max_concurrent == (weak ? 1 : kMaxConcurrency));
        CHECK(p.batch_ops == (q == Quality::offline ? 10u : q == Quality::poor ? 50u : kMaxBatchOps));
        CHECK(p.batch_bytes <= (q == Quality::offline ? kMinBatchBytes : q == Quality::poor ? 64.0 * 1024 : kMaxBatchBytes));
        CHECK(p.retry_strategy == (q == Quality::poor ? RetryStrategy::adaptive : RetryStrategy::exponential));
        CHECK(is_sync_recommended(c, Weight::light) == (q >= Quality::poor));
        CHECK(is_sync_recommended(c, Weight::medium) == (q >= Quality::good));
        CHECK(is_sync_recommended(c, Weight::heavy) == (q >= Quality::excellent));
    }
}

TEST_CASE("the timeout is the RTO plus the time the bytes take, twice, within its bounds") {
    Link link;
    CHECK(rto_ms(link.c) == 3000);  // RFC 6298 (5.7)
    for (int i = 0; i < 20; ++i) link.run(5000, 1000);
    for (int i = 0; i < 20; ++i) link.run(15000, 100000);
    const double small = timeout_ms(link.c, 100), large = timeout_ms(link.c, 100000);
    CHECK(small >= kMinTimeoutMs);
    CHECK(large > small);
    CHECK(large == doctest::Approx(rto_ms(link.c) + 2 * 100000 / expected_goodput(link.c) * 1000));
    CHECK(timeout_ms(link.c, 1e12) == kMaxTimeoutMs);
    CHECK(timeout_ms(link.c, std::nan("")) >= kMinTimeoutMs);
    CHECK(timeout_ms(Connectivity{}, 0) == kMinTimeoutMs);
}

TEST_CASE("the length of windows of connectivity is learned and what is left of one foretold") {
    Link link;
    link.read(true);
    CHECK(!window_left_ms(link.c, link.now));
    for (int i = 0; i < 20; ++i) {
        link.now += kMinuteMs;
        link.read(false);
        link.now += 5 * kMinuteMs;
        link.read(true);
    }
    CHECK(link.c.window_ms == doctest::Approx(kMinuteMs));
    CHECK(window_left_ms(link.c, link.now + 20 * kSecondMs).value() == doctest::Approx(40 * kSecondMs));
    CHECK(window_left_ms(link.c, link.now + kHourMs).value() == doctest::Approx(15 * kSecondMs));
    CHECK(window_left_ms(link.c, link.now - kHourMs).value() <= kMinuteMs + 1);
    CHECK(bytes_within(link.c, 10000) == doctest::Approx(0.6 * expected_goodput(link.c) * 10));
    CHECK(bytes_within(link.c, -5) == 0);
    CHECK(bytes_within(link.c, std::nan("")) == 0);
}

TEST_CASE("moments online teach no windows that are shorter than one request may last") {
    Link link;
    for (int i = 0; i < 20; ++i) {
        link.read(true);
        link.now += 300;
        link.read(false);
        link.now += kMinuteMs;
    }
    link.read(true);
    CHECK(link.c.window_ms == doctest::Approx(300));
    CHECK(window_left_ms(link.c, link.now).value() == doctest::Approx(kMinTimeoutMs));
    CHECK(window_left_ms(link.c, link.now + kMinuteMs).value() == doctest::Approx(kMinTimeoutMs / 4));
}

TEST_CASE("stability falls with loss and with uneven round trips") {
    Link steady = excellent();
    CHECK(stability(steady.c) > 0.9);
    Link uneven;
    for (int i = 0; i < 40; ++i) uneven.run(i % 2 ? 20 : 900);
    CHECK(stability(uneven.c) < stability(steady.c));
    Link lossy = excellent();
    for (int i = 0; i < 40; ++i) i % 3 ? lossy.run(50) : lossy.fail();
    CHECK(stability(lossy.c) < 0.8);
    CHECK(stability(lossy.c) >= 0);
}

TEST_CASE("what we cancelled ourselves says nothing about the link") {
    Link link = excellent();
    const Connectivity before = link.c;
    link.run(50000, 1e6, End::cancelled);
    CHECK(link.c == before);
}

TEST_CASE("the estimators survive JSON as they are, and damage is learned anew") {
    Link link;
    link.read(true, "3g");
    for (int i = 0; i < 30; ++i) i % 7 == 6 ? link.fail(4) : link.run(40 + i * 13, i % 2 ? 1000 : 60000);
    CHECK(from_json<Connectivity>(to_json(link.c)) == link.c);
    CHECK(from_json<Connectivity>(parse_json(dump_json(to_json(link.c))).value()) == link.c);
    for (const char* bad : {"null", "[]", "3", R"({"quality":"superb","srttMs":-4,"loss":7,"concurrency":0,"batchBytes":"many","samples":0.5,"upSinceMs":1e99})"})
        CHECK(from_json<Connectivity>(parse_json(bad).value()) == Connectivity{});
}

TEST_CASE("any history keeps every value in range") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        Link link;
        link.random = Random(seed);
        for (int i = 0; i < 200; ++i) {
            const double what = random.unit();
            if (what < 0.1) link.read(random.unit() < 0.5, "3g");
            else if (what < 0.12) link.now += random.between(-2 * kDayMs, 2 * kDayMs);
            else link.run(random.between(-10, 20000), random.between(0, 600000), static_cast<End>(static_cast<int>(random.between(0, 5))), random.unit() < 0.2, static_cast<int>(random.between(-1, 9)));
            REQUIRE(from_json<Connectivity>(to_json(link.c)) == link.c);
            const Profile p = profile(link.c);
            REQUIRE((p.max_concurrent >= 1 && p.max_concurrent <= kMaxConcurrency));
            REQUIRE((p.batch_bytes >= 1 && p.batch_bytes <= kMaxBatchBytes));
            REQUIRE((expected_goodput(link.c) > 0 && std::isfinite(expected_goodput(link.c))));
            const double timeout = timeout_ms(link.c, p.batch_bytes);
            REQUIRE((timeout >= kMinTimeoutMs && timeout <= kMaxTimeoutMs));
        }
    }
}
