// Describing a type once, and reading it three ways: decode from JSON, encode to JSON, print as TypeScript.
//
// A type that crosses the boundary has one function
//     template <class V> void describe(V& v, T& t)
// which names each field once. `v.field` is required when its type is not optional; an absent std::optional stays empty;
// `v.defaulted` keeps the value the struct was made with when absent, and is left out of the encoding while it equals its type's T{}
// (a row stays small); `Encoder(true)` writes it always.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tidegate/json.h"

namespace tidegate {

// Specialised per enum: names in the order of the enumerators, and the TypeScript name.
template <class E>
struct EnumNames;

template <class E>
constexpr const char* name_of(E e) {
    return EnumNames<E>::values[static_cast<std::size_t>(e)];
}

template <class E>
std::optional<E> enum_from(std::string_view name) {
    std::size_t i = 0;
    for (const char* candidate : EnumNames<E>::values) {
        if (name == candidate) return static_cast<E>(i);
        ++i;
    }
    return std::nullopt;
}

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

// --- decode ---------------------------------------------------------------------------------------------------------------

// Reads one JSON value into `out`. On failure the first error (with its JSON Pointer) is kept and the rest is skipped.
class Decoder {
public:
    explicit Decoder(const Json& root) : here_(&root) {}
    const std::optional<Error>& error() const { return error_; }

    void type(const char*, const char*) {}

    template <class T>
    void field(const char* name, T& out, const char* = "") {
        if (error_) return;
        if (!here_->is_object()) return fail("wrong-type", "an object", *here_);
        const auto it = here_->find(name);
        const bool absent = it == here_->end() || it->is_null();
        if constexpr (IsOptional<T>::value) {
            if (absent) { out.reset(); return; }
            out.emplace();
            descend(name, *it, *out);
        } else {
            if (it == here_->end()) {
                push(name);
                fail_text("missing", "this field is required");
                pop();
                return;
            }
            descend(name, *it, out);
        }
    }

    template <class T>
    void defaulted(const char* name, T& out, const char* = "") {
        if (error_) return;
        if (!here_->is_object()) return fail("wrong-type", "an object", *here_);
        const auto it = here_->find(name);
        if (it == here_->end() || it->is_null()) return;
        descend(name, *it, out);
    }

    template <class T>
    void read(T& out) {
        if constexpr (std::is_same_v<T, bool>) {
            if (!here_->is_boolean()) return fail("wrong-type", "true or false", *here_);
            out = here_->get<bool>();
        } else if constexpr (std::is_same_v<T, double>) {
            if (!here_->is_number()) return fail("wrong-type", "a number", *here_);
            out = here_->get<double>();
            if (!std::isfinite(out)) fail("out-of-range", "a finite number", *here_);
        } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t>) {
            read_integer(out);
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (!here_->is_string()) return fail("wrong-type", "a string", *here_);
            out = here_->get_ref<const std::string&>();
        } else if constexpr (std::is_same_v<T, Json>) {
            out = *here_;
        } else if constexpr (std::is_enum_v<T>) {
            read_enum(out);
        } else if constexpr (IsVector<T>::value) {
            if (!here_->is_array()) return fail("wrong-type", "an array", *here_);
            out.clear();
            std::size_t i = 0;
            for (const Json& item : *here_) {
                out.emplace_back();
                descend(std::to_string(i++), item, out.back());
                if (error_) return;
            }
        } else {
            if (!here_->is_object()) return fail("wrong-type", "an object", *here_);
            describe(*this, out);
        }
    }

private:
    template <class T>
    void descend(const std::string& name, const Json& child, T& out) {
        const Json* parent = here_;
        push(name);
        here_ = &child;
        read(out);
        here_ = parent;
        pop();
    }

    template <class T>
    void read_integer(T& out) {
        constexpr double kMaxSafe = 9007199254740991.0;  // Number.MAX_SAFE_INTEGER
        const double value = here_->is_number() ? here_->get<double>() : NAN;
        const double lowest = std::is_unsigned_v<T> ? 0.0 : -kMaxSafe;
        if (!(value >= lowest && value <= kMaxSafe) || value != std::floor(value))
            return fail(here_->is_number() ? "out-of-range" : "wrong-type",
                        std::is_unsigned_v<T> ? "a whole number from 0 to 2^53-1" : "a whole number", *here_);
        out = static_cast<T>(value);
    }

    template <class E>
    void read_enum(E& out) {
        const auto found = here_->is_string() ? enum_from<E>(here_->get_ref<const std::string&>()) : std::nullopt;
        if (found) {
            out = *found;
            return;
        }
        std::string expected = "one of";
        for (const char* name : EnumNames<E>::values) expected += std::string(" ") + name;
        fail("wrong-value", expected, *here_);
    }

