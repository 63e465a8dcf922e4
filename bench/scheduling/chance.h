// The benches' own chance: PCG32 (O'Neill 2014), another generator than the core's.
#pragma once

#include <cmath>
#include <cstdint>

namespace bench {

class Chance {
public:
    explicit Chance(std::uint64_t seed) : state_(seed * 6364136223846793005ull + kIncrement) { next(); }

    std::uint32_t next() {
        const std::uint64_t old = state_;
        state_ = old * 6364136223846793005ull + kIncrement;
        const std::uint32_t shifted = static_cast<std::uint32_t>(((old >> 18) ^ old) >> 27), turn = static_cast<std::uint32_t>(old >> 59);
        return (shifted >> turn) | (shifted << ((32 - turn) & 31));
    }
    double unit() { return next() * (1.0 / 4294967296.0); }
    double between(double low, double high) { return low + (high - low) * unit(); }
    // A whole number in [low, high].
    int whole(int low, int high) { return low + static_cast<int>(unit() * (high - low + 1)); }
    bool happens(double probability) { return unit() < probability; }
    double exponential(double mean) { return -mean * std::log(1.0 - unit()); }

private:
    static constexpr std::uint64_t kIncrement = 1442695040888963407ull;
    std::uint64_t state_;
};

}  // namespace bench
