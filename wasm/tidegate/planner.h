// The planner: readings, events, rows and outcomes in, a plan out. It composes the policies below it and has no arithmetic of its own.
//
//   restore → step, step, step …        the same inputs give the same plans, bit for bit, native and in Wasm
//
// Effects are asynchronous: each effect that answers has a continuation here, called with its outcome in a later step. A change of an op's state is made
// in memory when the commit that stores it is planned, and taken back when that commit did not happen. A lane is reserved from the moment something
// is planned for it until the commit that ends it is known to be stored, so nothing is ever decided twice.
//
// Parts: planner.cpp (step, restore, rows, the end of a turn), planner_send.cpp (choosing, forming, sending), planner_settle.cpp (answers),
// planner_verify.cpp (does the server still have what it acknowledged), planner_upload.cpp (a large blob, piece by piece), planner_conflict.cpp (412), planner_refs.cpp (ids that the server gives),
// planner_migrate.cpp (documents of another version of the app), planner_commands.cpp (what people ask), planner_status.cpp (what people see).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/batch.h"
#include "tidegate/budget.h"
#include "tidegate/callback.h"
#include "tidegate/conflict.h"
#include "tidegate/connectivity.h"
#include "tidegate/eta.h"
#include "tidegate/gate.h"
#include "tidegate/history.h"
#include "tidegate/outbox.h"
#include "tidegate/phases.h"
#include "tidegate/priority.h"
#include "tidegate/protocol.h"
#include "tidegate/random.h"
#include "tidegate/say.h"
#include "tidegate/time.h"
#include "tidegate/verdict.h"
#include "tidegate/wire.h"

namespace tidegate {

inline constexpr int kMaxConflictRounds = 3;
inline constexpr int kMaxAskedAtOnce = 3;                     // ops of which the server is asked what came of them
inline constexpr int kMaxMigrationsAtOnce = 8;                // documents that the app is asked to make into its present version
inline constexpr double kMaxLoadBytes = 16.0 * 1024 * 1024;   // payload bytes one batch may bring into memory
inline constexpr std::size_t kMaxHeadsLookedAt = 1024;        // lanes one choice looks at, besides those that …
inline constexpr std::size_t kMaxCandidates = 4096;           // ops one choice looks at: no further lane once there are as many
inline constexpr std::size_t kMaxHeadsPassedOver = 16384;     // … may not go now
inline constexpr std::size_t kMaxPreviewed = 250;
inline constexpr std::size_t kMaxExpiredAtOnce = 100;         // commits under way before one more op expires
inline constexpr double kStorageRetryMs = 1000;               // after a failed commit
inline constexpr std::size_t kSnapshotFromOps = 256;          // fewer rows are read faster than a snapshot pays
inline constexpr double kAuthRetryMs = 60000;                 // an owner's lanes after a 401, unless somebody resumes them
inline constexpr double kEventMarginMs = 2000;                // what a request of an event needs besides its time on the wire: to be stored before and after
inline constexpr double kGatherMs = 50;                       // what is saved within so long of the first save goes with it, unless it is critical
inline constexpr std::string_view kGathering = "Waiting for what is saved with it";
inline constexpr double kLongStepMs = 50;                     // a long task (W3C Long Tasks): the device is busy
inline constexpr double kLateTimerMs = 250;
// In the record of a base: the id that the server knows the entity by; in one under that id: the lane it has here.
inline constexpr const char* kServerId = "serverId";
inline constexpr const char* kAlias = "alias";
inline constexpr const char* kUnseen = "unseen";              // in that of a base: its document is not here, so a pull that names this version fetches it
// Of what the server acknowledged: the ETags of the versions that lay under it, one behind the other, the newest at the end (more than kMaxUnderBytes of them: that one
// alone); and when that was.
inline constexpr const char* kUnder = "before";
inline constexpr const char* kAckedAt = "ackedAt";
inline constexpr double kVerifyMs = kDayMs;                   // so long a server is held to what it acknowledged
inline constexpr std::size_t kMaxUnderBytes = 512;
inline constexpr std::size_t kMaxServerIdBytes = 512;         // 128 characters
inline constexpr Ruling kInvalid{Verdict::dead, true, false, ErrorClass::validation, "Validation failed"};
inline constexpr int kMaxRestraint = 4;                       // work per step is halved this often at most
inline constexpr int kRescoredAtOnce = 1000;                  // ops that one step gives the scores of new rules
inline constexpr int kCalmSteps = 8;                          // steps in a row without a sign of load before it is doubled again

// A header of an answer by its name in lower case; empty where it has none.
std::string_view header(const OutcomeIn& outcome, const char* name);

// The optimiser would put what is called once into its caller; what is left apart compresses better.
#ifdef __EMSCRIPTEN__
#pragma clang attribute push(__attribute__((noinline)), apply_to = function(is_member))
#endif
class Planner {
public:
    Planner();

