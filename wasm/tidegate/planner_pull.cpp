// The other direction: what changed on the server comes in, page by page (docs/protocol.md, "Pull").
//
//   fetch_page → take_page → load_page → apply_page → commit_page → the next page … → sweep (after a pull from the start) → end_pull
//
// A page is one commit: documents, acknowledged versions, the pending ops that were rebased onto them, and the cursor. Where that cannot be, because an op of the
// lane was sent and its outcome is open, or because the lane got a newer version while the page was on its way, the change is held back: the cursor that is stored
// stays before that page, and the next pull brings it again. What is known already (an echo of our own write) changes nothing.
//
// A pull from the start (the first one, and after 410) stamps every base it finds with its generation. A base without that stamp afterwards is of an entity that
// the server no longer has: its tombstone is gone, so `sweep` looks for it.
#include <algorithm>

#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {
namespace {

constexpr int kPageChanges = 200;                  // of one page; servers may send fewer
constexpr int kMaxPortals = 2;                     // pages of HTML without an ETag that are a captive portal's, where the blob is one too
constexpr int kShorterPage = 3;                    // halvings after a page that was too long: an eighth as many, so that few are read in vain
constexpr double kExpectedPageBytes = 256 * 1024;  // for the timeout
constexpr double kPullGapMs = 1000;                // hints that come together are one pull

}  // namespace

// --- when ---------------------------------------------------------------------------------------------------------------------------

// sync(): {direction: push | pull | both, operation: delta | full, minPriority, owner}. Without a direction an owner that pulls at all pulls too.
// by_hand: a person asked, and waits; else it is a session like those that come by themselves.
Json Planner::sync_now(const std::optional<Json>& options, bool by_hand) {
    const Json none = Json::object();
    const Json& o = options ? *options : none;
    const std::string direction = text_field(o, "direction"), operation = text_field(o, "operation"), owner = text_field(o, "owner");
    const auto refuse = [](const char* path, const char* sentence, const std::string& got) {
        return Json(object().set("error", object().set("code", "out-of-range").set("path", path).set("message", sentence + got.substr(0, 60))));
    };
    if (!direction.empty() && direction != "push" && direction != "pull" && direction != "both")
        return refuse("/direction", "direction: expected push, pull or both, got ", direction);
    if (!operation.empty() && operation != "delta" && operation != "full") return refuse("/operation", "operation: expected delta or full, got ", operation);
    if (by_hand) {
        manual_ = true;
        network_is_back();
        retries_ = on_wake(retries_);
        if (!session_) session_.emplace();
        session_->manual = true;
        session_->trigger = "manual";
    }
    floor_ = parse_band(text_field(o, "minPriority")).value_or(Band::low);
    push_off_ = direction == "pull";
    pull_off_ = direction == "push";
    if (direction == "pull" || direction == "both") pulls_[owner].due = true;
    if (const auto it = pulls_.find(owner); it != pulls_.end()) {
        it->second.off = false;
        it->second.ended_ms = 0;
        if (operation == "full") {
            it->second.cursor.clear();
            it->second.full = false;
        }
    }
    return object().set("ok", true);
}

// Something woke us: all owners that pull look again, at once or when the interval is over.
void Planner::pulls_due(bool at_once) {
    for (auto& [owner, pulls] : pulls_)
        if (at_once || now_ms_ - pulls.ended_ms >= settings_.sync_interval_seconds * kSecondMs) pulls.due = true;
}

// The server says that something changed: {owner?}. However many hints come, one pull follows; one that is under way is followed by one more.
// from_now_on: this owner pulls, also if he did not before.
void Planner::hint(const std::optional<Json>& value, bool from_now_on) {
    const bool all = !value || !value->is_object() || !value->contains("owner");
    for (auto& [owner, pulls] : pulls_)
        if (all || text_field(*value, "owner") == owner) pulls.due = true;
    if (!from_now_on || all || pulls_.count(text_field(*value, "owner"))) return;
    pulls_[text_field(*value, "owner")].due = true;
    core_dirty_ = true;
}

