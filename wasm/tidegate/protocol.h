// Every type that crosses the boundary, described once (see describe.h). `tg_schema` prints wasm/protocol.d.ts from this file.
// Times are ms since epoch, durations ms unless the name says otherwise, sizes bytes, battery 0–100.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidegate/describe.h"

namespace tidegate {

// The version glue and core exchange at start; a mismatch is refused, never decoded.
inline constexpr int kBoundaryVersion = 1;
// The wire protocol (docs/protocol.md).
inline constexpr int kWireVersion = 1;

// --- words ----------------------------------------------------------------------------------------------------------------

enum class Action : std::uint8_t { create, update, remove };
template <>
struct EnumNames<Action> {
    static constexpr const char* name = "Action";
    static constexpr const char* values[] = {"create", "update", "delete"};
};

// DESIGN.md section 1. `done`, `folded`, `cancelled` and `expired` ops are no longer rows but history records.
enum class OpState : std::uint8_t { queued, blocked, waiting, sending, unknown, conflict, done, dead, folded, cancelled, expired, quarantined };
template <>
struct EnumNames<OpState> {
    static constexpr const char* name = "OpState";
    static constexpr const char* values[] = {"queued", "blocked",   "waiting",   "sending", "unknown",    "conflict", "done",
                                             "dead",   "folded", "cancelled", "expired", "quarantined"};
};

// The form of a body on the wire.
enum class Codec : std::uint8_t { none, full, merge_patch, json_patch, vcdiff };
template <>
struct EnumNames<Codec> {
    static constexpr const char* name = "Codec";
    static constexpr const char* values[] = {"none", "full", "merge-patch", "json-patch", "vcdiff"};
};

// What is still to be done about a refused change in the documents above it.
enum class Undo : std::uint8_t { none, take_out, put_in };
template <>
struct EnumNames<Undo> {
    static constexpr const char* name = "Undo";
    static constexpr const char* values[] = {"none", "take-out", "put-in"};
};

enum class ErrorClass { network, server, validation, auth, conflict, storage, quota, internal };
template <>
struct EnumNames<ErrorClass> {
    static constexpr const char* name = "ErrorClass";
    static constexpr const char* values[] = {"network", "server", "validation", "auth", "conflict", "storage", "quota", "internal"};
};

// What a batch passes through (phases.h).
enum class Phase : std::uint8_t { validate, prepare, execute, verify, cleanup };
template <>
struct EnumNames<Phase> {
    static constexpr const char* name = "Phase";
    static constexpr const char* values[] = {"validate", "prepare", "execute", "verify", "cleanup"};
};

enum class EngineState { idle, scheduled, running, completed, paused, waiting, offline, failed };
template <>
struct EnumNames<EngineState> {
    static constexpr const char* name = "EngineState";
    static constexpr const char* values[] = {"idle", "scheduled", "running", "completed", "paused", "waiting", "offline", "failed"};
};

enum class EventType { sync, periodicsync, online, message, push, page, timer, manual, accept, start };
template <>
struct EnumNames<EventType> {
    static constexpr const char* name = "EventType";
    static constexpr const char* values[] = {"sync", "periodicsync", "online", "message", "push",
                                             "page", "timer",        "manual", "accept",  "start"};
};

// --- an op ------------------------------------------------------------------------------------------------------------------

struct OpError {
    ErrorClass error_class = ErrorClass::internal;
    std::string message;
    std::optional<std::int64_t> status;
    friend bool operator==(const OpError&, const OpError&) = default;
};
template <class V>
void describe(V& v, OpError& e) {
    v.type("OpError", "Why an op last failed.");
    v.field("class", e.error_class);
    v.field("message", e.message, "One plain sentence.");
    v.field("status", e.status, "The HTTP status, where one was answered.");
}

// What the core holds of an op as its row says it (outbox.h).
struct OpFacts {
    double created_at = 0, size_bytes = 0, body_bytes = 0, until_ms = 0, last_attempt = 0, wait_ms = 0;
    Action action = Action::update;
    OpState state = OpState::queued;
    Codec codec = Codec::none;
    Undo undo = Undo::none;
    bool unknown = false, no_fold = false;
};
// The same of what few ops have.
struct OpRare {
    std::vector<std::string> depends_on;
    std::string group, reason, key, content_type, upload;
    std::string others;  // JSON text of an object with the members that only a newer release knows; empty: there are none
    std::optional<OpError> error;
    double expires_at = 0;
};

struct OpRow : OpFacts, OpRare {
    std::uint64_t seq = 0;
    std::string id, lane, owner, entity, entity_id;
    std::string priority = "normal";
    std::optional<Json> fields, refs;
    std::int64_t schema_version = 0;
    std::int64_t attempts = 0, sends = 0, rounds = 0, failures = 0;
    std::optional<double> score;
};
template <class V>
void describe(V& v, OpRow& r) {
    v.type("OpRow", "One row of the `ops` store: an accepted op's metadata. Appended by accept, afterwards changed by commits only.");
    v.field("seq", r.seq, "Accept order, given by the store.");
    v.field("id", r.id, "UUIDv7 made at accept; also the first idempotency key.");
    v.field("lane", r.lane, "owner:entity/entityId, each percent-encoded. FIFO inside, independent of other lanes.");
    v.defaulted("owner", r.owner, "The account the op belongs to.");
    v.field("entity", r.entity, "Entity type.");
    v.field("entityId", r.entity_id);
    v.field("action", r.action);
    v.defaulted("priority", r.priority, "critical, high, normal or low.");
    v.field("fields", r.fields, "The fields that rules name, copied at accept (at most 256 bytes).");
    v.defaulted("schemaVersion", r.schema_version, "The app's own version of the document.");
    v.field("createdAt", r.created_at, "When it was accepted, ms since epoch.");
    v.defaulted("contentType", r.content_type, "Empty means application/json.");
    v.defaulted("sizeBytes", r.size_bytes, "Bytes of the full body.");
    v.defaulted("dependsOn", r.depends_on, "Ids of ops that must be done before, and lanes whose entity must be on the server before.");
    v.field("refs", r.refs, "{JSON Pointer into its document: lane of the entity whose id stands there}.");
    v.defaulted("group", r.group, "Atomic group.");
    v.defaulted("expiresAt", r.expires_at, "Not sent by then: it leaves the outbox, with a record. 0: never.");
    v.defaulted("noFold", r.no_fold, "True: never coalesced with another op.");
    v.defaulted("state", r.state);
    v.defaulted("reason", r.reason, "Why it waits, is blocked, dead or quarantined.");
    v.defaulted("untilMs", r.until_ms, "Not before this time.");
    v.defaulted("attempts", r.attempts, "Failed answers about this op alone; at maxRetryAttempts it becomes a dead letter.");
    v.defaulted("sends", r.sends, "Requests that carried it, whatever became of them.");
    v.defaulted("rounds", r.rounds, "Conflict rounds.");
    v.defaulted("failures", r.failures, "Failures in a row, the exponent of the backoff.");
    v.defaulted("unknown", r.unknown, "An earlier send had no answer: it may have been applied.");
    v.defaulted("lastAttempt", r.last_attempt);
    v.defaulted("waitMs", r.wait_ms, "The last wait drawn.");
    v.defaulted("key", r.key, "Idempotency key when it is not the id: the body changed after a known answer.");
    v.defaulted("codec", r.codec, "Form of the frozen body; none while no body is frozen.");
    v.defaulted("bodyBytes", r.body_bytes, "Bytes of the frozen body.");
    v.defaulted("upload", r.upload, "Its body lies in pieces and goes by tus: how far it is, as the shell wrote it; \"new\" before.");
    v.defaulted("undo", r.undo, "Refused, or retried after that, and the documents above it do not show it yet.");
    v.field("score", r.score, "Effective score when last planned.");
    v.field("error", r.error);
}

// A row as it is stored, and back. Two releases may take turns on one database, so what a newer one added to a row goes back with it.
std::string row_to_text(OpRow& row);
Result<OpRow> row_from_json(const Json& json);

// --- input ------------------------------------------------------------------------------------------------------------------

struct EventIn {
    EventType type = EventType::message;
    std::string trigger, tag;
    bool last_chance = false;
    std::optional<double> deadline_ms;
};
template <class V>
void describe(V& v, EventIn& e) {
    v.type("EventIn", "What woke us.");
    v.field("type", e.type);
    v.defaulted("trigger", e.trigger, "periodic, connectivity, data-change, manual, push or start.");
    v.defaulted("tag", e.tag);
    v.defaulted("lastChance", e.last_chance, "The browser will not fire this sync again.");
    v.field("deadlineMs", e.deadline_ms, "Nothing may be in flight after this time.");
}

struct ReadingsIn {
    std::optional<bool> online, save_data, metered, charging, idle, foreground;
    std::optional<std::string> connection_type, effective_type;
    std::optional<double> downlink, rtt, battery_level, at_ms, utc_offset_minutes, step_ms, timer_late_ms;
    std::optional<std::string> pressure;
};
template <class V>
void describe(V& v, ReadingsIn& r) {
    v.type("ReadingsIn", "What the sensors say; an absent reading is unknown.");
    v.field("online", r.online);
    v.field("saveData", r.save_data);
    v.field("metered", r.metered);
    v.field("charging", r.charging);
    v.field("idle", r.idle);
    v.field("foreground", r.foreground, "A page of the app is open.");
    v.field("connectionType", r.connection_type, "wifi, cellular, ethernet …");
    v.field("effectiveType", r.effective_type, "slow-2g, 2g, 3g, 4g.");
    v.field("downlink", r.downlink, "Mbit/s.");
    v.field("rtt", r.rtt, "ms.");
    v.field("batteryLevel", r.battery_level, "0–100.");
    v.field("atMs", r.at_ms, "When battery, charging and idleness were read.");
    v.field("utcOffsetMinutes", r.utc_offset_minutes, "For quiet hours: minutes to add to UTC for local time.");
    v.field("stepMs", r.step_ms, "How long the last step of the core took.");
    v.field("timerLateMs", r.timer_late_ms, "How late the last timer came.");
    v.field("pressure", r.pressure, "nominal, fair, serious or critical, where the platform says.");
}

struct OutcomeIn {
    std::uint64_t id = 0;
    std::optional<bool> skipped;
    std::optional<std::string> commit;
    std::optional<Error> error;
    std::vector<std::uint64_t> missing;
    std::vector<Json> metas;
    std::optional<std::int64_t> status;
    std::optional<Json> headers;
    std::optional<std::string> failure;
    std::string message;
    double started_at_ms = 0, ended_at_ms = 0, sent_bytes = 0, body_bytes = 0;
};
template <class V>
void describe(V& v, Error& e) {
    v.type("BoundaryError", "An error as a value.");
    v.field("code", e.code);
    v.defaulted("path", e.path, "JSON Pointer into the input.");
    v.defaulted("message", e.message);
}
template <class V>
void describe(V& v, OutcomeIn& o) {
    v.type("OutcomeIn", "What became of an effect.");
    v.field("id", o.id, "The effect's id.");
    v.field("skipped", o.skipped, "It was not performed.");
    v.field("commit", o.commit, "ok, fenced or stale.");
    v.field("error", o.error, "A storage failure.");
    v.defaulted("missing", o.missing, "Slots for which the store had no bytes.");
    v.defaulted("metas", o.metas, "[{slot, value}] for records that have more than bytes; of a list [{key, value}].");
    v.field("status", o.status, "HTTP status.");
    v.field("headers", o.headers, "Answer headers, lower-case names.");
    v.field("failure", o.failure, "network, timeout, aborted, blocked, truncated, too-large or auth; of a run: task; of a run or an upload: no-task.");
    v.defaulted("message", o.message);
    v.defaulted("startedAtMs", o.started_at_ms);
    v.defaulted("endedAtMs", o.ended_at_ms);
    v.defaulted("sentBytes", o.sent_bytes);
    v.defaulted("bodyBytes", o.body_bytes);
}

struct CommandIn {
    std::string type;
    std::string id, priority, session;
    std::optional<Json> value;
};
template <class V>
void describe(V& v, CommandIn& c) {
    v.type("CommandIn", "A person or the app asks for something.");
    v.field("type", c.type, "signIn, signOut, pause, resume, flush, schedule, cancelSync, hint, pull, cancel, retry, drop, setPriority, settings, rules, status, metrics, explain, preview, isSyncRecommended.");
    v.defaulted("id", c.id, "Op id.");
    v.defaulted("priority", c.priority);
    v.defaulted("session", c.session);
    v.field("value", c.value, "Settings patch, rules array, {owner}.");
}

struct Input {
    double now_ms = 0;
    std::uint64_t seed = 0;
    std::optional<EventIn> event;
    std::optional<ReadingsIn> readings;
    std::vector<Json> rows;  // decoded one by one: a bad row is rejected by itself
    bool more = false;
    std::uint64_t max_ops = 0;
    std::vector<OutcomeIn> outcomes;
    std::vector<CommandIn> commands;
};
template <class V>
void describe(V& v, Input& i) {
    v.type("Input", "All that the core is ever given.");
    v.field("nowMs", i.now_ms);
    v.field("seed", i.seed, "A fresh random whole number below 2^53.");
    v.field("event", i.event);
    v.field("readings", i.readings);
    v.defaulted("rows", i.rows, "OpRow[]: newly accepted or reloaded, ascending seq.");
    v.defaulted("more", i.more, "More rows follow in the next step.");
    v.defaulted("maxOps", i.max_ops, "No more ops than this in one request, and one request at a time: an op is suspected of ending the worker. 0: no limit.");
    v.defaulted("outcomes", i.outcomes);
    v.defaulted("commands", i.commands);
}

// --- plan -------------------------------------------------------------------------------------------------------------------

struct LoadItem {
    std::uint64_t slot = 0;
    std::string store, key;
};
template <class V>
void describe(V& v, LoadItem& l) {
    v.type("LoadItem", "Bytes wanted.");
    v.field("slot", l.slot);
    v.field("store", l.store);
    v.field("key", l.key);
}

struct StoreRef {
    std::string store, key;
    friend bool operator==(const StoreRef&, const StoreRef&) = default;
};
template <class V>
void describe(V& v, StoreRef& r) {
    v.type("StoreRef", "A record of the store.");
    v.field("store", r.store);
    v.field("key", r.key);
}

struct Write {
    std::string store;
    std::optional<Json> key;  // string, or number for ops
    std::optional<std::string> prefix;
    std::optional<Json> value;
    std::optional<std::uint64_t> slot;
    std::optional<StoreRef> from;
    bool remove = false;
};
template <class V>
void describe(V& v, Write& w) {
    v.type("Write", "One write of a commit.");
    v.field("store", w.store);
    v.field("key", w.key);
    v.field("prefix", w.prefix, "With remove: every key with this prefix.");
    v.field("value", w.value);
    v.field("slot", w.slot, "Bytes to store: alone, or as value.bytes.");
    v.field("from", w.from, "Bytes to copy inside the transaction.");
    v.defaulted("remove", w.remove);
}

// Adds a write and gives it, to be filled; valid until the next one is added.
Write& add_write(std::vector<Write>& writes, const char* store, const char* key);
Write& add_write(std::vector<Write>& writes, const char* store, const std::string& key);
Write& add_write(std::vector<Write>& writes, const char* store, std::uint64_t key);

// A number in a key: with zeros before it, at least twelve digits, so that key order is number order.
std::string padded(std::uint64_t number);

// "000000000042:next", the key of an op's bytes. V8 puts every string of at most ten characters of a parsed text in a table, and the growth of that table was the
// longest part of the longest step.
std::string payload_key(std::uint64_t seq, const char* part);

struct Effect {
    std::string type;
    std::uint64_t id = 0;
    std::vector<LoadItem> items;
    std::optional<std::uint64_t> known_seq;
    std::optional<std::vector<std::string>> lanes;
    std::vector<Write> writes;
    std::optional<std::string> method, url;
    std::optional<Json> headers;
    std::optional<std::uint64_t> slot;
    std::optional<bool> gzip;
    std::optional<std::string> owner;
    std::optional<double> timeout_ms;
    std::optional<std::uint64_t> answer_slot;
    std::optional<std::string> event, after;
    std::optional<Json> detail;
};
template <class V>
void describe(V& v, Effect& e) {
    v.type("Effect", "Something the shell does: load, list, commit, send, upload, run, ask or notify.");
    v.field("type", e.type);
    v.field("id", e.id);
    v.defaulted("items", e.items);
    v.field("knownSeq", e.known_seq);
    v.field("lanes", e.lanes);
    v.defaulted("writes", e.writes);
    v.field("method", e.method);
    v.field("url", e.url, "Relative to the endpoint.");
    v.field("headers", e.headers);
    v.field("slot", e.slot, "The request body.");
    v.field("gzip", e.gzip, "Compress the body and say so.");
    v.field("owner", e.owner, "Whose credentials the request needs.");
    v.field("timeoutMs", e.timeout_ms);
    v.field("answerSlot", e.answer_slot, "Where the answer's body goes.");
    v.field("event", e.event);
    v.field("detail", e.detail);
    v.field("after", e.after, "list: keys after this one.");
}
inline bool operator==(const LoadItem& a, const LoadItem& b) { return a.slot == b.slot && a.store == b.store && a.key == b.key; }
inline bool operator==(const Write& a, const Write& b) {
    return a.store == b.store && a.key == b.key && a.prefix == b.prefix && a.value == b.value && a.slot == b.slot && a.from == b.from &&
           a.remove == b.remove;
}

struct Rejected {
    std::uint64_t seq = 0;
    std::string id, code, path, message;
};
template <class V>
void describe(V& v, Rejected& r) {
    v.type("Rejected", "One bad item; the rest was planned.");
    v.defaulted("seq", r.seq);
    v.defaulted("id", r.id);
    v.field("code", r.code);
    v.field("path", r.path);
    v.field("message", r.message);
}

struct CurrentOperation {
    std::string type, entity_id;
    double progress = 0;
    std::optional<double> estimated_time_remaining;
};
template <class V>
void describe(V& v, CurrentOperation& c) {
    v.type("CurrentOperation", "What is being sent now.");
    v.field("type", c.type, "Action and entity type.");
    v.field("entityId", c.entity_id);
    v.field("progress", c.progress, "0–100, of this session.");
    v.field("estimatedTimeRemaining", c.estimated_time_remaining, "Seconds; absent while unknown.");
}

struct Progress {
    std::int64_t total_items = 0, completed_items = 0, failed_items = 0;
    std::optional<CurrentOperation> current_operation;
    std::optional<double> last_sync_attempt, next_scheduled_sync, average_sync_duration;
};
template <class V>
void describe(V& v, Progress& p) {
    v.type("Progress", "How far the session is.");
    v.field("totalItems", p.total_items);
    v.field("completedItems", p.completed_items);
    v.field("failedItems", p.failed_items);
    v.field("currentOperation", p.current_operation);
    v.field("lastSyncAttempt", p.last_sync_attempt);
    v.field("nextScheduledSync", p.next_scheduled_sync);
    v.field("averageSyncDuration", p.average_sync_duration, "Seconds.");
}

struct ConnectivityShown {
    bool is_online = true;
    std::string connection_type = "unknown", connection_quality = "good";
    std::optional<double> stability, last_connected, network_speed, rtt, battery_level;
    std::optional<bool> is_charging;
};
template <class V>
void describe(V& v, ConnectivityShown& c) {
    v.type("ConnectivityShown", "Connectivity as shown.");
    v.field("isOnline", c.is_online);
    v.field("connectionType", c.connection_type, "wifi, cellular, ethernet or unknown.");
    v.field("connectionQuality", c.connection_quality, "excellent, good, poor or offline.");
    v.field("stability", c.stability, "0–1.");
    v.field("lastConnected", c.last_connected);
    v.field("networkSpeed", c.network_speed, "Mbit/s.");
    v.field("rtt", c.rtt, "ms.");
    v.field("batteryLevel", c.battery_level);
    v.field("isCharging", c.is_charging);
}

struct Checkpoint {
    std::uint64_t id = 0;
    Phase phase = Phase::execute;
    double timestamp = 0;
    std::int64_t completed_operations = 0;
    OpState state = OpState::unknown;
};
template <class V>
void describe(V& v, Checkpoint& c) {
    v.type("Checkpoint", "Where the oldest batch under way is, and what a kill would leave of it; without one, what the next pull has to verify.");
    v.field("id", c.id, "`seq` of its first op, which a restart does not change. In `verify`: of the last that was acknowledged.");
    v.field("phase", c.phase);
    v.field("timestamp", c.timestamp, "Since when, ms since epoch.");
    v.field("completedOperations", c.completed_operations, "Ops of the batch that are done. In `verify`: those that the server acknowledged and no pull has compared yet.");
    v.field("state", c.state, "What the rows of its ops say. unknown: `execute` was cut, and the same request goes again. done: in `verify` there are none any more.");
}

struct Status {
    EngineState state = EngineState::idle;
    bool is_active = false;
    std::optional<std::string> reason;
    Progress current_progress;
    std::optional<Checkpoint> checkpoint;
    ConnectivityShown connectivity;
    std::int64_t queue_size = 0, high_priority = 0, dead_letters = 0, conflicts = 0, unknown = 0;
    std::optional<double> average_wait, rate_per_minute, estimated_completion_time, eta_low_ms, eta_high_ms;
    std::optional<OpError> last_error;
    std::optional<double> last_sync_time, next_retry_time;
    std::int64_t failure_count = 0;
    std::vector<std::string> unknown_readings, warnings;
};
template <class V>
void describe(V& v, Status& s) {
    v.type("Status", "The one true status.");
    v.field("state", s.state);
    v.field("isActive", s.is_active, "A session is running.");
    v.field("reason", s.reason, "Why nothing moves, one sentence.");
    v.field("currentProgress", s.current_progress);
    v.field("checkpoint", s.checkpoint, "Absent while nothing is under way.");
    v.field("connectivity", s.connectivity);
    v.field("queueSize", s.queue_size, "Unfinished ops that can still go by themselves.");
    v.field("highPriority", s.high_priority);
    v.field("deadLetters", s.dead_letters);
    v.field("conflicts", s.conflicts, "Conflicts that were resolved or are open in this session.");
    v.field("unknown", s.unknown, "Sent, no answer yet.");
    v.field("averageWait", s.average_wait, "ms that queued ops have waited.");
    v.field("ratePerMinute", s.rate_per_minute);
    v.field("estimatedCompletionTime", s.estimated_completion_time, "ms since epoch.");
    v.field("etaLowMs", s.eta_low_ms);
    v.field("etaHighMs", s.eta_high_ms);
    v.field("lastError", s.last_error);
    v.field("lastSyncTime", s.last_sync_time);
    v.field("nextRetryTime", s.next_retry_time);
    v.field("failureCount", s.failure_count);
    v.defaulted("unknownReadings", s.unknown_readings, "Readings the gate wanted and did not have.");
    v.defaulted("warnings", s.warnings);
}

struct Plan {
    std::vector<Effect> effects;
    std::vector<Rejected> rejected;
    std::vector<Json> answers;
    std::optional<Status> status;
    std::optional<double> wake_at_ms;
    bool idle = true, reject = false;
};
template <class V>
void describe(V& v, Plan& p) {
    v.type("Plan", "What the core answers.");
    v.field("effects", p.effects, "In order.");
    v.field("rejected", p.rejected);
    v.field("answers", p.answers, "One per command, same order.");
    v.field("status", p.status, "Absent when unchanged.");
    v.field("wakeAtMs", p.wake_at_ms, "When to look again.");
    v.field("idle", p.idle, "The turn is over.");
    v.field("reject", p.reject, "Reject the sync event: work remains and time can help.");
}

// --- settings ---------------------------------------------------------------------------------------------------------------

struct QuietHoursSetting {
    std::int64_t from_minute = 0, to_minute = 0;
    friend bool operator==(const QuietHoursSetting&, const QuietHoursSetting&) = default;
};
template <class V>
void describe(V& v, QuietHoursSetting& q) {
    v.type("QuietHours", "Local minutes of the day, from inclusive, to exclusive; may wrap midnight.");
    v.field("fromMinute", q.from_minute, "0–1439.");
    v.field("toMinute", q.to_minute, "0–1439.");
}

struct Settings {
    bool enabled = true;
    std::string consent = "granted";
    bool requires_network = true, requires_charging = false;
    double minimum_battery_level = 20;
    bool unmetered_only = false, respect_save_data = true, requires_idle = false;
    std::optional<QuietHoursSetting> quiet_hours;
    std::string unknown_readings = "open";
    double min_interval = 0, sync_interval_seconds = 30, sync_interval_minutes = 5;
    std::int64_t maximum_concurrent_operations = 3, max_retry_attempts = 5;
    std::string retry_strategy = "exponential", jitter = "full";
    double base_delay = 1000, max_delay = 300000;
    std::string priority_threshold = "low";
    bool pause_on_poor = false;
    std::optional<double> data_budget_per_day, battery_budget_per_day;
    double retention_days = 30;
    bool coalesce = true, batching = true, compression = true, delta = true;
    std::string mode = "batch";
    std::string conflict_strategy = "merge";
    std::optional<Json> conflict_strategies;
    double max_batch_bytes = 512000;
    std::int64_t max_batch_ops = 200;
};
template <class V>
void describe(V& v, Settings& s) {
    v.type("Settings", "SHAPES: each with its default; unknown keys are kept and reported.");
    v.defaulted("enabled", s.enabled, "False stops everything but accepting. Default true.");
    v.defaulted("consent", s.consent, "granted or withdrawn.");
    v.defaulted("requiresNetwork", s.requires_network, "Default true.");
    v.defaulted("requiresCharging", s.requires_charging, "Default false.");
    v.defaulted("minimumBatteryLevel", s.minimum_battery_level, "0–100, default 20; does not apply while charging.");
    v.defaulted("unmeteredOnly", s.unmetered_only, "Default false.");
    v.defaulted("respectSaveData", s.respect_save_data, "Default true.");
    v.defaulted("requiresIdle", s.requires_idle, "Default false.");
    v.field("quietHours", s.quiet_hours, "Default none.");
    v.defaulted("unknownReadings", s.unknown_readings, "open (default) or strict.");
    v.defaulted("minInterval", s.min_interval, "ms between automatic sessions, default 0.");
    v.defaulted("syncIntervalSeconds", s.sync_interval_seconds, "Page open: default 30.");
    v.defaulted("syncIntervalMinutes", s.sync_interval_minutes, "Worker without a page: default 5.");
    v.defaulted("maximumConcurrentOperations", s.maximum_concurrent_operations, "1–6 requests at once, default 3.");
    v.defaulted("maxRetryAttempts", s.max_retry_attempts, "1–100, default 5: answers about one op alone.");
    v.defaulted("retryStrategy", s.retry_strategy, "exponential (default), linear or adaptive.");
    v.defaulted("jitter", s.jitter, "full (default), equal, decorrelated or none.");
    v.defaulted("baseDelay", s.base_delay, "ms, default 1000.");
    v.defaulted("maxDelay", s.max_delay, "ms, default 300000.");
    v.defaulted("priorityThreshold", s.priority_threshold, "Lowest priority that automatic sessions send, default low.");
    v.defaulted("pauseOnPoor", s.pause_on_poor, "On a poor link only critical ops go. Default false.");
    v.field("dataBudgetPerDay", s.data_budget_per_day, "Bytes, default none.");
    v.field("batteryBudgetPerDay", s.battery_budget_per_day, "Percent points, default none.");
    v.defaulted("retentionDays", s.retention_days, "History, logs and audit, default 30.");
    v.defaulted("coalesce", s.coalesce, "Default true.");
    v.defaulted("batching", s.batching, "Default true.");
    v.defaulted("compression", s.compression, "Default true.");
    v.defaulted("delta", s.delta, "Default true.");
    v.defaulted("mode", s.mode, "batch (default) or rest.");
    v.defaulted("conflictStrategy", s.conflict_strategy, "merge (default), last-write-wins, field-level, client-wins, server-wins or custom.");
    v.field("conflictStrategies", s.conflict_strategies, "{entity: strategy}.");
    v.defaulted("maxBatchBytes", s.max_batch_bytes, "1 kB – 512 KiB, default 512000.");
    v.defaulted("maxBatchOps", s.max_batch_ops, "1–200, default 200.");
}

// Reads a settings patch over `current`. Aliases of SHAPES.md are understood, wrong types and ranges refused with path and value;
// keys we do not know are returned in `unknown`.
Result<Settings> patch_settings(const Settings& current, const Json& patch, std::vector<std::string>& unknown);

// Reads settings as they were stored, over the defaults. Another release may take numbers that this one refuses: they come as near as it goes.
Result<Settings> stored_settings(Json stored, std::vector<std::string>& unknown);

// The whole settings object, defaults included.
Json settings_to_json(const Settings& settings);

// The text of wasm/protocol.d.ts.
std::string typescript();

}  // namespace tidegate
