// How long to wait after a failure. Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
// A wait asked for by the server (retry_after.h) is a floor under what this returns.
#pragma once

#include <optional>
#include <string_view>

#include "tidegate/random.h"
#include "tidegate/time.h"
#include "tidegate/words.h"

namespace tidegate {

enum class Jitter { none, full, equal, decorrelated };
std::string_view name(Jitter jitter);
std::optional<Jitter> parse_jitter(std::string_view text);

struct BackoffPolicy {
    RetryStrategy strategy = RetryStrategy::exponential;
    Jitter jitter = Jitter::full;
    double base_ms = kSecondMs;
    double max_ms = 300.0 * kSecondMs;
    // For adaptive only: how much of what goes out fails lately, 0 … 1 (connectivity.h: loss). 0 waits linearly, 1 exponentially.
    double pressure = 1;
};

// The wait before jitter after the nth failure in a row (n ≥ 1; less counts as 1), never above max_ms:
//   linear       base · n
//   exponential  base · 2^(n-1), by exact doubling: 1, 2, 4 … 256, 300, 300 s with the defaults
//   adaptive     linear + pressure · (exponential − linear)
double ceiling_ms(const BackoffPolicy& policy, int failures);

// The wait with jitter. c is the ceiling:
//   none          c
//   full          uniform in [0, c)
//   equal         c/2 + uniform in [0, c/2)
//   decorrelated  min(max, uniform in [base, 3 · previous_wait)); the strategy plays no part. A previous wait below base counts as base
// Always within [0, max_ms]. Options that are no number or out of range take their defaults (base, max) or are clamped to kMaxWaitMs.
// Draws from `random` exactly once unless jitter is none.
double wait_ms(const BackoffPolicy& policy, int failures, double previous_wait_ms, Random& random);

}  // namespace tidegate