    void push(const std::string& name) { path_.push_back(name); }
    void pop() { path_.pop_back(); }
    void fail(const char* code, const std::string& expected, const Json& got) {
        fail_text(code, "expected " + expected + ", got " + quote_value(got));
    }
    void fail_text(const char* code, const std::string& sentence) {
        if (error_) return;
        std::string pointer;
        for (const std::string& part : path_) pointer += "/" + part;
        error_ = Error{code, pointer, (path_.empty() ? std::string("input") : path_.back()) + ": " + sentence};
    }

    const Json* here_;
    std::vector<std::string> path_;
    std::optional<Error> error_;
};

template <class T>
Result<T> decode(const Json& json) {
    T out{};
    Decoder decoder(json);
    decoder.read(out);
    if (decoder.error()) return *decoder.error();
    return out;
}

// --- encode ---------------------------------------------------------------------------------------------------------------

class Encoder {
public:
    explicit Encoder(bool with_defaults = false) : with_defaults_(with_defaults) {}
    void type(const char*, const char*) {}

    template <class T>
    void field(const char* name, T& value, const char* = "") {
        if constexpr (IsOptional<T>::value) {
            if (value) out_[name] = write(*value);
        } else {
            out_[name] = write(value);
        }
    }

    template <class T>
    void defaulted(const char* name, T& value, const char* = "") {
        if (with_defaults_ || !(value == T{})) out_[name] = write(value);
    }

    Json take() { return std::move(out_); }

    template <class T>
    static Json write(T& value) {
        if constexpr (std::is_enum_v<T>) {
            return name_of(value);
        } else if constexpr (std::is_same_v<T, double>) {
            // Whole numbers are written as integers: what JavaScript prints, and shorter.
            if (value == std::floor(value) && std::fabs(value) < 9007199254740992.0) return static_cast<std::int64_t>(value);
            return value;
        } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, Json>) {
            return value;
        } else if constexpr (IsVector<T>::value) {
            Json array = Json::array();
            for (auto& item : value) array.push_back(write(item));
            return array;
        } else {
            Encoder nested;
            nested.out_ = Json::object();
            describe(nested, value);
            return nested.take();
        }
    }

private:
    Json out_ = Json::object();
    bool with_defaults_;
};

template <class T>
Json encode(T& value) {
    return Encoder::write(value);
}

// --- TypeScript -----------------------------------------------------------------------------------------------------------

// Prints `export interface …` for a described type, and for the types and enums it mentions, each once, in order of mention.
class TypeScript {
public:
    template <class T>
    void add() {
        mention<T>();
    }
    const std::string& text() const { return text_; }

    void type(const char* name, const char* doc) { header_ = {name, doc}; }
    template <class T>
    void field(const char* name, T&, const char* doc = "") {
        line<T>(name, IsOptional<T>::value, doc);
    }
    template <class T>
    void defaulted(const char* name, T&, const char* doc = "") {
        line<T>(name, true, doc);
    }

private:
    struct Header {
        std::string name, doc;
    };

    template <class T>
    void line(const char* name, bool optional, const char* doc) {
        if (*doc) body_ += std::string("  /** ") + doc + " */\n";
        const std::string type = mention<T>();
        body_ += std::string("  ") + name + (optional ? "?: " : ": ") + type + ";\n";
    }

    template <class T>
    std::string mention() {
        if constexpr (std::is_same_v<T, bool>) {
            return "boolean";
        } else if constexpr (std::is_arithmetic_v<T>) {
            return "number";
        } else if constexpr (std::is_same_v<T, std::string>) {
            return "string";
        } else if constexpr (std::is_same_v<T, Json>) {
            return "any";
        } else if constexpr (IsOptional<T>::value) {
            return mention<typename T::value_type>();
        } else if constexpr (IsVector<T>::value) {
            return mention<typename T::value_type>() + "[]";
        } else if constexpr (std::is_enum_v<T>) {
            return mention_enum<T>();
        } else {
            return mention_struct<T>();
        }
    }

    template <class E>
    std::string mention_enum() {
        const std::string name = EnumNames<E>::name;
        if (seen_.emplace(name, true).second) {
            std::string values;
            for (const char* value : EnumNames<E>::values) values += (values.empty() ? "\"" : " | \"") + std::string(value) + "\"";
            text_ += "export type " + name + " = " + values + ";\n\n";
        }
        return name;
    }

    template <class T>
    std::string mention_struct() {
        const std::string outer_body = std::move(body_);
        const Header outer_header = header_;
        body_.clear();
        T sample{};
        describe(*this, sample);
        const Header mine = header_;
        if (seen_.emplace(mine.name, true).second)
            text_ += "/** " + mine.doc + " */\nexport interface " + mine.name + " {\n" + body_ + "}\n\n";
        body_ = outer_body;
        header_ = outer_header;
        return mine.name;
    }

    std::map<std::string, bool> seen_;
    Header header_;
    std::string body_, text_;
};

}  // namespace tidegate
