// What people and apps ask for.
#include <algorithm>

#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {
namespace {

Json failure(const char* code, const char* path, const std::string& message) {
    return object().set("error", object().set("code", code).set("path", path).set("message", message));
}
Json failure(const Error& error) { return failure(error.code.c_str(), error.path.c_str(), error.message); }
Json fine() { return object().set("ok", true); }
Json fine(Json value) { return object().set("ok", true).set("value", std::move(value)); }

}  // namespace

Json Planner::take_command(const CommandIn& command) {
    const std::string& type = command.type;
    if (type == "signIn" || type == "signOut") return sign_in(command.value, type == "signIn");
    if (type == "pause" || type == "resume") {
        paused_ = type == "pause";
        if (!paused_) auth_paused_.clear();
        emit_commit(CommitSpec{});   // the answer waits for it
        return fine();
    }
    if (type == "flush" || type == "schedule") return sync_now(command.value, type == "flush");
    if (type == "cancelSync") return cancel_session(command.session);
    if (type == "hint" || type == "pull") return hint(command.value, type == "pull"), fine();
    if (type == "cancel") return cancel_op(command.id);
    if (type == "retry") return retry_op(command.id, false);
    if (type == "drop") return retry_op(command.id, true);
    if (type == "setPriority") return set_priority(command.id, command.priority);
    if (type == "settings") return set_settings(command.value);
    if (type == "rules") return set_rules(command.value);
    if (type == "status") {
        Status now = status();
        return fine(encode(now));
    }
    if (type == "metrics") return fine(metrics());
    if (type == "explain") {
        const auto answer = explain(command.id);
        return answer ? fine(answer.value()) : failure(answer.error());
    }
    if (type == "preview") return fine(preview(command.value));
    if (type == "isSyncRecommended") return is_recommended(command.value);
    return failure("unknown-command", "/type", say("type: expected a command, got \"", type.substr(0, 60), "\""));
}

// {owner, ticket}. From now on nothing leaves but for him who is signed in, and nothing of anybody else is told. Signing out is for him who is signed in.
// Tickets are in the order in which clients opened or were asked: what a page said that is going away may come after what the next one says, and is too late then.
// One from the future (a clock that was ahead, or nobody's at all) orders nothing: else it would keep everybody else out until its day comes.
Json Planner::sign_in(const std::optional<Json>& value, bool in) {
    const std::string* owner = value ? text_at(*value, "owner") : nullptr;
    if (!owner) return failure("wrong-type", "/owner", "owner: expected a string");
    const bool in_order = ticket_ <= now_ms_ + kDayMs;
    if (const double ticket = number_field(*value, "ticket", 0, kMaxInstantMs, 0); ticket > 0) {
        if (in_order && ticket < ticket_) return fine(object().set("signedIn", signed_in()));
        ticket_ = ticket;
    }
    auth_paused_.clear();
    const bool as_it_was = outbox_.away(*owner) ? !in : in && outbox_.told_owner();
    CommitSpec spec;
    if (!as_it_was) {
        if (session_ && session_->requests > 0) end_session();
        last_error_.reset();
        pulls_due(true);
        if (outbox_.owner()) audit(object().set("kind", "signed-out").set("owner", signed_in()), spec);
        outbox_.sign_in(in ? owner : nullptr);
        acked_.completed_operations = 0;
    }
    emit_commit(std::move(spec));   // the answer waits for it, and so does whatever is sent
    if (!as_it_was) emit_notify("sync.owner", object().set("signedIn", signed_in()).set("ticket", in_order ? ticket_ : 0));   // 0: whoever hears it is meant
    return fine();
}

// Nothing more is begun in this drain. What is on its way is heard to its end, so nothing is lost or doubled.
Json Planner::cancel_session(const std::string& id) {
    if (!session_ || (!id.empty() && id != numbered_key("session", session_->number)))
        return failure("unknown-session", "/session", say("session: \"", id.substr(0, 60), "\" is not under way"));
    session_->cancelled = push_off_ = pull_off_ = true;
    session_->note_error("Cancelled");
    return fine();
}

Json Planner::cancel_op(const std::string& id) {
    Op* op = outbox_.find_id(id);
    if (!op) return failure("unknown-op", "/id", say("no op ", id, " is in the outbox"));
    const std::vector<std::uint64_t> unit = outbox_.unit(*op);   // a group as one
    for (const std::uint64_t seq : unit) {
        const Op& member = *outbox_.find(seq);
        if (member.lane->reserved_by || member.state == OpState::sending)
            return failure("in-flight", "/id", say("op ", member.id, " is being sent: it can be cancelled when its answer is known"));
        if (member.undo != Undo::none) return failure("in-flight", "/id", say("op ", id, " or another of its group is being worked on"));
        if (member.unknown)
            return failure("in-flight", "/id", say("op ", member.id, " was sent and may have been applied: it can be cancelled when the server has answered for it"));
        const Op* later = member.parked() ? nullptr : outbox_.after(member);
        if (later && std::find(unit.begin(), unit.end(), later->seq) == unit.end())
            return failure("has-later", "/id", say("later changes of the same entity build on op ", member.id, ": cancel those first"));
    }
    withdraw(unit, "cancelled", "user");
    return fine();
}

