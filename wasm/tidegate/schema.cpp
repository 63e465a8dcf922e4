// Prints wasm/protocol.d.ts.
#include <cstdio>

#include "tidegate/protocol.h"

int main() {
    std::fputs(tidegate::typescript().c_str(), stdout);
    return 0;
}
