// Control-message JSON: nlohmann behind checked calls only (it aborts otherwise, there are no exceptions here).
// Payloads never come this way: they are bytes (see diff.h, patch.h, merge.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tidegate/result.h"

namespace tidegate {

using Json = nlohmann::json;

// Deepest nesting that is taken. nlohmann in Wasm overflows the stack between 1 000 and 10 000 levels.
inline constexpr int kMaxJsonDepth = 256;

// Parses one JSON text, checked like a document (validate_json). Integers that fit 64 bits are exact, other numbers the nearest double.
// Codes: those of validate_json; "json-syntax" also for a number beyond double and for half of a surrogate pair.
Result<Json> parse_json(std::string_view text, int max_depth = kMaxJsonDepth);

// Writes compact JSON. Bytes of strings go out as they are: what is no UTF-8 is replaced by whoever decodes it. Numbers that are none become null.
std::string dump_json(const Json& value);
void append_json(std::string& out, const Json& value);
void append_string(std::string& out, std::string_view text);

// The tree of what append_json or an Encoder wrote. REQUIRES: its strings came from parse_json, or are ours.
Json tree_of(std::string_view text);

// A value of a tree that is this JSON text, and goes out as it is. Nothing reads it: a tree of every row that a plan stores would cost more than all else of the plan.
Json verbatim(std::string_view text);

// Puts a member into an object, or into what is null: `set(object, "a", 1)`. What an assignment to `object["a"]` does, with its code in one place.
void set(Json& object, const char* key, Json value);
void set(Json& object, const char* key, double value);
void set(Json& object, const char* key, bool value);
void set(Json& object, const char* key, std::int64_t value);
void set(Json& object, const char* key, std::uint64_t value);
void set(Json& object, const char* key, std::string_view value);
inline void set(Json& object, const char* key, int value) { set(object, key, static_cast<std::int64_t>(value)); }
inline void set(Json& object, const char* key, std::nullptr_t) { set(object, key, Json()); }
inline void set(Json& object, const char* key, const char* value) { set(object, key, std::string_view(value)); }
inline void set(Json& object, const char* key, const std::string& value) { set(object, key, std::string_view(value)); }

// Builds an object member by member: `object().set("a", 1).set("b", "x")`. The same in an initializer list costs a hundred bytes of code per member.
class ObjectBuilder {
public:
    template <class T>
    ObjectBuilder& set(const char* key, T&& value) {
        tidegate::set(object_, key, std::forward<T>(value));
        return *this;
    }
    operator Json() { return std::move(object_); }

private:
    Json object_ = Json::object();
};
inline ObjectBuilder object() { return {}; }

// A value for an error sentence: dumped, cut to 60 characters.
std::string quote_value(const Json& value);

}  // namespace tidegate