    // Call first. snapshot: bytes of `snapshot()` or empty; state: {core?, settings?, rules?} as stored, and schemaVersion?: that of the app's documents as its code
    // has them now (without it no versions are compared). Answers the highest sequence number known;
    // rows above it have to be given to the next steps. Error "snapshot-damaged" / "snapshot-version": restore without it, and give all rows.
    // A stored setting or rule that no longer reads is left at its default and named in status.warnings.
    Result<std::uint64_t> restore(std::string_view snapshot, const Json& state);

    // One step. Error: the input is malformed; nothing changed.
    Result<Plan> step(const Json& input);

    // Payload bytes. put: an unknown slot is ignored. bytes: null when there are none.
    void put(std::uint64_t slot, std::string bytes);
    const std::string* bytes(std::uint64_t slot) const;

    // Ops and sequence number, versioned and checksummed (snapshot.h).
    std::string snapshot() const;

    // Why an op is not moving: {id, state, reason, sentence, untilMs?}. Take that reason away and the next one is named, until it is "ready": then the next
    // step sends it. Error "unknown-op".
    Result<Json> explain(std::string_view op_id);

    std::uint64_t known_seq() const { return outbox_.known_seq(); }

private:
    using Continuation = Callback<const OutcomeIn&>;

    // One op of a batch.
    struct Item {
        std::uint64_t seq = 0;
        std::uint64_t base_slot = 0, next_slot = 0, body_slot = 0;
        bool base_missing = false, base_deleted = false, chained = false, frozen_now = false, bound_now = false;
        bool twin = false;  // its lane bears the id that the server gave an entity, which here goes by server_id
        std::string base_etag;  // … behind those of what lay under it (kUnder), which end at …
        std::size_t etag_at = 0;
        std::string etag() const { return base_etag.substr(etag_at); }
        std::string server_id;  // the entity's, where it is not that of the lane
        std::string_view base, next, body;
        Codec codec = Codec::full;
        // To take back when the begin commit does not happen.
        OpState old_state = OpState::queued;
        Codec old_codec = Codec::none;
        Action old_action = Action::update;
        double old_last_attempt = 0;
        bool marked = false;
    };
    struct Batch {
        std::uint64_t id = 0;
        bool single = false;  // one REST request instead of the batch endpoint
        bool preview = false; // only looked at: requests of all kinds side by side
        bool asked = false;   // of its one op the server is asked what came of it: nothing is sent
        bool probe = false;   // the breaker is not closed: what comes of it counts for no op
        std::vector<Item> items;
        std::size_t settled = 0;   // so many of them
        std::vector<FoldRun> folds;
        Json parents;  // by lane of an entity that documents name, the slot of its base; null when there are none
        std::set<std::string> lanes;  // names: a lane may go when its last op does
        std::vector<std::uint64_t> slots;
        std::uint64_t frame_slot = 0, answer_slot = 0;
        bool gzip = false;
        bool retried = false;
        double body_bytes = 0;
        Phase phase = Phase::validate;
        double since_ms = 0;   // in this phase
        std::uint64_t known_seq = 0;  // when it was chosen
        bool waits = false;    // formed, until there is room for its request
        bool freed = false;    // its connection: what the answer says is being stored, and nobody waits for that
        int in_flight = 1;
    };
    using BatchPtr = std::shared_ptr<Batch>;

