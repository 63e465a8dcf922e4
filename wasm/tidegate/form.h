// The form of a body: full, JSON Patch (RFC 6902), JSON Merge Patch (RFC 7396) or, for blobs, VCDIFF (RFC 3284), raw or compressed, by what it costs on the
// link.
//
// Of the forms the smallest is also the fastest: making a delta takes tens of microseconds, as long as two hundred bytes take at 50 Mbit/s.
// Compressing takes milliseconds, so there time and bytes disagree on a fast link.
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

// Chooses the smallest form in which `next` goes over `base` (nullopt: the server has no base, or deltas are off). Never larger than full.
// Error "json-syntax" and its kin: `next` is not a JSON text; the op can never be sent as JSON.
Result<Form> choose_form(std::optional<std::string_view> base, std::string_view next);

// Whether a blob goes as a VCDIFF delta (RFC 3284) of that many bytes: only when it is smaller. 0: there is none. The encoder is no part of the planner's
// module; a shell that has it (sw/blob-deltas.js) makes the delta, and what is decided here is whether it is taken.
constexpr bool delta_pays(std::size_t delta_bytes, std::size_t whole_bytes) { return delta_bytes > 0 && delta_bytes < whole_bytes; }

// Whether a body of this size is sent compressed: it gets smaller, and at `goodput` (bytes per second) the bytes saved take no less time than
// compressing. 0: bytes alone count.
bool worth_compressing(double bytes, double goodput);

}  // namespace tidegate
