// A 412: the server's version is not our base; or an op of which nobody knows any more whether it was applied (Task::aged). Theirs is read, the strategy decides, the lane behind is rebased, everything in one commit.
#include <algorithm>

#include "tidegate/conflict.h"
#include "tidegate/fields.h"
#include "tidegate/json_text.h"
#include "tidegate/hash.h"
#include "tidegate/planner.h"
#include "tidegate/retry_after.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {
namespace {

// An audit entry keeps the three documents when they are no larger than this together, so that the decision can be replayed; the losing value always.
constexpr std::size_t kMaxAuditBytes = 32 * 1024;
constexpr std::size_t kMaxAuditValueBytes = 4096;

Json audit_text(std::string_view text, bool whole) {
    if (text.empty()) return nullptr;
    if (!whole && text.size() > kMaxAuditValueBytes) return say(text.substr(0, kMaxAuditValueBytes), "…");
    return std::string(text);
}

// Refused, and not taken out yet: what follows was made on top of it, and comes to rest on what lies under it.
bool leaves_next(const Op& op) { return op.parked() && op.undo == Undo::take_out && op.action == Action::update; }

// How long ago the other side wrote, by its own clock; nullopt where it does not say.
std::optional<double> age_of_theirs(const OutcomeIn& outcome, double now_ms) {
    const auto now = parse_http_date(header(outcome, "date"), now_ms), modified = parse_http_date(header(outcome, "last-modified"), now_ms);
    return now && modified ? std::optional(*now - *modified) : std::nullopt;
}

}  // namespace

void Planner::start_conflict(const TaskPtr& task) {
    const Op* op = outbox_.find(task->seq);
    if (!op || op->parked()) return end_task(task);   // parked with its group, by what the same answer says of another member
    if (!task->missing && !op->uploads() && strategy_for(*op) == Strategy::last_write_wins) return fetch_theirs(task);   // who wrote last is known from a GET alone
    // Theirs came with the answer, or is known to be gone, or what matters is the version alone (a blob).
    if (task->theirs_slot || task->missing || (!op->is_json() && !task->etag.empty())) load_conflict(task);
    else fetch_theirs(task);
}

void Planner::fetch_theirs(const TaskPtr& task) {
    const Op& op = *outbox_.find(task->seq);
    if (!may_send() || !gate().min_band || shut_out(op.lane->owner)) return give_back(task);
    Effect get;
    get.method = op.uploads() ? "HEAD" : "GET";   // of a large blob the version is all that matters
    get.url = entity_url(op.lane->entity, id_there(op.lane->entity_id(), task->server_id));
    get.headers = object().set("accept", "application/json, application/problem+json");
    get.timeout_ms = request_timeout_ms(op.size_bytes);
    get.owner = op.lane->owner;
    task->slots.push_back(task->theirs_slot = new_slot());
    get.answer_slot = task->theirs_slot;
    emit_send(std::move(get), [this, task](const OutcomeIn& outcome) {
        const std::int64_t status = outcome.status.value_or(0);
        if (session_) ++session_->requests;
        const Op* op = outbox_.find(task->seq);
        const std::string etag(header(outcome, "etag"));
        // A page of HTML is theirs where one is expected, or where the 412 named that very version.
        const bool portal = op && op->action != Action::remove && (etag.empty() || etag != task->etag) && !looks_captive(200, op->rare().content_type, true) &&
                            looks_captive(static_cast<int>(status), header(outcome, "content-type"), true);
        if (status >= 200 && status <= 299 && !outcome.failure && !portal) {
            if (outcome.headers) task->etag = etag;
            const auto age = age_of_theirs(outcome, now_ms_);
            task->theirs_later = op && age && *age < now_ms_ - op->created_at;
            // Somebody else may have answered, or only half of it came: what is no document is not theirs.
            if (op && op->action == Action::remove && !task->etag.empty() && !validate_json(view(task->theirs_slot))) task->theirs_slot = 0;   // a blob: of it the version is enough
            if (!op || !task->theirs_slot || !op->is_json() || validate_json(view(task->theirs_slot))) return load_conflict(task);
        }
        if (status == 404 || status == 410) {
            task->missing = true;
            task->theirs_slot = 0;
            return load_conflict(task);
        }
        // Not to be had now: the op goes back and will meet its 412 again.
        const Ruling ruling = portal ? kPortal : status ? rule_on(status, "") : rule_on_failure(outcome.failure.value_or("network"));
        if (op && ruling.verdict == Verdict::auth) sign_in_needed(op->lane->owner);
        else origin_failed(ruling, outcome);
        give_back(task);
    });
}