    // What one choice looks at: candidates for choose_batch, and the op (with the run that folds into it) behind each.
    struct Choice {
        struct Pick {
            Op* op;
            std::optional<FoldRun> run;
        };
        std::vector<Candidate> candidates;
        std::vector<Pick> picks;
        std::map<const Lane*, std::uint32_t> lanes;
        std::optional<std::string> owner;
    };

    // A 412 being worked on.
    struct Task {
        std::uint64_t id = 0, seq = 0;
        std::uint64_t known_seq = 0;  // when its bytes were asked for
        std::string lane, etag, server_id;
        bool missing = false;  // gone from the server
        bool unseen = false;   // theirs stands, and of it only the version is known
        bool theirs_later = false;  // by the ages of both writes
        bool asked = false;         // the app was: what it said is in answer_slot, if it said anything
        std::uint64_t answer_slot = 0;
        std::int32_t version = 0;   // of its document, before the app made it one of its present version
        std::uint64_t theirs_slot = 0, base_slot = 0;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> nexts;  // (seq, slot) of this op and the later ones of the lane
        std::vector<std::uint64_t> slots;
        StoreRef under;       // planner_undo.cpp: what lies under the op
        bool pulled = false;  // no conflict: a pull brought the new version, and its commit stores what is decided; or nobody else wrote
        bool aged = false;    // no 412: the server is asked what came of it (planner_send.cpp: forgotten)
        bool leaves = false;  // decided: the op leaves the outbox
    };
    using TaskPtr = std::shared_ptr<Task>;

    // What is known of an owner's pulls. Cursor, generation and `full` are remembered.
    struct Pulls {
        std::string cursor;
        std::uint64_t generation = 0;  // of the last full pull: a base without it was not brought by that pull
        bool full = false;             // a pull from the start is under way
        bool due = false;
        bool off = false;              // the server does not answer `changes`; until somebody asks again
        double ended_ms = 0;
        int portals = 0;               // in a row: pages of HTML without an ETag in the place of one
        int shorter = 0;               // so often the changes of a page are halved: a longer one had more bytes than the shell reads
    };
    // One change of the page that is being taken in.
    struct Pulled {
        Change change;
        std::string lane;
        std::uint64_t base_slot = 0, body_slot = 0;
        TaskPtr task;       // where ops of the lane are pending
        Json base;          // the base's record without its bytes; null when there is none
        bool over = false;  // nothing left to do for it

        bool known() const;   // this version, with what it says
        Json named() const;
    };
    struct PullRun {
        std::string owner, cursor;   // cursor: of the next page; the stored one stays behind it once something was held back
        std::uint64_t answer_slot = 0;
        std::vector<Pulled> items;
        std::vector<std::uint64_t> slots;
        std::set<std::string> acked;  // lanes that got a base while the page was on its way: it is older than they are
        bool more = false, held = false, sweeping = false;
        std::string swept;
    };
    using PullPtr = std::shared_ptr<PullRun>;

    struct CommitSpec {
        std::vector<Write> writes;
        std::vector<std::string> lanes;
        std::vector<std::uint64_t> slots;          // freed when it is over
        std::vector<std::string> left;             // ids of the ops that leave the outbox by it
        Callback<> ok;
        Callback<bool> failed;                     // (stale). Empty: the same commit is tried again until it is stored
    };

