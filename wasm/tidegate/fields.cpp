#include "tidegate/fields.h"

#include <cmath>

namespace tidegate {

const Json* member(const Json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto it = object.find(key);
    return it == object.end() ? nullptr : &*it;
}

double number_field(const Json& object, const char* key, double low, double high, double fallback) {
    const Json* value = member(object, key);
    if (!value || !value->is_number()) return fallback;
    const double number = value->get<double>();
    return std::isfinite(number) && number >= low && number <= high ? number : fallback;
}

int int_field(const Json& object, const char* key, int low, int high, int fallback) {
    const double number = number_field(object, key, low, high, fallback);
    return std::floor(number) == number ? static_cast<int>(number) : fallback;
}

bool bool_field(const Json& object, const char* key, bool fallback) {
    const Json* value = member(object, key);
    return value && value->is_boolean() ? value->get<bool>() : fallback;
}

const std::string* text_at(const Json& object, const char* key) {
    const Json* value = member(object, key);
    return value ? value->get_ptr<const std::string*>() : nullptr;
}

std::string text_field(const Json& object, const char* key) {
    const std::string* text = text_at(object, key);
    return text ? *text : std::string();
}

double number_at_start(std::string_view text) {
    double number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') break;
        number = number * 10 + (c - '0');
    }
    return number;
}

}  // namespace tidegate
