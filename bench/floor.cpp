// The floor of a delta in Wasm: what is left when nothing is decided. Both blobs are copied in (JavaScript does that), this compares
// them, 64 bytes at a time. Built by bench/delta.mjs; not part of the package.
#include <cstdlib>

#include "tidegate/simd.h"

extern "C" {

__attribute__((export_name("room"))) char* room(unsigned bytes) { return static_cast<char*>(std::malloc(bytes)); }

// How many blocks of 64 bytes are the same.
__attribute__((export_name("same"))) unsigned same(const char* a, const char* b, unsigned bytes) {
    unsigned count = 0;
    for (unsigned i = 0; i + 64 <= bytes; i += 64) count += tidegate::simd::all_same(tidegate::simd::load(a + i), tidegate::simd::load(b + i));
    return count;
}
}
