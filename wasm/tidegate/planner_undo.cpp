// A refused change is taken out of what the app sees and of what is still to be sent, and nothing else is: later changes of the entity were made on top of it, so
// they are rebased onto what lay under it (merge3 with the refused document as their base). What lay under it is kept, so that a retry can put the change in again,
// on top of what is there by then.
//
// The mark is stored with the refusal (OpRow.undo) and cleared by the commit that carries it out; a kill between the two leaves it to the next drain. The lane is
// reserved meanwhile, so that nothing leaves with the refused change in it.
#include "tidegate/conflict.h"
#include "tidegate/planner.h"
#include "tidegate/time.h"

namespace tidegate {

void Planner::mark_undo(Op& op, Undo undo) {
    if (op.lane->runs) return;   // what one run was given is no part of the next
    op.undo = undo;
    undos_.insert(op.seq);
}

void Planner::start_undos() {
    if (remaining_ms(storage_retry_ms_, now_ms_, kStorageRetryMs) > 0) return;
    for (auto it = undos_.begin(); it != undos_.end();) {
        Op* op = outbox_.find(*it);
        if (!op || op->undo == Undo::none) {
            it = undos_.erase(it);
            continue;
        }
        ++it;
        // It may have been applied, and what was sent on top of it too: the answer to that comes first, from the server's memory of its key (form_item).
        if (!op->lane->reserved_by && !(op->unknown && outbox_.open_after(*op))) load_undo(*op);
    }
}

// Something to be done about an op, which has its lane meanwhile.
Planner::TaskPtr Planner::start_task(Op& op) {
    auto task = std::make_shared<Task>();
    task->id = next_batch_++;
    task->seq = op.seq;
    task->lane = op.lane->name();
    outbox_.reserve(*op.lane, task->id);
    ++tasks_open_;
    return task;
}

void Planner::load_undo(Op& op) {
    const TaskPtr task = start_task(op);
    std::vector<LoadItem> items;
    want_task(task, items);
    const auto want = [&](std::string key) {
        task->slots.push_back(new_slot());
        items.push_back({task->slots.back(), "payloads", std::move(key)});
        return task->slots.back();
    };
    // Under it lies the op before it, else the acknowledged version.
    const Op* before = nullptr;
    for (const std::uint64_t seq : op.lane->ops)
        if (seq < op.seq && !outbox_.find(seq)->parked()) before = outbox_.find(seq);
    if (before) task->base_slot = want(payload_key(before->seq, "next"));
    task->under = before ? StoreRef{"payloads", payload_key(before->seq, "next")} : StoreRef{"bases", task->lane};
    if (op.undo == Undo::put_in) task->theirs_slot = want(payload_key(op.seq, "under"));
    emit_load(std::move(items), [this, task](const OutcomeIn& loaded) {
        if (loaded.error) storage_retry_ms_ = now_ms_ + kStorageRetryMs;
        Op* op = outbox_.find(task->seq);
        if (loaded.error || !op || outgrown(*task)) return end_task(task);   // the mark stays: again
        decide_undo(task, *op);
    });
}

void Planner::decide_undo(const TaskPtr& task, Op& op) {
    CommitSpec spec;
    spec.lanes = {task->lane};
    const Undo undo = op.undo;
    const bool document = op.is_json() && !task->nexts.empty() && task->nexts.front().first == op.seq;
    const bool mergeable = document && op.action == Action::update;
    const std::string refused(document ? view(task->nexts.front().second) : std::string_view());
    const std::string under(view(task->base_slot));
    std::uint64_t last_seq = op.seq;
    std::string last_text;
    if (undo == Undo::take_out) {
        Op* later = outbox_.after(op);
        if (later && op.action == Action::remove && later->action == Action::create && later->fresh()) {   // what it would create anew stays
            outbox_.change(*later, [](Op& o) { o.action = Action::update; });
            write_row(*later, spec);
        }
        if (document) rebase_later(task, refused, under, last_seq, last_text, spec);
        if (!later) restore_doc(op, under.empty() ? std::nullopt : std::optional(task->under), spec);
        if (!under.empty()) add_write(spec.writes, "payloads", payload_key(op.seq, "under")).from = task->under;
    } else if (document && !under.empty()) {
        const std::string_view old_under = mergeable ? view(task->theirs_slot) : std::string_view();
        last_text = old_under.empty() ? refused : rebase(old_under, refused, under);
        Write& next = add_write(spec.writes, "payloads", payload_key(op.seq, "next"));
        next.slot = keep(last_text);
        spec.slots.push_back(*next.slot);
        outbox_.change(op, [&](Op& o) { o.size_bytes = static_cast<double>(last_text.size()); });
        rebase_later(task, under, std::string(last_text), last_seq, last_text, spec);
    } else if (op.action == Action::remove) {
        write_doc(op, "", spec, true);
    } else if (!outbox_.after(op)) {
        restore_doc(op, StoreRef{"payloads", payload_key(op.seq, "next")}, spec);
    }
    // A later change brought the entity into being while this one was refused.
    if (undo == Undo::put_in && op.action == Action::create && !under.empty()) outbox_.change(op, [](Op& o) { o.action = Action::update; });
    if (!last_text.empty()) write_doc(*outbox_.find(last_seq), std::move(last_text), spec);
    op.undo = Undo::none;
    write_row(op, spec);
    spec.ok = [this, task] { end_task(task); };
    spec.failed = [this, task, undo](bool) {   // new ops of the lane came, or the store refused: again
        if (Op* again = outbox_.find(task->seq)) mark_undo(*again, undo);
        end_task(task);
    };
    tell_document(op);
    emit_commit(std::move(spec));
}

// What the app should read anew, told once the next commit is stored.
void Planner::tell_document(const Op& op) {
    emit_notify("sync.documents", object()
        .set("owner", op.lane->owner)
        .set("documents", Json::array({object().set("entity", op.lane->entity).set("entityId", op.lane->entity_id())})));
}

// What the app sees of the entity: those bytes again, or nothing.
void Planner::restore_doc(const Op& op, std::optional<StoreRef> from, CommitSpec& spec) {
    Write& doc = add_write(spec.writes, "docs", op.lane->name());
    doc.remove = !from;
    if (from) {
        doc.value = doc_record(op.lane->entity, op.lane->entity_id(), op.lane->owner, op.rare().content_type, op.undo == Undo::put_in ? &op : nullptr);
        doc.from = std::move(from);
    }
}

}  // namespace tidegate
