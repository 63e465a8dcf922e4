// Sixteen and sixty-four bytes at a time: the few operations the text scanners need, once in lanes of Wasm SIMD or SSE2, once in words
// of eight. All give the same bits for the same bytes. The Wasm files that have to be small, or run without SIMD, use the last one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__) && !defined(TIDEGATE_NO_SIMD)
#include <emmintrin.h>
#endif

// A loop over blocks wants its step inlined wherever it stands; where size counts (-Os, -Oz) once is enough.
#if defined(__OPTIMIZE_SIZE__)
#define TG_HOT
#else
#define TG_HOT __attribute__((always_inline))
#endif

namespace tidegate::simd {

inline constexpr std::size_t kBlock = 64;

#if defined(__wasm_simd128__)

using V16 = v128_t;
inline V16 load16(const char* p) { return wasm_v128_load(p); }
inline V16 splat(char c) { return wasm_i8x16_splat(c); }
inline V16 equal(V16 a, V16 b) { return wasm_i8x16_eq(a, b); }
inline V16 below(V16 a, std::uint8_t limit) { return wasm_u8x16_lt(a, wasm_i8x16_splat(static_cast<char>(limit))); }
inline V16 either(V16 a, V16 b) { return wasm_v128_or(a, b); }
inline V16 both(V16 a, V16 b) { return wasm_v128_and(a, b); }
inline std::uint32_t mask(V16 a) { return wasm_i8x16_bitmask(a); }
inline bool any(V16 a) { return wasm_v128_any_true(a); }

#elif defined(__SSE2__) && !defined(TIDEGATE_NO_SIMD)

using V16 = __m128i;
inline V16 load16(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline V16 splat(char c) { return _mm_set1_epi8(c); }
inline V16 equal(V16 a, V16 b) { return _mm_cmpeq_epi8(a, b); }
inline V16 below(V16 a, std::uint8_t limit) {
    return _mm_cmpeq_epi8(_mm_min_epu8(a, _mm_set1_epi8(static_cast<char>(limit - 1))), a);
}
inline V16 either(V16 a, V16 b) { return _mm_or_si128(a, b); }
inline V16 both(V16 a, V16 b) { return _mm_and_si128(a, b); }
inline std::uint32_t mask(V16 a) { return static_cast<std::uint32_t>(_mm_movemask_epi8(a)); }
inline bool any(V16 a) { return _mm_movemask_epi8(a) != 0; }

#else
#define TIDEGATE_WORDS
#endif

inline int lowest(std::uint64_t x) { return __builtin_ctzll(x); }
inline int highest(std::uint64_t x) { return 63 - __builtin_clzll(x); }
inline int count(std::uint64_t x) { return __builtin_popcountll(x); }

// Of { [ alone, and of } ] alone; exact.
struct Brackets {
    std::uint64_t open, close;
};

#ifndef TIDEGATE_WORDS

// Sixty-four bytes of text.
struct Block {
    V16 v[4];
};

inline Block load(const char* p) { return {{load16(p), load16(p + 16), load16(p + 32), load16(p + 48)}}; }

inline std::uint64_t bits(V16 a, V16 b, V16 c, V16 d) {
    return static_cast<std::uint64_t>(mask(a) | mask(b) << 16) | static_cast<std::uint64_t>(mask(c) | mask(d) << 16) << 32;
}

// Bit i is set where byte i equals c.
inline std::uint64_t where(const Block& x, char c) {
    const V16 s = splat(c);
    return bits(equal(x.v[0], s), equal(x.v[1], s), equal(x.v[2], s), equal(x.v[3], s));
}

inline bool contains(const Block& x, char c) {
    const V16 s = splat(c);
    return any(either(either(equal(x.v[0], s), equal(x.v[1], s)), either(equal(x.v[2], s), equal(x.v[3], s))));
}

// Bit i is set where byte i is one of { } [ ]. Also set for Y y _ DEL, none of which stands outside a string in valid JSON.
inline std::uint64_t brackets(const Block& x) {
    const V16 fold = splat(0x26), s = splat(0x7f);
    return bits(equal(either(x.v[0], fold), s), equal(either(x.v[1], fold), s), equal(either(x.v[2], fold), s),
                equal(either(x.v[3], fold), s));
}

inline Brackets brackets_by_kind(const Block& x) {
    const V16 fold = splat(0x20), o = splat('{'), c = splat('}');
    const V16 a = either(x.v[0], fold), b = either(x.v[1], fold), d = either(x.v[2], fold), e = either(x.v[3], fold);
    return {bits(equal(a, o), equal(b, o), equal(d, o), equal(e, o)), bits(equal(a, c), equal(b, c), equal(d, c), equal(e, c))};
}

// Bit i is set where byte i is the whitespace of JSON.
inline std::uint64_t spaces(const Block& x) {
    const V16 a = splat(' '), b = splat('\n'), c = splat('\r'), d = splat('\t');
    const auto one = [&](V16 v) { return either(either(equal(v, a), equal(v, b)), either(equal(v, c), equal(v, d))); };
    return bits(one(x.v[0]), one(x.v[1]), one(x.v[2]), one(x.v[3]));
}

// Bit i is set where byte i is one of { } [ ] , :
inline std::uint64_t structure(const Block& x) {
    const V16 fold = splat(0x20), o = splat('{'), c = splat('}'), comma = splat(','), colon = splat(':');
    const auto one = [&](V16 v) { return either(either(equal(either(v, fold), o), equal(either(v, fold), c)), either(equal(v, comma), equal(v, colon))); };
    return bits(one(x.v[0]), one(x.v[1]), one(x.v[2]), one(x.v[3]));
}

// Bit i is set where byte i is below the space.
inline std::uint64_t controls(const Block& x) {
    return bits(below(x.v[0], 0x20), below(x.v[1], 0x20), below(x.v[2], 0x20), below(x.v[3], 0x20));
}

// Bit i is set where byte i is not ASCII.
inline std::uint64_t non_ascii(const Block& x) { return bits(x.v[0], x.v[1], x.v[2], x.v[3]); }

// Bit i is set where a and b have the same byte.
inline std::uint64_t same(const Block& a, const Block& b) {
    return bits(equal(a.v[0], b.v[0]), equal(a.v[1], b.v[1]), equal(a.v[2], b.v[2]), equal(a.v[3], b.v[3]));
}

inline bool all_same(const Block& a, const Block& b) {
    const V16 x = both(both(equal(a.v[0], b.v[0]), equal(a.v[1], b.v[1])), both(equal(a.v[2], b.v[2]), equal(a.v[3], b.v[3])));
    return mask(x) == 0xffff;
}

// Bit i is set where byte i of the sixteen equals c.
inline std::uint32_t where16(const char* p, char c) { return mask(equal(load16(p), splat(c))); }

// Bit i is set where byte i of p equals c and byte i of q equals d.
inline std::uint32_t pairs16(const char* p, char c, const char* q, char d) {
    return mask(both(equal(load16(p), splat(c)), equal(load16(q), splat(d))));
}

inline bool same16(const char* p, const char* q) { return mask(equal(load16(p), load16(q))) == 0xffff; }

// Bit i is set where byte i may end a string: quotes and backslashes.
inline std::uint32_t string_ends16(const char* p) {
    const V16 v = load16(p);
    return mask(either(equal(v, splat('"')), equal(v, splat('\\'))));
}

// Bit i is set where byte i of a string has to be looked at: quotes, backslashes, control characters, what is not ASCII.
inline std::uint32_t specials16(const char* p) {
    const V16 v = load16(p);
    return mask(either(either(equal(v, splat('"')), equal(v, splat('\\'))), either(below(v, 0x20), v)));
}

// The same bytes. What std::string_view's == does; but that is memcmp, which Emscripten's C library does byte by byte.
inline bool same_bytes(std::string_view a, std::string_view b) {
    const std::size_t n = a.size();
    if (n != b.size()) return false;
    const char *p = a.data(), *q = b.data();
    if (n >= 16) {
        std::size_t i = 0;
        for (; i + kBlock <= n; i += kBlock)
            if (!all_same(load(p + i), load(q + i))) return false;
        for (; i + 16 <= n; i += 16)
            if (mask(equal(load16(p + i), load16(q + i))) != 0xffff) return false;
        return mask(equal(load16(p + n - 16), load16(q + n - 16))) == 0xffff;
    }
    if (n >= 8) {
        std::uint64_t x, y, z, w;
        std::memcpy(&x, p, 8), std::memcpy(&y, q, 8), std::memcpy(&z, p + n - 8, 8), std::memcpy(&w, q + n - 8, 8);
        return ((x ^ y) | (z ^ w)) == 0;
    }
    if (n >= 4) {
        std::uint32_t x, y, z, w;
        std::memcpy(&x, p, 4), std::memcpy(&y, q, 4), std::memcpy(&z, p + n - 4, 4), std::memcpy(&w, q + n - 4, 4);
        return ((x ^ y) | (z ^ w)) == 0;
    }
    for (std::size_t i = 0; i < n; ++i)
        if (p[i] != q[i]) return false;
    return true;
}

// memcpy for the short pieces that patches are made of: no call, overlapping loads instead of a loop over bytes.
inline void copy_bytes(char* to, const char* from, std::size_t n) {
    if (n > 256) {
        std::memcpy(to, from, n);
    } else if (n >= 16) {
        std::size_t i = 0;
        for (; i + 16 <= n; i += 16) std::memcpy(to + i, from + i, 16);
        std::memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        std::uint64_t x, y;
        std::memcpy(&x, from, 8), std::memcpy(&y, from + n - 8, 8);
        std::memcpy(to, &x, 8), std::memcpy(to + n - 8, &y, 8);
    } else if (n >= 4) {
        std::uint32_t x, y;
        std::memcpy(&x, from, 4), std::memcpy(&y, from + n - 4, 4);
        std::memcpy(to, &x, 4), std::memcpy(to + n - 4, &y, 4);
    } else {
        for (std::size_t i = 0; i < n; ++i) to[i] = from[i];
    }
}

// The first place of c, or the size. The last bytes are looked at together with some before them, not one by one.
inline std::size_t find_byte(std::string_view text, char c) {
    const std::size_t n = text.size();
    const char* p = text.data();
    std::size_t i = 0;
    if (n >= 16) {
        for (; i + 16 <= n; i += 16)
            if (const std::uint32_t hits = where16(p + i, c)) return i + static_cast<std::size_t>(__builtin_ctz(hits));
        const std::uint32_t hits = where16(p + n - 16, c);
        return hits ? n - 16 + static_cast<std::size_t>(__builtin_ctz(hits)) : n;
    }
    if (n >= 4) {
        char bytes[16];
        std::memset(bytes, ~c, sizeof bytes);
        copy_bytes(bytes, p, n);
        const std::uint32_t hits = where16(bytes, c);
        return hits ? static_cast<std::size_t>(__builtin_ctz(hits)) : n;
    }
    while (i < n && p[i] != c) ++i;
    return i;
}

#else  // the same, eight bytes at a time in a word (Warren, Hacker's Delight, 6-1)

struct Block {
    char at[kBlock];
};

inline Block load(const char* p) {
    Block x;
    std::memcpy(x.at, p, kBlock);
    return x;
}

constexpr std::uint64_t splat(unsigned char c) { return c * 0x0101010101010101ull; }

// Bit i is set where p[i], with the bits of `fold` set and those not in `kept` cleared, is c, for n bytes.
inline std::uint64_t where(const char* p, int n, unsigned char c, unsigned char fold = 0, unsigned char kept = 0xff) {
    std::uint64_t found = 0;
    for (int i = 0; i < n; i += 8) {
        std::uint64_t x;
        std::memcpy(&x, p + i, 8);
        x = ((x | splat(fold)) & splat(kept)) ^ splat(c);
        const std::uint64_t low = splat(0x7f), ones = ~(((x & low) + low) | x | low) >> 7;   // 1 in each byte that is 0
        found |= ((ones * 0x0102040810204080ull) >> 56) << i;
    }
    return found;
}

inline std::uint64_t where(const Block& x, char c) { return where(x.at, kBlock, static_cast<unsigned char>(c)); }
inline bool contains(const Block& x, char c) { return where(x, c) != 0; }
inline std::uint64_t brackets(const Block& x) { return where(x.at, kBlock, 0x7f, 0x26); }
inline Brackets brackets_by_kind(const Block& x) { return {where(x.at, kBlock, '{', 0x20), where(x.at, kBlock, '}', 0x20)}; }
inline std::uint64_t spaces(const Block& x) { return where(x, ' ') | where(x, '\n') | where(x, '\r') | where(x, '\t'); }
inline std::uint64_t structure(const Block& x) {
    const Brackets kinds = brackets_by_kind(x);
    return kinds.open | kinds.close | where(x, ',') | where(x, ':');
}
inline std::uint64_t controls(const Block& x) { return where(x.at, kBlock, 0, 0, 0xe0); }
inline std::uint64_t non_ascii(const Block& x) { return where(x.at, kBlock, 0x80, 0, 0x80); }
inline std::uint64_t same(const Block& a, const Block& b) {
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < kBlock; ++i) found |= static_cast<std::uint64_t>(a.at[i] == b.at[i]) << i;
    return found;
}
inline bool all_same(const Block& a, const Block& b) { return std::memcmp(a.at, b.at, kBlock) == 0; }

inline std::uint32_t where16(const char* p, char c) { return static_cast<std::uint32_t>(where(p, 16, static_cast<unsigned char>(c))); }
inline std::uint32_t pairs16(const char* p, char c, const char* q, char d) { return where16(p, c) & where16(q, d); }
inline bool same16(const char* p, const char* q) { return std::memcmp(p, q, 16) == 0; }
inline std::uint32_t string_ends16(const char* p) { return where16(p, '"') | where16(p, '\\'); }
inline std::uint32_t specials16(const char* p) {
    return string_ends16(p) | static_cast<std::uint32_t>(where(p, 16, 0, 0, 0xe0) | where(p, 16, 0x80, 0, 0x80));
}

inline bool same_bytes(std::string_view a, std::string_view b) { return a == b; }
inline void copy_bytes(char* to, const char* from, std::size_t n) { std::memcpy(to, from, n); }
inline std::size_t find_byte(std::string_view text, char c) {
    const std::size_t found = text.find(c);
    return found == std::string_view::npos ? text.size() : found;
}

#endif

// The last place of c in text, or the size.
inline std::size_t find_last_byte(std::string_view text, char c) {
    std::size_t end = text.size();
    for (; end >= 16; end -= 16)
        if (const std::uint32_t hits = where16(text.data() + end - 16, c)) return end - 16 + static_cast<std::size_t>(31 - __builtin_clz(hits));
    while (end > 0)
        if (text[--end] == c) return end;
    return text.size();
}

// How many bytes at the ends of both are the same, rounded down to blocks.
inline std::size_t common_suffix(std::string_view a, std::string_view b) {
    const char *p = a.data() + a.size(), *q = b.data() + b.size();
    std::size_t left = a.size() < b.size() ? a.size() : b.size(), k = 0;
    for (; left - k >= kBlock; k += kBlock)
        if (!all_same(load(p - k - kBlock), load(q - k - kBlock))) return k;
    return k;
}

// Bit i = parity of the bits 0..i: turns quote marks into "inside a string".
inline std::uint64_t prefix_xor(std::uint64_t x) {
    x ^= x << 1;
    x ^= x << 2;
    x ^= x << 4;
    x ^= x << 8;
    x ^= x << 16;
    x ^= x << 32;
    return x;
}

// For Adler-32: of 256 bytes their sum, and the sum of each times 256, 255, … 1. In 16 rows of 16: a column's sum, and the sums before
// each row, fit into 16 bits; weights are applied once, to the columns.
struct ByteSums {
    std::uint32_t sum, weighted;
};
#if defined(__wasm_simd128__)
inline ByteSums byte_sums_of_256(const char* p) {
    v128_t low = wasm_i16x8_splat(0), high = low, before_low = low, before_high = low;
    for (int row = 0; row < 16; ++row) {
        const v128_t v = wasm_v128_load(p + 16 * row);
        before_low = wasm_i16x8_add(before_low, low);
        before_high = wasm_i16x8_add(before_high, high);
        low = wasm_i16x8_add(low, wasm_u16x8_extend_low_u8x16(v));
        high = wasm_i16x8_add(high, wasm_u16x8_extend_high_u8x16(v));
    }
    const v128_t ones = wasm_i16x8_splat(1);
    const v128_t sums = wasm_i32x4_dot_i16x8(wasm_i16x8_add(low, high), ones);
    const v128_t rows = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_dot_i16x8(before_low, ones), wasm_i32x4_dot_i16x8(before_high, ones)), 4);
    const v128_t columns = wasm_i32x4_add(wasm_i32x4_dot_i16x8(low, wasm_i16x8_make(16, 15, 14, 13, 12, 11, 10, 9)),
                                          wasm_i32x4_dot_i16x8(high, wasm_i16x8_make(8, 7, 6, 5, 4, 3, 2, 1)));
    std::uint32_t s[4], w[4];
    wasm_v128_store(s, sums);
    wasm_v128_store(w, wasm_i32x4_add(rows, columns));
    return {s[0] + s[1] + s[2] + s[3], w[0] + w[1] + w[2] + w[3]};
}
#elif defined(__SSE2__) && !defined(TIDEGATE_NO_SIMD)
inline ByteSums byte_sums_of_256(const char* p) {
    const __m128i zero = _mm_setzero_si128();
    __m128i low = zero, high = zero, before_low = zero, before_high = zero;
    for (int row = 0; row < 16; ++row) {
        const __m128i v = load16(p + 16 * row);
        before_low = _mm_add_epi16(before_low, low);
        before_high = _mm_add_epi16(before_high, high);
        low = _mm_add_epi16(low, _mm_unpacklo_epi8(v, zero));
        high = _mm_add_epi16(high, _mm_unpackhi_epi8(v, zero));
    }
    const __m128i ones = _mm_set1_epi16(1);
    const __m128i sums = _mm_madd_epi16(_mm_add_epi16(low, high), ones);
    const __m128i rows = _mm_slli_epi32(_mm_add_epi32(_mm_madd_epi16(before_low, ones), _mm_madd_epi16(before_high, ones)), 4);
    const __m128i columns = _mm_add_epi32(_mm_madd_epi16(low, _mm_setr_epi16(16, 15, 14, 13, 12, 11, 10, 9)),
                                          _mm_madd_epi16(high, _mm_setr_epi16(8, 7, 6, 5, 4, 3, 2, 1)));
    std::uint32_t s[4], w[4];
    std::memcpy(s, &sums, 16);
    const __m128i all = _mm_add_epi32(rows, columns);
    std::memcpy(w, &all, 16);
    return {s[0] + s[1] + s[2] + s[3], w[0] + w[1] + w[2] + w[3]};
}
#else
inline ByteSums byte_sums_of_256(const char* p) {
    ByteSums sums{0, 0};
    for (std::uint32_t i = 0; i < 256; ++i) {
        sums.sum += static_cast<unsigned char>(p[i]);
        sums.weighted += (256 - i) * static_cast<unsigned char>(p[i]);
    }
    return sums;
}
#endif