    // planner.cpp
    void take_rows(const std::vector<Json>& rows);
    void take_readings(const ReadingsIn& readings);
    void take_load(const ReadingsIn& readings);
    void count_battery(const ReadingsIn& readings);
    void link_changed(Quality before);
    void take_event(const EventIn& event);
    void take_outcome(const OutcomeIn& outcome);
    void finish_turn(Plan& plan);
    std::optional<double> next_wake();
    bool work_waits_for_time() const;
    void end_session();
    std::uint64_t new_slot();
    std::uint64_t keep(std::string bytes);
    void drop_slots(const std::vector<std::uint64_t>& slots);
    std::string_view view(std::uint64_t slot) const;
    void emit_load(std::vector<LoadItem> items, Continuation then);
    void emit_commit(CommitSpec spec);
    void emit_send(Effect send, Continuation then, const char* type = "send");
    void emit_notify(std::string event, Json detail);
    Json signed_in() const { return outbox_.owner() ? Json(*outbox_.owner()) : Json(); }
    static Json named(const Op& op);
    void audit(const Op& op, Json entry, CommitSpec& spec);
    void audit(Json entry, CommitSpec& spec);
    Session* session_of(const std::string& owner);
    void flush_notices();
    void retry_commits();
    void persist_core(Members& members);
    const Json& core_state();
    void read_core_state(const Json& core);
    void write_row(const Op& op, CommitSpec& spec) const;
    static Json doc_record(const std::string& entity, const std::string& entity_id, const std::string& owner, const std::string& content_type, const Op* from);
    void let_go(const Op& op, CommitSpec& spec) const;
    void withdraw(const std::vector<std::uint64_t>& seqs, const char* kind, const char* by);
    void write_shown(const Lane& lane, const std::vector<std::uint64_t>& without, CommitSpec& spec);
    void expire_ops();
    bool expired(const Op& op) const;
    void check_row(Op& op, CommitSpec& spec);
    void stand_in(std::uint64_t seq, const Json& row, const Error& error);
    void score_op(Op& op);
    void rescore();

    // planner_send.cpp
    GateResult gate() const;
    bool may_send(std::string* why = nullptr) const;
    bool shut_out(const std::string& owner) const;
    double origin_again_ms() const;
    double time_left_ms() const;
    double least_time_ms() const;
    double request_timeout_ms(double bytes) const;
    bool compressed(std::size_t bytes) const;
    bool held(const Op& op, const GateResult& gate, Json* why = nullptr) const;
    bool forgotten(const Op& op) const;
    bool careful() const;
    int requests_at_once(const Profile& link) const;
    void network_is_back();
    void plan_sends();
    bool start_batch(const GateResult& gate, const Profile& link);
    void choose(const GateResult& gate, const Profile& link, Batch& batch);
    void collect(const GateResult& gate, Choice& choice, Batch& batch);
    void collect_lane(Op& head, const GateResult& gate, Choice& choice, Batch& batch);
    bool group_ready(const Op& op, const GateResult& gate);
    std::size_t most_ops(const Profile& link) const;
    void take_chosen(Choice& choice, const Profile& link, Batch& batch);
    void load_batch(const BatchPtr& batch, std::size_t from);
    void form_batch(const BatchPtr& batch, std::size_t from, std::size_t to, const OutcomeIn& loaded);
    void form_item(Batch& batch, std::size_t index, const OutcomeIn& loaded, CommitSpec& spec);
    void cut_to_budget(Batch& batch);
    void begin_batch(const BatchPtr& batch);
    void mark_sending(Batch& batch, Item& item, CommitSpec& spec);
    void quarantine(Op& op, const std::string& reason, CommitSpec& spec);
    void take_back(Batch& batch);
    void append_folds(const Batch& batch, CommitSpec& spec);
    void release_batch(Batch& batch);
    void next_phase(Batch& batch) const;
    int requests_open() const;
    int requests_under_way() const;
    bool waited_for(const Batch& batch) const;
    std::vector<BatchPtr> waiting_batches() const;
    void give_back_waiting();
    void begin_waiting(const GateResult& gate, const Profile& link);
    Effect batch_request(Batch& batch);
    Effect single_request(Batch& batch);
    double estimated_bytes(const Op& op) const;
    bool too_large(const Op& op) const;
    void upload_request(const Batch& batch, Effect& send) const;

