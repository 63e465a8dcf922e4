// The queue in memory: ops, their lanes, and the two indexes a step needs: lanes that can go now, and lanes that wait for a time.
//
// A lane is the FIFO of one entity; only its head is ever indexed, so a step costs O(batch · log lanes) however many ops are queued.
// Ops in state dead or quarantined stay (a person decides) but no longer hold their lane up: what they changed is taken out of the ops behind them
// (planner_undo.cpp). Only metadata is here: payload bytes stay in the store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/protocol.h"

namespace tidegate {

// Limits (docs/limits.md). The store refuses more before we do.
inline constexpr std::size_t kMaxQueuedOps = 100000;
inline constexpr std::size_t kMaxDependencies = 64;
inline constexpr std::size_t kMaxOtherBytes = 256;   // of members that only a newer release knows, as JSON text
inline constexpr std::size_t kMaxFoldsAtOnce = 500;
inline constexpr std::int32_t kMaxSchemaVersion = 2147483647;
// A lane's head inherits the priority of this many ops behind it (so that a touch is O(1) in the length of the lane).
inline constexpr std::size_t kInheritanceWindow = 64;
// Ops that one change of priority may lend its place to, directly and through others.
inline constexpr std::size_t kMaxLendings = 1024;

// Ops of this entity are runs of the app's own jobs: the shell executes them, in place of a request. The entity id is the task's.
inline constexpr std::string_view kTaskEntity = "tidegate.task";

// The op of this entity stands for a row that cannot be read (also sw/records.js): parked, never sent, and never written over that row.
inline constexpr std::string_view kUnreadEntity = "?";
// So many of them are listed as what they are; of more the store shows its rows.
inline constexpr std::size_t kMaxUnreadShown = 100;

// Where an index has a lane.
enum class Indexed : std::uint8_t { nowhere, ready, timer };

struct Lane {
    Lane(const std::string& owner_of, const std::string& entity_of) : owner(owner_of), entity(entity_of) {}

    const std::string* key = nullptr;   // its name, as it stands in the outbox's index of lanes
    const std::string& owner;           // one text for all lanes that have it, kept by the outbox; entity likewise
    const std::string& entity;
    std::vector<std::uint64_t> ops;  // seqs, ascending. Not a deque: libc++ gives each 4 kB
    std::uint64_t reserved_by = 0;   // batch or task that works on it; 0 none
    // Index bookkeeping, maintained by Outbox.
    double where_key = 0;
    Indexed where = Indexed::nowhere;
    bool runs = false;               // of kTaskEntity
    bool away = false;               // its owner is not signed in: its ops are neither counted nor indexed

    std::string entity_id() const;   // as its name has it
    const std::string& name() const { return *key; }
};

// The name of a lane, as sw/accept.js makes it: owner:entity/entityId, with owner and id as encodeURIComponent has them.
std::string lane_of(std::string_view owner, std::string_view entity, std::string_view entity_id);
std::string encode_component(std::string_view text);
// The entity id in the name of a lane.
std::string id_in_lane(std::string_view lane);

// Rarely present parts of an op.
struct OpExtra : OpRare {
    std::string fields;  // JSON text
    Json refs;           // null, or {pointer: lane} (planner_refs.cpp)
    double lent_key = 1e300;  // the best key of what waits for it: order_key of an op that depends on it, or the like
};

// There are up to kMaxQueuedOps of them, so members stand in an order that leaves no gaps.
struct Op : OpFacts {
    std::uint8_t band = 1;    // 0 low … 3 critical
    bool unmigrated = false;  // of another version of the app, which could not make it one of this: it holds its lane, and goes by no time (planner_migrate.cpp)
    std::uint64_t seq = 0;
    double order_key = 0, score = 0;
    std::string id;
    Lane* lane = nullptr;
    std::unique_ptr<OpExtra> extra;
    std::int32_t attempts = 0, sends = 0, rounds = 0, failures = 0, schema_version = 0;

    const OpExtra& rare() const;
    OpExtra& make_rare();
    std::string_view key() const { return extra && !extra->key.empty() ? std::string_view(extra->key) : std::string_view(id); }
    bool is_json() const { return !extra || extra->content_type.empty(); }
    // Its body lies in pieces, of which one goes at a time (planner_upload.cpp).
    bool uploads() const { return extra && !extra->upload.empty(); }
    bool upload_begun() const;
    double uploaded() const;  // so many bytes of it the server has
    // Never sent: may still be folded, and its body is not frozen.
    bool fresh() const { return sends == 0 && codec == Codec::none; }
    double place() const { return extra && extra->lent_key < order_key ? extra->lent_key : order_key; }
    // Does not go by itself any more.
    bool parked() const { return state == OpState::dead || state == OpState::quarantined; }
};

// What folding two neighbours gives: DESIGN.md section 4, row "coalescing", as a table.
struct FoldResult {
    bool folds = false;
    bool to_nothing = false;
    Action action = Action::update;
};
FoldResult fold_actions(Action first, Action second);

// A run of ops at the front of a lane that becomes one op, or none.
struct FoldRun {
    std::vector<std::uint64_t> folded;  // these leave the outbox
    std::uint64_t survivor = 0;         // 0: nothing is left of the run (create + delete)
    Action action = Action::update;     // what the survivor becomes
};

// What is queued of who is signed in, kept up with every change, so that a status costs nothing however long the queue is.
struct Tally {
    std::int64_t by_state[12] = {};
    std::int64_t unfinished = 0;   // not parked
    std::int64_t unmigrated = 0;   // of them
    std::int64_t high = 0;         // unfinished, band high or critical
    std::int64_t critical = 0;
    double created_sum = 0;        // over unfinished ops
    double bytes = 0;              // over unfinished ops
    std::int64_t of(OpState state) const { return by_state[static_cast<std::size_t>(state)]; }
};

class Outbox {
public:
    // Adds a row read from the store. Refused: an id or seq already here, a lane that is not owner:entity/entityId, more than the limits.
    // An op stored as `sending` was on the wire when the process ended: it becomes `unknown`.
    Result<Op*> add(OpRow row);