// Carries string state from block to block.
struct StringState {
    std::uint64_t inside = 0;   // all ones when the block before ended inside a string
    std::uint64_t escaped = 0;  // 1 when the block before ended with an unpaired backslash

    // The bits of the block that lie inside a string (opening quote included, closing quote not), for quotes in `valid` only.
    std::uint64_t step(const Block& x, std::uint64_t valid) {
        std::uint64_t quotes = where(x, '"') & valid;
        if (contains(x, '\\') || escaped) quotes &= ~escapes(where(x, '\\') & valid, valid);
        const std::uint64_t in = prefix_xor(quotes) ^ inside;
        inside = static_cast<std::uint64_t>(static_cast<std::int64_t>(in) >> 63);
        return in;
    }

private:
    // The bytes that follow an odd run of backslashes (simdjson, Langdale and Lemire 2019, section 3.1.1).
    std::uint64_t escapes(std::uint64_t backslashes, std::uint64_t valid) {
        std::uint64_t result = escaped & 1;
        std::uint64_t rest = backslashes & ~result;
        escaped = 0;
        while (rest) {
            const int at = lowest(rest);
            if (at == 63) {
                escaped = 1;
                break;
            }
            const std::uint64_t next = 1ull << (at + 1);
            if (!(next & valid)) break;
            result |= next;
            rest &= ~((next << 1) - 1);
        }
        return result;
    }
};

}  // namespace tidegate::simd
