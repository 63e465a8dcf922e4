// From a decimal to the nearest double, and from a double to a short decimal that is nearest to it. Without strtod: the C library's brings 128-bit floats and,
// with them, a twentieth of the module. Without Grisu: its table of powers is what least can be compressed.
// Short decimals take Clinger's fast path (1990); the rest shifts the digits by powers of two until the 53 bits stand before the point, exactly,
// as in the slow path of Go's strconv. tests/core/json_test.cpp compares it with strtod.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tidegate/json_value.h"

namespace tidegate {
namespace {

// Digits beyond these cannot change the result but by not being zero: 767 suffice for every halfway case of binary64.
constexpr std::size_t kMaxDigits = 800;
// A shift that leaves room for a digit and a carry in 64 bits.
constexpr int kMaxShift = 56;
// Decimal points beyond these lie outside of binary64 whatever the digits are.
constexpr std::int64_t kTooLarge = 310, kTooSmall = -330;

// 0.d1d2d3… times 10^point; never a zero in front.
struct Digits {
    std::string d;
    std::int64_t point;

    void times_power_of_two(int shift) {
        std::uint64_t carry = 0;
        for (std::size_t i = d.size(); i-- > 0;) {
            carry += static_cast<std::uint64_t>(d[i]) << shift;
            d[i] = static_cast<char>(carry % 10);
            carry /= 10;
        }
        std::string front;
        for (; carry > 0; carry /= 10) front.insert(front.begin(), static_cast<char>(carry % 10));
        point += static_cast<std::int64_t>(front.size());
        d.insert(0, front);
    }

    void over_power_of_two(int shift) {
        std::string quotient;
        std::uint64_t rest = 0;
        for (std::size_t i = 0; i < d.size() || rest > 0; ++i) {
            rest = rest * 10 + (i < d.size() ? static_cast<std::uint64_t>(d[i]) : 0);
            quotient.push_back(static_cast<char>(rest >> shift));
            rest &= (std::uint64_t{1} << shift) - 1;
        }
        const std::size_t zeros = std::min(quotient.find_first_not_of('\0'), quotient.size());
        d = quotient.substr(zeros);
        point -= static_cast<std::int64_t>(zeros);
    }

