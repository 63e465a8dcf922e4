// The core's only source of chance: xoshiro-family generator seeded by the input, the same bits native, in Wasm and in Node.
// Rule: splitmix64 (Steele, Lea, Flood 2014). No <random>: its distributions differ between standard libraries.
#pragma once

#include <cstdint>

namespace tidegate {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    // The next 64 bits.
    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15ull;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

    // Uniform in [0, 1): 53 bits, exact in a double.
    double unit() { return static_cast<double>(next() >> 11) * (1.0 / 9007199254740992.0); }

    // Uniform in [low, high). REQUIRES: low <= high.
    double between(double low, double high) { return low + (high - low) * unit(); }

private:
    std::uint64_t state_;
};

}  // namespace tidegate