    // planner_settle.cpp
    void settle(const BatchPtr& batch, const OutcomeIn& outcome);
    void settle_request(Batch& batch, const Ruling& ruling, const OutcomeIn& outcome, std::int64_t status, CommitSpec& spec);
    void settle_results(Batch& batch, std::size_t from, const OutcomeIn& outcome, CommitSpec& spec, std::vector<TaskPtr>& tasks);
    void settle_single(Batch& batch, const OutcomeIn& outcome, CommitSpec& spec, std::vector<TaskPtr>& tasks);
    void settle_op(Batch& batch, Item& item, const WireResult& result, bool others_succeed, const OutcomeIn& outcome, CommitSpec& spec,
                   std::vector<TaskPtr>& tasks);
    void settle_run(Item& item, const OutcomeIn& outcome, CommitSpec& spec);
    bool settle_upload(const Batch& batch, const OutcomeIn& outcome, CommitSpec& spec);
    void abandon(std::uint64_t seq);
    void tell_abandoned();
    void op_done(Item& item, const WireResult& result, CommitSpec& spec);
    void op_dead(Op& op, const Ruling& ruling, std::int64_t status, const std::string& detail, CommitSpec& spec);
    void op_again(Op& op, const Ruling& ruling, std::int64_t status, bool counts, const OutcomeIn& outcome, CommitSpec& spec);
    void origin_failed(const Ruling& ruling, const OutcomeIn& outcome);
    void sign_in_needed(const std::string& owner);
    void origin_answered();
    void note_exchange(const Batch& batch, const OutcomeIn& outcome, bool captive);
    void note_pace(const OutcomeIn& outcome);
    void note_error(const std::string& owner, const Ruling& ruling, std::int64_t status, const std::string& detail = {});
    std::optional<double> asked_wait(const OutcomeIn& outcome) const;
    void unfreeze(Op& op, CommitSpec& spec);
    bool& deltas_taken(const Op& op) { return op.is_json() ? delta_ok_ : blob_delta_ok_; }

    // planner_conflict.cpp
    void start_conflict(const TaskPtr& task);
    void fetch_theirs(const TaskPtr& task);
    void load_conflict(const TaskPtr& task);
    void want_task(const TaskPtr& task, std::vector<LoadItem>& items);
    bool outgrown(const Task& task);
    bool arrived(const Task& task);
    bool decide_conflict(const TaskPtr& task, CommitSpec& spec);
    void resolve_conflict(const TaskPtr& task, const OutcomeIn& loaded);
    void end_task(const TaskPtr& task);
    void give_back(const TaskPtr& task);
    bool rebase_later(const TaskPtr& task, std::string under_old, std::string under_new, std::uint64_t& last_seq, std::string& last_text,
                      CommitSpec& spec);
    void write_doc(const Op& op, std::string text, CommitSpec& spec, bool deleted = false);
    void write_base(const Lane& lane, const Task& task, std::optional<std::string> bytes, CommitSpec& spec);
    Strategy strategy_for(const Op& op) const;
    void ask_app(const TaskPtr& task);
    static Json shown_clash(const Clash& clash);
    void write_audit(const Task& task, const Op& op, const Resolution& made, CommitSpec& spec);

    // planner_verify.cpp
    bool went_back(const Json& base, const std::string& etag) const;
    void note_acked(Item& item, const std::string& etag, Json& base) const;
    void tell_lost(const PullRun& run, const Pulled& item, std::string_view document, CommitSpec& spec);

