#include "tidegate/retry_after.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tidegate {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

// Digits only, at least one; saturates far above every limit instead of overflowing.
std::optional<double> digits(std::string_view text) {
    if (text.empty()) return std::nullopt;
    double value = 0;
    for (const char c : text) {
        if (!is_digit(c)) return std::nullopt;
        value = std::min(value * 10.0 + (c - '0'), 1e15);
    }
    return value;
}

// --- HTTP-date (RFC 9110, 5.6.7) -------------------------------------------------------------------------------------------

// Reads a text from the front; a step that does not fit makes the cursor bad, and it stays bad.
struct Cursor {
    std::string_view rest;
    bool good = true;

    void text(std::string_view expected) {
        if (!good || rest.substr(0, expected.size()) != expected) good = false;
        else rest.remove_prefix(expected.size());
    }
    int number(std::size_t width) {
        const std::optional<double> value = good && rest.size() >= width ? digits(rest.substr(0, width)) : std::nullopt;
        if (!value) {
            good = false;
            return 0;
        }
        rest.remove_prefix(width);
        return static_cast<int>(*value);
    }
    // asctime's day: two digits, or a space and one.
    int padded_day() {
        if (good && rest.size() >= 2 && rest[0] == ' ') {
            rest.remove_prefix(1);
            return number(1);
        }
        return number(2);
    }
    template <std::size_t N>
    int one_of(const std::string_view (&words)[N]) {
        for (std::size_t i = 0; good && i < N; ++i)
            if (rest.substr(0, words[i].size()) == words[i]) {
                rest.remove_prefix(words[i].size());
                return static_cast<int>(i);
            }
        good = false;
        return 0;
    }
};

constexpr std::string_view kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr std::string_view kLongDays[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};
constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct Date {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;  // month 0–11
};

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

bool is_possible(const Date& d) {
    constexpr int kLengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int length = kLengths[d.month] + (d.month == 1 && is_leap(d.year) ? 1 : 0);
    return d.day >= 1 && d.day <= length && d.hour <= 23 && d.minute <= 59 && d.second <= 60;  // 60: a leap second is legal
}

// Days since the epoch of a proleptic Gregorian date (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
double days_from_civil(int year, int month, int day) {
    const int y = month < 2 ? year - 1 : year;
    const int era = (y >= 0 ? y : y - 399) / 400;
    const int of_era = y - era * 400;
    const int of_year = (153 * (month < 2 ? month + 10 : month - 2) + 2) / 5 + day - 1;
    return era * 146097.0 + of_era * 365.0 + of_era / 4 - of_era / 100 + of_year - 719468.0;
}

double instant_of(const Date& d) {
    return days_from_civil(d.year, d.month, d.day) * kDayMs + d.hour * kHourMs + d.minute * kMinuteMs + d.second * kSecondMs;
}

void read_time(Cursor& in, Date& d) {
    d.hour = in.number(2);
    in.text(":");
    d.minute = in.number(2);
    in.text(":");
    d.second = in.number(2);
}

std::optional<double> finish(const Cursor& in, const Date& d) {
    if (!in.good || !in.rest.empty() || !is_possible(d)) return std::nullopt;
    return instant_of(d);
}

// Sun, 06 Nov 1994 08:49:37 GMT
std::optional<double> imf_fixdate(std::string_view value) {
    Cursor in{value};
    Date d;
    in.one_of(kDays);
    in.text(", ");
    d.day = in.number(2);
    in.text(" ");
    d.month = in.one_of(kMonths);
    in.text(" ");
    d.year = in.number(4);
    in.text(" ");
    read_time(in, d);
    in.text(" GMT");
    return finish(in, d);
}

// Sunday, 06-Nov-94 08:49:37 GMT
std::optional<double> rfc850_date(std::string_view value, double now_ms) {
    Cursor in{value};
    Date d;
    in.one_of(kLongDays);
    in.text(", ");
    d.day = in.number(2);
    in.text("-");
    d.month = in.one_of(kMonths);
    in.text("-");
    const int short_year = in.number(2);
    in.text(" ");
    read_time(in, d);
    in.text(" GMT");
    if (!in.good || !is_instant(now_ms)) return std::nullopt;
    // A date that appears to be more than 50 years in the future is the most recent past year with the same last two digits.
    constexpr double kYearMs = 365.2425 * kDayMs;
    const double years = std::min(std::floor(now_ms / kYearMs), 200000.0);
    d.year = (1970 + static_cast<int>(years)) / 100 * 100 + 100 + short_year;
    while (d.year > 1900 && instant_of(d) > now_ms + 50.0 * kYearMs) d.year -= 100;
    return finish(in, d);
}

// Sun Nov  6 08:49:37 1994
std::optional<double> asctime_date(std::string_view value) {
    Cursor in{value};
    Date d;
    in.one_of(kDays);
    in.text(" ");
    d.month = in.one_of(kMonths);
    in.text(" ");
    d.day = in.padded_day();
    in.text(" ");
    read_time(in, d);
    in.text(" ");
    d.year = in.number(4);
    return finish(in, d);
}

