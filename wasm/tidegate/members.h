// What is remembered across restarts: each member named once, with its range, and written and read by one list.
//
// A type that is remembered has one function
//     void persist(Members& m, T& t)
// Reading trusts nothing: a member that is missing, of the wrong type or out of range keeps the value it was made with. Writing leaves alone what the list
// does not name: a newer release may have put it there.
#pragma once

#include <cstddef>
#include <string_view>

#include "tidegate/json.h"
#include "tidegate/time.h"

namespace tidegate {

class Members {
public:
    static Members of(const Json& read) { return Members(&read, nullptr); }
    static Members into(Json& written) { return Members(nullptr, &written); }
    bool reading() const { return !written_; }

    void number(const char* key, double& value, double low, double high) { take(key, value, low, high, false); }
    void instant(const char* key, double& value) { number(key, value, 0, kMaxInstantMs); }
    void flag(const char* key, bool& value);
    template <class I>
    void whole(const char* key, I& value, double low, double high) {
        double number = static_cast<double>(value);
        take(key, number, low, high, true);
        value = static_cast<I>(number);
    }
    template <class I>
    void count(const char* key, I& value) {
        whole(key, value, 0, 9e15);
    }
    void counts(const char* key, std::int64_t* values, std::size_t count);
    template <class E, std::size_t N>
    void word(const char* key, E& value, const std::string_view (&words)[N]) {
        value = static_cast<E>(index(key, static_cast<std::size_t>(value), words, N));
    }
    template <class T>
    void object(const char* key, T& value) {
        Members inner = part(key);
        persist(inner, value);
    }

private:
    Members(const Json* read, Json* written) : read_(read), written_(written) {}
    const Json* find(const char* key) const;
    Json& put(const char* key);
    Members part(const char* key);
    void take(const char* key, double& value, double low, double high, bool whole);
    std::size_t index(const char* key, std::size_t at, const std::string_view* words, std::size_t count);

    const Json* read_;     // null: there is nothing to read
    Json* written_;
};

template <class T>
Json to_json(const T& value) {
    Json out;
    Members members = Members::into(out);
    persist(members, const_cast<T&>(value));
    return out;
}
template <class T>
T from_json(const Json& json) {
    T value;
    Members members = Members::of(json);
    persist(members, value);
    return value;
}

}  // namespace tidegate
