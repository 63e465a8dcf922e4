// One spelling for equal documents, and a hash of it, so that client and server can agree on a document without sending it.
//
// `canonicalize` is RFC 8785 (JCS): keys by UTF-16 code units, shortest escapes, numbers as ECMAScript prints the nearest double.
// That loses digits: 9007199254740993 becomes 9007199254740992. `canonical_hash` must not: two documents that differ anywhere hash
// differently (up to chance). Its numbers are the exact decimal as written, laid out by the rules of ECMAScript's Number::toString.
// So both agree on every number that a double holds to the last written digit (all with at most 15 significant digits, and all that
// JavaScript itself wrote), and they differ only where RFC 8785 would round. Exponents of more than 15 digits are hashed as text.
// In both, of equal keys in one object the last counts, and -0 is 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tidegate/result.h"

namespace tidegate {

// Codes: those of validate_json; "json-number" for a number beyond double (1e400), "json-surrogate" for a lone surrogate, both of
// which RFC 8785 refuses.
Result<std::string> canonicalize(std::string_view text);

// xxh64 of the exact canonical form. Codes: those of validate_json. Lone surrogates and numbers of any size are taken.
Result<std::uint64_t> canonical_hash(std::string_view text);

}  // namespace tidegate
