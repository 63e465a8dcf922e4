// What servers say about when to come back: Retry-After (RFC 9110, 10.2.3), RateLimit and RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651), and the older three in both spellings.
// A header that does not parse is ignored, never guessed at.
#pragma once

#include <optional>
#include <string_view>

#include "tidegate/time.h"

namespace tidegate {

// The longest wait a server can ask for; longer ones are clamped to it.
inline constexpr double kMaxRetryAfterMs = kDayMs;

// How long to wait from now, 0 … kMaxRetryAfterMs. Takes delta-seconds (digits only) and the three forms of HTTP-date (RFC 9110, 5.6.7): IMF-fixdate,
// RFC 850 with the 50-year rule, asctime. A date in the past is 0. Negatives, fractions, words, impossible dates: nullopt.
// 0 leaves the client's own backoff as the lower bound.
std::optional<double> parse_retry_after(std::string_view value, double now_ms);

// An HTTP-date as an instant; the century of an RFC 850 year is the one that is at most 50 years after now.
std::optional<double> parse_http_date(std::string_view value, double now_ms);

// The values of an answer's headers, "" where absent.
struct RateLimitHeaders {
    std::string_view rate_limit;            // RateLimit: "default";r=50;t=30   (or limit=…, remaining=…, reset=… of drafts up to 07)
    std::string_view rate_limit_policy;     // RateLimit-Policy: "default";q=100;w=60
    std::string_view limit;                 // RateLimit-Limit or X-RateLimit-Limit
    std::string_view remaining;
    std::string_view reset;                 // seconds; a value above 10^9 is read as seconds since the epoch (GitHub and others)
};

struct RateLimit {
    double remaining = 0;               // requests left in this window
    std::optional<double> quota;        // requests per window
    std::optional<double> reset_ms;     // until the window ends, from now
};

// The most restrictive of the policies named (the one with the least remaining). The newest form present wins.
std::optional<RateLimit> parse_rate_limit(const RateLimitHeaders& headers, double now_ms);

// How long to leave between requests: reset / (remaining + 1) once less than half of the quota is left (or the quota is unknown), else 0.
// With nothing remaining that is the whole rest of the window. Within [0, kMaxRetryAfterMs].
double pacing_ms(const RateLimit& limit);

}  // namespace tidegate
