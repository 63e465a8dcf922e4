// What keeps us from making an outage worse, per origin: a retry budget and a circuit breaker.
// Plain values with JSON, so that they survive restarts; time is a parameter.
#pragma once

#include <string_view>

#include "tidegate/members.h"
#include "tidegate/random.h"
#include "tidegate/time.h"

namespace tidegate {

// --- Retry budget: gRPC retry throttling (gRFC A6): a failure costs 1, a success returns a part, retries stop at half and below. gRPC's part is 0.1, which
// stops the retries of an origin that fails one request in ten, and a queue must get through that; a quarter bears one in five.
// Two additions for a queue that lives for days: tokens come back with time, and every wake may retry once in any case
// (a budget must not strand a queue whose only traffic is retries).
inline constexpr double kRetryTokens = 10.0;
inline constexpr double kRetryRefund = 0.25;
inline constexpr double kRetryRefillMs = 30.0 * kSecondMs;   // one token per this time

struct RetryBudget {
    double tokens = kRetryTokens;
    double at_ms = 0;               // when tokens was true
    bool reserve_used = false;      // the one free retry of this wake
    friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};

RetryBudget on_wake(RetryBudget budget);                                   // a new wake has its free retry again
RetryBudget on_answer(RetryBudget budget, bool failure, double now_ms);    // failure: retryable (network, timeout, 408, 425, 429, 5xx); a malformed request is none
bool may_retry(const RetryBudget& budget, double now_ms);                  // first attempts need no leave
RetryBudget on_retry(RetryBudget budget, double now_ms);                   // call when a retry is sent: uses the reserve if the tokens gave no leave
double retry_again_ms(const RetryBudget& budget, double now_ms);           // the instant from which may_retry is true; now_ms when it is

// --- Circuit breaker: closed → open after kBreakerFailures failures in a row; open → half-open when its time is over; half-open lets one probe
// through: success closes, failure opens again for twice the time. (Nygard, "Release It!".) The table is in budget.cpp.
inline constexpr int kBreakerFailures = 5;
inline constexpr double kBreakerOpenMs = 30.0 * kSecondMs;       // first opening; doubles up to …
inline constexpr double kBreakerMaxOpenMs = 300.0 * kSecondMs;   // … this. The time is drawn from [½, 1) of it so that clients do not return together …
inline constexpr double kBreakerSpread = 3.0;                    // … and from the second on up to so many times it (Brooker's decorrelated jitter, as a range): a herd is still together then
inline constexpr double kBreakerProbeMs = 180.0 * kSecondMs;     // a probe not answered after this is lost (the worker died): another may go

enum class BreakerState { closed, open, half_open };
std::string_view name(BreakerState state);

struct Breaker {
    BreakerState state = BreakerState::closed;
    int failures = 0;           // in a row, while closed
    int openings = 0;           // in a row, without a success between
    double until_ms = 0;        // open: end of it; half-open: when the probe counts as lost
    friend bool operator==(const Breaker&, const Breaker&) = default;
};

// The state that counts at now_ms: an open breaker whose time is over is half-open in effect (may_send is true for one request).
bool may_send(const Breaker& breaker, double now_ms);
double send_again_ms(const Breaker& breaker, double now_ms);                       // the instant from which may_send is true; now_ms when it is
Breaker on_send(Breaker breaker, double now_ms);                                   // REQUIRES: may_send. Open and over → half-open, this is the probe
// failure: the origin's fault (network, timeout, 5xx), not an op's. longest_ms: no opening lasts longer (the setting maxDelay).
Breaker on_result(Breaker breaker, bool failure, double now_ms, Random& random, double longest_ms = kBreakerMaxOpenMs);

void persist(Members& m, RetryBudget& budget);
void persist(Members& m, Breaker& breaker);

}  // namespace tidegate
