// Sentences and keys from parts: say("at most ", kMaxOps, " ops"). operator+ would make, move and destroy a string for every part.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace tidegate {

class Sentence {
public:
    explicit Sentence(std::string& text) : text_(&text) {}
    Sentence operator<<(const char* part) const;
    Sentence operator<<(const std::string& part) const;
    Sentence operator<<(std::string_view part) const;
    Sentence operator<<(std::uint64_t number) const;

private:
    std::string* text_;
};

// The parts one after the other: texts as they are, whole numbers in decimal. REQUIRES: no number is negative.
template <class... Part>
std::string say(const Part&... parts) {
    const auto plain = [](const auto& part) -> decltype(auto) {
        using P = std::decay_t<decltype(part)>;
        if constexpr (std::is_integral_v<P>) return static_cast<std::uint64_t>(part);
        else return (part);
    };
    std::string text;
    (void)(Sentence(text) << ... << plain(parts));
    return text;
}

}  // namespace tidegate
