#include "tidegate/planner.h"

#include <algorithm>

#include "tidegate/fields.h"
#include "tidegate/say.h"
#include "tidegate/snapshot.h"
#include "tidegate/throttle.h"
#include "tidegate/time.h"

namespace tidegate {
namespace {

// A snapshot is written and read in one step; more rows than this would make it a long one, and are read in windows instead, a step each.
constexpr std::size_t kSnapshotMostOps = 2000;

}  // namespace

Planner::Planner() = default;

// --- restore --------------------------------------------------------------------------------------------------------------------

Result<std::uint64_t> Planner::restore(std::string_view snapshot, const Json& state) {
    if (state.is_object()) {
        if (state.contains("settings") && !state["settings"].is_null()) {
            std::vector<std::string> unknown;
            auto read = stored_settings(state["settings"], unknown);
            for (const std::string& key : unknown) other_settings_[key] = state["settings"][key];
            if (read) settings_ = read.value();
            else warnings_.push_back(say("Stored settings could not be read (", read.error().message, "): defaults are used"));
        }
        if (state.contains("rules") && !state["rules"].is_null()) {
            auto read = RuleSet::parse(state["rules"]);
            if (read) rules_ = std::move(read.value());
            else warnings_.push_back(say("Stored rules could not be read (", read.error().message, "): none are used"));
        }
        schema_version_ = int_field(state, "schemaVersion", 0, kMaxSchemaVersion, -1);
        if (state.contains("core")) read_core_state(state["core"]);
    }
    if (snapshot.empty()) return outbox_.known_seq();
    auto rows = read_snapshot(snapshot);
    if (!rows) return rows.error();
    for (OpRow& row : rows.value().rows)
        if (auto added = outbox_.add(std::move(row))) {
            score_op(*added.value());
            if (added.value()->undo != Undo::none) undos_.insert(added.value()->seq);
        }
    outbox_.know(rows.value().known_seq);
    snapshot_stored_ = true;
    return outbox_.known_seq();
}

std::string Planner::snapshot() const {
    Snapshot out;
    out.known_seq = outbox_.known_seq();
    for (const auto& [seq, op] : outbox_.ops()) out.rows.push_back(outbox_.row_of(op));
    return write_snapshot(out);
}

// Each member once, for writing and for reading.
void Planner::persist_core(Members& m) {
    m.object("link", link_);
    m.object("eta", eta_);
    m.object("totals", totals_);
    m.object("breaker", breaker_);
    m.object("retries", retries_);
    m.flag("paused", paused_);
    m.flag("gzipOk", gzip_ok_);
    m.flag("deltaOk", delta_ok_);
    m.flag("blobDeltaOk", blob_delta_ok_);
    m.flag("serverIds", server_ids_);
    m.instant("originRetryMs", origin_retry_ms_);
    m.number("originWaitMs", origin_wait_ms_, 0, kMaxWaitMs);
    m.instant("askedUntilMs", asked_until_ms_);
    m.whole("originFailures", origin_failures_, 0, 1000000);
    m.flag("originWaitIsNetwork", origin_wait_is_network_);
    m.instant("keysMs", key_retention_ms_);
    m.instant("paceUntilMs", pace_until_ms_);
    m.instant("lastSessionEndMs", last_session_end_ms_);
    m.instant("lastSuccessMs", last_success_ms_);
    m.instant("lastAttemptMs", last_attempt_ms_);
    m.instant("averageSessionMs", average_session_ms_);
    m.number("bytesToday", bytes_today_, 0, 1e15);
    m.number("batteryToday", battery_today_, 0, 1e4);
    m.number("today", today_, 0, 1e9);
    m.number("deltaRatio", delta_ratio_, 0.01, 1);
    m.whole("nextSession", next_session_, 1, 9e15);
    m.whole("splitOps", split_ops_, 0, 1000);
    m.instant("ticket", ticket_);
}

// What a newer release added stays in it (members.h).
const Json& Planner::core_state() {
    Members members = Members::into(core_);
    persist_core(members);
    Json owners = Json::object();
    for (const auto& [owner, until] : auth_paused_) owners[owner] = until;
    set(core_, "version", 1);
    set(core_, "marks", to_json(marks_));
    set(core_, "authPaused", std::move(owners));
    set(core_, "abandoned", abandoned_);
    set(core_, "pulls", pulls_state());
    set(core_, "unread", unread_);
    core_.erase("owner");
    core_.erase("lastError");
    if (outbox_.told_owner()) set(core_, "owner", signed_in());
    if (last_error_) set(core_, "lastError", encode(*last_error_));
    return core_;
}

void Planner::read_core_state(const Json& core) {
    if (!core.is_object()) return;
    core_ = core;
    const auto part = [&core](const char* key) { return core.contains(key) ? core[key] : Json(); };
    Members members = Members::of(core);
    persist_core(members);
    marks_ = marks_from_json(part("marks"));
    // Nothing of ours is under way yet: a probe that was is lost with its worker, and the next one may go.
    if (breaker_.state == BreakerState::half_open) {
        breaker_.state = BreakerState::open;
        breaker_.until_ms = 0;
    }
    read_pulls(part("pulls"));
    core_dirty_ = !part("unread").empty();   // perhaps they can be read now
    abandoned_.clear();
    for (const Json& upload : part("abandoned"))
        if (upload.is_string()) abandoned_.push_back(upload.get<std::string>());
    if (core.contains("owner")) outbox_.sign_in(text_at(core, "owner"));
    if (const Json owners = part("authPaused"); owners.is_object())
        for (const auto& [owner, until] : owners.items())
            if (until.is_number()) auth_paused_[owner] = until.get<double>();
    if (const Json error = part("lastError"); error.is_object())
        if (auto read = decode<OpError>(error)) last_error_ = read.value();
}

// --- step -----------------------------------------------------------------------------------------------------------------------

Result<Plan> Planner::step(const Json& json) {
    auto decoded = decode<Input>(json);
    if (!decoded) return decoded.error();
    const Input& input = decoded.value();
    if (!is_instant(input.now_ms))
        return Error{"out-of-range", "/nowMs", say("nowMs: expected milliseconds since 1970, got ", quote_value(Json(input.now_ms)))};
    now_ms_ = clamp_clock(now_ms_, input.now_ms);
    random_ = Random(input.seed);
    worked_ = 0;
    Plan plan;
    plan_ = &plan;

    if (input.readings) take_readings(*input.readings);
    rows_follow_ = input.more;
    rows_first_ = rows_first_ && rows_follow_;
    if (input.max_ops) {
        split_ops_ = input.max_ops;
        restraint_ = kMaxRestraint;
    }
    take_rows(input.rows);
    if (input.event) take_event(*input.event);
    // What a server asks for holds for all that this step decides, in whatever order the outcomes came.
    for (const OutcomeIn& outcome : input.outcomes)
        if (const auto asked = asked_wait(outcome); asked && outcome.status.value_or(0) >= 400) asked_until_ms_ = std::max(asked_until_ms_, now_ms_ + *asked);
    for (const OutcomeIn& outcome : input.outcomes) take_outcome(outcome);
    if (!input.commands.empty()) give_back_waiting();   // of what is only made ready all can be asked and changed
    for (const CommandIn& command : input.commands) plan.answers.push_back(take_command(command));
    retry_commits();
    expire_ops();
    start_undos();
    start_migrations();
    plan_sends();
    tell_abandoned();
    plan_pulls();
    finish_turn(plan);
    flush_notices();
    plan_ = nullptr;
    return plan;
}

void Planner::take_rows(const std::vector<Json>& rows) {
    CommitSpec spec;
    for (const Json& json : rows) {
        const std::uint64_t seq =
            json.is_object() && json.contains("seq") && json["seq"].is_number_unsigned() ? json["seq"].get<std::uint64_t>() : 0;
        outbox_.know(seq);
        if (outbox_.find(seq)) continue;  // a window read twice
        auto row = row_from_json(json);
        auto added = row ? outbox_.add(std::move(row.value())) : Result<Op*>(row.error());
        if (added) {
            score_op(*added.value());
            if (first_save_ms_ <= last_session_end_ms_) first_save_ms_ = added.value()->created_at;
            check_row(*added.value(), spec);
            if (added.value()->undo != Undo::none) undos_.insert(seq);
            continue;
        }
        stand_in(seq, json, added.error());
    }
    if (!spec.writes.empty()) emit_commit(std::move(spec));
}

// A row that cannot be read is an op all the same: it is counted, what waits for it waits, and a person decides. The row itself stays as it is, for a release that can read it.
void Planner::stand_in(std::uint64_t seq, const Json& json, const Error& error) {
    OpRow row;
    row.seq = seq;
    row.id = row.entity_id = text_field(json, "id");
    row.owner = text_field(json, "owner");
    row.group = text_field(json, "group");
    row.entity = kUnreadEntity;
    row.lane = lane_of(row.owner, row.entity, row.id);
    row.state = OpState::quarantined;
    row.reason = error.message;
    if (unread_.size() < kMaxUnreadShown)
        unread_[std::to_string(seq)] = object().set("state", name_of(row.state)).set("reason", row.reason);
    core_dirty_ = true;
    if (!outbox_.away(row.owner)) plan_->rejected.push_back({seq, row.id, error.code, error.path, error.message});
    outbox_.add(std::move(row));
}

// Refuses what would wait in a circle, by name. Constant work per edge.
void Planner::check_row(Op& op, CommitSpec& spec) {
    for (Op* child; (child = outbox_.waits_from_before(op)) && !child->lane->reserved_by;)
        quarantine(*child, say("It waits for op ", op.id, child == &op ? ", itself" : ", which did not exist when it was accepted"), spec);
    if (outbox_.entangled(op)) quarantine(op, say("Other changes were accepted in the middle of its group ", op.rare().group), spec);
}

void Planner::score_op(Op& op) {
    Json fields = Json::object();
    if (!op.rare().fields.empty())
        if (auto parsed = parse_json(op.rare().fields); parsed && parsed.value().is_object()) fields = std::move(parsed.value());
    set(fields, "entity", op.lane->entity);
    set(fields, "action", name_of(op.action));
    const Band band = static_cast<Band>(op.band);
    outbox_.change(op, [&](Op& o) {
        o.score = score(band, rules_.points(fields));
        o.order_key = order_key(band, o.score, clamp_past(o.created_at, now_ms_), AgingOptions{});
    });
    outbox_.lend(op);
    if (outdated(op)) outdated_.insert(op.seq);
}

// A part of them; the next one when the store has answered, so that whoever shares the thread gets its turn. What is accepted or read in meanwhile has its score already.
void Planner::rescore() {
    auto op = outbox_.ops().lower_bound(rescore_from_);
    for (int room = kRescoredAtOnce; room > 0 && op != outbox_.ops().end(); --room) score_op((op++)->second);
    if (op == outbox_.ops().end()) return;
    rescore_from_ = op->first;
    CommitSpec next;
    next.ok = [this] { rescore(); };
    emit_commit(std::move(next));
}

void Planner::take_readings(const ReadingsIn& readings) {
    const bool was_offline = readings_.online && !*readings_.online;
    take_load(readings);
    count_battery(readings);
    readings_ = readings;
    if (const double day = local_day(now_ms_, readings.utc_offset_minutes.value_or(0)); day != today_) {
        today_ = day;
        bytes_today_ = battery_today_ = 0;
    }
    LinkReadings link;
    link.online = readings.online;
    link.effective_type = readings.effective_type.value_or("");
    link.rtt_ms = readings.rtt;
    link.downlink_mbps = readings.downlink;
    const Quality before = link_.quality;
    link_ = after_readings(link_, link, now_ms_);
    if (was_offline && readings.online.value_or(false)) network_is_back();
    link_changed(before);
}

void Planner::link_changed(Quality before) {
    if (link_.quality == before) return;
    ConnectivityShown now = connectivity();
    emit_notify("sync.connectivity", encode(now));
}

// Under load less is done per step, at once from the second sign of it on; back to more only after a while without one.
void Planner::take_load(const ReadingsIn& r) {
    const bool busy = r.step_ms.value_or(0) > kLongStepMs || r.timer_late_ms.value_or(0) > kLateTimerMs || r.pressure == "serious" || r.pressure == "critical";
    busy_steps_ = busy ? busy_steps_ + 1 : 0;
    calm_steps_ = busy ? 0 : calm_steps_ + 1;
    if (busy_steps_ > 1) restraint_ = std::min(restraint_ + 1, kMaxRestraint);
    if (restraint_ == 0 || calm_steps_ < kCalmSteps) return;
    --restraint_;
    calm_steps_ = 0;
}

// What a session takes from the battery, as far as two readings on battery power show it.
void Planner::count_battery(const ReadingsIn& r) {
    if (!session_ || !readings_.battery_level || !r.battery_level || r.charging.value_or(false)) return;
    battery_today_ += std::max(0.0, *readings_.battery_level - *r.battery_level);
}

void Planner::take_event(const EventIn& event) {
    // A drain may hear of several events. The earliest deadline holds for all of it, and what a sync event is owed is not forgotten over a later message.
    const auto deadline = event_ ? event_->deadline_ms : std::nullopt;
    event_ = event;
    if (deadline && (!event_->deadline_ms || *deadline < *event_->deadline_ms)) event_->deadline_ms = deadline;
    event_ms_ = event_->deadline_ms ? *event_->deadline_ms - now_ms_ : 0;
    manual_ = manual_ || event.type == EventType::manual;
    if (event.type == EventType::sync) sync_owed_ = !event.last_chance;
    // These say that the network is back (a browser fires its sync events only with one, and a push came over one), or that a person wants to know: a wait that only
    // guessed at the network is over. A wait the server asked for is not.
    const bool network_news =
        event.type == EventType::online || event.type == EventType::sync || event.type == EventType::periodicsync || event.type == EventType::push || manual_;
    if (network_news) network_is_back();
    if (event.type != EventType::accept || session_ || outbox_.tally().critical > 0) gather_until_ms_ = now_ms_;
    else if (gather_until_ms_ == 0) gather_until_ms_ = now_ms_ + kGatherMs;   // once in a drain
    // Whatever comes by itself, and seldom, may retry once however empty the budget is.
    if (network_news || event.type == EventType::start) retries_ = on_wake(retries_);
    if (event.type == EventType::manual || event.type == EventType::start) {
        auth_paused_.clear();
        for (const std::uint64_t seq : outdated_)
            if (Op* op = outbox_.find(seq); op && op->unmigrated) set_unmigrated(*op, false, "");
    }
    if (manual_ && !session_) {
        session_.emplace();
        session_->manual = true;
    }
    if (manual_ && session_) session_->trigger = "manual";
    push_off_ = pull_off_ = false;
    floor_ = Band::low;
    if (event.type != EventType::accept && event.type != EventType::message)
        pulls_due(event.type != EventType::page && event.type != EventType::timer);
}

void Planner::take_outcome(const OutcomeIn& outcome) {
    const auto it = pending_.find(outcome.id);
    if (it == pending_.end()) {
        plan_->rejected.push_back({0, "", "unknown-effect", "/outcomes",
                                   say("outcome ", outcome.id, " belongs to no effect of this planner")});
        return;
    }
    const Continuation then = std::move(it->second);
    pending_.erase(it);
    then(outcome);
}

// --- effects --------------------------------------------------------------------------------------------------------------------

std::uint64_t Planner::new_slot() { return next_slot_++; }

std::uint64_t Planner::keep(std::string bytes) {
    const std::uint64_t slot = new_slot();
    slots_[slot] = std::move(bytes);
    return slot;
}

void Planner::put(std::uint64_t slot, std::string bytes) {
    if (slot - 1 < next_slot_ - 1) slots_[slot] = std::move(bytes);
}

const std::string* Planner::bytes(std::uint64_t slot) const {
    const auto it = slots_.find(slot);
    return it == slots_.end() ? nullptr : &it->second;
}

std::string_view Planner::view(std::uint64_t slot) const {
    const std::string* found = bytes(slot);
    return found ? std::string_view(*found) : std::string_view();
}

void Planner::drop_slots(const std::vector<std::uint64_t>& slots) {
    for (const std::uint64_t slot : slots) slots_.erase(slot);
}

void Planner::emit_load(std::vector<LoadItem> items, Continuation then) {
    Effect effect;
    effect.type = "load";
    effect.id = next_effect_++;
    effect.items = std::move(items);
    pending_[effect.id] = std::move(then);
    plan_->effects.push_back(std::move(effect));
}

void Planner::emit_commit(CommitSpec spec) {
    Effect effect;
    effect.type = "commit";
    effect.id = next_effect_++;
    effect.known_seq = outbox_.known_seq();
    effect.lanes = spec.lanes;
    const bool of_rows = !spec.writes.empty();
    effect.writes = spec.writes;
    // Rows change: a stored snapshot would contradict them. The last commit of the drain writes a new one.
    if (snapshot_stored_ && of_rows) add_write(effect.writes, "state", "snapshot").remove = true;
    if (!spec.left.empty())
        append_record(effect.writes, "left", ++totals_.left_records, kMaxLeftRecords, object().set("at", now_ms_).set("ids", spec.left));
    add_write(effect.writes, "state", "core").value = core_state();
    core_dirty_ = false;
    pending_[effect.id] = [this, of_rows, spec = std::move(spec)](const OutcomeIn& outcome) mutable {
        if (outcome.commit && *outcome.commit == "ok") {
            snapshot_stored_ = snapshot_stored_ && !of_rows;
            drop_slots(spec.slots);
            if (spec.ok) spec.ok();
            return;
        }
        // Not performed because a commit before it in the plan was not: it wrote nothing, and nothing is wrong with the store.
        const bool skipped = outcome.skipped.value_or(false);
        const bool stale = skipped || (outcome.commit && *outcome.commit == "stale");
        rows_first_ = rows_first_ || (stale && rows_follow_);
        if (!stale) {
            // A storage error is not a network error: what the server answered stays known, and is written as soon as the store takes it.
            storage_retry_ms_ = now_ms_ + kStorageRetryMs;
            last_error_ = OpError{outcome.error && outcome.error->code == "quota" ? ErrorClass::quota : ErrorClass::storage,
                                  outcome.error ? outcome.error->message : "The device could not store a change", std::nullopt};
        }
        if (spec.failed) {
            drop_slots(spec.slots);
            spec.failed(stale);
        } else {
            failed_commits_.push_back(std::move(spec));
        }
    };
    plan_->effects.push_back(std::move(effect));
    flush_notices();
}

void Planner::retry_commits() {
    if (failed_commits_.empty() || remaining_ms(storage_retry_ms_, now_ms_, kStorageRetryMs) > 0) return;
    std::vector<CommitSpec> again;
    again.swap(failed_commits_);
    for (CommitSpec& spec : again) emit_commit(std::move(spec));
}

void Planner::emit_send(Effect send, Continuation then, const char* type) {
    send.type = type;
    send.id = next_effect_++;
    pending_[send.id] = std::move(then);
    plan_->effects.push_back(std::move(send));
}

// What is about somebody who is not signed in is told to nobody.
void Planner::emit_notify(std::string event, Json detail) {
    if (const std::string* owner = text_at(detail, "owner"); owner && outbox_.away(*owner)) return;
    Effect effect;
    effect.type = "notify";
    effect.id = next_effect_++;
    effect.event = std::move(event);
    effect.detail = std::move(detail);
    notices_.push_back(std::move(effect));
}

// An op by its names, for whoever is told of it.
Json Planner::named(const Op& op) {
    return object().set("id", op.id).set("owner", op.lane->owner).set("entity", op.lane->entity).set("entityId", op.lane->entity_id());
}

// An entry of the audit trail.
void Planner::audit(const Op& op, Json entry, CommitSpec& spec) {
    set(entry, "opId", op.id);
    set(entry, "owner", op.lane->owner);
    audit(std::move(entry), spec);
}

void Planner::audit(Json entry, CommitSpec& spec) {
    set(entry, "at", now_ms_);
    append_record(spec.writes, "audit", ++totals_.audit_entries, kMaxAuditEntries, std::move(entry));
}

// Nobody is told before what it rests on is stored: what is told while a commit is put together stands behind it in the plan.
void Planner::flush_notices() {
    for (Effect& notice : notices_) plan_->effects.push_back(std::move(notice));
    notices_.clear();
}

void Planner::write_row(const Op& op, CommitSpec& spec) const {
    if (op.lane->entity == kUnreadEntity) return;
    OpRow row = outbox_.row_of(op);
    add_write(spec.writes, "ops", op.seq).value = verbatim(row_to_text(row));
}

// The row and everything of it.
void Planner::let_go(const Op& op, CommitSpec& spec) const {
    add_write(spec.writes, "ops", op.seq).remove = true;
    Write& payload = spec.writes.emplace_back();
    payload.store = "payloads";
    payload.prefix = payload_key(op.seq, "");
    payload.remove = true;
    if (op.uploads()) {
        Write& pieces = spec.writes.emplace_back();
        pieces.store = "payloads";
        pieces.prefix = say("up:", op.id, ":");
        pieces.remove = true;
    }
    spec.left.push_back(op.id);
}

// `from`: the op the app sees, null when it is the acknowledged version.
Json Planner::doc_record(const std::string& entity, const std::string& entity_id, const std::string& owner, const std::string& content_type, const Op* from) {
    return object()
        .set("entity", entity)
        .set("entityId", entity_id)
        .set("owner", owner)
        .set("contentType", content_type)
        .set("deleted", false)
        .set("opId", from ? Json(from->id) : Json())
        .set("seq", from ? from->seq : 0);
}

// What the app sees of a lane once the ops `without` are gone: its newest op that still goes, else the acknowledged version, else nothing.
void Planner::write_shown(const Lane& lane, const std::vector<std::uint64_t>& without, CommitSpec& spec) {
    const Op *newest = nullptr, *first = nullptr;
    for (const std::uint64_t seq : lane.ops) {
        const Op* op = outbox_.find(seq);
        const bool gone = std::find(without.begin(), without.end(), seq) != without.end();
        if (gone && !first) first = op;
        if (!gone && !op->parked()) newest = op;
    }
    if (!first || (newest && newest->seq > without.back())) return;   // the app sees a later version
    Write& doc = add_write(spec.writes, "docs", lane.name());
    if (newest ? newest->action == Action::remove : first->action == Action::create) {
        doc.remove = true;
    } else {
        doc.value = doc_record(lane.entity, lane.entity_id(), lane.owner, (newest ? newest : first)->rare().content_type, newest);
        doc.from = newest ? StoreRef{"payloads", payload_key(newest->seq, "next")} : StoreRef{"bases", lane.name()};
    }
}

// Ops leave by somebody's will, or by a rule; a record says which. Their dependents no longer wait for them.
void Planner::withdraw(const std::vector<std::uint64_t>& seqs, const char* kind, const char* by) {
    CommitSpec spec;
    const std::uint64_t holder = next_batch_++;
    for (const std::uint64_t seq : seqs) {
        const Op& op = *outbox_.find(seq);
        spec.lanes.push_back(op.lane->name());
        // What stands behind it was perhaps put into bytes as a change of it, or meant to create anew what now stays.
        Op* next = outbox_.after(op);
        const bool stays = next && op.action == Action::remove && next->action == Action::create;
        if (next && !next->unknown && (stays || next->codec != Codec::none)) {
            outbox_.change(*next, [&](Op& o) {
                unfreeze(o, spec);
                if (stays) o.action = Action::update;
            });
            write_row(*next, spec);
        }
        if (!op.parked() && op.undo == Undo::none) write_shown(*op.lane, seqs, spec);   // else the app does not see it
        audit(op, object().set("kind", kind).set("by", by), spec);
        emit_notify(say("op.", kind), named(op));
        let_go(op, spec);
    }
    for (const std::string& lane : spec.lanes) outbox_.reserve(*outbox_.find_lane(lane), holder);
    const auto release = [this, holder, lanes = spec.lanes] {
        for (const std::string& name : lanes)
            if (Lane* lane = outbox_.find_lane(name); lane && lane->reserved_by == holder) outbox_.release(*lane);
    };
    spec.ok = [this, seqs, release] {
        for (const std::uint64_t seq : seqs) {
            abandon(seq);
            outbox_.remove(seq);
        }
        release();
    };
    spec.failed = [this, seqs, kind, by, release](bool stale) {
        release();
        if (stale) withdraw(seqs, kind, by);   // new ops of the lane came: what the app sees is decided again, that these leave is not
    };
    emit_commit(std::move(spec));
}

// What was not sent by its time leaves. What may have been applied stays until that is known; a group goes as one.
void Planner::expire_ops() {
    for (const auto& [at, seq] : outbox_.expiries()) {
        if (at > now_ms_ || pending_.size() > kMaxExpiredAtOnce) break;
        const Op& op = *outbox_.find(seq);
        const std::vector<std::uint64_t> unit = outbox_.unit(op);
        const bool free = std::none_of(unit.begin(), unit.end(), [this](std::uint64_t member) { return outbox_.find(member)->lane->reserved_by; });
        if (free && expired(op)) withdraw(unit, "expired", "expiresAt");
    }
}

// It is not sent any more, also while others are taken out before it. With its group, of which the server has seen nothing either.
bool Planner::expired(const Op& op) const {
    if (op.rare().expires_at <= 0 || op.rare().expires_at > now_ms_) return false;
    const auto unseen = [this](std::uint64_t member) {
        const Op& one = *outbox_.find(member);
        const auto built_on = [&](std::uint64_t later) { return later > one.seq && outbox_.find(later)->unknown; };   // and so may one be
        return one.state == OpState::queued && !one.unknown && std::none_of(one.lane->ops.begin(), one.lane->ops.end(), built_on);
    };
    const std::vector<std::uint64_t> unit = outbox_.unit(op);
    return std::all_of(unit.begin(), unit.end(), unseen);
}

// --- the end of a turn ------------------------------------------------------------------------------------------------------------

// When time alone will let something go, or nullopt.
std::optional<double> Planner::next_wake() {
    std::optional<double> wake;
    const auto at = [&wake](double ms) { wake = wake ? std::min(*wake, ms) : ms; };
    if (!failed_commits_.empty()) at(storage_retry_ms_);
    if (outbox_.tally().unfinished == 0 && pulls_.empty()) return wake;
    const GateResult g = gate();
    const double earliest = std::max({origin_again_ms(), due_ms(storage_retry_ms_, now_ms_, kStorageRetryMs), due_ms(gather_until_ms_, now_ms_, kGatherMs)});
    if (const auto pull = pull_wake(g, earliest)) at(*pull);
    if (outbox_.tally().unfinished == 0) return wake;
    if (!g.min_band) {
        if (g.look_again_ms) at(*g.look_again_ms);
        return wake;
    }
    bool any_ready = false;
    std::size_t looked_at = 0;
    for (const auto& [key, seq] : outbox_.ready()) {
        if (++looked_at > kMaxHeadsPassedOver) break;
        const Op* op = outbox_.find(seq);
        const auto paused = auth_paused_.find(op->lane->owner);
        if (paused != auth_paused_.end() && remaining_ms(paused->second, now_ms_, kAuthRetryMs) > 0) {
            at(std::max(earliest, paused->second));
            continue;
        }
        if (!may_pass(g, effective_band(static_cast<Band>(op->band), op->score), op->created_at)) continue;
        if (op->sends > 0 && !may_retry(retries_, now_ms_)) {
            at(std::max(earliest, retry_again_ms(retries_, now_ms_)));
            continue;
        }
        if (!op->rare().group.empty() && !group_ready(*op, g)) continue;   // what a member waits for has its own time, or none
        any_ready = true;
        break;
    }
    if (any_ready) at(earliest);
    else if (g.look_again_ms) at(*g.look_again_ms);
    if (!outbox_.timers().empty()) at(std::max(earliest, outbox_.timers().begin()->first));
    return wake;
}

bool Planner::work_waits_for_time() const {
    const Tally& tally = outbox_.tally();
    return tally.unfinished > tally.of(OpState::conflict) + tally.unmigrated && !paused_ && settings_.enabled && settings_.consent == "granted";
}

// The session, for what is done for one who is signed in. What comes of his requests after he signed out is nobody's.
Session* Planner::session_of(const std::string& owner) { return session_ && !outbox_.away(owner) ? &*session_ : nullptr; }

void Planner::end_session() {
    const std::optional<double> battery = readings_.battery_level;
    if (session_->start_ms == 0) session_->start_ms = now_ms_;
    if (session_->number == 0) session_->number = next_session_++;
    const double length = std::max(0.0, now_ms_ - session_->start_ms);
    totals_.add(*session_, now_ms_, battery);
    average_session_ms_ = average_session_ms_ == 0 ? length : 0.8 * average_session_ms_ + 0.2 * length;
    if (session_->requests > 0) last_session_end_ms_ = now_ms_;
    Json record = session_->to_json(now_ms_, battery);
    if (outbox_.owner()) set(record, "owner", *outbox_.owner());
    const bool failed = session_->failed > 0 || (session_->processed == 0 && !session_->errors.empty());
    CommitSpec spec;
    expire_records(marks_, now_ms_, session_->number, totals_.audit_entries + 1, settings_.retention_days * kDayMs, spec.writes);
    append_record(spec.writes, "session", session_->number, kMaxSessions, record);
    eta_ = eta_stopped(eta_);
    session_.reset();
    manual_ = false;
    spec.ok = [this, record, failed] { emit_notify(failed ? "sync.failed" : "sync.completed", record); };
    emit_commit(std::move(spec));
}

void Planner::finish_turn(Plan& plan) {
    std::optional<double> wake = next_wake();
    // What was left lying on purpose goes by itself again, but not at once.
    const bool left = floor_ > Band::low || (push_off_ && pull_off_);
    if (wake && left) wake = std::max(*wake, now_ms_ + settings_.sync_interval_seconds * kSecondMs);
    bool busy = !pending_.empty();
    bool stay = false;
    // A sign-in takes a person or a page: whoever asked for this drain hears that it is missing, and is not held until the next try.
    const bool signs_in = wake && std::any_of(auth_paused_.begin(), auth_paused_.end(), [&](const auto& owner) { return owner.second == *wake; });
    if (!busy && event_ && event_->deadline_ms && wake && !left && !signs_in && failed_commits_.empty()) {
        // A short wait happens inside the event; a longer one is left to the next trigger (DESIGN.md section 4, "waiting").
        stay = *wake > now_ms_ && *wake - now_ms_ + least_time_ms() < time_left_ms();
    }
    stay = stay || (!busy && wake && remaining_ms(gather_until_ms_, now_ms_, kGatherMs) > 0 && *wake <= now_ms_ + kGatherMs);
    if (!busy && !stay && session_) {
        end_session();
        busy = true;
    } else if (!busy && !stay && core_dirty_) {
        emit_commit(CommitSpec{});
        busy = true;
    } else if (!busy && !stay && !snapshot_stored_ && unread_.empty() && outbox_.size() >= kSnapshotFromOps && outbox_.size() <= kSnapshotMostOps && failed_commits_.empty()) {
        CommitSpec spec;
        Write& write = add_write(spec.writes, "state", "snapshot");
        write.value = object().set("seq", outbox_.known_seq());
        write.slot = keep(snapshot());
        spec.slots.push_back(*write.slot);
        spec.ok = [this] { snapshot_stored_ = true; };
        spec.failed = [](bool) {};
        emit_commit(std::move(spec));
        busy = true;
    }
    // While effects are under way their outcomes wake us; a time that is already here would only spin.
    plan.wake_at_ms = busy && wake && *wake <= now_ms_ ? std::nullopt : wake;
    plan.idle = !busy && !stay;
    plan.reject = plan.idle && sync_owed_ && work_waits_for_time();
    if (plan.idle) {
        event_.reset();
        manual_ = sync_owed_ = push_off_ = pull_off_ = pulled_after_push_ = false;
        next_abandoned_ = 0;
        gather_until_ms_ = 0;
        floor_ = Band::low;
    }

    Status now = status();
    now.current_progress.next_scheduled_sync = wake;
    const std::string new_class = say(name_of(now.state), "|", now.reason.value_or(""), "|", name(link_.quality).data());
    const bool changed = new_class != status_class_ || plan.idle;
    if (!should_emit(status_at_ms_, now_ms_, kStatusIntervalMs, changed)) return;
    std::string text = encode_text(now);
    if (text == status_sent_) return;
    status_sent_ = std::move(text);
    status_class_ = new_class;
    status_at_ms_ = now_ms_;
    plan.status = std::move(now);
}

}  // namespace tidegate