Json Planner::Pulled::named() const { return object().set("entity", change.entity).set("entityId", change.entity_id); }
bool Planner::Pulled::known() const { return text_field(base, "etag") == change.etag && !bool_field(base, kUnseen, false); }

// Asked before each request of a pull: it may have been paused, opted out of or out of time since the one before.
bool Planner::may_ask(const std::string& owner) const { return may_send() && may_pass(gate(), Band::normal, now_ms_) && !shut_out(owner); }

void Planner::plan_pulls() {
    if (pull_ || pull_off_ || pulls_.empty() || !batches_.empty() || tasks_open_ > 0) return;
    if (session_ && session_->succeeded > 0 && !pulled_after_push_) {
        pulled_after_push_ = true;
        pulls_due(true);
    }
    for (auto& [owner, pulls] : pulls_) {
        if (!pulls.due || pulls.off || !may_ask(owner) || remaining_ms(pulls.ended_ms + kPullGapMs, now_ms_, kPullGapMs) > 0) continue;
        pulls.due = false;
        if (pulls.cursor.empty() && !pulls.full) {
            pulls.full = true;
            ++pulls.generation;
        }
        pull_ = std::make_shared<PullRun>();
        pull_->owner = owner;
        pull_->cursor = pulls.cursor;
        fetch_page(pull_);
        return;
    }
}

// When time alone lets a pull begin.
std::optional<double> Planner::pull_wake(const GateResult& gate, double earliest) const {
    std::optional<double> wake;
    for (const auto& [owner, pulls] : pulls_) {
        if (!pulls.due || pulls.off || pull_ || pull_off_ || outbox_.away(owner)) continue;
        double at = std::max(pulls.ended_ms + kPullGapMs, earliest);
        if (const auto paused = auth_paused_.find(owner); paused != auth_paused_.end()) at = std::max(at, paused->second);
        if (!may_pass(gate, Band::normal, now_ms_)) {
            if (!gate.look_again_ms) continue;
            at = std::max(at, *gate.look_again_ms);
        }
        wake = wake ? std::min(*wake, at) : at;
    }
    return wake;
}

// --- a page comes in ------------------------------------------------------------------------------------------------------------------

void Planner::fetch_page(const PullPtr& run) {
    drop_slots(run->slots);
    run->slots = {run->answer_slot = new_slot()};
    run->items.clear();
    run->acked.clear();
    Effect get;
    get.method = "GET";
    get.url = say("changes?limit=", std::max(1, kPageChanges >> pulls_[run->owner].shorter), run->cursor.empty() ? "" : say("&cursor=", encode_component(run->cursor)));
    get.headers = object().set("accept", "application/x-ndjson, application/problem+json");
    get.timeout_ms = request_timeout_ms(kExpectedPageBytes);
    get.owner = run->owner;
    get.answer_slot = run->answer_slot;
    emit_send(std::move(get), [this, run](const OutcomeIn& outcome) { take_page(run, outcome); });
}

void Planner::take_page(const PullPtr& run, const OutcomeIn& outcome) {
    bytes_today_ += outcome.sent_bytes + outcome.body_bytes;
    // An answer that comes after its owner signed out may be the answer to somebody else's cookie: it is left, and asked for again.
    if (outbox_.away(run->owner) || outcome.skipped.value_or(false)) return pull_again(run);
    Pulls& pulls = pulls_[run->owner];
    const std::int64_t status = outcome.failure ? 0 : outcome.status.value_or(0);
    if (session_) {
        ++session_->requests;
        session_->network_bytes += outcome.sent_bytes + outcome.body_bytes;
    }
    Ruling ruling = status ? rule_on(status, "") : rule_on_failure(outcome.failure.value_or("network"));
    if (status >= 200 && status <= 299) {
        auto page = parse_changes(view(run->answer_slot));
        if (page && (!page.value().more || page.value().cursor != run->cursor)) {
            origin_answered();
            if (pulls.shorter > 0) --pulls.shorter;   // twice as many again
            run->cursor = page.value().cursor;
            run->more = page.value().more;
            for (Change& change : page.value().changes) {
                Pulled item;
                item.lane = lane_of(run->owner, change.entity, change.entity_id);
                item.change = std::move(change);
                run->items.push_back(std::move(item));
            }
            return load_page(run);
        }
        ruling = {Verdict::again, false, false, ErrorClass::server, "Answer not understood"};   // or a portal's page
    } else if (outcome.failure == "too-large" && kPageChanges >> pulls.shorter > 0) {
        pulls.shorter += kShorterPage;
        return may_ask(run->owner) ? fetch_page(run) : pull_again(run);
    } else if (status == 410 && !pulls.cursor.empty()) {
        // The server no longer knows what went before: from the start. Pending ops stay, and are rebased onto what comes.
        pulls.cursor.clear();
        pulls.full = false;
        core_dirty_ = true;
        pull_again(run);
        pulls.ended_ms = 0;
        return;
    }
    pulls.portals = 0;
    note_error(run->owner, ruling, status, "changes");
    if (ruling.verdict == Verdict::auth) sign_in_needed(run->owner);
    else if (ruling.known_not_applied && ruling.verdict != Verdict::refused) pulls.off = true;   // no such service, or not for this owner
    else origin_failed(ruling, outcome);
    pull_again(run);
}