// The op meets its 412 again another time.
void Planner::give_back(const TaskPtr& task) {
    if (Op* op = outbox_.find(task->seq))
        outbox_.change(*op, [](Op& o) {
            o.unknown = o.unknown || o.upload_begun();   // where it is now, is asked for
            o.state = o.unknown ? OpState::unknown : OpState::queued;
        });
    end_task(task);
}

// What the decision needs: the acknowledged version, and the documents of this op and the later ones of its lane.
void Planner::want_task(const TaskPtr& task, std::vector<LoadItem>& items) {
    const auto want = [&](const char* store, std::string key) {
        const std::uint64_t slot = new_slot();
        task->slots.push_back(slot);
        items.push_back({slot, store, std::move(key)});
        return slot;
    };
    task->known_seq = outbox_.known_seq();
    task->nexts.clear();
    task->base_slot = want("bases", task->lane);
    for (const std::uint64_t seq : outbox_.find(task->seq)->lane->ops) {
        const Op& op = *outbox_.find(seq);
        const bool wanted = seq == task->seq || !op.parked() || leaves_next(op);
        if (seq >= task->seq && wanted && op.action != Action::remove && op.is_json()) task->nexts.emplace_back(seq, want("payloads", payload_key(seq, "next")));
    }
}

// Ops of the lane came since. They were made on top of what is about to change, so they are wanted too.
bool Planner::outgrown(const Task& task) {
    const Lane* lane = outbox_.find_lane(task.lane);
    return lane && !lane->ops.empty() && lane->ops.back() > task.known_seq;
}

// What is there is what came of it, or of one that was sent on top of it.
bool Planner::arrived(const Task& task) {
    auto next = task.nexts.begin();
    for (const Op* op = outbox_.find(task.seq); op && op->unknown; op = outbox_.after(*op)) {
        while (next != task.nexts.end() && next->first < op->seq) ++next;
        if (op->action == Action::remove ? task.missing : op->is_json() && task.theirs_slot && same_document(view(next->second), view(task.theirs_slot))) return true;
    }
    return false;
}

void Planner::load_conflict(const TaskPtr& task) {
    std::vector<LoadItem> items;
    want_task(task, items);
    emit_load(std::move(items), [this, task](const OutcomeIn& loaded) {
        const Json* base = record_in(loaded, static_cast<double>(task->base_slot));
        if (base && !task->etag.empty() && went_back(*base, task->etag)) task->base_slot = task->theirs_slot;
        resolve_conflict(task, loaded);
    });
}

void Planner::end_task(const TaskPtr& task) {
    drop_slots(task->slots);
    --tasks_open_;
    if (Lane* lane = outbox_.find_lane(task->lane); lane && lane->reserved_by == task->id) outbox_.release(*lane);
}

void Planner::write_base(const Lane& lane, const Task& task, std::optional<std::string> text, CommitSpec& spec) {
    Write& base = add_write(spec.writes, "bases", lane.name());
    base.value = base_record(task.etag, task.server_id);
    if (task.missing) set(*base.value, "deleted", true);
    if (task.unseen) set(*base.value, kUnseen, true);
    stamp_base(lane, *base.value);
    if (text) {
        base.slot = keep(std::move(*text));
        spec.slots.push_back(*base.slot);
    }
}

// What the app sees of the entity from now on, when `op` is the newest of its lane; else it sees what that one leaves already.
void Planner::write_doc(const Op& op, std::string text, CommitSpec& spec, bool deleted) {
    if (outbox_.after(op)) return;
    Write& doc = add_write(spec.writes, "docs", op.lane->name());
    doc.value = doc_record(op.lane->entity, op.lane->entity_id(), op.lane->owner, op.rare().content_type, &op);
    if (deleted) {
        set(*doc.value, "deleted", true);
        return;
    }
    doc.slot = keep(std::move(text));
    spec.slots.push_back(*doc.slot);
}

