#include "tidegate/snapshot.h"

#include "tidegate/hash.h"
#include "tidegate/say.h"

namespace tidegate {
namespace {

constexpr std::string_view kMagic = "TGSN";
constexpr std::size_t kHeaderBytes = 4 + 1 + 8;

void append_varint(std::string& out, std::uint64_t value) {
    while (value >= 0x80) {
        out += static_cast<char>(0x80 | (value & 0x7f));
        value >>= 7;
    }
    out += static_cast<char>(value);
}

bool take_varint(std::string_view& in, std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(in.front());
        in.remove_prefix(1);
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

Error damaged(const char* what) { return {"snapshot-damaged", "", say("the snapshot is damaged: ", what)}; }

}  // namespace

std::string write_snapshot(Snapshot& snapshot) {
    std::string body;
    append_varint(body, snapshot.known_seq);
    append_varint(body, snapshot.rows.size());
    for (OpRow& row : snapshot.rows) {
        const std::string text = row_to_text(row);
        append_varint(body, text.size());
        body += text;
    }
    std::string out(kMagic);
    out += static_cast<char>(kSnapshotVersion);
    const std::uint64_t sum = xxh64(body);
    for (int i = 0; i < 8; ++i) out += static_cast<char>((sum >> (8 * i)) & 0xff);
    return out + body;
}

Result<Snapshot> read_snapshot(std::string_view bytes) {
    if (bytes.size() < kHeaderBytes || bytes.substr(0, 4) != kMagic) return damaged("it does not begin as one");
    const auto version = static_cast<std::uint8_t>(bytes[4]);
    if (version != kSnapshotVersion)
        return Error{"snapshot-version", "", say("the snapshot has version ", version, ", this code reads ", kSnapshotVersion)};
    std::uint64_t sum = 0;
    for (int i = 0; i < 8; ++i) sum |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[5 + i])) << (8 * i);
    std::string_view body = bytes.substr(kHeaderBytes);
    if (xxh64(body) != sum) return damaged("its checksum does not match");
    Snapshot out;
    std::uint64_t count = 0;
    if (!take_varint(body, out.known_seq) || !take_varint(body, count)) return damaged("it ends in its head");
    for (std::uint64_t i = 0; i < count; ++i) {
        std::uint64_t length = 0;
        if (!take_varint(body, length) || length > body.size()) return damaged("it ends inside a row");
        const auto json = parse_json(body.substr(0, length));
        body.remove_prefix(length);
        if (!json) return damaged("a row is no JSON");
        auto row = row_from_json(json.value());
        if (!row) return damaged("a row does not decode");
        out.rows.push_back(std::move(row.value()));
    }
    if (!body.empty()) return damaged("bytes are left over");
    return out;
}

}  // namespace tidegate
