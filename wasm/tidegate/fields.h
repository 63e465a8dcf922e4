// Reading persisted values back without trust: a field that is missing, of the wrong type or out of range takes the fallback.
#pragma once

#include <string>
#include <string_view>

#include "tidegate/json.h"

namespace tidegate {

// A member of an object; null when it is not there, or `object` is none.
const Json* member(const Json& object, const char* key);
// A finite number within [low, high].
double number_field(const Json& object, const char* key, double low, double high, double fallback);
int int_field(const Json& object, const char* key, int low, int high, int fallback);
bool bool_field(const Json& object, const char* key, bool fallback);
// A text; null when it is not there.
const std::string* text_at(const Json& object, const char* key);
// A text; "" when it is not there.
std::string text_field(const Json& object, const char* key);

// The whole number that a text begins with; 0 where it begins with none.
double number_at_start(std::string_view text);

}  // namespace tidegate
