// What writer and reader of VCDIFF share: code table, address cache, integers, checksum. Internal to binary_delta*.cpp; RFC 3284.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace tidegate::vcdiff {

enum Kind : std::uint8_t { kNoop, kAdd, kRun, kCopy };

struct Instruction {
    Kind kind = kNoop;
    std::uint8_t size = 0;  // 0: the size follows
    std::uint8_t mode = 0;  // of a copy's address
};

struct Entry {
    Instruction first, second;
};

inline constexpr int kNear = 4, kSame = 3, kModes = 2 + kNear + kSame;
inline constexpr std::uint8_t kHasSource = 1, kHasTarget = 2, kHasChecksum = 4;
inline constexpr std::uint8_t kSecondary = 1, kCodeTable = 2, kAppHeader = 4;

// Section 5.6: the default code table.
constexpr std::array<Entry, 256> make_code_table() {
    std::array<Entry, 256> table{};
    std::size_t at = 0;
    table[at++].first = {kRun, 0, 0};
    for (std::uint8_t size = 0; size <= 17; ++size) table[at++].first = {kAdd, size, 0};
    for (std::uint8_t mode = 0; mode < kModes; ++mode) {
        table[at++].first = {kCopy, 0, mode};
        for (std::uint8_t size = 4; size <= 18; ++size) table[at++].first = {kCopy, size, mode};
    }
    for (std::uint8_t mode = 0; mode < kModes; ++mode)
        for (std::uint8_t add = 1; add <= 4; ++add)
            for (std::uint8_t copy = 4; copy <= (mode < 6 ? 6 : 4); ++copy) {
                table[at].first = {kAdd, add, 0};
                table[at++].second = {kCopy, copy, mode};
            }
    for (std::uint8_t mode = 0; mode < kModes; ++mode) {
        table[at].first = {kCopy, 4, mode};
        table[at++].second = {kAdd, 1, 0};
    }
    return table;
}

// Section 5.1: the addresses of earlier copies.
class AddressCache {
public:
    void update(std::uint32_t address) {
        near_[static_cast<std::size_t>(next_)] = address;
        next_ = (next_ + 1) % kNear;
        same_[address % (kSame * 256)] = address;
    }
    std::uint32_t near(int slot) const { return near_[static_cast<std::size_t>(slot)]; }
    std::uint32_t same(std::uint32_t slot) const { return same_[slot]; }

private:
    std::array<std::uint32_t, kNear> near_{};
    std::array<std::uint32_t, kSame * 256> same_{};
    int next_ = 0;
};

// Adler-32 (RFC 1950), going on from `sum`. Taken while the bytes are still in the cache it is nearly free.
std::uint32_t adler32(std::string_view bytes, std::uint32_t sum = 1);

}  // namespace tidegate::vcdiff