// The acknowledged version of every change; where ops are pending, their documents too.
void Planner::load_page(const PullPtr& run) {
    std::vector<LoadItem> wanted;
    for (Pulled& item : run->items) {
        item.task.reset();
        if (item.over) continue;
        Lane* lane = outbox_.find_lane(item.lane);
        if (const Op* head = lane ? outbox_.head(*lane) : nullptr) {
            item.task = std::make_shared<Task>();
            item.task->seq = head->seq;
            item.task->lane = item.lane;
            item.task->pulled = true;
            want_task(item.task, wanted);
            run->slots.insert(run->slots.end(), item.task->slots.begin(), item.task->slots.end());
            item.base_slot = item.task->base_slot;
        } else {
            run->slots.push_back(item.base_slot = new_slot());
            wanted.push_back({item.base_slot, "bases", item.lane});
        }
    }
    if (wanted.empty()) return apply_page(run);
    emit_load(std::move(wanted), [this, run](const OutcomeIn& loaded) {
        if (loaded.error) {
            storage_retry_ms_ = now_ms_ + kStorageRetryMs;
            return pull_again(run);
        }
        if (take_bases(run, loaded)) load_page(run);
        else apply_page(run);
    });
}

// True: of an entity that the server gave another id the lane goes by the one it had before, and what is there is to be read.
bool Planner::take_bases(const PullPtr& run, const OutcomeIn& loaded) {
    bool renamed = false;
    std::map<double, const Json*> by_slot;
    for (const Json& meta : loaded.metas) by_slot[number_field(meta, "slot", 0, 9e15, 0)] = &meta;
    for (Pulled& item : run->items) {
        const auto found = by_slot.find(static_cast<double>(item.base_slot));
        item.base = found != by_slot.end() && found->second->contains("value") ? (*found->second)["value"] : Json();
        const std::string* lane = text_at(item.base, kAlias);
        if (!lane) continue;
        renamed = true;
        item.change.entity_id = id_in_lane(*lane);
        item.lane = *lane;
    }
    return renamed;
}

// --- what it changes --------------------------------------------------------------------------------------------------------------------

// False: nothing is to be done for it now.
bool Planner::to_apply(PullRun& run, Pulled& item) {
    if (item.over) return false;
    const Change& change = item.change;
    const Pulls& pulls = pulls_[run.owner];
    const bool known = item.known() && bool_field(item.base, "deleted", false) == change.deleted;
    const bool unknown_and_gone = item.base.is_null() && change.deleted;
    Lane* lane = outbox_.find_lane(item.lane);
    Op* head = lane ? outbox_.head(*lane) : nullptr;
    // Perhaps what comes of a create whose answer is not here yet, under an id that the answer will tell.
    const bool perhaps_ours = item.base.is_null() && server_ids_ && outbox_.tally().of(OpState::unknown) + outbox_.tally().of(OpState::sending) > 0;
    if (run.acked.count(item.lane) || (lane && lane->reserved_by) || perhaps_ours) return run.held = true, false;
    if ((known && (!pulls.full || change.deleted)) || (unknown_and_gone && !head)) return false;
    for (Op* op = head; op; op = outbox_.after(*op)) {
        if (!change.key.empty() && op->key() == change.key) return false;   // its answer, when it comes, says the same
        if (op->unknown || op->state == OpState::sending || op->state == OpState::conflict || outdated_.count(op->seq)) return run.held = true, false;
    }
    return true;
}

