// What was done: the running session, totals for metrics, and the numbering of history records. Bounded by construction: records are numbered and the
// store keeps the last kMaxSessions and kMaxAuditEntries of them (a commit that writes number n removes number n - limit), and none for longer than `retentionDays`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tidegate/members.h"
#include "tidegate/protocol.h"

namespace tidegate {

inline constexpr std::uint64_t kMaxSessions = 1000;
inline constexpr std::uint64_t kMaxAuditEntries = 10000;
// Commits whose ops left the outbox are remembered by the ids of those ops, so that a dependency on one of them is known from one on nothing.
inline constexpr std::uint64_t kMaxLeftRecords = 500;
inline constexpr std::size_t kMaxSessionErrors = 20;

// One drain that sent something, or that a person asked for. No payload, no entity id.
struct Session {
    std::uint64_t number = 0;
    std::string trigger = "manual";
    bool manual = false, cancelled = false;
    double start_ms = 0;
    std::int64_t processed = 0, succeeded = 0, failed = 0, conflicts = 0, requests = 0, pulled = 0;
    double synced_bytes = 0, network_bytes = 0;
    std::optional<double> battery_at_start;
    std::vector<std::string> errors;

    void note_error(const std::string& sentence);
    // The session as stored and shown (SHAPES.md).
    Json to_json(std::optional<double> end_ms, std::optional<double> battery_now) const;
};

// Since the beginning, persisted with the core's state.
struct Totals {
    std::int64_t sessions = 0, processed = 0, succeeded = 0, failed = 0, conflicts = 0, requests = 0, folded = 0, dead = 0;
    double full_bytes = 0, sent_bytes = 0, busy_ms = 0, battery_used = 0;
    std::uint64_t audit_entries = 0, left_records = 0;
    std::int64_t errors_by_class[8] = {};

    void add(const Session& session, double end_ms, std::optional<double> battery_now);
    // averagePerformance and totals of SHAPES.md's Metrics.
    Json to_json() const;
};
void persist(Members& m, Totals& totals);

// The key of a numbered record: "session/000000000042".
std::string numbered_key(const char* kind, std::uint64_t number);

// Appends the write of one numbered record, and the removal of the one that falls out of the ring.
void append_record(std::vector<Write>& writes, const char* kind, std::uint64_t number, std::uint64_t limit, Json value);

// How old records are is known by marks: what has a smaller number than a mark names was written before it. Three numbers each: the time (ms), and those of the first
// session and the first audit entry after it.
using Marks = std::vector<std::uint64_t>;
inline constexpr int kMarks = 8;          // in the time that records are kept, so one goes when its age is between 7/8 of that and the whole
inline constexpr int kMaxExpired = 500;   // in one commit; the others go with the next ones

// To be called when session number `session` is about to be appended: sets a mark where it is time for one, and removes what was written before the time that is kept.
void expire_records(Marks& marks, double now_ms, std::uint64_t session, std::uint64_t audit, double keep_ms, std::vector<Write>& writes);
Json to_json(const Marks& marks);
Marks marks_from_json(const Json& value);

}  // namespace tidegate
