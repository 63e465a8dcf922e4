// The store of one device: the rules of sw/store.js on maps. Each call is one transaction; what may fail or be cut is decided by the caller.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ledger.h"
#include "tidegate/protocol.h"

namespace sim {

using tidegate::Write;

struct Record {
    Json value;                        // null where the record is bytes alone
    std::optional<std::string> bytes;
};

// Where the document of an op lies.
std::string payload_key(std::uint64_t seq);

struct Lease {
    std::uint64_t token = 0;
    int holder = 0;  // 0: nobody
    double until_ms = 0;
};

struct Granted {
    std::uint64_t token = 0;
    std::string snapshot;
    Json state;  // {core, settings, rules}
    bool overtaken = false;  // another holder's lease had not been given back
};

struct Accepted {
    Json row;
    std::string text;
    bool has_text = false;
    bool in_pieces = false;  // its text goes by tus (sw/uploads.js)
};

inline constexpr std::size_t kPieceBytes = 5000;   // sw/uploads.js has 256 KiB; what matters is that chunks do not end where pieces do

class Disk {
public:
    using Rows = std::map<std::uint64_t, Json>;
    using Store = std::map<std::string, Record>;

    // Rows, payloads and docs of `items` at once; "save" becomes create or update. Answers the rows as stored.
    std::vector<Json> accept(std::vector<Accepted> items);
    std::vector<Json> rows_after(std::uint64_t seq, std::size_t limit) const;
    std::optional<Granted> acquire(int holder, double now_ms, double ttl_ms, bool takeover);
    bool renew(std::uint64_t token, double now_ms, double ttl_ms);
    void release(std::uint64_t token);
    const Lease& lease() const { return lease_; }

    // "ok", "fenced" or "stale". `bytes`: what each write's slot holds. on_write is told before anything changes.
    // Takes the values out of the writes it performs; stores and keys stay in them.
    std::string commit(std::uint64_t token, std::uint64_t known_seq, const std::vector<std::string>& lanes, std::vector<Write>& writes,
                       std::vector<std::string> bytes, const std::function<void(const std::vector<std::string>&)>& before_writes);

    const Record* get(const std::string& store, const std::string& key) const;
    const Rows& rows() const { return rows_; }
    const Store& payloads() const { return stores_.at("payloads"); }
    const Store& bases() const { return stores_.at("bases"); }
    const Store& docs() const { return stores_.at("docs"); }
    const std::map<std::string, Store>& stores() const { return stores_; }
    std::uint64_t last_seq() const { return next_seq_ - 1; }
    // The bytes of an op that lie in pieces, from `at` on; nullopt where one of them is missing.
    std::optional<std::string> piece_bytes(const std::string& id, std::size_t at, std::size_t end) const;
    // Rows of a lane in order of acceptance.
    std::vector<std::uint64_t> lane(const std::string& name) const;

private:
    void perform(Write& write, std::string bytes);
    void remove_row(std::uint64_t seq);

    Rows rows_;
    std::map<std::string, std::set<std::uint64_t>> lanes_;
    std::map<std::string, Store> stores_{{"payloads", {}}, {"bases", {}}, {"docs", {}}, {"state", {}}, {"history", {}}};
    std::uint64_t next_seq_ = 1;
    Lease lease_;
};

}  // namespace sim
