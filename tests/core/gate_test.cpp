#include "tidegate/gate.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

using namespace tidegate;

namespace {

constexpr double kNow = 1795262400000.0;  // 2026-11-21T12:00:00Z, noon UTC

// Readings with which every condition can be open.
ReadingsIn fine() {
    ReadingsIn r;
    r.online = true;
    r.connection_type = "wifi";
    r.metered = false;
    r.save_data = false;
    r.battery_level = 80;
    r.charging = true;
    r.at_ms = kNow;
    r.idle = true;
    r.utc_offset_minutes = 0;
    return r;
}

Settings strictest() {
    Settings s;
    s.requires_charging = s.unmetered_only = s.requires_idle = s.pause_on_poor = true;
    s.quiet_hours = QuietHoursSetting{22 * 60, 6 * 60};
    s.min_interval = kHourMs;
    s.data_budget_per_day = 1000;
    s.battery_budget_per_day = 5;
    return s;
}

// Closes exactly one condition of strictest().
void close_one(Condition condition, Settings& s, ReadingsIn& r, GateState& state) {
    switch (condition) {
        case Condition::enabled: s.enabled = false; break;
        case Condition::consent: s.consent = "withdrawn"; break;
        case Condition::paused: state.paused = true; break;
        case Condition::network: r.online = false; break;
        case Condition::charging: r.charging = false; break;
        case Condition::battery: s.requires_charging = false, r.charging = false, r.battery_level = 10; break;
        case Condition::battery_budget: s.requires_charging = false, r.charging = false, state.battery_used_today = 5; break;
        case Condition::metered: r.metered = true; break;
        case Condition::save_data: r.save_data = true; break;
        case Condition::data_budget: state.bytes_today = 1000; break;
        case Condition::quiet_hours: s.quiet_hours = QuietHoursSetting{11 * 60, 13 * 60}; break;
        case Condition::poor_link: state.quality = Quality::poor; break;
        case Condition::idle: r.idle = false; break;
        case Condition::interval: state.last_session_end_ms = kNow - 1000; break;
    }
}

GateResult check(const Settings& s, const ReadingsIn& r, const GateState& state = {}, bool manual = false, double now = kNow) {
    return check_gate(s, r, state, now, manual);
}

}  // namespace

TEST_CASE("with default settings and nothing known the gate is open and says what is unknown") {
    const GateResult g = check({}, {});
    CHECK(g.open);
    CHECK(g.min_band == Band::low);
    CHECK(g.closed_by.empty());
    CHECK(g.sentence.empty());
    CHECK(!g.look_again_ms);
    CHECK(g.unknown == std::vector<std::string>{"online", "battery"});
    Settings strict;
    strict.unknown_readings = "strict";
    CHECK(check(strict, {}).closed_by == "network");
}

TEST_CASE("every setting at its strictest and every reading fine: open") {
    const GateResult g = check(strictest(), fine());
    CHECK(g.open);
    CHECK(g.unknown.empty());
}

TEST_CASE("each condition closes the gate by itself, is named, explained, and passed by critical as stated") {
    for (int i = 0; i < kConditions; ++i) {
        const Condition condition = static_cast<Condition>(i);
        CAPTURE(name(condition));
        Settings s = strictest();
        ReadingsIn r = fine();
        GateState state;
        close_one(condition, s, r, state);
        const GateResult g = check(s, r, state);
        CHECK(!g.open);
        CHECK(g.closed_by == name(condition));
        CHECK(g.sentence.size() > 10);
        const bool passes = condition == Condition::poor_link || condition == Condition::idle || condition == Condition::interval;
        CHECK(may_pass(g, Band::critical, kNow) == passes);
        CHECK(!may_pass(g, Band::high, kNow));
        // Time alone opens: budgets, quiet hours, interval.
        const bool by_time = condition == Condition::battery_budget || condition == Condition::data_budget || condition == Condition::quiet_hours ||
                             condition == Condition::interval;
        CHECK(g.look_again_ms.has_value() == by_time);
        if (by_time) {
            CHECK(*g.look_again_ms > kNow);
            const bool interval = condition == Condition::interval;  // the others depend on the local clock, not on the state
            if (interval) CHECK(check(s, [] { ReadingsIn x = fine(); x.at_ms = std::nullopt; return x; }(), state, false, *g.look_again_ms).open);
        }
        const bool manual_ignores = condition == Condition::quiet_hours || condition == Condition::idle || condition == Condition::interval;
        CHECK(check(s, r, state, true).open == manual_ignores);
    }
}

