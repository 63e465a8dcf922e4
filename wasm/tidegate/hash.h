// xxHash64 (Collet, specification 0.1.1): the content hash. Not for secrets: it can be made to collide by someone who wants to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tidegate {

std::uint64_t xxh64(std::string_view bytes, std::uint64_t seed = 0);

// Sixteen lower-case hex digits.
std::string hex64(std::uint64_t value);

// Spreads every bit over all others (the finisher of splitmix64).
inline std::uint64_t mix64(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

}  // namespace tidegate
