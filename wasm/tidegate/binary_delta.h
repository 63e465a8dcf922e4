// Binary delta for blobs in the VCDIFF format (RFC 3284): copy from the base, add new bytes.
//
// Written with the default code table, without secondary compression. With `checksum` each window carries the Adler-32 of its target in
// the way of xdelta3 (window indicator bit 2, not part of the RFC): xdelta3 checks it, strict RFC readers want it off.
// Read: the RFC's default code table, windows over source or target, RUN, all address modes, xdelta3's application header and checksum.
// Not read, and refused as "delta-unsupported": secondary compression and custom code tables.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tidegate/result.h"

namespace tidegate {

// Largest base and target. Beyond it blobs go through the upload path.
inline constexpr std::size_t kMaxBlobBytes = std::size_t{256} << 20;
// Target bytes per window: what a reader must hold beside the base. xdelta3 takes up to 16 MiB.
inline constexpr std::size_t kDeltaWindowBytes = std::size_t{8} << 20;

struct BinaryDeltaOptions {
    bool checksum = true;
};

// The delta that makes `next` of `base`. Error "delta-size" for blobs that are too large.
Result<std::string> encode_delta(std::string_view base, std::string_view next, const BinaryDeltaOptions& options = {});

// What the delta makes of the base. Nothing is allocated that a window did not announce within max_output. Error codes: "delta-syntax"
// (not VCDIFF, or cut), "delta-unsupported", "delta-limit" (the result would be larger), "delta-checksum" (another base, or damage).
Result<std::string> apply_delta(std::string_view base, std::string_view delta, std::size_t max_output = kMaxBlobBytes);

}  // namespace tidegate
