#include "tidegate/snapshot.h"

#include <doctest/doctest.h>

#include "tidegate/hash.h"

using namespace tidegate;

namespace {

OpRow row(std::uint64_t seq) {
    OpRow row;
    row.seq = seq;
    row.id = "op-" + std::to_string(seq);
    row.lane = ":NOTE/a";
    row.entity = "NOTE";
    row.entity_id = "a";
    row.created_at = 1.7e12;
    return row;
}

std::string three_rows() {
    Snapshot snapshot;
    snapshot.known_seq = 300;   // two bytes as a varint
    for (std::uint64_t seq = 1; seq <= 3; ++seq) snapshot.rows.push_back(row(seq));
    snapshot.rows[1].others = R"({"futureThing":{"since":"N"}})";
    return write_snapshot(snapshot);
}

// A body under a head that fits it: damage that the checksum does not see.
std::string sealed(const std::string& body) {
    std::string out = three_rows().substr(0, 5);
    const std::uint64_t sum = xxh64(body);
    for (int i = 0; i < 8; ++i) out += static_cast<char>((sum >> (8 * i)) & 0xff);
    return out + body;
}

std::string said_of(const std::string& bytes) {
    const auto read = read_snapshot(bytes);
    return read ? "" : read.error().message;
}

}  // namespace

TEST_CASE("snapshot: what was written is read") {
    const auto read = read_snapshot(three_rows());
    REQUIRE(read.ok());
    CHECK(read.value().known_seq == 300);
    REQUIRE(read.value().rows.size() == 3);
    CHECK(read.value().rows[2].id == "op-3");
    CHECK(read.value().rows[1].others == R"({"futureThing":{"since":"N"}})");
    CHECK(read.value().rows[2].others.empty());
    Snapshot none;
    const auto empty = read_snapshot(write_snapshot(none));
    REQUIRE(empty.ok());
    CHECK(empty.value().rows.empty());
}

TEST_CASE("snapshot: every byte that changed and every byte that is missing is noticed") {
    const std::string good = three_rows();
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        CAPTURE(i);
        REQUIRE_FALSE(read_snapshot(bad).ok());
        CHECK(read_snapshot(bad).error().code == (i == 4 ? "snapshot-version" : "snapshot-damaged"));
        CHECK(read_snapshot(std::string_view(good).substr(0, i)).error().code == "snapshot-damaged");
    }
    CHECK(said_of(good + "x") == "the snapshot is damaged: its checksum does not match");
    std::string later = good;
    later[4] = 2;
    CHECK(said_of(later) == "the snapshot has version 2, this code reads 1");
}

TEST_CASE("snapshot: a body that never was one is refused, whatever its checksum says") {
    const std::string damaged = "the snapshot is damaged: ";
    CHECK(said_of(sealed("")) == damaged + "it ends in its head");
    CHECK(said_of(sealed("\x07")) == damaged + "it ends in its head");
    CHECK(said_of(sealed(std::string(12, '\xff'))) == damaged + "it ends in its head");   // a number without end
    CHECK(said_of(sealed("\x07\x01")) == damaged + "it ends inside a row");
    CHECK(said_of(sealed("\x07\x01\x05{}")) == damaged + "it ends inside a row");
    CHECK(said_of(sealed("\x07\x01\x02{]")) == damaged + "a row is no JSON");
    CHECK(said_of(sealed("\x07\x01\x02{}")) == damaged + "a row does not decode");
    CHECK(said_of(sealed(std::string("\x07\x00", 2) + "left")) == damaged + "bytes are left over");
}
