// Changes that another version of the app saved. The app is asked to make the document into one of its present version (its function `migrate`) before it is sent for
// the first time; what it makes is stored, in what is to be sent and in what the app sees, before it is sent. A change that was sent before goes as it was: its key
// stands for those bytes.
//
// One that cannot be made into the present version (a newer one, no function, an answer that is no document) holds its lane and waits: for other code, for a retry,
// for somebody to export or cancel it. It is never refused for that, however often it was tried, and others go on.
#include "tidegate/planner.h"

namespace tidegate {

bool Planner::outdated(const Op& op) const {
    return schema_version_ >= 0 && op.schema_version != schema_version_ && op.fresh() && op.action != Action::remove && op.is_json();
}

// A few at a time, and none while nothing could be sent anyway.
void Planner::start_migrations() {
    if (outdated_.empty() || !may_send() || !gate().min_band) return;
    for (auto it = outdated_.begin(); it != outdated_.end() && tasks_open_ < kMaxMigrationsAtOnce;) {
        Op* op = outbox_.find(*it);
        if (!op || !outdated(*op)) {
            it = outdated_.erase(it);
            continue;
        }
        ++it;
        if (op->unmigrated || op->parked() || op->lane->away || op->lane->reserved_by) continue;
        if (op->schema_version < schema_version_) load_conflict(start_task(*op));
        else set_unmigrated(*op, true, "");
    }
}

// It waits from now on, or no longer.
void Planner::set_unmigrated(Op& op, bool waits, const std::string& why) {
    outbox_.change(op, [&](Op& o) {
        o.unmigrated = waits;
        o.make_rare().reason = why;
    });
}

// What the app made of it, as writes of `spec`.
void Planner::take_migrated(const Task& task, Op& op, CommitSpec& spec) {
    const std::string made(view(task.answer_slot));
    outbox_.change(op, [&](Op& o) {
        o.state = OpState::queued;
        o.schema_version = schema_version_;
        o.size_bytes = static_cast<double>(made.size());
    });
    write_row(op, spec);
    add_write(spec.writes, "payloads", payload_key(op.seq, "next")).slot = task.answer_slot;
    write_doc(op, made, spec);
    tell_document(op);
}

}  // namespace tidegate