double clamped(double ms) { return std::clamp(ms, 0.0, kMaxRetryAfterMs); }

// --- RateLimit --------------------------------------------------------------------------------------------------------------

constexpr std::size_t kMaxPolicies = 16;    // members of a list that are looked at
constexpr double kEpochSeconds = 1e9;       // a reset above this is an instant, not a duration

// One member of a structured list: its name, and the integer parameters we know.
struct Member {
    std::string_view name;
    std::optional<double> r, t, q;
};

// Skips to one past the end of the part that runs up to `stop` or a comma, quoted strings skipped over.
std::size_t end_of_part(std::string_view text, std::size_t i, char stop) {
    bool quoted = false;
    for (; i < text.size(); ++i) {
        if (quoted && text[i] == '\\') ++i;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && (text[i] == stop || text[i] == ',')) break;
    }
    return std::min(i, text.size());
}

// One key=value. The long keys are those of drafts up to 07, which are members of the list by themselves; the short ones are parameters.
void read_pair(Member& member, std::string_view part, bool long_keys) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view key = trimmed(part.substr(0, equals));
    const std::optional<double> value = digits(trimmed(part.substr(equals + 1)));
    if (key == (long_keys ? "remaining" : "r")) member.r = value;
    else if (key == (long_keys ? "reset" : "t")) member.t = value;
    else if (key == (long_keys ? "limit" : "q")) member.q = value;
}

// Calls take(member) for each member of the list.
template <class Take>
void each_member(std::string_view list, Take take) {
    std::size_t i = 0;
    for (std::size_t count = 0; i < list.size() && count < kMaxPolicies; ++count) {
        Member member;
        for (bool first = true;; first = false) {
            const std::size_t end = end_of_part(list, i, ';');
            const std::string_view part = trimmed(list.substr(i, end - i));
            if (first) member.name = part;
            else read_pair(member, part, false);
            i = end + 1;
            if (end >= list.size() || list[end] == ',') break;
        }
        take(member);
    }
}

std::optional<double> reset_of(const std::optional<double>& seconds) {
    if (!seconds) return std::nullopt;
    return clamped(*seconds * kSecondMs);
}

// RateLimit: limit=100, remaining=50, reset=5
std::optional<RateLimit> draft07(std::string_view value) {
    Member all;
    each_member(value, [&](const Member& member) { read_pair(all, member.name, true); });
    if (!all.r) return std::nullopt;
    return RateLimit{*all.r, all.q, reset_of(all.t)};
}

std::optional<RateLimit> structured(const RateLimitHeaders& headers) {
    std::optional<RateLimit> tightest;
    each_member(headers.rate_limit, [&](const Member& member) {
        if (!member.r || (tightest && tightest->remaining <= *member.r)) return;
        RateLimit limit{*member.r, std::nullopt, reset_of(member.t)};
        each_member(headers.rate_limit_policy, [&](const Member& policy) {
            if (policy.name == member.name && policy.q) limit.quota = policy.q;
        });
        tightest = limit;
    });
    return tightest;
}

// The older three: each its own header; a policy may follow the number after a comma or semicolon.
std::optional<double> leading_number(std::string_view value) { return digits(trimmed(value.substr(0, value.find_first_of(",;")))); }

std::optional<RateLimit> older_three(const RateLimitHeaders& headers, double now_ms) {
    const std::optional<double> remaining = leading_number(headers.remaining);
    if (!remaining) return std::nullopt;
    std::optional<double> reset = leading_number(headers.reset);
    if (reset && *reset > kEpochSeconds) *reset -= is_instant(now_ms) ? now_ms / kSecondMs : *reset;
    return RateLimit{*remaining, leading_number(headers.limit), reset_of(reset)};
}

}  // namespace

std::optional<double> parse_http_date(std::string_view value, double now_ms) {
    const std::string_view text = trimmed(value);
    if (const auto instant = imf_fixdate(text)) return instant;
    if (const auto instant = asctime_date(text)) return instant;
    return rfc850_date(text, now_ms);
}

std::optional<double> parse_retry_after(std::string_view value, double now_ms) {
    const std::string_view text = trimmed(value);
    if (const auto seconds = digits(text)) return clamped(*seconds * kSecondMs);
    if (!is_instant(now_ms)) return std::nullopt;
    const std::optional<double> instant = parse_http_date(text, now_ms);
    if (!instant) return std::nullopt;
    return clamped(*instant - now_ms);
}

std::optional<RateLimit> parse_rate_limit(const RateLimitHeaders& headers, double now_ms) {
    if (const auto limit = structured(headers)) return limit;
    if (const auto limit = draft07(headers.rate_limit)) return limit;
    return older_three(headers, now_ms);
}

double pacing_ms(const RateLimit& limit) {
    if (!limit.reset_ms || !(limit.remaining >= 0.0)) return 0.0;
    if (limit.quota && limit.remaining >= *limit.quota / 2.0) return 0.0;
    return clamped(*limit.reset_ms / (std::floor(limit.remaining) + 1.0));
}

}  // namespace tidegate
