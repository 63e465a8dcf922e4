// The outbox as bytes: what a start reads instead of all rows.
//
//   "TGSN" | version u8 | xxh64 of the rest u64 LE | known_seq varint | row count varint | rows
//   row: one JSON text (OpRow without its defaults), length-prefixed by a varint
// A damaged or unknown snapshot is refused and the rows are read instead; nothing depends on it but time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/protocol.h"
#include "tidegate/result.h"

namespace tidegate {

inline constexpr std::uint8_t kSnapshotVersion = 1;

struct Snapshot {
    std::uint64_t known_seq = 0;
    std::vector<OpRow> rows;
};

std::string write_snapshot(Snapshot& snapshot);

// Errors: "snapshot-damaged" (magic, checksum, length, a row that does not decode), "snapshot-version".
Result<Snapshot> read_snapshot(std::string_view bytes);

}  // namespace tidegate
