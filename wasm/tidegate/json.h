// Control-message JSON: nlohmann behind checked calls only (it aborts otherwise, there are no exceptions here).
// Payloads never come this way: they are bytes (see diff.h, patch.h, merge.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "tidegate/result.h"

namespace tidegate {

using Json = nlohmann::json;

// Deepest nesting that is taken. nlohmann in Wasm overflows the stack between 1 000 and 10 000 levels.
inline constexpr int kMaxJsonDepth = 256;

// Parses one JSON text. Depth is checked before a tree exists, in O(n) and without recursion. Error codes: "json-depth", "json-syntax".
Result<Json> parse_json(std::string_view text, int max_depth = kMaxJsonDepth);

// Writes compact JSON; invalid UTF-8 becomes U+FFFD.
std::string dump_json(const Json& value);

// True when no nesting in `text` goes deeper than max_depth (strings are skipped; the text need not be valid otherwise).
bool depth_within(std::string_view text, int max_depth);

// A value for an error sentence: dumped, cut to 60 characters.
std::string quote_value(const Json& value);

}  // namespace tidegate
