// Binary delta for blobs in the VCDIFF format (RFC 3284): copy from the base, add new bytes.
//
// Written with the default code table, without secondary compression. With `checksum` each window carries the Adler-32 of its target in
// the way of xdelta3 (window indicator bit 2, not part of the RFC): xdelta3 checks it, strict RFC readers want it off.
// Read: the RFC's default code table, windows over source or target, RUN, all address modes, xdelta3's application header and checksum.
// Not read, and refused as "delta-unsupported": secondary compression and custom code tables.
#pragma once

#include <cstddef>
#include <memory>
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

// The same where the delta comes piece by piece and the result leaves window by window: push, push …, end. As long as there is more(), push nothing and take it: so
// a delta that makes much of little cannot make it all at once. Held are the base, one window, and what has come of
// the delta of the next. A window that copies from the result (VCD_TARGET), which is gone by then, is refused as "delta-unsupported".
class DeltaStream {
public:
    explicit DeltaStream(std::string base, std::size_t max_output = kMaxBlobBytes);
    ~DeltaStream();

    // What the first window makes that is whole with this piece, often nothing; it lies here until the next call. After an error every call gives that error.
    Result<std::string_view> push(std::string_view piece);
    // A further window is whole.
    bool more() const;
    // Nothing follows. Error "delta-syntax" where the delta is cut.
    Result<std::string_view> end();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace tidegate
