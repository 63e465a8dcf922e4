// When a status is worth sending: at once when its class changed, otherwise at most once per interval.
#pragma once

namespace tidegate {

inline constexpr double kStatusIntervalMs = 250.0;

// last_ms: when the last one was sent, 0 for never. A clock that went backwards, or a value that is no number, emits: a silent status is worse than
// one too many. changed_class: state, reason or quality differ from what was sent last.
bool should_emit(double last_ms, double now_ms, double interval_ms, bool changed_class);

}  // namespace tidegate