TEST_CASE("of two closed conditions the first in the stated order is named, and time must open both") {
    for (int i = 0; i < kConditions; ++i)
        for (int j = i + 1; j < kConditions; ++j) {
            const Condition first = static_cast<Condition>(i), second = static_cast<Condition>(j);
            Settings s = strictest();
            ReadingsIn r = fine();
            GateState state;
            close_one(second, s, r, state);
            close_one(first, s, r, state);
            // battery and its budget only count while not charging, charging is then not required: the pair with charging cannot be built.
            if (first == Condition::charging && (second == Condition::battery || second == Condition::battery_budget)) continue;
            CAPTURE(name(first));
            CAPTURE(name(second));
            const GateResult g = check(s, r, state);
            CHECK(g.closed_by == name(first));
            const bool both_by_time = first >= Condition::battery_budget && second >= Condition::data_budget && first != Condition::metered &&
                                      first != Condition::save_data && first != Condition::poor_link && first != Condition::idle &&
                                      second != Condition::poor_link && second != Condition::idle;
            CHECK(g.look_again_ms.has_value() == both_by_time);
        }
}

TEST_CASE("of two conditions that time opens the later one says when to look again, in either order") {
    Settings s;
    s.data_budget_per_day = 1;
    s.quiet_hours = QuietHoursSetting{11 * 60, 13 * 60};
    s.min_interval = 2 * kHourMs;
    GateState state;
    state.last_session_end_ms = kNow;
    CHECK(check(s, fine(), state).look_again_ms == kNow + 2 * kHourMs);  // quiet hours end an hour before the interval
    state.bytes_today = 1;
    CHECK(check(s, fine(), state).look_again_ms == next_local_midnight_ms(kNow, 0));  // the budget comes first and opens last
    state.paused = true;
    CHECK(!check(s, fine(), state).look_again_ms);
}

TEST_CASE("critical never passes enabled, consent, paused or a missing network, even if the settings let it pass everything") {
    for (int i = 0; i < kConditions; ++i) {
        Settings s = strictest();
        ReadingsIn r = fine();
        GateState state;
        state.critical_passes = ~0u;
        close_one(static_cast<Condition>(i), s, r, state);
        CHECK(may_pass(check(s, r, state), Band::critical, kNow) == (i > static_cast<int>(Condition::network)));
    }
}

TEST_CASE("the priority threshold holds back what is below it in automatic sessions only") {
    Settings s;
    s.priority_threshold = "high";
    const GateResult automatic = check(s, fine()), manual = check(s, fine(), {}, true);
    CHECK(automatic.open);
    for (const Band band : {Band::low, Band::normal, Band::high, Band::critical}) {
        CHECK(may_pass(automatic, band, kNow) == (band >= Band::high));
        CHECK(may_pass(manual, band, kNow));
    }
}

TEST_CASE("a low battery does not matter while charging, and the border itself is enough") {
    Settings s;
    ReadingsIn r = fine();
    r.battery_level = 5;
    CHECK(check(s, r).open);
    r.charging = false;
    CHECK(check(s, r).closed_by == "battery");
    r.charging.reset();
    CHECK(check(s, r).closed_by == "battery");  // known to be low, not known to charge
    r.battery_level = 20;
    CHECK(check(s, r).open);
    s.minimum_battery_level = 0;
    r.battery_level = 0;
    CHECK(check(s, r).open);
}

TEST_CASE("readings that are old, from the future or no numbers are unknown") {
    Settings s;
    s.requires_charging = true;
    s.requires_idle = true;
    const auto unknown = [&](const ReadingsIn& r) { return check(s, r).unknown; };
    ReadingsIn r = fine();
    CHECK(unknown(r).empty());
    r.at_ms = kNow - kIdleStaleMs;
    CHECK(unknown(r).empty());
    r.at_ms = kNow - kBatteryStaleMs;
    CHECK(unknown(r) == std::vector<std::string>{"idle"});
    for (const double bad : {kNow - kBatteryStaleMs - 1, kNow + kClockSlackMs + 1, std::nan("")}) {
        r.at_ms = bad;
        CHECK(unknown(r) == std::vector<std::string>{"charging", "battery", "idle"});
    }
    r = fine();
    r.at_ms = kNow - kIdleStaleMs - 1;
    CHECK(unknown(r) == std::vector<std::string>{"idle"});
    s.unknown_readings = "strict";
    CHECK(check(s, r).closed_by == "idle");
    for (const double bad : {std::nan(""), -1.0, 101.0, std::numeric_limits<double>::infinity()}) {
        r = fine();
        r.charging = false;
        s.requires_charging = false;
        r.battery_level = bad;
        CHECK(check(s, r).closed_by == "battery");
    }
}