void Planner::apply_page(const PullPtr& run) {
    if (outbox_.away(run->owner)) return pull_again(run);
    const Pulls& pulls = pulls_[run->owner];
    for (const Pulled& item : run->items) {
        Lane* lane = outbox_.find_lane(item.lane);
        const Op* head = lane ? outbox_.head(*lane) : nullptr;
        const bool same = head ? item.task && head->seq == item.task->seq && !outgrown(*item.task) : !item.task;
        if (!item.over && !same) return load_page(run);   // ops came or went since the load
    }
    for (std::size_t i = 0; i < run->items.size(); ++i) {
        Pulled& item = run->items[i];
        if (!item.change.deleted && !item.change.body && !item.known() && !item.body_slot && !item.task && to_apply(*run, item)) return fetch_blob(run, i);
    }
    CommitSpec spec;
    std::vector<Json> told;
    for (Pulled& item : run->items) {
        if (!to_apply(*run, item)) continue;
        item.over = true;
        spec.lanes.push_back(item.lane);
        const bool known = text_field(item.base, "etag") == item.change.etag;
        if (known) {
            Write& stamp = add_write(spec.writes, "bases", item.lane);
            stamp.value = item.base;
            set(*stamp.value, "pull", pulls.generation);
            stamp.from = StoreRef{"bases", item.lane};
            continue;
        }
        if (item.task) {
            item.task->etag = item.change.etag;
            item.task->server_id = text_field(item.base, kServerId);
            item.task->missing = item.change.deleted;
            if (item.change.body) spec.slots.push_back(item.task->theirs_slot = keep(std::string(*item.change.body)));
            if (went_back(item.base, item.change.etag)) item.task->base_slot = item.task->theirs_slot;
            decide_conflict(item.task, spec);
        } else {
            write_pulled(*run, item, spec);
        }
        Json entry = item.named();
        if (item.change.deleted) set(entry, "deleted", true);
        told.push_back(std::move(entry));
    }
    commit_page(run, std::move(spec), std::move(told));
}

void Planner::write_pulled(const PullRun& run, const Pulled& item, CommitSpec& spec) {
    const Change& change = item.change;
    const std::string server_id = text_field(item.base, kServerId);
    const bool lost = went_back(item.base, change.etag);
    const bool blob = !text_field(item.base, "contentType").empty();
    if (lost) tell_lost(run, item, blob ? "" : view(item.base_slot), spec);
    if (change.deleted) {
        add_write(spec.writes, "bases", item.lane).remove = true;
        if (!lost || !blob) add_write(spec.writes, "docs", item.lane).remove = true;
        if (!server_id.empty()) add_write(spec.writes, "bases", lane_of(run.owner, change.entity, server_id)).remove = true;
        return;
    }
    std::uint64_t slot = item.body_slot;
    if (change.body) spec.slots.push_back(slot = keep(std::string(*change.body)));
    Write& base = add_write(spec.writes, "bases", item.lane);
    base.value = base_record(change.etag, server_id);
    set(*base.value, "pull", pulls_[run.owner].generation);
    if (!change.content_type.empty()) set(*base.value, "contentType", change.content_type);
    base.slot = slot;
    if (lost && blob) return;
    Write& doc = add_write(spec.writes, "docs", item.lane);
    doc.value = doc_record(change.entity, change.entity_id, run.owner, change.content_type, nullptr);
    doc.slot = slot;
}

