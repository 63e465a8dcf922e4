#include "tidegate/backoff.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tidegate {

namespace {

constexpr std::string_view kJitters[] = {"none", "full", "equal", "decorrelated"};

double sane_duration(double ms, double fallback) { return std::isfinite(ms) && ms > 0.0 ? std::min(ms, kMaxWaitMs) : fallback; }

double max_of(const BackoffPolicy& policy) { return sane_duration(policy.max_ms, BackoffPolicy{}.max_ms); }

double base_of(const BackoffPolicy& policy) { return std::min(sane_duration(policy.base_ms, BackoffPolicy{}.base_ms), max_of(policy)); }

double linear_ms(double base, double max, int failures) { return std::min(max, base * static_cast<double>(failures)); }

double exponential_ms(double base, double max, int failures) {
    double wait = base;
    for (int i = 1; i < failures && wait < max; ++i) wait += wait;  // ends at max, however many failures
    return std::min(wait, max);
}

}  // namespace

std::string_view name(Jitter jitter) { return kJitters[static_cast<std::size_t>(jitter)]; }

std::optional<Jitter> parse_jitter(std::string_view text) {
    for (std::size_t i = 0; i < 4; ++i)
        if (text == kJitters[i]) return static_cast<Jitter>(i);
    return std::nullopt;
}

double ceiling_ms(const BackoffPolicy& policy, int failures) {
    const double base = base_of(policy), max = max_of(policy);
    const int n = std::max(failures, 1);
    if (policy.strategy == RetryStrategy::linear) return linear_ms(base, max, n);
    const double exponential = exponential_ms(base, max, n);
    if (policy.strategy == RetryStrategy::exponential) return exponential;
    const double pressure = std::isfinite(policy.pressure) ? std::clamp(policy.pressure, 0.0, 1.0) : 1.0;
    const double linear = linear_ms(base, max, n);  // never above the exponential: n <= 2^(n-1)
    return linear + pressure * (exponential - linear);
}

double wait_ms(const BackoffPolicy& policy, int failures, double previous_wait_ms, Random& random) {
    const double ceiling = ceiling_ms(policy, failures);
    switch (policy.jitter) {
        case Jitter::none: return ceiling;
        case Jitter::full: return random.between(0.0, ceiling);
        case Jitter::equal: return random.between(ceiling / 2.0, ceiling);
        case Jitter::decorrelated: break;
    }
    const double base = base_of(policy), max = max_of(policy);
    const double previous = std::isfinite(previous_wait_ms) ? std::clamp(previous_wait_ms, base, max) : base;
    return std::min(max, random.between(base, 3.0 * previous));
}

}  // namespace tidegate
