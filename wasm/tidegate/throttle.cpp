#include "tidegate/throttle.h"

namespace tidegate {

bool should_emit(double last_ms, double now_ms, double interval_ms, bool changed_class) {
    if (changed_class || last_ms == 0.0) return true;
    const bool too_early = now_ms >= last_ms && now_ms - last_ms < interval_ms;  // false for anything that is no number
    return !too_early;
}

}  // namespace tidegate