// What is not JSON is not in the page. One at a time, each stored before the next is fetched, so that a page of photos does not lie in memory.
void Planner::fetch_blob(const PullPtr& run, std::size_t index) {
    if (!may_ask(run->owner)) return pull_again(run);
    const Pulled& blob = run->items[index];
    Effect get;
    get.method = "GET";
    get.url = entity_url(blob.change.entity, id_there(blob.change.entity_id, text_field(blob.base, kServerId)));
    get.headers = object().set("accept", "*/*");
    get.timeout_ms = request_timeout_ms(kExpectedPageBytes);
    get.owner = run->owner;
    get.answer_slot = run->items[index].body_slot = new_slot();
    emit_send(std::move(get), [this, run, index](const OutcomeIn& outcome) {
        Pulled& item = run->items[index];
        const std::int64_t status = outcome.failure ? 0 : outcome.status.value_or(0);
        if (session_) ++session_->requests;
        bytes_today_ += outcome.sent_bytes + outcome.body_bytes;
        const std::string_view etag = header(outcome, "etag");
        // A page of HTML has to be that very version. Where the server names none with it, it is what it says once it came again behind further pages of changes.
        bool portal = etag != item.change.etag && looks_captive(static_cast<int>(status), header(outcome, "content-type"), true);
        if (portal && etag.empty() && status <= 299 && looks_captive(200, item.change.content_type, true)) portal = ++pulls_[run->owner].portals <= kMaxPortals;
        if (portal || status < 200 || status > 299) {
            drop_slots({item.body_slot});
            const Ruling ruling = portal ? kPortal : status ? rule_on(status, "") : rule_on_failure(outcome.failure.value_or("network"));
            const bool passes = ruling.verdict == Verdict::again || ruling.verdict == Verdict::refused || ruling.verdict == Verdict::auth;
            const bool too_large = outcome.failure == "too-large";
            item.over = (status >= 400 && status <= 499 && !passes) || too_large;   // gone meanwhile: a later change says so
            if (too_large) {
                Json told = item.named();
                set(told, "kind", "not-pulled");
                set(told, "owner", run->owner);
                set(told, "reason", ruling.sentence);
                CommitSpec spec;
                audit(told, spec);
                emit_notify("sync.not-pulled", told);
                emit_commit(std::move(spec));
            }
            if (item.over) return apply_page(run);
            if (ruling.verdict == Verdict::auth) sign_in_needed(run->owner);
            else origin_failed(ruling, outcome);
            return pull_again(run);
        }
        if (!etag.empty()) item.change.etag = etag;
        Lane* lane = outbox_.find_lane(item.lane);
        if (outbox_.away(run->owner)) return pull_again(run);
        if ((lane && outbox_.head(*lane)) || run->acked.count(item.lane)) {   // changed here meanwhile: its own 412 will tell
            drop_slots({item.body_slot});
            item.over = run->held = true;
            return apply_page(run);
        }
        CommitSpec spec;
        spec.lanes = {item.lane};
        spec.slots = {item.body_slot};
        write_pulled(*run, item, spec);
        item.over = true;
        spec.ok = [this, run] { apply_page(run); };
        spec.failed = [this, run](bool) { pull_again(run); };
        emit_commit(std::move(spec));
        tell_pulled(*run, {item.named()});
    });
}

void Planner::tell_pulled(const PullRun& run, std::vector<Json> documents) {
    emit_notify("sync.documents", object().set("owner", run.owner).set("documents", std::move(documents)));
}

// Documents and cursor in one transaction.
void Planner::commit_page(const PullPtr& run, CommitSpec spec, std::vector<Json> told) {
    Pulls& pulls = pulls_[run->owner];
    const Pulls before = pulls;
    if (!run->held && !run->sweeping) pulls.cursor = run->cursor;
    const bool swept = run->sweeping && !run->more && !run->held;
    if (swept) pulls.full = false;
    if (spec.writes.empty() && pulls.cursor == before.cursor && !swept) return next_page(run);
    const bool reread = !spec.lanes.empty();
    spec.ok = [this, run] {
        for (const Pulled& item : run->items)
            if (item.task && item.task->leaves) outbox_.remove(item.task->seq);
        next_page(run);
    };
    spec.failed = [this, run, before, reread](bool stale) {
        if (const auto it = pulls_.find(run->owner); it != pulls_.end()) {
            it->second.cursor = before.cursor;
            it->second.full = before.full;
        }
        for (Pulled& item : run->items) {
            item.over = false;
            Op* op = item.task ? outbox_.find(item.task->seq) : nullptr;
            if (op && item.task->leaves) outbox_.change(*op, [](Op& o) { o.state = OpState::queued; });
        }
        if (stale && reread) return load_page(run);   // new ops came for these lanes
        pull_again(run);
    };
    if (session_) session_->pulled += static_cast<std::int64_t>(told.size());
    emit_commit(std::move(spec));
    if (!told.empty()) tell_pulled(*run, std::move(told));
}

