#include "tidegate/words.h"

#include <cstddef>

namespace tidegate {

namespace {

constexpr std::string_view kBands[] = {"low", "normal", "high", "critical"};
constexpr std::string_view kStrategies[] = {"linear", "exponential", "adaptive"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view text, std::string_view word) {
    if (text.size() != word.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (lower(text[i]) != word[i]) return false;
    return true;
}

}  // namespace

std::string_view name(Band band) { return kBands[static_cast<std::size_t>(band)]; }
std::string_view name(Quality quality) { return kQualities[static_cast<std::size_t>(quality)]; }
std::string_view name(RetryStrategy strategy) { return kStrategies[static_cast<std::size_t>(strategy)]; }

std::optional<Band> parse_band(std::string_view text) {
    for (std::size_t i = 0; i < 4; ++i)
        if (same_word(text, kBands[i])) return static_cast<Band>(i);
    return std::nullopt;
}

std::optional<Quality> parse_quality(std::string_view text) {
    for (std::size_t i = 0; i < 4; ++i)
        if (text == kQualities[i]) return static_cast<Quality>(i);
    return std::nullopt;
}

std::optional<RetryStrategy> parse_retry_strategy(std::string_view text) {
    for (std::size_t i = 0; i < 3; ++i)
        if (text == kStrategies[i]) return static_cast<RetryStrategy>(i);
    return std::nullopt;
}

}  // namespace tidegate