Strategy Planner::strategy_for(const Op& op) const {
    const Json* own = nullptr;
    if (settings_.conflict_strategies && settings_.conflict_strategies->contains(op.lane->entity)) own = &(*settings_.conflict_strategies)[op.lane->entity];
    return parse_strategy(own ? own->get<std::string>() : settings_.conflict_strategy).value_or(Strategy::merge);
}

// The losing value whole, so that it can be put back.
Json Planner::shown_clash(const Clash& clash) {
    const bool ours_won = clash.winner == Side::ours;
    return object()
        .set("path", clash.path)
        .set("base", audit_text(clash.base, false))
        .set("ours", audit_text(clash.ours, !ours_won))
        .set("theirs", audit_text(clash.theirs, ours_won))
        .set("winner", ours_won ? "ours" : "theirs");
}

// Everything that `resolve` was given, and what it made of it.
void Planner::write_audit(const Task& task, const Op& op, const Resolution& made, CommitSpec& spec) {
    static constexpr const char* kStrategies[] = {"merge", "last-write-wins", "field-level", "client-wins", "server-wins", "custom"};
    Json clashes = Json::array();
    for (const Clash& clash : made.clashes) clashes.push_back(shown_clash(clash));
    const std::size_t count = clashes.size();
    Json entry = object()
        .set("kind", "conflict")
        .set("entity", op.lane->entity)
        .set("entityId", op.lane->entity_id())
        .set("strategy", kStrategies[static_cast<std::size_t>(strategy_for(op))])
        .set("round", op.rounds)
        .set("etag", task.etag)
        .set("clashes", std::move(clashes))
        .set("theirsLater", task.theirs_later)
        .set("result", std::to_string(xxh64(made.document)));
    const std::pair<const char*, std::string_view> documents[] = {
        {"base", view(task.base_slot)}, {"ours", task.nexts.empty() ? std::string_view() : view(task.nexts.front().second)},
        {"theirs", view(task.theirs_slot)}, {"answer", view(task.answer_slot)}};
    std::size_t bytes = 0;
    for (const auto& [name, text] : documents) bytes += text.size();
    if (bytes <= kMaxAuditBytes)
        for (const auto& [name, text] : documents)
            if (!text.empty()) entry[name] = std::string(text);
    audit(op, std::move(entry), spec);
    ++totals_.conflicts;
    if (Session* session = session_of(op.lane->owner)) ++session->conflicts;
    emit_notify("sync.conflict", object()
        .set("opId", op.id)
        .set("owner", op.lane->owner)
        .set("key", numbered_key("audit", totals_.audit_entries))
        .set("entity", op.lane->entity)
        .set("entityId", op.lane->entity_id())
        .set("clashes", static_cast<std::int64_t>(count)));
}

// The app decides. Whatever it answers, also nothing, the conflict goes on from there.
void Planner::ask_app(const TaskPtr& task) {
    const Op& op = *outbox_.find(task->seq);
    const auto text = [this](std::uint64_t slot) { return bytes(slot) ? Json(*bytes(slot)) : Json(); };
    Effect ask;
    ask.detail = object()
        .set("opId", op.id)
        .set("owner", op.lane->owner)
        .set("entity", op.lane->entity)
        .set("entityId", op.lane->entity_id())
        .set("base", text(task->base_slot))
        .set("ours", text(task->nexts.front().second))
        .set("theirs", text(task->theirs_slot));
    task->slots.push_back(task->answer_slot = new_slot());
    ask.answer_slot = task->answer_slot;
    if (outdated(op)) set(*ask.detail, "from", op.schema_version);   // it is no conflict (planner_migrate.cpp)
    emit_send(std::move(ask), [this, task](const OutcomeIn& outcome) {
        task->asked = !outcome.skipped.value_or(false);
        resolve_conflict(task, outcome);
    }, "ask");
}

