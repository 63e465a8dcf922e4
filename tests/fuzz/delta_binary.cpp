// Any bytes as VCDIFF: an answer within the limit. Any two blobs: the delta makes one of the other.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tidegate/binary_delta.h"

using namespace tidegate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t border = (data[0] * 256u + data[1]) % (input.size() + 1);
    const std::string_view base = input.substr(0, border), other = input.substr(border);
    const Result<std::string> decoded = apply_delta(base, other, 1 << 16);
    if (decoded.ok() && decoded.value().size() > (1 << 16)) std::abort();
    DeltaStream stream(std::string(base), 1 << 16);
    std::string streamed;
    Error problem;
    for (std::size_t at = 0; at < other.size() && problem.code.empty(); at += 1 + data[0] % 64) {
        std::string_view piece = other.substr(at, 1 + data[0] % 64);
        do {
            const Result<std::string_view> made = stream.push(piece);
            if (made.ok()) streamed += made.value();
            else problem = made.error();
            piece = {};
        } while (stream.more() && problem.code.empty());
    }
    if (problem.code.empty() && !stream.end().ok()) problem = stream.end().error();
    if (problem.code.empty() ? !decoded.ok() || decoded.value() != streamed : decoded.ok() && problem.code != "delta-unsupported" && problem.code != "delta-limit") std::abort();
    const Result<std::string> delta = encode_delta(base, other);
    const Result<std::string> back = apply_delta(base, delta.value());
    if (!back.ok() || back.value() != other) std::abort();
    return 0;
}
