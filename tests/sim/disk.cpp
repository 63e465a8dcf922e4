#include "disk.h"

#include <algorithm>

namespace sim {
namespace {

// Bytes inside a record: the record itself, or its bytes.
std::optional<std::string> bytes_of(const Record* record) { return record ? record->bytes : std::nullopt; }

std::string piece_key(const std::string& id, std::size_t n) {
    std::string out = "up:";
    out.append(id).append(":").append(std::to_string(100000 + n).substr(1));
    return out;
}

}  // namespace

std::string payload_key(std::uint64_t seq) {
    const std::string digits = std::to_string(seq);
    return std::string(12 - std::min<std::size_t>(12, digits.size()), '0') + digits + ":next";
}

std::optional<std::string> Disk::piece_bytes(const std::string& id, std::size_t at, std::size_t end) const {
    std::string out;
    while (at < end) {
        const Record* piece = get("payloads", piece_key(id, at / kPieceBytes));
        if (!piece || !piece->bytes || piece->bytes->size() <= at % kPieceBytes) return std::nullopt;
        out += piece->bytes->substr(at % kPieceBytes, end - at);
        at += std::min(end - at, piece->bytes->size() - at % kPieceBytes);
    }
    return out;
}

std::vector<Json> Disk::accept(std::vector<Accepted> items) {
    std::vector<Json> out;
    for (Accepted& item : items) {
        const std::uint64_t seq = next_seq_++;
        Json row = std::move(item.row);
        const std::string lane = row["lane"];
        Record& doc = stores_["docs"][lane];
        const bool shown = doc.value.is_object() && !doc.value.value("deleted", false);
        if (row["action"] == "save") row["action"] = shown ? "update" : "create";
        row["seq"] = seq;
        const bool deletes = row["action"] == "delete";
        doc.value = Json{{"entity", row["entity"]}, {"entityId", row["entityId"]}, {"owner", row["owner"]}, {"contentType", row["contentType"]},
                         {"deleted", deletes},      {"opId", row["id"]},           {"seq", seq}};
        doc.bytes.reset();
        if (item.has_text) {
            doc.bytes = item.text;
            stores_["payloads"][payload_key(seq)] = Record{Json(), std::move(item.text)};
        }
        for (std::size_t n = 0; item.in_pieces && n * kPieceBytes < item.text.size(); ++n)
            stores_["payloads"][piece_key(row["id"], n)] = Record{Json(), item.text.substr(n * kPieceBytes, kPieceBytes)};
        lanes_[lane].insert(seq);
        out.push_back(row);
        rows_[seq] = std::move(row);
    }
    return out;
}

std::vector<Json> Disk::rows_after(std::uint64_t seq, std::size_t limit) const {
    std::vector<Json> out;
    for (auto it = rows_.upper_bound(seq); it != rows_.end() && out.size() < limit; ++it) out.push_back(it->second);
    return out;
}

std::optional<Granted> Disk::acquire(int holder, double now_ms, double ttl_ms, bool takeover) {
    const double left = lease_.holder ? lease_.until_ms - now_ms : 0;
    const bool held = left > 0 && left <= ttl_ms;
    if (held && lease_.holder != holder && !takeover) return std::nullopt;
    Granted out;
    out.overtaken = lease_.holder != 0 && lease_.holder != holder;
    lease_ = {lease_.token ? lease_.token + 1 : static_cast<std::uint64_t>(now_ms) + 1, holder, now_ms + ttl_ms};
    out.token = lease_.token;
    out.state = Json::object();
    for (const char* key : {"core", "settings", "rules"})
        if (const Record* found = get("state", key)) out.state[key] = found->value;
    out.snapshot = bytes_of(get("state", "snapshot")).value_or("");
    return out;
}

bool Disk::renew(std::uint64_t token, double now_ms, double ttl_ms) {
    if (lease_.token != token || !lease_.holder) return false;
    lease_.until_ms = now_ms + ttl_ms;
    return true;
}

void Disk::release(std::uint64_t token) {
    if (lease_.token == token) lease_.holder = 0, lease_.until_ms = 0;
}

const Record* Disk::get(const std::string& store, const std::string& key) const {
    const Store& all = stores_.at(store);
    const auto it = all.find(key);
    return it == all.end() ? nullptr : &it->second;
}

std::vector<std::uint64_t> Disk::lane(const std::string& name) const {
    const auto it = lanes_.find(name);
    return it == lanes_.end() ? std::vector<std::uint64_t>{} : std::vector<std::uint64_t>(it->second.begin(), it->second.end());
}

std::string Disk::commit(std::uint64_t token, std::uint64_t known_seq, const std::vector<std::string>& lanes, std::vector<Write>& writes,
                         std::vector<std::string> bytes, const std::function<void(const std::vector<std::string>&)>& before_writes) {
    if (lease_.token != token || !lease_.holder) return "fenced";
    for (const std::string& lane : lanes)
        if (const auto it = lanes_.find(lane); it != lanes_.end() && !it->second.empty() && *it->second.rbegin() > known_seq) return "stale";
    // `from` means as it was before this commit, so these are read first.
    for (std::size_t i = 0; i < writes.size(); ++i)
        if (writes[i].from) bytes[i] = bytes_of(get(writes[i].from->store, writes[i].from->key)).value_or("");
    if (before_writes) before_writes(bytes);
    for (std::size_t i = 0; i < writes.size(); ++i) perform(writes[i], std::move(bytes[i]));
    return "ok";
}

void Disk::remove_row(std::uint64_t seq) {
    const auto it = rows_.find(seq);
    if (it == rows_.end()) return;
    lanes_[it->second["lane"].get_ref<const std::string&>()].erase(seq);
    rows_.erase(it);
}

void Disk::perform(Write& write, std::string bytes) {
    if (write.store == "ops") {
        const std::uint64_t seq = write.key->get<std::uint64_t>();
        if (write.remove) return remove_row(seq);
        Json row = std::move(*write.value);
        row["seq"] = seq;
        lanes_[row["lane"].get_ref<const std::string&>()].insert(seq);
        rows_[seq] = std::move(row);
        return;
    }
    Store& store = stores_[write.store];
    if (write.remove && write.prefix) {
        for (auto it = store.lower_bound(*write.prefix); it != store.end() && it->first.rfind(*write.prefix, 0) == 0;) it = store.erase(it);
        return;
    }
    const std::string& key = write.key->get_ref<const std::string&>();
    if (write.remove) {
        store.erase(key);
        return;
    }
    Record& record = store[key];
    record.value = write.value ? std::move(*write.value) : Json();
    if (write.slot || write.from) record.bytes = std::move(bytes);
    else record.bytes.reset();
}

}  // namespace sim
