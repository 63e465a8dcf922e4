#include "tidegate/time.h"

#include <algorithm>
#include <cmath>

namespace tidegate {

namespace {

// No offset of any time zone is outside a day; anything else is taken as UTC.
double local_ms(double now_ms, double utc_offset_minutes) {
    const bool sane = std::isfinite(utc_offset_minutes) && std::fabs(utc_offset_minutes) <= 24.0 * 60.0;
    return (is_instant(now_ms) ? now_ms : 0.0) + (sane ? utc_offset_minutes * kMinuteMs : 0.0);
}

}  // namespace

bool is_instant(double instant_ms) { return instant_ms >= 0.0 && instant_ms <= kMaxInstantMs; }

double clamp_clock(double last_ms, double now_ms) { return is_instant(now_ms) ? now_ms : last_ms; }

double elapsed_ms(double since_ms, double now_ms, double longest_ms) {
    if (!is_instant(since_ms) || !is_instant(now_ms) || !(longest_ms > 0.0)) return 0.0;
    return std::clamp(now_ms - since_ms, 0.0, longest_ms);
}

double remaining_ms(double until_ms, double now_ms, double longest_ms) {
    if (!is_instant(until_ms) || !is_instant(now_ms) || !(longest_ms > 0.0)) return 0.0;
    const double left = until_ms - now_ms;
    if (left <= 0.0 || left > longest_ms + kClockSlackMs) return 0.0;
    return std::min(left, longest_ms);
}

double due_ms(double until_ms, double now_ms, double longest_ms) { return now_ms + remaining_ms(until_ms, now_ms, longest_ms); }

double clamp_past(double instant_ms, double now_ms) {
    if (std::isnan(instant_ms) || instant_ms > now_ms) return now_ms;
    return std::max(instant_ms, 0.0);
}

double local_day(double now_ms, double utc_offset_minutes) { return std::floor(local_ms(now_ms, utc_offset_minutes) / kDayMs); }

double local_minute_of_day(double now_ms, double utc_offset_minutes) {
    const double local = local_ms(now_ms, utc_offset_minutes);
    return (local - std::floor(local / kDayMs) * kDayMs) / kMinuteMs;
}

double next_local_midnight_ms(double now_ms, double utc_offset_minutes) {
    const double local = local_ms(now_ms, utc_offset_minutes);
    return now_ms + ((std::floor(local / kDayMs) + 1.0) * kDayMs - local);
}

}  // namespace tidegate
