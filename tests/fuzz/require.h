// What every fuzz target needs.
#pragma once

#include <cstdlib>

// A promise that must hold for any input; libFuzzer keeps the input that breaks it.
inline void require(bool holds) {
    if (!holds) std::abort();
}
