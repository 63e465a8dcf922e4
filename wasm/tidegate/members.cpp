#include "tidegate/members.h"

#include <cmath>

#include "tidegate/fields.h"

namespace tidegate {

const Json* Members::find(const char* key) const { return read_ ? member(*read_, key) : nullptr; }

Json& Members::put(const char* key) {
    if (!written_->is_object()) *written_ = Json::object();
    return (*written_)[key];
}

Members Members::part(const char* key) { return reading() ? Members(find(key), nullptr) : into(put(key)); }

void Members::take(const char* key, double& value, double low, double high, bool whole) {
    if (!reading()) {
        put(key) = whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
    } else if (read_) {
        const double found = number_field(*read_, key, low, high, value);
        if (!whole || std::floor(found) == found) value = found;
    }
}

void Members::flag(const char* key, bool& value) {
    if (!reading()) put(key) = value;
    else if (read_) value = bool_field(*read_, key, value);
}

void Members::counts(const char* key, std::int64_t* values, std::size_t count) {
    if (!reading()) {
        Json list = Json::array();
        for (std::size_t i = 0; i < count; ++i) list.push_back(values[i]);
        put(key) = std::move(list);
        return;
    }
    const Json* list = find(key);
    for (std::size_t i = 0; list && list->is_array() && i < count && i < list->size(); ++i)
        if ((*list)[i].is_number()) values[i] = static_cast<std::int64_t>((*list)[i].get<double>());
}

std::size_t Members::index(const char* key, std::size_t at, const std::string_view* words, std::size_t count) {
    if (!reading()) {
        put(key) = std::string(words[at]);
        return at;
    }
    const std::string* text = read_ ? text_at(*read_, key) : nullptr;
    for (std::size_t i = 0; text && i < count; ++i)
        if (*text == words[i]) return i;
    return at;
}

}  // namespace tidegate
