#include "tidegate/throttle.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace tidegate;

TEST_CASE("a status goes at once when its class changed, otherwise once per interval") {
    CHECK(should_emit(1000, 1001, 250, true));
    CHECK(!should_emit(1000, 1001, 250, false));
    CHECK(!should_emit(1000, 1249, 250, false));
    CHECK(should_emit(1000, 1250, 250, false));
    CHECK(should_emit(0, 1, 250, false));  // the first one
}

TEST_CASE("a clock that went backwards or is no number never silences the status") {
    CHECK(should_emit(1000, 999, 250, false));
    CHECK(should_emit(std::nan(""), 999, 250, false));
    CHECK(should_emit(1000, std::nan(""), 250, false));
    CHECK(should_emit(1000, 1001, std::nan(""), false));
}

TEST_CASE("in a busy hour there are never more than one per interval and one per change") {
    int emitted = 0;
    double last = 0;
    for (double now = 1; now <= 3600000; now += 7)
        if (should_emit(last, now, kStatusIntervalMs, false)) {
            ++emitted;
            last = now;
        }
    CHECK(emitted <= 3600000 / 250);
    CHECK(emitted > 3600000 / 260);
}
