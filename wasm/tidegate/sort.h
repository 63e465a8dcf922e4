// Sorting by a total order, so that every way to sort gives the same result.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tidegate {

// std::sort; where code is built for size, a heap sort: a fifth of its code per type that is sorted. REQUIRES: less is a total order.
template <class Iterator, class Less = std::less<>>
void sort_all(Iterator first, Iterator last, Less less = {}) {
#ifdef __OPTIMIZE_SIZE__
    std::make_heap(first, last, less);
    std::sort_heap(first, last, less);
#else
    std::sort(first, last, less);
#endif
}

// order_of into `order` for keys that are spread between `least` and `most` so that few come to the same of as many places: Neubert's flashsort (1998), which puts each in its place by
// interpolation and then sorts by insertion. False where there are too many keys, or insertion would have to move them far; `order` is then of no use.
inline bool order_spread(std::span<const double> keys, double least, double most, std::vector<std::uint32_t>& order) {
    constexpr std::size_t kMostKeys = 1 << 15;   // with more, places and keys are far from the processor, and the radix sort is no slower
    constexpr std::size_t kMovesPerKey = 4;
    constexpr double kWhole = 0x1p52;            // a double from here on has no fraction, and how much more it is are its low bits
    const std::size_t count = keys.size();
    if (count == 0 || count > kMostKeys) return false;
    const std::uint32_t last = std::bit_ceil(static_cast<std::uint32_t>(count)) - 1;
    const double scale = last / (most - least);
    if (!(scale > 0 && scale < std::numeric_limits<double>::infinity())) return false;
    std::unique_ptr<std::uint32_t[]> place_of(new std::uint32_t[count]);   // not set to zeros first
    for (std::size_t i = 0; i < count; ++i) {
        const double place = (keys[i] - least) * scale + kWhole;   // each operation rounds, and none changes the order
        std::uint64_t bits;
        std::memcpy(&bits, &place, sizeof bits);
        place_of[i] = static_cast<std::uint32_t>(bits) & last;
    }
    std::vector<std::uint32_t> next(last + 1);
    for (std::size_t i = 0; i < count; ++i) ++next[place_of[i]];
    std::uint32_t before = 0;
    for (std::uint32_t& place : next) before += std::exchange(place, before);
    for (std::uint32_t i = 0; i < count; ++i) order[next[place_of[i]]++] = i;
    std::size_t moves = kMovesPerKey * count;
    double greatest = least;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t number = order[i];
        if (!(keys[number] < greatest)) {
            greatest = keys[number];
            continue;
        }
        std::size_t at = i;
        for (; at > 0 && keys[number] < keys[order[at - 1]]; --at) {
            order[at] = order[at - 1];
            if (--moves == 0) return false;
        }
        order[at] = number;
    }
    return true;
}

// The numbers of all keys, the smallest key first and equal ones by number, in linear time: order_spread or else a radix sort by the least significant digit first (Knuth, volume 3,
// section 5.2.5), over the bits in which the keys differ. What is left, keys that differ in more than 32 places of their bits, as fractions do, is sorted by comparing.
// REQUIRES: no key is "not a number".
inline std::vector<std::uint32_t> order_of(std::span<const double> keys) {
    constexpr int kDigitBits = 11, kMostDigits = 3;
    constexpr std::size_t kSideBySide = 8;
    const std::size_t count = keys.size();
    std::vector<std::uint32_t> order(count);
    const auto raw = [](double key) {
        std::uint64_t bits;
        std::memcpy(&bits, &key, sizeof bits);
        return bits;
    };
    const auto rising = [&](double key) {   // bits that grow as the keys do; 0 and -0 are one key
        const std::uint64_t bits = raw(key + 0.0);
        return bits ^ (static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> 63) | std::uint64_t{1} << 63);
    };
    std::array<double, kSideBySide> least, most;   // as many chains that do not wait for each other
    std::array<std::uint64_t, kSideBySide> used{};
    least.fill(count == 0 ? 0 : keys[0]);
    most = least;
    const auto look = [&](std::size_t first, std::size_t sides) {
        for (std::size_t side = 0; side < sides; ++side) {
            const double key = keys[first + side];
            least[side] = key < least[side] ? key : least[side];
            most[side] = key > most[side] ? key : most[side];
            used[side] |= raw(key);
        }
    };
    std::size_t first = 0;
    for (; first + kSideBySide <= count; first += kSideBySide) look(first, kSideBySide);
    look(first, count - first);
    const double lowest = *std::min_element(least.begin(), least.end()), highest = *std::max_element(most.begin(), most.end());
    if (order_spread(keys, lowest, highest, order)) return order;
    std::uint64_t all_used = 0;
    for (const std::uint64_t one : used) all_used |= one;
    const int low = all_used == 0 ? 0 : std::countr_zero(all_used);
    const std::uint64_t base = rising(lowest) >> low, range = (rising(highest) >> low) - base;
    if (range >> 32) {
        for (std::uint32_t i = 0; i < count; ++i) order[i] = i;
        sort_all(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return keys[a] < keys[b] || (keys[a] == keys[b] && a < b); });
        return order;
    }
    struct Keyed {
        std::uint32_t key, number;
    };
    const int bits = std::max(1, static_cast<int>(std::bit_width(range))), digits = (bits + kDigitBits - 1) / kDigitBits, width = (bits + digits - 1) / digits;
    const std::uint32_t mask = (std::uint32_t{1} << width) - 1;
    std::array<std::array<std::uint32_t, std::size_t{1} << kDigitBits>, kMostDigits> places{};
    std::unique_ptr<Keyed[]> keyed(new Keyed[count]), moved(new Keyed[count]);   // not set to zeros first
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t key = static_cast<std::uint32_t>((rising(keys[i]) >> low) - base);
        keyed[i] = {key, i};
        ++places[0][key & mask];
        ++places[1][(key >> width) & mask];
        ++places[2][(key >> width) >> width];
    }
    for (int digit = 0; digit < digits; ++digit) {
        std::uint32_t* const place = places[static_cast<std::size_t>(digit)].data();
        std::uint32_t next = 0;
        for (std::uint32_t value = 0; value <= mask; ++value) next += std::exchange(place[value], next);
        const int shift = digit * width;
        const std::span<const Keyed> all_keyed(keyed.get(), count);
        if (digit + 1 == digits)
            for (const Keyed& one : all_keyed) order[place[(one.key >> shift) & mask]++] = one.number;
        else
            for (const Keyed& one : all_keyed) moved[place[(one.key >> shift) & mask]++] = one;
        std::swap(keyed, moved);
    }
    return order;
}

}  // namespace tidegate