// Later ops of the lane were edited on top of `under_old`; they continue on top of `under_new`. False: one of them may have been applied as it is, and has to
// meet its own answer first. last_*: the newest document of the lane.
bool Planner::rebase_later(const TaskPtr& task, std::string under_old, std::string under_new, std::uint64_t& last_seq, std::string& last_text,
                           CommitSpec& spec) {
    // What rests on an op that the server refused was refused with it, also where that answer is lost. A pull knows nothing of the kind.
    const Op* first = outbox_.find(task->seq);
    const bool refused_too = !task->pulled && first && (task->aged || first->state == OpState::conflict || !first->unknown);
    for (std::size_t i = 1; i < task->nexts.size(); ++i) {
        const auto [seq, slot] = task->nexts[i];
        Op* later = outbox_.find(seq);
        if (!later) continue;
        if (leaves_next(*later)) {
            if (bytes(slot)) under_old = view(slot);
            continue;
        }
        if (later->action == Action::create) break;   // behind a delete, on top of nothing
        if ((later->unknown && !refused_too) || !bytes(slot)) return false;
        const std::string old_next(view(slot));
        std::string new_next = under_new.empty() ? old_next : rebase(under_old, old_next, under_new);   // nothing is left below: all of it stays
        under_old = old_next;
        under_new = new_next;
        outbox_.change(*later, [&](Op& o) {
            unfreeze(o, spec);
            o.unknown = false;
            if (o.state == OpState::unknown) o.state = OpState::queued;
            o.size_bytes = static_cast<double>(new_next.size());
        });
        Write& put = add_write(spec.writes, "payloads", payload_key(seq, "next"));
        put.slot = keep(new_next);
        spec.slots.push_back(*put.slot);
        write_row(*later, spec);
        last_seq = seq;
        last_text = std::move(new_next);
    }
    return true;
}

void Planner::resolve_conflict(const TaskPtr& task, const OutcomeIn& loaded) {
    Op* op = outbox_.find(task->seq);
    if (loaded.error) storage_retry_ms_ = now_ms_ + kStorageRetryMs;
    if (!op || loaded.error || op->lane->away) return give_back(task);   // what its owner is not there to see is decided when he is
    if (outgrown(*task)) return load_conflict(task);
    if (task->aged) task->pulled = (task->leaves = arrived(*task)) || same_document(view(task->base_slot), view(task->theirs_slot));
    const bool old = outdated(*op);
    const bool document = op->is_json() && op->action != Action::remove && bytes(task->theirs_slot) && !task->nexts.empty();
    if (!task->asked && !task->pulled && (old || (document && op->rounds < kMaxConflictRounds && strategy_for(*op) == Strategy::custom &&
                                 !same_document(view(task->nexts.front().second), view(task->theirs_slot)))))
        return ask_app(task);
    if (old && !validate_json(view(task->answer_slot))) {
        set_unmigrated(*op, true, loaded.message);
        return end_task(task);
    }
    CommitSpec spec;
    spec.lanes = {task->lane};
    task->version = op->schema_version;
    if (old) {
        take_migrated(*task, *op, spec);
    } else if (!decide_conflict(task, spec)) {
        // The server keeps changing under us: a person decides. The op holds its lane.
        outbox_.change(*op, [](Op& o) {
            o.state = OpState::conflict;
            o.make_rare().reason = "Changed on the server again and again";
            o.make_rare().error = OpError{ErrorClass::conflict, "Changed on the server again and again", 412};
        });
        write_row(*op, spec);
        Json told = named(*op);
        set(told, "reason", op->rare().reason);
        emit_notify("op.conflict", std::move(told));
        spec.ok = [this, task] { end_task(task); };
        emit_commit(std::move(spec));
        return;
    }
    spec.ok = [this, task] {
        if (task->leaves) {
            abandon(task->seq);
            outbox_.remove(task->seq);
        }
        end_task(task);
    };
    spec.failed = [this, task](bool stale) {
        Op* again = outbox_.find(task->seq);
        if (!again) return end_task(task);
        // New ops of the lane arrived: look again with all of them; the bytes are read anew from the store, which still has the old ones.
        // The store refused: the op goes back, and meets its 412 again once the store takes writes.
        outbox_.change(*again, [&](Op& o) {
            o.unknown |= task->aged;   // asked for again
            o.state = stale ? OpState::conflict : OpState::queued;
            o.schema_version = task->version;
        });
        outdated_.insert(task->seq);
        if (stale) load_conflict(task);
        else end_task(task);
    };
    emit_commit(std::move(spec));
}

