#include "tidegate/gate.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tidegate/say.h"

namespace tidegate {

namespace {

constexpr const char* kNames[kConditions] = {"enabled", "consent",     "paused",      "network",     "charging",  "battery", "battery-budget",
                                             "metered", "save-data", "data-budget", "quiet-hours", "poor-link", "idle",    "interval"};
constexpr std::uint32_t kHard = condition_bit(Condition::enabled) | condition_bit(Condition::consent) | condition_bit(Condition::paused) |
                                condition_bit(Condition::network);
constexpr std::uint32_t kManualIgnores =
    condition_bit(Condition::quiet_hours) | condition_bit(Condition::idle) | condition_bit(Condition::interval);

// A whole number without decimals, for sentences.
std::string whole(double value) { return std::to_string(static_cast<long long>(std::clamp(std::floor(value), -1e15, 1e15))); }

std::string clock_of(std::int64_t m) {
    const auto two = [](std::int64_t n) { return say(n < 10 ? "0" : "", n); };
    return say(two(m / 60), ":", two(m % 60));
}

bool fresh(const std::optional<double>& at_ms, double now_ms, double stale_ms) {
    if (!at_ms) return true;
    return *at_ms >= 0.0 && *at_ms <= now_ms + kClockSlackMs && now_ms - *at_ms <= stale_ms;
}

std::optional<double> battery_of(const ReadingsIn& r, double now_ms) {
    if (!r.battery_level || !(*r.battery_level >= 0.0 && *r.battery_level <= 100.0)) return std::nullopt;
    return fresh(r.at_ms, now_ms, kBatteryStaleMs) ? r.battery_level : std::nullopt;
}

std::optional<bool> charging_of(const ReadingsIn& r, double now_ms) {
    return fresh(r.at_ms, now_ms, kBatteryStaleMs) ? r.charging : std::nullopt;
}

std::optional<bool> idle_of(const ReadingsIn& r, double now_ms) { return fresh(r.at_ms, now_ms, kIdleStaleMs) ? r.idle : std::nullopt; }

bool is_offset(double minutes) { return std::isfinite(minutes) && std::fabs(minutes) <= 24.0 * 60.0; }

// Walks the conditions in order and keeps what is closed.
class Walk {
public:
    Walk(const Settings& settings, const ReadingsIn& readings, const GateState& state, double now_ms, bool manual)
        : s_(settings), r_(readings), state_(state), now_ms_(now_ms), manual_(manual) {}

    GateResult run() {
        decisions();
        network();
        power();
        money();
        comfort();
        low_waits();
        finish();
        return std::move(result_);
    }

private:
    void close(Condition condition, std::string sentence, std::optional<double> again_ms = std::nullopt) {
        if (manual_ && (kManualIgnores & condition_bit(condition))) return;
        if (closed_ == 0) {
            result_.closed_by = name(condition);
            result_.sentence = std::move(sentence);
        }
        closed_ |= condition_bit(condition);
        // All closed conditions have to open: time alone opens the gate when it opens each of them, and not before the last.
        if (!again_ms) time_alone_ = false;
        else again_ms_ = std::max(again_ms_, *again_ms);
    }

    // A reading that was asked for and is unknown: reported, and closed where the settings are strict.
    void unknown(Condition condition, const char* reading, const char* what) {
        if (manual_ && (kManualIgnores & condition_bit(condition))) return;
        if (std::find(result_.unknown.begin(), result_.unknown.end(), reading) == result_.unknown.end()) result_.unknown.emplace_back(reading);
        if (s_.unknown_readings == "strict")
            close(condition, say(what, " is not known and unknownReadings is strict"));
    }

    void decisions() {
        if (!s_.enabled) close(Condition::enabled, "Sync is switched off (enabled is false)");
        if (s_.consent != "granted") close(Condition::consent, "Consent to sync was withdrawn");
        if (state_.paused) close(Condition::paused, "Sync is paused");
    }

    void network() {
        if (!s_.requires_network) return;
        if (r_.online == false || state_.quality == Quality::offline) close(Condition::network, "There is no network");
        else if (!r_.online) unknown(Condition::network, "online", "Whether there is a network");
    }

    void power() {
        const std::optional<bool> charging = charging_of(r_, now_ms_);
        const std::optional<double> level = battery_of(r_, now_ms_);
        if (s_.requires_charging) {
            if (charging == false) close(Condition::charging, "The device is not charging and requiresCharging is set");
            else if (!charging) unknown(Condition::charging, "charging", "Whether the device is charging");
        }
        const double least = std::isfinite(s_.minimum_battery_level) ? std::clamp(s_.minimum_battery_level, 0.0, 100.0) : 20.0;
        if (least > 0.0 && charging != true) {
            if (level && *level < least)
                close(Condition::battery, say("The battery is at ", whole(*level), " %, at least ", whole(least), " % are required"));
            else if (!level) unknown(Condition::battery, "battery", "The battery level");
        }
        if (const auto budget = s_.battery_budget_per_day; budget && state_.battery_used_today >= *budget && charging != true)
            close(Condition::battery_budget, say("Today's battery budget of ", whole(*budget), " % is used up"), midnight());
    }

    void money() {
        if (s_.unmetered_only) {
            const std::optional<bool> metered = metered_of(r_);
            if (metered == true) close(Condition::metered, "The connection is metered and unmeteredOnly is set");
            else if (!metered) unknown(Condition::metered, "metered", "Whether the connection is metered");
        }
        if (s_.respect_save_data && r_.save_data == true) close(Condition::save_data, "The browser's data saver is on and respectSaveData is set");
        if (const auto budget = s_.data_budget_per_day; budget && state_.bytes_today >= *budget)
            close(Condition::data_budget, say("Today's data budget of ", whole(*budget), " bytes is used up"), midnight());
    }

