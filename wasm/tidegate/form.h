// The form of a body: full, JSON Patch (RFC 6902) or JSON Merge Patch (RFC 7396), by size. Never larger than full.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tidegate/protocol.h"
#include "tidegate/result.h"

namespace tidegate {

struct Form {
    Codec codec = Codec::full;
    std::string body;  // empty for full: the body is `next` itself
};

// Chooses the form in which `next` goes over `base` (nullopt: the server has no base, or deltas are off).
// Error "json-syntax" and its kin: `next` is not a JSON text; the op can never be sent as JSON.
Result<Form> choose_form(std::optional<std::string_view> base, std::string_view next);

}  // namespace tidegate
