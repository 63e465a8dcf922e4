// The checkers: the invariants of docs/simulator.md, looked at from outside. They read the store, the requests and the server; of the core they see only what
// it tells everybody (plans, status). The first violation ends the history.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ledger.h"
#include "tidegate/protocol.h"

namespace sim {

class World;
class Drain;

// Stands in every document and must come out nowhere else.
inline constexpr const char* kCanary = "CANARY-7f3a9";

class Check {
public:
    explicit Check(World& world) : world_(world) {}

    // check_commit.cpp: invariants 1, 3, 4, 8, 17, 18, 19
    void before_commit(const std::vector<tidegate::Write>& writes, const std::vector<std::string>& bytes);
    void after_commit(const std::vector<tidegate::Write>& writes);
    void cancelled(const std::string& id);

    // check_send.cpp: invariants 5, 6, 7, 8, 9, 10, 11, 14, 15, 23
    void decided(Drain& drain, const tidegate::Effect& effect);   // where it leaves only once more was read (an upload), that is for at_send
    void at_send(Drain& drain, const tidegate::Effect& effect, const std::string& body);
    void at_ask(const tidegate::Effect& effect, int version);
    void landed(std::uint64_t token, std::uint64_t effect);
    void heard(std::uint64_t token, std::uint64_t effect, const Json& outcome);
    void signed_in();   // somebody did, or asked for everything anew: owners whose credentials were refused may be tried
    void told(std::uint64_t token);
    void stale();

    // check_end.cpp: invariants 1, 2, 11, 12, 13, 17, 20
    void published(const std::string& type, const Json& detail);
    void status(const tidegate::Status& status);
    void rejected(const tidegate::Rejected& rejected);
    void at_idle(Drain& drain, const tidegate::Plan& plan, bool rejects_sync, bool last_chance);
    void at_end();
    // Empty when everything that can be done is done; else what is left.
    std::string what_is_left() const;

private:
    struct Commit;
    void row_removed(Commit& commit, std::uint64_t seq);
    void row_written(const Json& row);
    void migrated(const Commit& commit, const Json& row);
    void base_written(Commit& commit, const std::string& lane);
    void conflict_recorded(Commit& commit, const Json& record);
    void lane_view(const std::string& lane);
    void op_sent(Drain& drain, const tidegate::Effect& effect, const std::string& id, const std::string& key, std::set<std::uint64_t>& in_request);
    void chunk_sent(const tidegate::Effect& effect, const Known& op, const std::string& body);   // uploads.cpp: 24
    std::string upload_left() const;
    void first_send(const Drain& drain, Known& op, const Json& row);
    void may_start(Drain& drain, const tidegate::Effect& effect);
    const Known* creator_before(const Known& op) const;   // ids.cpp: 25
    void alias_kept(const std::string& lane);
    void named_in_vain(const Known& op, const std::string& reason);
    void best_first(Drain& drain, const std::set<std::uint64_t>& in_request);
    void lane_converged(const std::string& lane);
    bool may_remain(std::uint64_t seq, std::set<std::uint64_t>& seen) const;
    std::string reasons(Drain& drain) const;
    void fail(int invariant, std::string text);

    World& world_;
    std::map<std::uint64_t, std::vector<std::string>> flying_;  // effect → lanes, of the drain with flying_token_
    std::uint64_t flying_token_ = 0;
    std::map<std::uint64_t, std::pair<std::string, std::vector<std::uint64_t>>> carried_;   // effect → owner and ops, of the drain with carried_token_
    std::uint64_t carried_token_ = 0;
    // Owners whose credentials were refused: as the shell heard it, and since when the core of this drain knows.
    std::set<std::string> heard_refused_;
    std::map<std::string, std::pair<double, std::uint64_t>> told_refused_ms_;   // and the number of the step that told it
    // Until when a server asked to wait: as the shell heard it, as the core of that drain was told, and as a commit after that holds it for everybody.
    std::map<std::uint64_t, double> heard_until_ms_, told_until_ms_;   // by fencing token
    double stored_until_ms_ = 0;
    int idle_at_once_ = 0;            // drains in a row that sent nothing and asked for another one at once
    std::vector<double> failures_;    // starts of requests since the last that was answered well
    double stale_ms_ = -1e9;   // when a commit was last refused because of new rows
    std::map<std::string, double> freed_ms_;   // lane → when an op of it last ended
    std::optional<tidegate::Status> status_;
};

}  // namespace sim