    // planner_undo.cpp
    void mark_undo(Op& op, Undo undo);
    TaskPtr start_task(Op& op);
    void tell_document(const Op& op);
    void start_undos();
    void load_undo(Op& op);
    void decide_undo(const TaskPtr& task, Op& op);
    void restore_doc(const Op& op, std::optional<StoreRef> from, CommitSpec& spec);

    // planner_refs.cpp
    static const std::string& id_there(const std::string& entity_id, const std::string& server_id) { return server_id.empty() ? entity_id : server_id; }
    static std::string entity_url(const std::string& entity, const std::string& id) { return say("entities/", entity, "/", encode_component(id)); }
    static Json base_record(const std::string& etag, const std::string& server_id);
    void take_server_id(Item& item, const Op& op, const std::string& given, CommitSpec& spec);
    bool bind_refs(const Batch& batch, const OutcomeIn& loaded, Item& item, Op& op, CommitSpec& spec);
    static const Json* record_in(const OutcomeIn& loaded, double slot);

    // planner_migrate.cpp
    bool outdated(const Op& op) const;
    void start_migrations();
    void set_unmigrated(Op& op, bool waits, const std::string& why);
    void take_migrated(const Task& task, Op& op, CommitSpec& spec);

    // planner_pull.cpp
    Json sync_now(const std::optional<Json>& options, bool by_hand);
    void pulls_due(bool at_once);
    void hint(const std::optional<Json>& value, bool from_now_on);
    void plan_pulls();
    std::optional<double> pull_wake(const GateResult& gate, double earliest) const;
    bool may_ask(const std::string& owner) const;
    void fetch_page(const PullPtr& run);
    void take_page(const PullPtr& run, const OutcomeIn& outcome);
    void load_page(const PullPtr& run);
    bool take_bases(const PullPtr& run, const OutcomeIn& loaded);
    void apply_page(const PullPtr& run);
    bool to_apply(PullRun& run, Pulled& item);
    void fetch_blob(const PullPtr& run, std::size_t index);
    void tell_pulled(const PullRun& run, std::vector<Json> documents);
    void write_pulled(const PullRun& run, const Pulled& item, CommitSpec& spec);
    void commit_page(const PullPtr& run, CommitSpec spec, std::vector<Json> told);
    void next_page(const PullPtr& run);
    void sweep(const PullPtr& run);
    void pull_again(const PullPtr& run);
    void end_pull(const PullPtr& run);
    void stamp_base(const Lane& lane, Json& value);
    Json pulls_state() const;
    void read_pulls(const Json& state);

    // planner_commands.cpp
    Json take_command(const CommandIn& command);
    Json sign_in(const std::optional<Json>& value, bool in);
    Json cancel_op(const std::string& id);
    Json cancel_session(const std::string& id);
    Json retry_op(const std::string& id, bool drop);
    Json set_priority(const std::string& id, const std::string& priority);
    void store_row(std::uint64_t seq);
    Json set_settings(const std::optional<Json>& value);
    Json set_rules(const std::optional<Json>& value);

    // planner_status.cpp
    Status status() const;
    Json metrics() const;
    EngineState engine_state(std::string& reason) const;
    ConnectivityShown connectivity() const;
    bool goes_next(const Op& op, const GateResult& gate);
    Json preview(const std::optional<Json>& options);
    Json is_recommended(const std::optional<Json>& weight) const;

