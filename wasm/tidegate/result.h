// Errors as values. No exception crosses, or exists in, the core.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace tidegate {

// What went wrong, for a person and for a program.
struct Error {
    std::string code;     // a stable word: "wrong-type", "out-of-range", "limit", "unknown-op" …
    std::string path;     // JSON Pointer into the input, "" for the whole of it
    std::string message;  // one plain sentence: the field, the value, what was expected
    friend bool operator==(const Error&, const Error&) = default;
};

// Either a T or an Error. REQUIRES: ok() before value(), !ok() before error().
template <class T>
class Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}
    bool ok() const { return value_.has_value(); }
    explicit operator bool() const { return ok(); }
    T& value() { return *value_; }
    const T& value() const { return *value_; }
    const Error& error() const { return *error_; }

private:
    std::optional<T> value_;
    std::unique_ptr<Error> error_;  // out of line: most results are none
};

}  // namespace tidegate
