// The scales that several policies share. They live at the bottom so that no policy has to include another.
#pragma once

#include <optional>
#include <string_view>

namespace tidegate {

// What the app declared, or what an effective score amounts to. Ordered: low < normal < high < critical.
enum class Band { low, normal, high, critical };

// How the link behaves. Ordered from worst to best.
enum class Quality { offline, poor, good, excellent };
inline constexpr std::string_view kQualities[] = {"offline", "poor", "good", "excellent"};

// How waits grow from failure to failure (backoff.h).
enum class RetryStrategy { linear, exponential, adaptive };

// "low", "normal", "high", "critical".
std::string_view name(Band band);
// "offline", "poor", "good", "excellent".
std::string_view name(Quality quality);
// "linear", "exponential", "adaptive".
std::string_view name(RetryStrategy strategy);

// The reverse. A band is read in either letter case ("HIGH", "High", "high"), the others as written above. Anything else: nullopt.
std::optional<Band> parse_band(std::string_view text);
std::optional<Quality> parse_quality(std::string_view text);
std::optional<RetryStrategy> parse_retry_strategy(std::string_view text);

}  // namespace tidegate
