// How long the rest will take, with an error band, or that nothing is known.
//
// Rule: completions of all concurrent batches lie on one time axis; the rate is work done per time gone by on it, so two batches at once count
// as what they achieve together. An average weighted by time, not by sample: weight = dt / (dt + kEtaMemoryMs), which needs no exp.
// Work is counted in bytes plus a constant per op (work_of), because a photo is not a form.
#pragma once

#include <optional>

#include "tidegate/members.h"
#include "tidegate/time.h"

namespace tidegate {

inline constexpr double kEtaMemoryMs = 10.0 * kSecondMs;
inline constexpr double kEtaOpBytes = 512.0;
inline constexpr double kMaxEtaSeconds = 7.0 * 86400.0;   // more than a week is unknown

double work_of(double bytes);     // bytes + kEtaOpBytes; a value that is no size counts 0 bytes

struct Eta {
    double rate = 0;            // work per ms; 0: unknown
    double deviation = 0;       // mean absolute deviation of the rate
    double at_ms = 0;           // end of the time that is counted in; 0: not running
    double pending = 0;         // work completed since then, all of it at …
    double pending_at_ms = 0;   // … this instant; 0: none. A batch completes many ops at one instant, so it is counted in when time has moved on
    double last_work = 0;       // what came in at the last instant that was counted in
    friend bool operator==(const Eta&, const Eta&) = default;
};

// A drain starts: time before it does not count, what was learned before stays.
Eta eta_started(Eta eta, double now_ms);
// Work was completed.
Eta eta_completed(Eta eta, double work, double now_ms);
// The drain ended.
Eta eta_stopped(Eta eta);

struct EtaEstimate {
    double seconds = 0;
    double low = 0, high = 0;   // low ≤ seconds ≤ high
};
// Remaining 0 is exactly 0. Nullopt when nothing is known, or it would be more than kMaxEtaSeconds.
// A silence longer than the usual one makes it slower: the rate counts as if the next completion, as large as the last, came just now.
std::optional<EtaEstimate> eta_of(const Eta& eta, double remaining_work, double now_ms);

void persist(Members& m, Eta& eta);

}  // namespace tidegate