Json Planner::retry_op(const std::string& id, bool drop) {
    Op* op = outbox_.find_id(id);
    if (!op) return failure("unknown-op", "/id", say("no op ", id, " is in the outbox"));
    if (drop && !op->parked() && op->state != OpState::conflict)
        return failure("not-parked", "/id", say("op ", id, " is still on its way: cancel it instead"));
    const std::vector<std::uint64_t> unit = outbox_.unit(*op);   // a group as one
    for (const std::uint64_t seq : unit)
        if (const Op& member = *outbox_.find(seq); member.lane->reserved_by || (drop && member.undo != Undo::none))
            return failure("in-flight", "/id", say("op ", id, " or another of its group is being worked on"));
    if (drop) {
        withdraw(unit, "cancelled", "user");
        return fine();
    }
    // It goes below them again, and what was sent without it would be taken for what rests on it. A row that cannot be read is read anew by the next core.
    for (const std::uint64_t seq : unit) {
        const Op& member = *outbox_.find(seq);
        if (member.lane->entity == kUnreadEntity) return fine();
        if (const Op* later = member.parked() ? outbox_.open_after(member) : nullptr)
            return failure("in-flight", "/id", say("op ", later->id, " behind it was sent and had no answer yet"));
    }
    CommitSpec spec;
    for (const std::uint64_t seq : unit) {
        Op& member = *outbox_.find(seq);
        const bool was_parked = member.parked() || member.state == OpState::conflict;
        outbox_.change(member, [&](Op& o) {
            o.until_ms = 0;
            o.wait_ms = 0;
            o.attempts = 0;
            o.failures = 0;
            o.rounds = 0;
            o.unmigrated = false;
            // A refused body may be sent again under a new key; what may have been applied keeps its key and body.
            if (was_parked && !o.unknown) unfreeze(o, spec);
            if (o.state == OpState::dead) mark_undo(o, o.undo == Undo::none ? Undo::put_in : Undo::none);
            o.state = o.unknown || o.upload_begun() ? OpState::unknown : OpState::queued;
            if (o.extra) o.extra->reason.clear();
        });
        write_row(member, spec);
    }
    emit_commit(std::move(spec));
    return fine();
}

Json Planner::set_priority(const std::string& id, const std::string& priority) {
    Op* op = outbox_.find_id(id);
    if (!op) return failure("unknown-op", "/id", say("no op ", id, " is in the outbox"));
    const auto band = parse_band(priority);
    if (!band) return failure("wrong-value", "/priority", say("priority: expected critical, high, normal or low, got \"", priority.substr(0, 60), "\""));
    // A commit of this step may take it out of the outbox: its row would come back alone.
    for (const Effect& effect : plan_->effects)
        for (const Write& write : effect.writes)
            if (write.store == "ops" && write.remove && write.key->get<std::uint64_t>() == op->seq) return failure("in-flight", "/id", say("op ", id, " is being folded or cancelled"));
    outbox_.change(*op, [&](Op& o) { o.band = static_cast<std::uint8_t>(*band); });
    score_op(*op);
    store_row(op->seq);
    return fine();
}

// As it is by then, or not at all once it has left: it may be on the wire meanwhile.
void Planner::store_row(std::uint64_t seq) {
    const Op* op = outbox_.find(seq);
    if (!op) return;
    CommitSpec spec;
    write_row(*op, spec);
    spec.failed = [this, seq](bool stale) {
        if (stale) return store_row(seq);
        CommitSpec again;   // as soon as the store takes anything, and nothing is sent before
        again.ok = [this, seq] { store_row(seq); };
        failed_commits_.push_back(std::move(again));
    };
    emit_commit(std::move(spec));
}

Json Planner::set_settings(const std::optional<Json>& value) {
    if (!value || value->is_null()) return fine(settings_to_json(settings_));
    std::vector<std::string> unknown;
    const auto next = patch_settings(settings_, *value, unknown);
    if (!next) return failure(next.error());
    CommitSpec spec;
    if (next.value().consent != settings_.consent) {
        Json entry = object().set("kind", "consent").set("consent", next.value().consent);
        if (outbox_.owner()) entry["owner"] = signed_in();
        audit(std::move(entry), spec);
    }
    settings_ = next.value();
    for (const std::string& key : unknown) other_settings_[key] = (*value)[key];
    Json stored = settings_to_json(settings_);
    for (auto it = other_settings_.begin(); it != other_settings_.end(); ++it) stored[it.key()] = *it;
    add_write(spec.writes, "state", "settings").value = stored;
    emit_commit(std::move(spec));
    Json answer = fine(settings_to_json(settings_));
    if (!unknown.empty()) set(answer, "unknown", unknown);
    return answer;
}

Json Planner::set_rules(const std::optional<Json>& value) {
    if (!value || value->is_null()) return fine(rules_.source());
    auto next = RuleSet::parse(*value);
    if (!next) return failure(next.error());
    rules_ = std::move(next.value());
    rescore_from_ = 0;
    CommitSpec spec;
    spec.ok = [this] { rescore(); };
    add_write(spec.writes, "state", "rules").value = rules_.source();
    emit_commit(std::move(spec));
    return fine(rules_.source());
}

Json Planner::is_recommended(const std::optional<Json>& weight) const {
    static const char* const kWeights[] = {"light", "medium", "heavy"};
    const std::string* wanted = weight ? weight->get_ptr<const std::string*>() : nullptr;
    for (int i = 0; wanted && i < 3; ++i)
        if (*wanted == kWeights[i]) return fine(is_sync_recommended(link_, static_cast<Weight>(i)));
    return failure("wrong-value", "/weight", say("weight: expected light, medium or heavy, got ", quote_value(weight.value_or(Json()))));
}

}  // namespace tidegate
