#include "tidegate/hash.h"

#include <cstring>

namespace tidegate {

namespace {

constexpr std::uint64_t kPrime1 = 0x9e3779b185ebca87ull, kPrime2 = 0xc2b2ae3d27d4eb4full, kPrime3 = 0x165667b19e3779f9ull,
                        kPrime4 = 0x85ebca77c2b2ae63ull, kPrime5 = 0x27d4eb2f165667c5ull;

// Both targets are little-endian; the constants of the specification are read as they lie.
std::uint64_t read64(const char* p) {
    std::uint64_t v;
    std::memcpy(&v, p, 8);
    return v;
}

std::uint32_t read32(const char* p) {
    std::uint32_t v;
    std::memcpy(&v, p, 4);
    return v;
}

std::uint64_t rotate(std::uint64_t x, int by) { return x << by | x >> (64 - by); }

std::uint64_t round(std::uint64_t lane, std::uint64_t input) { return rotate(lane + input * kPrime2, 31) * kPrime1; }

std::uint64_t merge(std::uint64_t hash, std::uint64_t lane) { return (hash ^ round(0, lane)) * kPrime1 + kPrime4; }

}  // namespace

std::uint64_t xxh64(std::string_view bytes, std::uint64_t seed) {
    const char* p = bytes.data();
    const char* end = p + bytes.size();
    std::uint64_t hash;
    if (bytes.size() >= 32) {
        std::uint64_t a = seed + kPrime1 + kPrime2, b = seed + kPrime2, c = seed, d = seed - kPrime1;
        for (; end - p >= 32; p += 32) {
            a = round(a, read64(p));
            b = round(b, read64(p + 8));
            c = round(c, read64(p + 16));
            d = round(d, read64(p + 24));
        }
        hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
        hash = merge(merge(merge(merge(hash, a), b), c), d);
    } else {
        hash = seed + kPrime5;
    }
    hash += bytes.size();
    for (; end - p >= 8; p += 8) hash = rotate(hash ^ round(0, read64(p)), 27) * kPrime1 + kPrime4;
    if (end - p >= 4) {
        hash = rotate(hash ^ read32(p) * kPrime1, 23) * kPrime2 + kPrime3;
        p += 4;
    }
    for (; p != end; ++p) hash = rotate(hash ^ static_cast<unsigned char>(*p) * kPrime5, 11) * kPrime1;
    hash = (hash ^ hash >> 33) * kPrime2;
    hash = (hash ^ hash >> 29) * kPrime3;
    return hash ^ hash >> 32;
}

std::string hex64(std::uint64_t value) {
    static const char digits[] = "0123456789abcdef";
    std::string out(16, '0');
    for (int i = 15; i >= 0; --i, value >>= 4) out[static_cast<std::size_t>(i)] = digits[value & 15];
    return out;
}

}  // namespace tidegate
