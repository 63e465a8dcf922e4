// Sorting by a total order, so that every way to sort gives the same result.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
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

// The numbers of all keys, the smallest key first and equal ones by number, in linear time: a radix sort by the least significant digit first (Knuth, volume 3, section
// 5.2.5), over the bits in which the keys differ. Keys that differ in more than 32 places of their bits, as fractions do, are sorted by comparing. REQUIRES: no key is "not a number".
inline std::vector<std::uint32_t> order_of(std::span<const double> keys) {
    constexpr int kDigitBits = 11, kMostDigits = 3;
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
    double least = count == 0 ? 0 : keys[0], most = least;
    std::uint64_t used = 0;
    for (const double key : keys) {
        least = key < least ? key : least;
        most = key > most ? key : most;
        used |= raw(key);
    }
    const int low = used == 0 ? 0 : std::countr_zero(used);
    const std::uint64_t base = rising(least) >> low, range = (rising(most) >> low) - base;
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