    void comfort() {
        quiet();
        if (s_.pause_on_poor && state_.quality == Quality::poor) close(Condition::poor_link, "The link is poor and pauseOnPoor is set");
        if (s_.requires_idle) {
            const std::optional<bool> idle = idle_of(r_, now_ms_);
            if (idle == false) close(Condition::idle, "The device is in use and requiresIdle is set");
            else if (!idle) unknown(Condition::idle, "idle", "Whether the device is idle");
        }
        const double interval = std::min(std::max(s_.min_interval, state_.paced_interval_ms), kMaxWaitMs);
        if (!state_.last_session_end_ms || !(interval > 0.0)) return;
        const double end_ms = *state_.last_session_end_ms;
        double left = remaining_ms(end_ms + interval, now_ms_, interval);
        // What is saved so soon after a session waits as long as minInterval lets anything wait, because more may come along: each session wakes the radio, and one
        // at the end of the last one's interval is followed by another for what is saved right after it (bench/RESULTS.md, energy).
        if (s_.min_interval >= interval && state_.first_save_ms > end_ms && state_.first_save_ms < end_ms + interval)
            left = std::max(left, remaining_ms(state_.first_save_ms + interval - kSecondMs, now_ms_, interval));   // it is to be stored before it leaves
        if (left > 0.0) close(Condition::interval, say("What follows a session is gathered for minInterval (", whole(interval / kSecondMs), " s)"), now_ms_ + left);
    }

    void quiet() {
        if (!s_.quiet_hours) return;
        const std::int64_t from = s_.quiet_hours->from_minute, to = s_.quiet_hours->to_minute;
        if (from < 0 || from > 1439 || to < 0 || to > 1439 || from == to) return;
        if (!r_.utc_offset_minutes || !is_offset(*r_.utc_offset_minutes))
            return unknown(Condition::quiet_hours, "utcOffset", "The local time");
        const double minute = local_minute_of_day(now_ms_, *r_.utc_offset_minutes), first = static_cast<double>(from), end = static_cast<double>(to);
        const bool inside = from < to ? minute >= first && minute < end : minute >= first || minute < end;
        if (!inside) return;
        const double left = end > minute ? end - minute : end - minute + 1440.0;
        close(Condition::quiet_hours, say("It is within the quiet hours, ", clock_of(from), " to ", clock_of(to)), now_ms_ + left * kMinuteMs);
    }

    // Low ops prefer an idle device even where it is not required, for a bounded time, where idleness is known at all.
    void low_waits() {
        if (!manual_ && idle_of(r_, now_ms_) == false) result_.low_accepted_before_ms = now_ms_ - kLowIdleWaitMs;
    }

    void finish() {
        const Band threshold = manual_ ? Band::low : parse_band(s_.priority_threshold).value_or(Band::low);
        const std::uint32_t critical_passes = state_.critical_passes & ~kHard;
        result_.open = closed_ == 0;
        if (closed_ == 0) result_.min_band = threshold;
        else if ((closed_ & ~critical_passes) == 0) result_.min_band = Band::critical;
        if (closed_ != 0 && time_alone_) result_.look_again_ms = again_ms_;
    }

    // Without a known offset the day is taken to end at midnight UTC.
    double midnight() const { return next_local_midnight_ms(now_ms_, r_.utc_offset_minutes.value_or(0.0)); }

    const Settings& s_;
    const ReadingsIn& r_;
    const GateState& state_;
    double now_ms_;
    bool manual_;
    GateResult result_;
    std::uint32_t closed_ = 0;
    bool time_alone_ = true;
    double again_ms_ = 0;
};

}  // namespace

std::optional<bool> metered_of(const ReadingsIn& r) {
    if (r.metered) return r.metered;
    if (r.connection_type == "cellular") return true;
    if (r.connection_type == "wifi" || r.connection_type == "ethernet") return false;
    return std::nullopt;
}

const char* name(Condition condition) { return kNames[static_cast<std::size_t>(condition)]; }

GateResult check_gate(const Settings& settings, const ReadingsIn& readings, const GateState& state, double now_ms, bool manual) {
    return Walk(settings, readings, state, now_ms, manual).run();
}

bool may_pass(const GateResult& gate, Band band, double accepted_ms) {
    if (!gate.min_band || band < *gate.min_band) return false;
    return band != Band::low || !gate.low_accepted_before_ms || !(accepted_ms > *gate.low_accepted_before_ms);
}

double session_interval_ms(double base_ms, Quality quality, const ReadingsIn& readings, double now_ms) {
    double interval = std::isfinite(base_ms) && base_ms > 0.0 ? base_ms : 5.0 * kMinuteMs;
    const std::optional<bool> charging = charging_of(readings, now_ms);
    const std::optional<double> level = battery_of(readings, now_ms);
    if (quality == Quality::poor) interval *= 2.0;
    if (quality == Quality::excellent && charging == true) interval /= 2.0;
    if (charging != true && level) interval *= *level < 20.0 ? 4.0 : *level < 50.0 ? 2.0 : 1.0;
    return std::clamp(interval, kMinSessionIntervalMs, kMaxSessionIntervalMs);
}

}  // namespace tidegate