TEST_CASE("cellular counts as metered, wifi and ethernet do not, where the browser does not say") {
    Settings s;
    s.unmetered_only = true;
    ReadingsIn r = fine();
    r.metered.reset();
    for (const char* type : {"wifi", "ethernet"}) {
        r.connection_type = type;
        CHECK(check(s, r).open);
    }
    r.connection_type = "cellular";
    CHECK(check(s, r).closed_by == "metered");
    r.connection_type = "unknown";
    CHECK(check(s, r).open);
    CHECK(check(s, r).unknown == std::vector<std::string>{"metered"});
    s.unknown_readings = "strict";
    CHECK(check(s, r).closed_by == "metered");
}

TEST_CASE("a link known to be offline is no network; where none is required nothing is asked") {
    Settings s;
    GateState state;
    state.quality = Quality::offline;
    CHECK(check(s, fine(), state).closed_by == "network");
    s.requires_network = false;
    CHECK(check(s, fine(), state).open);
}

TEST_CASE("quiet hours: every minute of the day, with and without midnight inside, in every offset") {
    struct Span {
        std::int64_t from, to;
    };
    for (const Span span : {Span{22 * 60, 6 * 60}, Span{9 * 60, 17 * 60}, Span{0, 1439}, Span{1439, 0}})
        for (const double offset : {0.0, 330.0, -720.0, 840.0})
            for (int minute = 0; minute < 1440; minute += 7) {
                Settings s;
                s.quiet_hours = QuietHoursSetting{span.from, span.to};
                ReadingsIn r = fine();
                r.utc_offset_minutes = offset;
                const double midnight = next_local_midnight_ms(kNow, offset);
                r.at_ms = std::nullopt;
                const double now = midnight + minute * kMinuteMs;
                const bool quiet = span.from < span.to ? minute >= span.from && minute < span.to : minute >= span.from || minute < span.to;
                const GateResult g = check(s, r, {}, false, now);
                REQUIRE(g.open == !quiet);
                if (!quiet) continue;
                REQUIRE((*g.look_again_ms > now && *g.look_again_ms <= now + kDayMs));
                REQUIRE(check(s, r, {}, false, *g.look_again_ms).open);  // exactly then it is over
                REQUIRE(!check(s, r, {}, false, *g.look_again_ms - 1).open);
            }
}

TEST_CASE("quiet hours that are empty, impossible or without a local time") {
    Settings s;
    ReadingsIn r = fine();
    for (const QuietHoursSetting odd : {QuietHoursSetting{720, 720}, QuietHoursSetting{-1, 20}, QuietHoursSetting{20, 2000}}) {
        s.quiet_hours = odd;
        CHECK(check(s, r).open);
    }
    s.quiet_hours = QuietHoursSetting{0, 1439};
    r.utc_offset_minutes.reset();
    CHECK(check(s, r).open);
    CHECK(check(s, r).unknown == std::vector<std::string>{"utcOffset"});
    r.utc_offset_minutes = 1e300;
    CHECK(check(s, r).open);
    s.unknown_readings = "strict";
    CHECK(check(s, r).closed_by == "quiet-hours");
}

TEST_CASE("the minimum interval ends in time, and at once when the clock went backwards") {
    Settings s;
    s.min_interval = 10 * kMinuteMs;
    GateState state;
    state.last_session_end_ms = kNow - kMinuteMs;
    CHECK(check(s, fine(), state).look_again_ms == kNow + 9 * kMinuteMs);
    state.last_session_end_ms = kNow + 365 * kDayMs;
    CHECK(check(s, fine(), state).open);
    state.last_session_end_ms = std::nan("");
    CHECK(check(s, fine(), state).open);
    s.min_interval = std::numeric_limits<double>::infinity();
    state.last_session_end_ms = kNow;
    CHECK(check(s, fine(), state).look_again_ms == kNow + kMaxWaitMs);
}