    // The row to store for an op.
    OpRow row_of(const Op& op) const;

    Op* find(std::uint64_t seq);
    const Op* find(std::uint64_t seq) const;
    Op* find_id(std::string_view id);
    Lane* find_lane(std::string_view name);

    // Removes an op for good. Its dependents and its lane are looked at again.
    void remove(std::uint64_t seq);

    // The only way to change an op: keeps the tally and the indexes true.
    template <class Change>
    void change(Op& op, Change&& apply) {
        count(op, -1);
        apply(op);
        count(op, +1);
        touch(*op.lane);
    }
    const Tally& tally() const { return tally_; }

    // Who is signed in; null: nobody. Everybody else is away: his ops keep their place, and are neither counted nor ever ready. Until the first call
    // nobody is away. Costs a look at every op.
    void sign_in(const std::string* owner);
    bool told_owner() const { return told_owner_; }
    const std::optional<std::string>& owner() const { return owner_; }
    bool away(const std::string& owner) const { return told_owner_ && owner_ != owner; }

    // REQUIRED after a change to a lane's reservation.
    void touch(Lane& lane);
    void reserve(Lane& lane, std::uint64_t by);
    void release(Lane& lane);

    // The first op of the lane that is not parked; null when there is none.
    Op* head(Lane& lane);
    const Op* head(const Lane& lane) const;
    // The op after `seq` in its lane that is not parked; null when there is none.
    Op* after(const Op& op);
    // The first op after it in its lane that may have been applied; null when there is none.
    const Op* open_after(const Op& op);

    // True while an op it depends on is still in the outbox; names it.
    const Op* blocked_by(const Op& op) const;
    // A change of an entity that others name may be folded, its create not: they wait for that.
    bool has_dependents(const Op& op) const { return children_.count(op.action == Action::create && children_.count(op.id) == 0 ? op.lane->name() : op.id) > 0; }
    // The first op that names `op` as its parent although it was accepted before it: what it named did not exist then. Null when there is none. Because such
    // edges are refused, every edge points to an earlier op; so does every lane and (see entangled) every group, and nothing ever waits in a circle.
    Op* waits_from_before(const Op& op);
    // Something that was accepted while its group was stands before it in its lane: the group would wait for it, and it perhaps for the group. Groups are
    // accepted in one piece, so this is a damaged or forged queue.
    bool entangled(const Op& op) const;
    // REQUIRED after order_key changed: those that `op` waits for, in whatever way, go no later than it would (priority inheritance).
    void lend(const Op& op);

    // The run of fresh ops beginning with `first` that folds, or nullopt.
    std::optional<FoldRun> fold_run(Op& first);

    // Lanes whose head can go, best first: (order key, seq of head).
    const std::set<std::pair<double, std::uint64_t>>& ready() const { return ready_; }
    // Lanes whose head waits for a time: (until, seq of head).
    const std::set<std::pair<double, std::uint64_t>>& timers() const { return timers_; }
    // Moves lanes whose time has come to `ready`.
    void wake(double now_ms);

    const std::map<std::uint64_t, Op>& ops() const { return ops_; }
    std::map<std::uint64_t, Op>& ops() { return ops_; }
    std::size_t size() const { return ops_.size(); }
    std::uint64_t known_seq() const { return known_seq_; }
    void know(std::uint64_t seq) { known_seq_ = seq > known_seq_ ? seq : known_seq_; }
    // The members of its atomic group, ascending seq; the op alone where it has none.
    std::vector<std::uint64_t> unit(const Op& op) const;
    // Ops that are to leave by themselves, by when.
    const std::set<std::pair<double, std::uint64_t>>& expiries() const { return expiries_; }

private:
    const Op* parent_of(const Op& op, const std::string& name) const;
    // Where the op of this id lies in by_id_, or where it would.
    std::size_t place_of(std::string_view id) const;
    void count(const Op& op, int sign);
    void unindex(Lane& lane);
    void touch_or_drop(Lane& lane);
    double lane_key(const Lane& lane) const;
    std::uint64_t head_seq(const Lane& lane) const;

    std::map<std::uint64_t, Op> ops_;
    std::map<std::string, Lane, std::less<>> lanes_;
    std::set<std::string> words_;    // owners and entity types of the lanes
    // By id, in open addressing with linear probing (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithms L and R); at most half full. The nodes of a tree
    // would take three times the room. The nodes of ops_ do not move.
    std::vector<const Op*> by_id_ = std::vector<const Op*>(64);
    std::map<std::string, std::vector<std::uint64_t>> children_;  // by what they name: the id of an op, or a lane
    std::map<std::string, std::vector<std::uint64_t>> groups_;
    std::set<std::pair<double, std::uint64_t>> ready_, timers_, expiries_;
    std::uint64_t known_seq_ = 0;
    Tally tally_;
    double now_ms_ = 0;
    bool told_owner_ = false;
    std::optional<std::string> owner_;
};

}  // namespace tidegate