    // What is remembered (core_state writes it) ----------------------------------------------------------------------------
    Json core_;                                  // as it was read or last written
    Connectivity link_;
    Eta eta_;
    Totals totals_;
    Marks marks_;                                // of the ages of history records
    bool paused_ = false;
    bool gzip_ok_ = true, delta_ok_ = true, blob_delta_ok_ = true;
    bool server_ids_ = false;    // the server gave an entity another id once
    double origin_retry_ms_ = 0, origin_wait_ms_ = 0;
    double asked_until_ms_ = 0;  // the server's own Retry-After: nothing but time ends it
    int origin_failures_ = 0;
    bool origin_wait_is_network_ = false;
    Breaker breaker_;
    RetryBudget retries_;
    double key_retention_ms_ = kMaxInstantMs;  // how long the server keeps keys, as it said last
    double pace_until_ms_ = 0;  // asked for by the server's RateLimit headers
    double first_save_ms_ = 0;   // of those after the last session that made a request, as far as this instance was told
    double last_session_end_ms_ = 0, last_success_ms_ = 0, last_attempt_ms_ = 0, average_session_ms_ = 0;
    double bytes_today_ = 0, battery_today_ = 0, today_ = 0;   // of the local day `today_`
    double delta_ratio_ = 0.15;
    std::uint64_t next_session_ = 1;
    std::optional<OpError> last_error_;
    std::map<std::string, double> auth_paused_;  // owner → until
    double ticket_ = 0;                          // of the last who signed in or out
    std::map<std::string, Pulls> pulls_;         // by owner, of those that pull at all
    std::vector<std::string> abandoned_;         // uploads of ops that left, of which the server is to be told: how far it was, a line's end, the owner
    std::uint64_t split_ops_ = 0;                // learned ceiling of ops per batch after a 413 or a refused batch; 0 none

    Settings settings_;
    RuleSet rules_;
    Json other_settings_ = Json::object();       // that a newer release knows, perhaps: kept, without effect
    std::vector<std::string> warnings_;
    Outbox outbox_;

    // What lives in memory only ------------------------------------------------------------------------------------------------
    double now_ms_ = 0;
    Random random_{0};
    ReadingsIn readings_;
    std::optional<EventIn> event_;
    std::optional<Session> session_;
    Plan* plan_ = nullptr;
    std::vector<Effect> notices_;
    std::set<std::uint64_t> undos_;              // seqs of ops with something to undo
    int schema_version_ = -1;                    // of the app's documents, as its code has them now; -1: it does not say
    std::set<std::uint64_t> outdated_;           // seqs of ops with a document of another version
    std::map<std::uint64_t, Continuation> pending_;
    std::map<std::uint64_t, std::string> slots_;
    std::map<std::uint64_t, BatchPtr> batches_;
    std::vector<CommitSpec> failed_commits_;
    double storage_retry_ms_ = 0;
    double gather_until_ms_ = 0;                 // a drain that a save began waits for what is saved with it
    std::uint64_t next_effect_ = 1, next_slot_ = 1, next_batch_ = 1;
    int tasks_open_ = 0;
    bool snapshot_stored_ = false, core_dirty_ = false;
    Json unread_ = Json::object();   // by their numbers the ops that stand for rows; a newer release may know what they are, and reads them only while no snapshot says that they were read
    bool manual_ = false;
    std::size_t worked_ = 0;                     // ops that this step settled or marked
    int restraint_ = 0, busy_steps_ = 0, calm_steps_ = 0;
    double event_ms_ = 0;       // how long the event may last in all
    PullPtr pull_;                               // the pull under way
    Checkpoint acked_{0, Phase::verify, 0, 0, OpState::done};   // what the server acknowledged since the last pull that compared it
    bool push_off_ = false, pull_off_ = false;   // what the person who asked for this drain does not want
    Band floor_ = Band::low;                     // and the lowest priority he wants sent
    bool pulled_after_push_ = false;
    std::size_t next_abandoned_ = 0;             // in this drain; behind the end while one is being told
    bool rows_follow_ = false;  // the rows known are not all: a group at their end may lack members
    bool rows_first_ = false;   // and a commit showed that lanes go on in those to come: no new batch until all are known
    bool sync_owed_ = false;  // a sync event of this drain can be fired again by the browser
    double status_at_ms_ = 0;
    std::string status_class_;
    std::string status_sent_;
    std::uint64_t rescore_from_ = 0;   // the least seq that new rules have not seen yet
};
#ifdef __EMSCRIPTEN__
#pragma clang attribute pop
#endif

}  // namespace tidegate