TEST_CASE("what is saved within the minimum interval after a session waits as long by itself, less the second in which it is stored, and nothing else does") {
    Settings s;
    s.min_interval = 10 * kMinuteMs;
    GateState state;
    state.last_session_end_ms = kNow - 9 * kMinuteMs;
    state.first_save_ms = kNow - 4 * kMinuteMs;
    CHECK(check(s, fine(), state).look_again_ms == kNow + 6 * kMinuteMs - kSecondMs);
    CHECK(check(s, fine(), state).min_band == Band::critical);
    state.first_save_ms = *state.last_session_end_ms;   // it went with that session, or is older
    CHECK(check(s, fine(), state).look_again_ms == kNow + kMinuteMs);
    state.first_save_ms = kNow + 2 * kMinuteMs;   // the clock was set
    CHECK(check(s, fine(), state).look_again_ms == kNow + kMinuteMs);
    state.first_save_ms = *state.last_session_end_ms + 100;   // never before the session's own interval is over
    CHECK(check(s, fine(), state).look_again_ms == kNow + kMinuteMs);
    state.first_save_ms = kNow - 4 * kMinuteMs;
    state.paced_interval_ms = 20 * kMinuteMs;   // the pace of what comes by itself is no promise to what was saved
    CHECK(check(s, fine(), state).look_again_ms == kNow + 11 * kMinuteMs);
    state.paced_interval_ms = 0;
    state.last_session_end_ms = kNow - 11 * kMinuteMs;
    state.first_save_ms = kNow - kMinuteMs + 1;   // quiet for long enough: it goes at once
    CHECK(check(s, fine(), state).open);
    state.first_save_ms = kNow - 2 * kMinuteMs;
    CHECK(check(s, fine(), state).look_again_ms == kNow + 8 * kMinuteMs - kSecondMs);
}

TEST_CASE("a low op waits for an idle device, for a bounded time, and not in a manual session") {
    ReadingsIn r = fine();
    r.idle = false;
    const GateResult g = check({}, r);
    CHECK(g.open);
    CHECK(!may_pass(g, Band::low, kNow - kLowIdleWaitMs + 1));
    CHECK(may_pass(g, Band::low, kNow - kLowIdleWaitMs));
    CHECK(may_pass(g, Band::normal, kNow));
    CHECK(may_pass(check({}, r, {}, true), Band::low, kNow));
    r.idle.reset();
    CHECK(may_pass(check({}, r), Band::low, kNow));
}

TEST_CASE("budgets of the day open at local midnight, the battery's not while charging") {
    Settings s;
    s.data_budget_per_day = 100;
    GateState state;
    state.bytes_today = 99;
    CHECK(check(s, fine(), state).open);
    state.bytes_today = 100;
    ReadingsIn r = fine();
    r.utc_offset_minutes = 120;
    CHECK(check(s, r, state).look_again_ms == next_local_midnight_ms(kNow, 120));
    Settings battery;
    battery.battery_budget_per_day = 5;
    state.battery_used_today = 6;
    CHECK(check(battery, fine(), state).open);
    r.charging = false;
    CHECK(check(battery, r, state).closed_by == "battery-budget");
}

TEST_CASE("the pace of automatic sessions stretches and shrinks within its bounds") {
    ReadingsIn r = fine();
    const double base = 10 * kMinuteMs;
    CHECK(session_interval_ms(base, Quality::good, r, kNow) == base);
    CHECK(session_interval_ms(base, Quality::excellent, r, kNow) == base / 2);
    CHECK(session_interval_ms(base, Quality::poor, r, kNow) == base * 2);
    r.charging = false;
    CHECK(session_interval_ms(base, Quality::excellent, r, kNow) == base);
    r.battery_level = 49;
    CHECK(session_interval_ms(base, Quality::good, r, kNow) == base * 2);
    r.battery_level = 19;
    CHECK(session_interval_ms(base, Quality::poor, r, kNow) == base * 8);
    CHECK(session_interval_ms(base, Quality::good, {}, kNow) == base);
    for (const double odd : {std::nan(""), -5.0, 0.0, 1e-9, 1e300, std::numeric_limits<double>::infinity()})
        for (const Quality q : {Quality::offline, Quality::poor, Quality::good, Quality::excellent}) {
            const double interval = session_interval_ms(odd, q, r, kNow);
            CHECK((interval >= kMinSessionIntervalMs && interval <= kMaxSessionIntervalMs));
        }
}

TEST_CASE("readings of no sense never crash and never open a hard condition") {
    const double odd[] = {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), -1, 0, 1e300};
    for (const double a : odd)
        for (const double b : odd)
            for (const double now : odd) {
                Settings s = strictest();
                s.enabled = false;
                s.minimum_battery_level = a;
                s.min_interval = b;
                s.quiet_hours = QuietHoursSetting{a > 0 ? 1 : -1, b > 0 ? 5000 : 5};
                s.data_budget_per_day = a;
                ReadingsIn r = fine();
                r.battery_level = r.at_ms = r.utc_offset_minutes = a;
                GateState state;
                state.last_session_end_ms = b;
                state.bytes_today = b;
                const GateResult g = check(s, r, state, false, now);
                REQUIRE(g.closed_by == "enabled");
                REQUIRE(!g.min_band);
            }
}
