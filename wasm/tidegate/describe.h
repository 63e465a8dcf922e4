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
    // From `others`, a copy of the root, the members that are described are taken out.
    explicit Decoder(const Json& root, Json* others = nullptr) : here_(&root), others_(others) {}
    const std::optional<Error>& error() const { return error_; }
    // So many members of the root are described.
    std::size_t known() const { return known_; }

    void type(const char*, const char*) {}

    // One instance of `read_as` per type, not per field: the fields themselves are a name and an address each, which keeps the module small.
    template <class T>
    void field(const char* name, T& out, const char* = "") {
        if constexpr (IsOptional<T>::value) take(name, &out, &read_optional<T>, Need::may_be_absent);
        else take(name, &out, &read_as<T>, Need::required);
    }

    template <class T>
    void defaulted(const char* name, T& out, const char* = "") {
        take(name, &out, &read_as<T>, Need::keeps_default);
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
                descend(std::to_string(i++), item, &out.back(), &read_as<typename T::value_type>);
                if (error_) return;
            }
        } else {
            if (!here_->is_object()) return fail("wrong-type", "an object", *here_);
            describe(*this, out);
        }
    }

private:
    using Reader = void (*)(Decoder&, void*);
    enum class Need { required, may_be_absent, keeps_default };

    template <class T>
    static void read_as(Decoder& decoder, void* out) {
        decoder.read(*static_cast<T*>(out));
    }
    template <class T>
    static void read_optional(Decoder& decoder, void* out) {
        auto& optional = *static_cast<T*>(out);
        optional.reset();
        if (decoder.here_) decoder.read(optional.emplace());
    }

    void take(const char* name, void* out, Reader reader, Need need);
    void descend(const std::string& name, const Json& child, void* out, Reader reader);

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
        constexpr std::size_t count = sizeof(EnumNames<E>::values) / sizeof(EnumNames<E>::values[0]);
        const std::size_t found = read_word(EnumNames<E>::values, count);
        if (found < count) out = static_cast<E>(found);
    }
    // The index of the word here among `words`; `count`, and the error noted, when it is none of them.
    std::size_t read_word(const char* const* words, std::size_t count);

    void push(const std::string& name) { path_.push_back(name); }
    void pop() { path_.pop_back(); }
    void fail(const char* code, const std::string& expected, const Json& got);
    void fail_text(const char* code, const std::string& sentence);

    const Json* here_;
    Json* others_;
    std::vector<std::string> path_;
    std::optional<Error> error_;
    std::size_t known_ = 0;
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

// Writes a value as text, at once: what crosses the boundary is thousands of small objects, and a tree would hold a copy of each.
class Encoder {
public:
    explicit Encoder(bool with_defaults = false) : with_defaults_(with_defaults) {}
    void type(const char*, const char*) {}

    template <class T>
    void field(const char* name, T& value, const char* = "") {
        if constexpr (IsOptional<T>::value) {
            if (value) put(name, &*value, &write_as<typename T::value_type>);
        } else {
            put(name, &value, &write_as<T>);
        }
    }

    template <class T>
    void defaulted(const char* name, T& value, const char* = "") {
        if (with_defaults_ || !is_default(value)) put(name, &value, &write_as<T>);
    }

    template <class T>
    void write(T& value) {
        if constexpr (std::is_enum_v<T>) {
            append_string(text, name_of(value));
        } else if constexpr (std::is_same_v<T, std::string>) {
            append_string(text, value);
        } else if constexpr (std::is_same_v<T, double>) {
            append_json(text, number(value));
        } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, Json>) {
            append_json(text, value);
        } else if constexpr (IsVector<T>::value) {
            text += '[';
            for (auto& item : value) put("", &item, &write_as<typename T::value_type>);
            text += ']';
        } else {
            text += '{';
            describe(*this, value);
            text += '}';
        }
    }

    std::string text;

private:
    using Writer = void (*)(Encoder&, const void*);

    template <class T>
    static void write_as(Encoder& encoder, const void* value) {
        encoder.write(*const_cast<T*>(static_cast<const T*>(value)));
    }
    template <class T>
    static bool is_default(const T& value) {
        if constexpr (std::is_same_v<T, std::string> || IsVector<T>::value) return value.empty();
        else return value == T{};
    }
    static Json number(double value);
    // A member; without a name an item.
    void put(const char* name, const void* value, Writer writer);

    bool with_defaults_;
};

template <class T>
std::string encode_text(T& value, bool with_defaults = false) {
    Encoder encoder(with_defaults);
    encoder.write(value);
    return std::move(encoder.text);
}

template <class T>
Json encode(T& value, bool with_defaults = false) {
    return tree_of(encode_text(value, with_defaults));
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
