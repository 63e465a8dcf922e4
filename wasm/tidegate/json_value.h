// When two JSON texts mean the same: key order, whitespace, escapes and the notation of numbers do not count; nothing goes through
// double. Numbers are compared as exact decimals: 1, 1.0 and 10e-1 are one number, 9007199254740993 and 9007199254740992 are two.
// -0 and 0 are one number. Of equal keys in one object the last counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json_text.h"

namespace tidegate {

// A number as written, exactly: 0.d1d2d3… times 10^point, without zeros at the ends of `digits`; zero has no digits.
struct Decimal {
    bool negative = false;
    std::string digits;
    std::int64_t point = 0;
    bool huge = false;  // the exponent has more than 15 digits: compared as text only
};

// REQUIRES: a valid JSON number.
Decimal read_decimal(std::string_view number);

// The double nearest to it, ties to even; infinite beyond the largest. REQUIRES: not huge.
double nearest_double(const Decimal& decimal);

// Appends a finite number: the nearest decimal of 15 digits at most, or of as many more as bring the same double back. 1 is "1.0", as nlohmann writes it.
void append_double(std::string& out, double value);

bool same_number(std::string_view a, std::string_view b);

// REQUIRES: the insides of two checked string literals.
bool same_string(std::string_view a, std::string_view b);

// REQUIRES: two valid values without whitespace around them, nested at most kMaxTextDepth deep.
bool same_value(std::string_view a, std::string_view b);

// A member and its key in characters.
struct KeyedChild {
    std::string key;
    std::uint32_t index;  // in the list it was made from
};

// The members in the order of their keys' bytes; of equal keys only the last member.
std::vector<KeyedChild> members_by_key(std::string_view text, const std::vector<Child>& members);

// For every member of b the place of the member of a with the same key, or -1; each is used once, so of equal keys in b the first is
// paired. Fast where the order is the same. Memory-safe for keys that were not checked.
struct MemberPairs {
    std::vector<std::int32_t> of_b;
    std::vector<char> used;  // members of a
};
void pair_members(std::string_view a, const std::vector<Child>& as, std::string_view b, const std::vector<Child>& bs, MemberPairs& pairs);

// The id of the object that `text` begins with: the value of its most preferred id member that is a string or a number; empty if there
// is none, or no object.
std::string_view find_id(std::string_view text, const std::vector<std::string_view>& id_keys);

// Equal for equal strings, whatever the escapes.
std::uint64_t string_hash(std::string_view inside);

// Equal for values that mean the same. Total: text that is not valid gets some number.
std::uint64_t value_hash(std::string_view value);

}  // namespace tidegate
