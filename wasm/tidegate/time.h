// Time as plain numbers: milliseconds since the epoch as a double, as JavaScript's Date.now() gives them. The core never reads a clock.
//
// Wall clocks jump: a phone wakes with 1970, a user sets the date, NTP steps back. The rules here keep two promises:
// no wait is ever negative, and no wait is endless because the clock went backwards under a stored instant.
#pragma once

namespace tidegate {

inline constexpr double kSecondMs = 1000.0;
inline constexpr double kMinuteMs = 60.0 * kSecondMs;
inline constexpr double kHourMs = 60.0 * kMinuteMs;
inline constexpr double kDayMs = 24.0 * kHourMs;

// The last instant an ECMAScript date can name.
inline constexpr double kMaxInstantMs = 8.64e15;
// No stored wait is longer than this. The longest server-asked wait (retry_after.h) is the same.
inline constexpr double kMaxWaitMs = kDayMs;
// A backwards step up to this size is clock discipline (NTP), not a jump.
inline constexpr double kClockSlackMs = kMinuteMs;

// True when `instant_ms` is a number between the epoch and kMaxInstantMs.
bool is_instant(double instant_ms);

// The clock to work with: now_ms when it is an instant, otherwise last_ms (a reading that makes no sense changes nothing).
// A jump, forwards or backwards, is taken as it is: the functions below make it harmless. REQUIRES: last_ms is an instant.
double clamp_clock(double last_ms, double now_ms);

// Time gone by since an instant, at most longest_ms, never negative; 0 when the clock went backwards or a value is no instant.
// For decays and refills: a forward jump refills once, not without limit.
double elapsed_ms(double since_ms, double now_ms, double longest_ms);

// How long still to wait for until_ms: 0 when it has come, never more than longest_ms, the longest wait of that kind that is ever stored.
// If more than longest_ms + kClockSlackMs seems to be left, the clock went backwards after the wait was stored (or the record is damaged),
// and the wait counts as over; otherwise it would last until the clock has caught up, perhaps years. No instant: 0.
double remaining_ms(double until_ms, double now_ms, double longest_ms = kMaxWaitMs);

// The instant at which remaining_ms is over, for wakeAtMs: now_ms + remaining_ms(…).
double due_ms(double until_ms, double now_ms, double longest_ms = kMaxWaitMs);

// An instant of the past, such as when an op was accepted: never later than now, never before the epoch; no number: now.
// (An op accepted while the clock stood in the far future would otherwise age only when the clock gets there again.)
double clamp_past(double instant_ms, double now_ms);

// Local calendar. utc_offset_minutes is what to add to UTC (Central European winter: 60; JavaScript's getTimezoneOffset() negated).
double local_minute_of_day(double now_ms, double utc_offset_minutes);         // [0, 1440)
double local_day(double now_ms, double utc_offset_minutes);                   // whole days since the epoch
double next_local_midnight_ms(double now_ms, double utc_offset_minutes);      // > now_ms

}  // namespace tidegate
