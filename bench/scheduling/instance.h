// Instances of what a scheduler is asked in a short window, and what the best answers are worth. Nothing here comes from the core.
//
// Ops wait; a window of connectivity opens that is too short for all of them. How many bytes it will carry is known only roughly: all of kWindows sizes, from
// kShortest to kLongest of what is expected, are equally likely. An op counts with its worth when all of it was carried before the window closed, and may
// go only after the ops it needs.
//
// Worth: 25, 50 or 75 points for low, normal and high, kWeightPoints for each step of the app's own weight, one point for every three minutes
// of waiting; a critical op (100 points) counts kCriticalWorth times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

inline constexpr double kWindowBytes = 1e6;                      // expected
inline constexpr double kShortest = 0.85, kLongest = 1.15;
inline constexpr int kWindows = 31;
inline constexpr double kLargestOp = kShortest * kWindowBytes / 5;  // no op is above a fifth of the window, however short that turns out
inline constexpr double kOverheadBytes = 160;                    // of an op on the wire, besides its body
inline constexpr double kWeightPoints = 20, kCriticalWorth = 10;
inline constexpr int kMaxWeight = 5;

struct Work {
    int band = 1;    // 0 low … 3 critical
    int weight = 0;  // 0 … kMaxWeight
    double waited_ms = 0;
    std::uint32_t body_bytes = 0;
    std::vector<std::size_t> needs;   // earlier ops

    double bytes() const { return body_bytes + kOverheadBytes; }
    double worth() const;
};
// In the order they were accepted.
using Instance = std::vector<Work>;

// Ops that need nothing of each other, bodies up to kLargestOp. What was recorded first and waited longest is of little weight, what is urgent came late.
class Chance;
Instance make_ops(Chance& chance, std::size_t count);

// 12 to 18 of them; every other seed has dependencies.
Instance make_instance(std::uint64_t seed);

// What is worth how much, on average over the windows.
struct Best {
    double order = 0;        // the best order for one who knows what a scheduler knows
    double clairvoyant = 0;  // the best choice for one who knows the window
};
Best solve(const Instance& instance);

// `carried[i]`: bytes that have gone over the link when op i was there; infinity: never.
double worth_of(const Instance& instance, const std::vector<double>& carried);

// First come first served; and by band, in a band first come first served. An op that needs another comes after it.
std::vector<double> carried_in_order(const Instance& instance, bool by_band);

}  // namespace bench
