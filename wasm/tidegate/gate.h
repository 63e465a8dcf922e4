// May anything be sent now, what may, which condition is closed, and when to look again. Pure: settings, readings and state in, answer out.
//
// Conditions are looked at in the order of the enum below and the first closed one is named: first what a person decided, then whether there
// is a network at all, then what protects battery and money, then what merely waits for a better moment. (In the manner of Android WorkManager's
// Constraints, which are all required; Critical passes as SHAPES.md says.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidegate/protocol.h"
#include "tidegate/time.h"
#include "tidegate/words.h"

namespace tidegate {

enum class Condition {
    enabled,         // hard: nothing passes, not even critical
    consent,         // hard
    paused,          // hard
    network,         // hard
    charging,
    battery,
    battery_budget,
    metered,
    save_data,
    data_budget,
    quiet_hours,     // a manual session ignores this one and those below, except poor_link
    poor_link,       // critical passes
    idle,            // critical passes
    interval,        // critical passes
};
inline constexpr int kConditions = 14;

// "enabled", "consent", "paused", "network", "charging", "battery", "battery-budget", "metered", "save-data", "data-budget", "quiet-hours",
// "poor-link", "idle", "interval".
const char* name(Condition condition);

constexpr std::uint32_t condition_bit(Condition condition) { return 1u << static_cast<unsigned>(condition); }

// A page posts battery and idleness; the worker cannot read them itself. Older readings are unknown (so are those of the future: the clock jumped).
inline constexpr double kBatteryStaleMs = 15.0 * kMinuteMs;
inline constexpr double kIdleStaleMs = 2.0 * kMinuteMs;

// Nullopt: neither the platform nor the connection's type says.
std::optional<bool> metered_of(const ReadingsIn& readings);

struct GateState {
    bool paused = false;
    std::optional<double> last_session_end_ms;
    double first_save_ms = 0;           // after that session
    double paced_interval_ms = 0;       // the interval between sessions is no shorter than this
    double bytes_today = 0;             // sent and received since local midnight (time.h: local_day tells when it begins anew)
    double battery_used_today = 0;      // percent
    Quality quality = Quality::good;
    // Which closed conditions a critical op passes. The four hard ones can not be chosen: their bits are ignored.
    std::uint32_t critical_passes =
        condition_bit(Condition::poor_link) | condition_bit(Condition::idle) | condition_bit(Condition::interval);
};

struct GateResult {
    bool open = true;                       // no condition is closed: everything from priority_threshold up may go
    std::optional<Band> min_band;           // the lowest band that may go now; nullopt: nothing may
    std::string closed_by;                  // name of the first closed condition, "" when open
    std::string sentence;                   // for a person, "" when open: what is, what is required
    std::optional<double> look_again_ms;    // when time alone opens it; nullopt: a reading, a command or a setting has to change
    // Low ops wait for an idle device for at most kLowIdleWaitMs: when set, a low op may go only if it was accepted at or before this instant.
    std::optional<double> low_accepted_before_ms;
    std::vector<std::string> unknown;       // readings that were asked for and unknown: "online", "charging", "battery", "metered", "idle", "utcOffset"
};

// Low ops wait this long for an idle device, where idleness is known at all. (The aging lead of priority.h is the same figure.)
inline constexpr double kLowIdleWaitMs = 4.0 * kHourMs;

// manual: a person asked for this session. It ignores quiet hours, idleness, the interval and the priority threshold.
// A reading of no sense (a battery level outside 0–100, a number that is none) is unknown. Where the browser does not say whether the connection is
// metered, cellular counts as metered, wifi and ethernet as not.
GateResult check_gate(const Settings& settings, const ReadingsIn& readings, const GateState& state, double now_ms, bool manual);

// May an op of this effective band, accepted then, pass?
bool may_pass(const GateResult& gate, Band band, double accepted_ms);

// The pace of automatic sessions: base stretched ×2 on a poor link, ×2 below 50 % battery when not charging (×4 below 20 %), shrunk to ½ on an
// excellent link while charging. Always within [kMinSessionIntervalMs, kMaxSessionIntervalMs]. Stale readings are unknown and change nothing.
inline constexpr double kMinSessionIntervalMs = kMinuteMs;
inline constexpr double kMaxSessionIntervalMs = 2.0 * kHourMs;
double session_interval_ms(double base_ms, Quality quality, const ReadingsIn& readings, double now_ms);

}  // namespace tidegate
