// Whether the server still has what it acknowledged: what it says next is compared with that, and no request is made for it.
//
// The base is the acknowledged version, bytes and all. For a day it also remembers the versions that lay under it (kUnder) and when it was acknowledged
// (kAckedAt). A server that comes with one of those, or that has no trace of the entity in a pull from the start, went back behind its word: it was restored from
// a backup, or fell over to a copy that lagged behind. Any other version is somebody's later write, and takes the usual way.
//
//   with pending ops   Their documents carry what was lost, so they go whole onto what is there now: a merge with the lost version as its base would take the
//                      server's falling back for somebody's wish, and undo it here as well.
//   without            The app is told (sync.lost-write) by the commit that takes in what the server has, and the lost document is kept in the audit trail as the
//                      losing value of a conflict: restore(key) saves it again, on top of that, under a new key. The core queues nothing itself: ops get their
//                      numbers from the store when they are accepted. A blob stays what the app sees.
#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/time.h"

namespace tidegate {

// etag: of what the server has; "": no trace of the entity. No ETag is part of a row of others: quotes stand at their ends only (RFC 9110, section 8.8.3).
bool Planner::went_back(const Json& base, const std::string& etag) const {
    return now_ms_ - number_field(base, kAckedAt, 0, kMaxInstantMs, 0) < kVerifyMs && text_field(base, kUnder).find(etag) != std::string::npos;
}

// The op is done, and its version is the base.
void Planner::note_acked(Item& item, const std::string& etag, Json& base) const {
    if (etag.empty()) return;   // of what has no version nothing could be told
    if (item.base_etag.size() > kMaxUnderBytes) item.base_etag = item.etag();
    base[kUnder] = item.base_etag;
    base[kAckedAt] = now_ms_;
    item.base_etag += etag;   // under what follows it in its batch
}

void Planner::tell_lost(const PullRun& run, const Pulled& item, std::string_view document, CommitSpec& spec) {
    const Change& change = item.change;
    ++totals_.audit_entries;
    Json entry = object()
        .set("owner", run.owner)
        .set("entity", change.entity)
        .set("entityId", change.entity_id)
        .set("etag", change.etag)
        .set("expected", text_field(item.base, "etag"))
        .set("key", numbered_key("audit", totals_.audit_entries));
    emit_notify("sync.lost-write", entry);
    entry["kind"] = "conflict";
    entry["strategy"] = "lost-write";
    entry["at"] = now_ms_;
    entry["clashes"].push_back(shown_clash({"", "", std::string(document), std::string(change.body.value_or("")), Side::theirs}));
    append_record(spec.writes, "audit", totals_.audit_entries, kMaxAuditEntries, std::move(entry));
}

}  // namespace tidegate
