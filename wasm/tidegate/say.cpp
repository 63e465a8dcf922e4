#include "tidegate/say.h"

namespace tidegate {

Sentence Sentence::operator<<(const char* part) const {
    text_->append(part);
    return *this;
}

Sentence Sentence::operator<<(const std::string& part) const {
    text_->append(part);
    return *this;
}

Sentence Sentence::operator<<(std::string_view part) const {
    text_->append(part);
    return *this;
}

Sentence Sentence::operator<<(std::uint64_t number) const { return *this << std::to_string(number); }

}  // namespace tidegate