    // The nearest integer, ties to even.
    std::uint64_t rounded() const {
        std::uint64_t whole = 0;
        const std::size_t n = point > 0 ? static_cast<std::size_t>(point) : 0;
        for (std::size_t i = 0; i < n; ++i) whole = whole * 10 + (i < d.size() ? static_cast<std::uint64_t>(d[i]) : 0);
        if (point < 0 || n >= d.size() || d[n] < 5) return whole;
        const bool tie = d[n] == 5 && d.find_first_not_of('\0', n + 1) == std::string::npos;
        return tie && whole % 2 == 0 ? whole : whole + 1;
    }
};

// The value of a positive double, all its digits.
Digits digits_of(double value) {
    int exponent = 0;
    const auto mantissa = static_cast<std::uint64_t>(std::ldexp(std::frexp(value, &exponent), std::numeric_limits<double>::digits));
    exponent -= std::numeric_limits<double>::digits;
    Digits v{std::to_string(mantissa), 0};
    v.point = static_cast<std::int64_t>(v.d.size());
    for (char& c : v.d) c = static_cast<char>(c - '0');
    for (; exponent > 0; exponent -= std::min(exponent, kMaxShift)) v.times_power_of_two(std::min(exponent, kMaxShift));
    for (; exponent < 0; exponent += std::min(-exponent, kMaxShift)) v.over_power_of_two(std::min(-exponent, kMaxShift));
    return v;
}

// The nearest decimal of at most `places` digits, as characters.
Decimal to_places(const Digits& v, std::size_t places) {
    Decimal out;
    out.point = v.point;
    out.digits = v.d.substr(0, places);
    for (char& c : out.digits) c = static_cast<char>(c + '0');
    if (v.d.size() > places && v.d[places] >= 5) {
        while (!out.digits.empty() && out.digits.back() == '9') out.digits.pop_back();
        if (out.digits.empty()) {
            out.digits = "1";
            ++out.point;
        } else {
            ++out.digits.back();
        }
    }
    while (out.digits.back() == '0') out.digits.pop_back();
    return out;
}

double by_shifting(const Decimal& decimal) {
    Digits v{decimal.digits.substr(0, kMaxDigits), decimal.point};
    for (char& c : v.d) c = static_cast<char>(c - '0');
    if (decimal.digits.size() > kMaxDigits) v.d.push_back(1);
    int exponent = 0;  // the value is 0.d1d2… × 2^exponent once the point is at 0 and the first digit at least 5
    while (v.point > 0) {
        const int shift = static_cast<int>(std::min<std::int64_t>(v.point > 1 ? v.point * 3 : 1, kMaxShift));
        v.over_power_of_two(shift);
        exponent += shift;
    }
    while (v.point < 0 || v.d[0] < 5) {
        const int shift = static_cast<int>(std::min<std::int64_t>(v.point < 0 ? -v.point * 3 : 1, kMaxShift));
        v.times_power_of_two(shift);
        exponent -= shift;
    }
    constexpr int kLowest = std::numeric_limits<double>::min_exponent;  // below it doubles have fewer bits
    while (exponent < kLowest) {
        const int shift = std::min(kLowest - exponent, kMaxShift);
        v.over_power_of_two(shift);
        exponent += shift;
    }
    constexpr int kBits = std::numeric_limits<double>::digits;
    v.times_power_of_two(kBits);
    return std::ldexp(static_cast<double>(v.rounded()), exponent - kBits);
}

}  // namespace

double nearest_double(const Decimal& decimal) {
    const double sign = decimal.negative ? -1.0 : 1.0;
    if (decimal.digits.empty() || decimal.point < kTooSmall) return 0.0;
    if (decimal.point > kTooLarge) return sign * std::numeric_limits<double>::infinity();

    // Both factors are exact in a double, so their product or quotient is rounded once.
    const std::int64_t power = decimal.point - static_cast<std::int64_t>(decimal.digits.size());
    if (decimal.digits.size() <= 15 && power >= -22 && power <= 22) {
        double mantissa = 0, scale = 1;
        for (const char c : decimal.digits) mantissa = mantissa * 10 + (c - '0');
        for (std::int64_t i = power < 0 ? -power : power; i > 0; --i) scale *= 10;
        return sign * (power < 0 ? mantissa / scale : mantissa * scale);
    }
    const double value = by_shifting(decimal);
    return value == 0 ? 0.0 : sign * value;  // one zero: what is too small for a double has no sign left
}

void append_double(std::string& out, double value) {
    if (std::signbit(value)) out += '-';
    value = std::fabs(value);
    if (value == 0) {
        out += "0.0";
        return;
    }
    const Digits exact = digits_of(value);
    Decimal shortest = to_places(exact, 15);
    for (std::size_t places = 16; nearest_double(shortest) != value; ++places) shortest = to_places(exact, places);
    std::string& d = shortest.digits;
    const std::int64_t point = shortest.point;
    if (point > 15 || point <= -4) {
        if (d.size() > 1) d.insert(1, 1, '.');
        const std::string exponent = std::to_string(point > 0 ? point - 1 : 1 - point);
        out += d;
        out += point > 0 ? "e+" : "e-";
        if (exponent.size() < 2) out += '0';
        out += exponent;
        return;
    }
    if (point <= 0) d.insert(0, static_cast<std::size_t>(1 - point), '0');
    const auto before = static_cast<std::size_t>(std::max<std::int64_t>(point, 1));
    if (d.size() <= before) d.append(before + 1 - d.size(), '0');
    d.insert(before, 1, '.');
    out += d;
}

}  // namespace tidegate
