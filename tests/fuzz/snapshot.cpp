// Any bytes as a snapshot: refused by name, or read; what was read is written and read again as the same. A first byte 1 makes the checksum
// right, so that the parts behind it are reached.
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"
#include "tidegate/hash.h"
#include "tidegate/planner.h"
#include "tidegate/snapshot.h"

using namespace tidegate;

namespace {

constexpr std::size_t kHead = 4 + 1 + 8;  // magic, version, checksum: snapshot.h

void make_right(std::string& bytes) {
    if (bytes.size() < kHead) return;
    bytes.replace(0, 5, std::string("TGSN") + static_cast<char>(kSnapshotVersion));
    const std::uint64_t sum = xxh64(std::string_view(bytes).substr(kHead));
    for (std::size_t i = 0; i < 8; ++i) bytes[5 + i] = static_cast<char>(sum >> 8 * i & 0xff);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] & 1) make_right(bytes);
    Result<Snapshot> snapshot = read_snapshot(bytes);
    Planner planner;
    const Result<std::uint64_t> restored = planner.restore(bytes, Json::object());
    if (!snapshot.ok()) {
        require(snapshot.error().code == "snapshot-damaged" || snapshot.error().code == "snapshot-version");
        require(bytes.empty() || !restored.ok());
        return 0;
    }
    const std::string written = write_snapshot(snapshot.value());
    Result<Snapshot> again = read_snapshot(written);
    require(again.ok() && again.value().known_seq == snapshot.value().known_seq && again.value().rows.size() == snapshot.value().rows.size());
    require(write_snapshot(again.value()) == written);
    if (restored.ok()) require(read_snapshot(planner.snapshot()).ok());
    return 0;
}
