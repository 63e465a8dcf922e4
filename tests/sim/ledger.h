// What the checkers know: every op that was accepted, what people asked for, what the server did, and the first thing that was wrong.
// Nothing here is read by the simulated shell or the core.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "patching.h"

namespace sim {

// How an op left the outbox.
enum class End { none, done, already, folded, cancelled, yielded, expired };

inline constexpr const char* kTaskEntity = "tidegate.task";   // of the app's own jobs
inline constexpr const char* kFilmEntity = "FILM";            // of blobs that go in pieces
inline constexpr const char* kFilmType = "video/mp4";
inline constexpr const char *kSiteEntity = "SITE", *kVisitEntity = "VISIT";   // of entities whose ids the server gives; a visit names its site

// One accepted write, as its caller knows it.
struct Known {
    std::uint64_t seq = 0;
    std::string id, lane, owner, entity, entity_id, action, group, text;  // text: the document of the save, empty for a delete
    std::vector<std::string> depends_on;
    std::map<std::string, std::string> refs;   // where its document names an entity that is to be bound → the lane of that
    double created_ms = 0;
    End end = End::none;
    int effects = 0;             // of all its keys
    int effect_version = 0;      // the version its last effect made
    std::string effect_key;
    bool retried_open = false;      // retried although an earlier send of it had no answer
    bool edits_all = false;         // nothing was shown that could have been edited
    std::set<std::string> edited;   // members whose value the save changed
    int sends = 0;                  // of all its forms
    int runs = 0;                   // of a task
    std::uint64_t ran_under = 0;    // the fencing token under which a run of it was heard to end well
    std::optional<int> refused_at;  // the attempts it had when its last request was answered 401
    int version = 0;                // of the app: the one its document is of
    std::string upload_url;         // of which its row once told
    bool asked_app = false;         // to make it into the present one
    bool asked_cancel = false, asked_retry = false, absorbed = false;  // absorbed: others were folded into it
};

struct Violation {
    int invariant = 0;  // 1–21, the numbers of docs/simulator.md
    std::string text;
    double at_ms = 0;
};

// The app's own function `migrate`.
inline Json in_version(Json document, int version) {
    document["form"] = version;
    return document;
}

// Rows leave out what has its default.
inline std::string state_of(const Json& row) { return row.value("state", "queued"); }
// Waits for a person, and holds nothing else up.
inline bool parked(const Json& row) {
    const std::string state = state_of(row);
    return state == "dead" || state == "quarantined";
}

// What the run must have met often enough to mean something.
struct Counts {
    std::uint64_t accepted = 0, attempts = 0, requests = 0, steps = 0, crashes = 0, lost_answers = 0, resends = 0, quota_aborts = 0, conflicts = 0,
                  rebases = 0, folds = 0, cancels = 0, too_large = 0, auth = 0, pulls = 0, takeovers = 0, dead = 0, done = 0, groups = 0, stale = 0, fenced = 0,
                  late = 0, deletes = 0, retries = 0, quarantined = 0, refusals = 0, syncs = 0, seconds = 0, task_runs = 0, refreshes = 0, updates = 0, migrations = 0, uploads = 0, chunks = 0, abandoned = 0, ids_given = 0,
                  ids_again = 0, refs_bound = 0, orphans = 0;
    static constexpr int kFields = 39;
    void add(const Counts& other) {
        auto* mine = reinterpret_cast<std::uint64_t*>(this);
        const auto* theirs = reinterpret_cast<const std::uint64_t*>(&other);
        for (int i = 0; i < kFields; ++i) mine[i] += theirs[i];
    }
};
static_assert(sizeof(Counts) == Counts::kFields * sizeof(std::uint64_t));

class Ledger {
public:
    explicit Ledger(const double& now) : now_(now) {}

    Known& accept(Known op) {
        by_id_[op.id] = op.seq;
        ++counts.accepted;
        return ops_[op.seq] = std::move(op);
    }
    Known* find(std::uint64_t seq) {
        const auto it = ops_.find(seq);
        return it == ops_.end() ? nullptr : &it->second;
    }
    Known* find_id(const std::string& id) {
        const auto it = by_id_.find(id);
        return it == by_id_.end() ? nullptr : find(it->second);
    }
    // A key is the id, or the id, a dot and a number.
    Known* find_key(const std::string& key) { return find_id(key.substr(0, key.find('.'))); }
    std::map<std::uint64_t, Known>& ops() { return ops_; }
    // An op and, where it belongs to one, all of its atomic group: people ask for the whole.
    template <class Visit>
    void each_of_unit(const Known& op, Visit visit) {
        for (auto& [seq, other] : ops_)
            if (seq == op.seq || (!op.group.empty() && other.group == op.group)) visit(other);
    }

    // Only the first violation of a history counts: what follows may be its consequence.
    void fail(int invariant, std::string text) {
        if (!violation) violation = Violation{invariant, std::move(text), now_};
    }

    Counts counts;
    std::optional<Violation> violation;
    bool ours_wins = false;   // a strategy was set that puts whole documents over theirs
    bool paused = false;   // a pause was answered and no resume asked since

private:
    const double& now_;
    std::map<std::uint64_t, Known> ops_;
    std::map<std::string, std::uint64_t> by_id_;
};

}  // namespace sim