// What becomes of the op and of the lane behind it, now that its bytes are here, as writes of `spec`; task->leaves: it leaves the outbox once they are stored.
// False: too many rounds, nothing was decided.
bool Planner::decide_conflict(const TaskPtr& task, CommitSpec& spec) {
    Op& op = *outbox_.find(task->seq);
    const bool mergeable = op.is_json() && op.action != Action::remove;
    const Strategy strategy = strategy_for(op);

    std::optional<std::string_view> base, theirs;
    if (bytes(task->base_slot)) base = view(task->base_slot);
    if (bytes(task->theirs_slot)) theirs = view(task->theirs_slot);
    const std::string ours(task->nexts.empty() ? std::string_view() : view(task->nexts.front().second));

    Resolution resolution;
    if (task->aged && task->pulled) {
        if (task->leaves) resolution.next = Resolution::Next::same;
        resolution.document = ours;
    } else if (mergeable) {
        std::optional<std::string_view> answer;
        if (bytes(task->answer_slot)) answer = view(task->answer_slot);
        resolution = resolve(strategy, base, ours, theirs, task->theirs_later, answer);
    } else {
        // A delete or a blob: nothing to merge. The later write (ours) goes over theirs, or gives way to it.
        const bool yields = strategy == Strategy::server_wins || (strategy == Strategy::last_write_wins && task->theirs_later);
        resolution.next = yields ? Resolution::Next::yield : Resolution::Next::send;
        resolution.clashes.push_back({"", "", std::string(name_of(op.action)), std::string(theirs.value_or("")), yields ? Side::theirs : Side::ours});
    }

    if (resolution.next == Resolution::Next::send && op.rounds >= kMaxConflictRounds && !task->pulled) return false;
    // A pull that changed other parts of a document is no conflict.
    if (!task->pulled || !resolution.clashes.empty()) write_audit(*task, op, resolution, spec);
    const bool gone = task->missing || !theirs;
    const bool leaves = resolution.next != Resolution::Next::send;
    task->unseen = leaves && gone && !task->missing;
    write_base(*op.lane, *task, op.is_json() && theirs ? std::optional(std::string(*theirs)) : std::nullopt, spec);
    std::uint64_t last_seq = op.seq;
    std::string last_text = resolution.document;
    if (mergeable && !(leaves && gone)) rebase_later(task, ours, resolution.document, last_seq, last_text, spec);
    if (leaves && !mergeable && theirs) last_text = std::string(*theirs);   // our delete gives way
    const bool deleted = leaves && task->missing;
    if (deleted || !last_text.empty()) write_doc(*outbox_.find(last_seq), last_text, spec, deleted);
    task->leaves = leaves;
    if (leaves) {
        // Either the server has it already (perhaps from an earlier send whose answer was lost), or its version stands.
        const bool done = resolution.next == Resolution::Next::same;
        audit(op, object().set("kind", done ? "done" : "cancelled").set("by", done ? "already on the server" : "the server's version"), spec);
        let_go(op, spec);
        if (Session* session = session_of(op.lane->owner)) {
            ++session->processed;
            ++session->succeeded;
        }
        emit_notify("op.done", named(op));
    } else {
        outbox_.change(op, [&](Op& o) {
            o.unknown = !task->pulled && o.upload_begun();   // where it is now, is asked for
            o.state = o.unknown ? OpState::unknown : OpState::queued;
            o.rounds += task->pulled ? 0 : 1;
            if (task->missing && o.action == Action::update) o.action = Action::create;
            if (!task->missing && o.action == Action::create) o.action = Action::update;
            unfreeze(o, spec);
            if (mergeable) o.size_bytes = static_cast<double>(resolution.document.size());
        });
        if (mergeable) {
            Write& put = add_write(spec.writes, "payloads", payload_key(op.seq, "next"));
            put.slot = keep(resolution.document);
            spec.slots.push_back(*put.slot);
        }
        write_row(op, spec);
    }
    if (leaves) outbox_.change(op, [](Op& o) { o.state = OpState::conflict; });
    return true;
}

}  // namespace tidegate