void Planner::next_page(const PullPtr& run) {
    pulls_[run->owner].portals = 0;
    if (outbox_.away(run->owner)) return pull_again(run);
    if (run->sweeping) return run->more ? sweep(run) : end_pull(run);
    // Paused, opted out or out of time in the middle: what was stored stays, the rest comes later.
    if (run->more && !may_ask(run->owner)) return pull_again(run);
    if (run->more) return fetch_page(run);
    if (pulls_[run->owner].full && !run->held) return sweep(run);
    end_pull(run);
}

// Entities that the pull from the start did not bring: the server has them no longer. They are taken in like the tombstones they would have been.
void Planner::sweep(const PullPtr& run) {
    drop_slots(run->slots);
    run->slots.clear();
    run->items.clear();
    run->sweeping = true;
    Effect list;
    list.type = "list";
    list.id = next_effect_++;
    list.items.push_back({0, "bases", say(encode_component(run->owner), ":")});
    if (!run->swept.empty()) list.after = run->swept;
    pending_[list.id] = [this, run](const OutcomeIn& found) {
        if (found.error || outbox_.away(run->owner)) return pull_again(run);
        const std::uint64_t generation = pulls_[run->owner].generation;
        run->more = !found.metas.empty();
        for (const Json& meta : found.metas) {
            run->swept = text_field(meta, "key");
            const Json value = meta.value("value", Json::object());
            if (value.contains(kAlias) || bool_field(value, "deleted", false) || number_field(value, "pull", 0, 9e15, 0) == static_cast<double>(generation)) continue;
            const std::string path = run->swept.substr(run->swept.find(':') + 1);
            Pulled item;
            item.lane = run->swept;
            item.change.entity = path.substr(0, path.find('/'));
            item.change.entity_id = id_in_lane(path);
            item.change.deleted = true;
            run->items.push_back(std::move(item));
        }
        load_page(run);
    };
    plan_->effects.push_back(std::move(list));
}

// It begins anew when it is due again: once the origin, the gate and the gap between two pulls allow.
void Planner::pull_again(const PullPtr& run) {
    if (const auto it = pulls_.find(run->owner); it != pulls_.end()) it->second.due = true;
    end_pull(run);
}

void Planner::end_pull(const PullPtr& run) {
    drop_slots(run->slots);
    if (const auto it = pulls_.find(run->owner); it != pulls_.end()) {
        it->second.ended_ms = now_ms_;
        if (it->second.off || (!it->second.due && run->acked.empty())) acked_.completed_operations = 0;
    }
    pull_.reset();
}

// --- what is remembered -------------------------------------------------------------------------------------------------------------------

// A base that did not come with a pull: newer than any page that is on its way, and known to the server.
void Planner::stamp_base(const Lane& lane, Json& value) {
    if (pull_) pull_->acked.insert(lane.name());
    if (const auto it = pulls_.find(lane.owner); it != pulls_.end()) set(value, "pull", it->second.generation);
}

Json Planner::pulls_state() const {
    Json out = Json::object();
    for (const auto& [owner, pulls] : pulls_)
        out[owner] = object().set("cursor", pulls.cursor).set("generation", pulls.generation).set("full", pulls.full);
    return out;
}

void Planner::read_pulls(const Json& state) {
    if (!state.is_object()) return;
    for (const auto& [owner, value] : state.items()) {
        Pulls& pulls = pulls_[owner];
        pulls.cursor = text_field(value, "cursor");
        pulls.generation = static_cast<std::uint64_t>(number_field(value, "generation", 0, 9e15, 0));
        pulls.full = bool_field(value, "full", false);
    }
}

}  // namespace tidegate
