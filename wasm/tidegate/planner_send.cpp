// Choosing what goes, forming its bytes, storing the mark, sending.
#include <algorithm>
#include <utility>

#include "tidegate/batch.h"
#include "tidegate/fields.h"
#include "tidegate/form.h"
#include "tidegate/planner.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {
namespace {

constexpr std::size_t kMaxChain = 256;            // ops of one lane that one batch looks at
constexpr double kLineBytes = kOpOverheadBytes;   // what an op costs on the wire besides its body
constexpr double kLargestDeltaGuess = 4096;       // an edit does not grow with its document; what it really takes is cut to the budget once formed
constexpr std::size_t kWorkedAtOnce = 64;         // with so many ops waiting for their bytes, or settled or marked by this step, no others are chosen
constexpr std::size_t kFormedAtOnce = 100;        // ops in one step …
constexpr double kComparedAtOnce = 48 * 1024;     // … and bytes of documents that are compared; one op is always formed
constexpr std::size_t kProbeOps = 10;             // what goes while the breaker is not closed

Band shown_band(const Op& op) { return effective_band(static_cast<Band>(op.band), op.score); }

// What it was made on top of was refused, and is not taken out of it yet.
bool on_refused(Outbox& outbox, const Op& op) {
    return std::any_of(op.lane->ops.begin(), op.lane->ops.end(), [&](std::uint64_t seq) { return seq < op.seq && outbox.find(seq)->undo != Undo::none; });
}

// The chooser's order mixes lanes; in a batch the ops of a lane stand side by side, because each rests on the one before it. Lanes keep the order of
// their first op. The lanes of an atomic group follow each other in that order, so a group stays in one piece.
void lanes_together(const std::vector<Candidate>& candidates, std::vector<std::size_t>& chosen) {
    std::map<std::uint32_t, std::size_t> first;
    std::vector<std::vector<std::size_t>> runs;
    for (const std::size_t index : chosen) {
        const auto [run, is_new] = first.emplace(candidates[index].lane, runs.size());
        if (is_new) runs.emplace_back();
        runs[run->second].push_back(index);
    }
    chosen.clear();
    for (const std::vector<std::size_t>& run : runs) chosen.insert(chosen.end(), run.begin(), run.end());
}

}  // namespace

GateResult Planner::gate() const {
    GateState s;
    // What comes by itself while no page is open keeps the pace of automatic sessions.
    const bool paced = event_ && (event_->type == EventType::periodicsync || (event_->type == EventType::timer && readings_.foreground == false));
    if (paced) s.paced_interval_ms = session_interval_ms(settings_.sync_interval_minutes * kMinuteMs, link_.quality, readings_, now_ms_);
    s.paused = paused_;
    const bool under_way = session_ && session_->requests > 0;  // the interval is between sessions, not inside one
    if (last_session_end_ms_ > 0 && !under_way) s.last_session_end_ms = last_session_end_ms_;
    s.first_save_ms = first_save_ms_;
    s.bytes_today = bytes_today_;
    s.battery_used_today = battery_today_;
    // Failures alone never close the gate: waiting after them is the origin's backoff. Only the platform's "offline" closes it.
    s.quality = link_.quality == Quality::offline && !link_.reading_offline ? Quality::poor : link_.quality;
    return check_gate(settings_, readings_, s, now_ms_, manual_ || (session_ && session_->manual));
}

bool Planner::may_send(std::string* why) const {
    const auto no = [why](const char* sentence) {
        if (why) *why = sentence;
        return false;
    };
    if (session_ && session_->cancelled) return no("It was cancelled");
    if (!failed_commits_.empty() || remaining_ms(storage_retry_ms_, now_ms_, kStorageRetryMs) > 0) return no("The device could not store a change");
    if (origin_again_ms() > now_ms_) return no(origin_wait_is_network_ ? "Waiting to try the network again" : "The server needs time");
    if (time_left_ms() < least_time_ms()) return no("The browser's time for this event is over");
    if (remaining_ms(gather_until_ms_, now_ms_, kGatherMs) > 0) return no(kGathering.data());
    return true;
}

// Nothing leaves for him: he is not signed in, or his credentials were refused.
bool Planner::shut_out(const std::string& owner) const { return outbox_.away(owner) || auth_paused_.count(owner) > 0; }

// What is left of the event for requests; nothing may be in flight at its deadline.
double Planner::time_left_ms() const {
    return event_ && event_->deadline_ms ? *event_->deadline_ms - kEventMarginMs - now_ms_ : kMaxTimeoutMs;
}

// With less than this a request is not begun: one timeout, or half of an event that is short for this link.
double Planner::least_time_ms() const {
    const double timeout = timeout_ms(link_, 0);
    return event_ && event_->deadline_ms ? std::min(timeout, event_ms_ / 2) : timeout;
}

double Planner::request_timeout_ms(double bytes) const { return std::max(kSecondMs, std::min(timeout_ms(link_, bytes), time_left_ms())); }

// From when on the origin may be asked again: our own backoff with the Retry-After under it, the breaker, and the pace its rate limit sets.
double Planner::origin_again_ms() const {
    const double waits[] = {due_ms(origin_retry_ms_, now_ms_), due_ms(asked_until_ms_, now_ms_), due_ms(pace_until_ms_, now_ms_), send_again_ms(breaker_, now_ms_)};
    return *std::max_element(waits, waits + 4);
}

// A wait that only guessed at the network is over; one that the server asked for is not. An open breaker lets its probe go.
void Planner::network_is_back() {
    if (!origin_wait_is_network_) return;
    origin_retry_ms_ = 0;
    link_.next_probe_ms = 0;
    if (breaker_.state == BreakerState::open) breaker_.until_ms = 0;
}

void Planner::plan_sends() {
    outbox_.wake(now_ms_);
    for (auto it = auth_paused_.begin(); it != auth_paused_.end();)
        it = remaining_ms(it->second, now_ms_, kAuthRetryMs) > 0 ? std::next(it) : auth_paused_.erase(it);
    if (worked_ >= kWorkedAtOnce) return;   // the next step comes when that is stored
    if (push_off_ || rows_first_ || !may_send()) return give_back_waiting();
    GateResult g = gate();
    if (!g.min_band) return give_back_waiting();
    g.min_band = std::max(*g.min_band, floor_);
    const Profile link = profile(link_, static_cast<int>(settings_.maximum_concurrent_operations));
    begin_waiting(g, link);
    // A large batch leaves before the bytes of the next are asked for, so that no step has to form more than one.
    const auto worked = [this] {
        std::size_t ops = worked_;
        for (const auto& [id, batch] : batches_)
            if (batch->phase == Phase::validate) ops += batch->items.size();
        return ops;
    };
    // One more than may be under way is made ready, so that its bytes are read while the others are waited for; not where what is read in, or waits for what is under
    // way, may go before it.
    const auto one_more = [this] {
        return !careful() && !rows_follow_ && std::none_of(batches_.begin(), batches_.end(), [this](const auto& entry) { return entry.second->phase > Phase::execute ? !entry.second->freed : waited_for(*entry.second); });
    };
    while (worked() < kWorkedAtOnce) {
        const int room = requests_at_once(link) - requests_open();
        if (room < 0 || (room == 0 && !one_more()) || !start_batch(g, link)) break;
    }
}

// Later changes of its entities, or others that name it.
bool Planner::waited_for(const Batch& batch) const {
    return std::any_of(batch.items.begin(), batch.items.end(), [this](const Item& item) {
        const Op& op = *outbox_.find(item.seq);
        return op.lane->ops.back() != op.seq || outbox_.has_dependents(op);
    });
}

int Planner::requests_open() const {
    return static_cast<int>(std::count_if(batches_.begin(), batches_.end(), [](const auto& entry) { return !entry.second->freed; }));
}

int Planner::requests_under_way() const {
    return static_cast<int>(std::count_if(batches_.begin(), batches_.end(), [](const auto& entry) { return entry.second->phase != Phase::validate && !entry.second->freed; }));
}

// While the origin fails, or names its limits, one request at a time: the next one waits for what it answers.
bool Planner::careful() const { return origin_failures_ > 0 || breaker_.state != BreakerState::closed || pace_until_ms_ > 0 || restraint_ > 1; }

int Planner::requests_at_once(const Profile& link) const { return careful() ? 1 : std::max(1, link.max_concurrent); }

// Those that are formed and wait for a request to end. They are a copy: what is done with one takes it out of the batches.
std::vector<Planner::BatchPtr> Planner::waiting_batches() const {
    std::vector<BatchPtr> out;
    for (const auto& [id, batch] : batches_)
        if (batch->waits) out.push_back(batch);
    return out;
}

// Nothing of them is stored: their ops are as they were.
void Planner::give_back_waiting() {
    for (const BatchPtr& batch : waiting_batches()) release_batch(*batch);
}

// They go in their order, as soon as there is room, unless one of their ops may not go any more or what came meanwhile goes before them.
void Planner::begin_waiting(const GateResult& g, const Profile& link) {
    for (const BatchPtr& batch : waiting_batches()) {
        const Op& first = *outbox_.find(batch->items.front().seq);
        const auto stays = [&](const Item& item) {
            const Op& op = *outbox_.find(item.seq);
            return expired(op) || outbox_.blocked_by(op) || !may_pass(g, shown_band(op), op.created_at);
        };
        bool given_back = shut_out(first.lane->owner) || std::any_of(batch->items.begin(), batch->items.end(), stays);
        for (const auto& [key, seq] : outbox_.ready()) {
            if (given_back || key >= first.place()) break;
            given_back = seq > batch->known_seq && !held(*outbox_.find(seq), g);
        }
        if (given_back) release_batch(*batch);
        else if (requests_under_way() < requests_at_once(link)) begin_batch(batch);
    }
}

// Whether anything about the op itself keeps it from going, and what: the planner and explain ask the same question.
bool Planner::held(const Op& op, const GateResult& gate, Json* why) const {
    const auto no = [why](const char* reason, std::string_view sentence, std::optional<double> until = std::nullopt) {
        if (!why) return true;
        set(*why, "reason", reason);
        set(*why, "sentence", sentence);
        if (until) set(*why, "untilMs", *until);
        return true;
    };
    if (op.parked()) return no(name_of(op.state), op.rare().reason);
    if (op.state == OpState::sending) return no("sending", "It is being sent");
    if (op.lane->away) return no("signed-out", "Its owner is not signed in");
    if (op.state == OpState::conflict) return no("conflict", "The server has another version; it is being resolved or waits for a decision");
    if (expired(op)) return no("expired", "It has expired, and is taken out");
    if (outdated(op)) return no("schema", why ? say("It is of schemaVersion ", op.schema_version, ". ", op.rare().reason) : "");
    if (const Op* parent = outbox_.blocked_by(op)) return no("blocked", why ? say("It waits for op ", parent->id) : "");
    if (op.lane->reserved_by) return no("lane", "A change of the same entity is being worked on");
    if (!op.rare().group.empty() && (settings_.mode == "rest" || !op.is_json())) return no("group", "An atomic group goes in batch mode, and as JSON");
    if (!may_pass(gate, shown_band(op), op.created_at)) {
        if (!gate.closed_by.empty()) return no(gate.closed_by.c_str(), gate.sentence, gate.look_again_ms);
        if (gate.min_band && shown_band(op) < *gate.min_band) return no("priority-threshold", "Its priority is below priorityThreshold");
        return no("idle", "It is of low priority and waits for the device to be idle", op.created_at + kLowIdleWaitMs);
    }
    if (const auto paused = auth_paused_.find(op.lane->owner); paused != auth_paused_.end()) return no("auth", "Sign-in needed", paused->second);
    if (op.until_ms > now_ms_ && remaining_ms(op.until_ms, now_ms_) > 0) return no("backoff", op.rare().reason, due_ms(op.until_ms, now_ms_));
    if (op.sends > 0 && !may_retry(retries_, now_ms_))
        return no("retry-budget", "Too much failed lately: only first tries go", retry_again_ms(retries_, now_ms_));
    return false;
}

// It may have been applied so long ago that the server knows its key no longer, and would apply it again. Of several requests the first may be the one that was, and that
// is no older than the op. A clock that jumped back makes nothing old. Under an id that the server gave and never told nothing could be asked for.
bool Planner::forgotten(const Op& op) const {
    return op.unknown && now_ms_ - (op.sends > 1 ? op.created_at : op.last_attempt) > key_retention_ms_ && !server_ids_ && !op.uploads() && !op.lane->runs;
}

// Every member can go now, and nothing stands before it in its lane but members.
bool Planner::group_ready(const Op& op, const GateResult& gate) {
    const std::vector<std::uint64_t> unit = outbox_.unit(op);
    if (rows_follow_ && unit.back() == outbox_.known_seq()) return false;
    for (const std::uint64_t seq : unit) {
        Op* member = outbox_.find(seq);
        if (held(*member, gate)) return false;
        for (Op* before = outbox_.head(*member->lane); before && before->seq < seq; before = outbox_.after(*before))
            if (before->rare().group != op.rare().group) return false;
    }
    return true;
}

double Planner::estimated_bytes(const Op& op) const {
    if (op.codec != Codec::none) return op.body_bytes + kLineBytes;
    if (op.action == Action::remove) return kLineBytes;
    const bool delta = op.action == Action::update && op.is_json() && settings_.delta && delta_ok_;
    return kLineBytes + (delta ? std::clamp(op.size_bytes * delta_ratio_, 64.0, kLargestDeltaGuess) : op.size_bytes);
}

// No batch takes it, even alone: by itself, as in REST mode, it may be as large as an op is. What a 413 taught may be less than any op has.
bool Planner::too_large(const Op& op) const {
    const double most = link_.server_batch_bytes > 0 ? std::max(kMinBatchBytes, link_.server_batch_bytes) : kMaxBatchBytes;
    return op.rare().group.empty() && estimated_bytes(op) > most;
}

// Adds the ops of a lane that may go in one batch: its head, and what follows as long as each can rest on the result of the one before.
void Planner::collect_lane(Op& head, const GateResult& gate, Choice& choice, Batch& batch) {
    const std::uint32_t lane = static_cast<std::uint32_t>(choice.lanes.size());
    if (!choice.lanes.emplace(head.lane, lane).second) return;
    std::uint32_t place = 0;
    const Op* before = nullptr;
    for (Op* op = &head; op && place < kMaxChain;) {
        if (before && (op->action == Action::create || before->action == Action::remove || !op->is_json() || held(*op, gate) ||
                       op->rare().group != before->rare().group || batch.single || on_refused(outbox_, *op)))
            break;
        std::optional<FoldRun> run;
        if (settings_.coalesce) run = outbox_.fold_run(*op);
        if (run && (run->survivor == 0 || run->folded.size() >= kMaxFoldsAtOnce)) {
            if (!before) batch.folds.push_back(std::move(*run));  // a commit of its own; the lane goes next time
            break;
        }
        if (run) op = outbox_.find(run->survivor);
        Candidate candidate;
        candidate.order_key = op->place();
        candidate.value = cost_of_delay(op->place(), now_ms_, AgingOptions{});
        candidate.bytes = static_cast<std::uint32_t>(std::min(4e9, estimated_bytes(*op)));
        candidate.lane = lane;
        candidate.chain = place++;
        if (!op->rare().group.empty()) candidate.group = static_cast<std::uint32_t>(outbox_.unit(*op).front());
        choice.candidates.push_back(candidate);
        choice.picks.push_back({op, std::move(run)});
        before = op;
        op = outbox_.after(*op);
    }
}

void Planner::collect(const GateResult& gate, Choice& choice, Batch& batch) {
    std::size_t looked_at = 0, passed_over = 0;
    for (const auto& [key, seq] : outbox_.ready()) {
        if (looked_at == kMaxHeadsLookedAt >> restraint_ || choice.candidates.size() >= kMaxCandidates || passed_over == kMaxHeadsPassedOver) break;
        Op& head = *outbox_.find(seq);
        if (held(head, gate)) {
            ++passed_over;
            continue;
        }
        ++looked_at;
        if (choice.owner && *choice.owner != head.lane->owner) continue;  // one request carries one owner's credentials
        const bool asked = forgotten(head);
        if (asked && tasks_open_ >= kMaxAskedAtOnce) continue;
        const bool single = !batch.preview && (settings_.mode == "rest" || !head.is_json() || head.lane->runs || asked || too_large(head));
        if (single) {
            if (!choice.candidates.empty() || !batch.folds.empty()) continue;
            batch.single = true;
            batch.asked = asked;
            choice.owner = head.lane->owner;
            collect_lane(head, gate, choice, batch);
            return;
        }
        if (head.rare().group.empty()) {
            collect_lane(head, gate, choice, batch);
        } else if (group_ready(head, gate)) {
            for (const std::uint64_t member : outbox_.unit(head))
                collect_lane(*outbox_.head(*outbox_.find(member)->lane), gate, choice, batch);
        } else {
            continue;
        }
        choice.owner = head.lane->owner;
    }
}

std::size_t Planner::most_ops(const Profile& link) const {
    return settings_.batching ? std::min<std::size_t>(link.batch_ops, static_cast<std::size_t>(settings_.max_batch_ops)) : 1;
}

// Turns the chosen candidates into items, within what may be loaded at once.
void Planner::take_chosen(Choice& choice, const Profile& link, Batch& batch) {
    BatchBudget budget;
    budget.max_bytes = std::min(link.batch_bytes, settings_.max_batch_bytes);
    budget.max_ops = most_ops(link);
    if (split_ops_) budget.max_ops = std::min<std::size_t>(budget.max_ops, split_ops_);
    if (breaker_.state != BreakerState::closed) {   // a probe is small
        budget.max_bytes = std::min(budget.max_bytes, kMinBatchBytes);
        budget.max_ops = std::min(budget.max_ops, kProbeOps);
    }
    if (batch.single) budget.max_ops = 1;
    budget.max_ops = std::max<std::size_t>(1, budget.max_ops >> restraint_);
    // What the event, or the window of connectivity as earlier ones lasted, has time for. In a window too short for all that waits, what costs most to delay
    // per byte goes first.
    budget.short_window = link.prioritize;
    const auto fit = [&](double span_ms) {
        const double bytes = bytes_within(link_, span_ms);
        budget.max_bytes = std::min(budget.max_bytes, std::max(bytes, kMinBatchBytes));
        if (bytes < outbox_.tally().bytes) budget.short_window = true;
    };
    if (event_ && event_->deadline_ms) fit(time_left_ms() / 2);
    if (const auto left = window_left_ms(link_, now_ms_)) fit(*left / 2);
    // Of an upload, which has no body of its own. What is learned of batches may lie far below what a chunk needs to get anywhere.
    if (batch.single) batch.body_bytes = std::max(budget.max_bytes, std::min(kMinBatchBytes, settings_.max_batch_bytes));
    std::vector<std::size_t> chosen = choose_batch(choice.candidates, budget);
    lanes_together(choice.candidates, chosen);
    double load = 0;
    for (const std::size_t index : chosen) {
        Choice::Pick& pick = choice.picks[index];
        load += 2 * pick.op->size_bytes;
        if (!batch.items.empty() && load > kMaxLoadBytes / (1 << restraint_) && pick.op->rare().group.empty()) break;
        Item item;
        item.seq = pick.op->seq;
        batch.items.push_back(item);
        if (pick.run) batch.folds.push_back(std::move(*pick.run));
    }
}

void Planner::choose(const GateResult& gate, const Profile& link, Batch& batch) {
    Choice choice;
    collect(gate, choice, batch);
    take_chosen(choice, link, batch);
}

bool Planner::start_batch(const GateResult& gate, const Profile& link) {
    auto batch = std::make_shared<Batch>();
    batch->id = next_batch_++;
    batch->since_ms = now_ms_;
    batch->known_seq = outbox_.known_seq();
    choose(gate, link, *batch);
    if (batch->items.empty() && batch->folds.empty()) return false;
    if (!session_) session_.emplace();
    if (session_->start_ms == 0) {
        session_->number = next_session_++;
        session_->start_ms = now_ms_;
        session_->battery_at_start = readings_.battery_level;
        if (event_ && !event_->trigger.empty()) session_->trigger = event_->trigger;
        eta_ = eta_started(eta_, now_ms_);
        emit_notify("sync.started", session_->to_json(std::nullopt, std::nullopt));
    }
    if (batch->asked) {
        const TaskPtr task = start_task(*outbox_.find(batch->items.front().seq));
        task->aged = true;
        fetch_theirs(task);
        return true;
    }
    for (const Item& item : batch->items) batch->lanes.insert(outbox_.find(item.seq)->lane->name());
    for (const FoldRun& run : batch->folds) batch->lanes.insert(outbox_.find(run.folded.front())->lane->name());
    for (const std::string& lane : batch->lanes) outbox_.reserve(*outbox_.find_lane(lane), batch->id);
    batches_[batch->id] = batch;
    load_batch(batch, 0);
    return true;
}

// --- bytes ----------------------------------------------------------------------------------------------------------------------

// From the item `from` on, as many as one step forms.
void Planner::load_batch(const BatchPtr& batch, std::size_t from) {
    std::size_t to = std::min(from + kFormedAtOnce, batch->items.size());
    double compared = 0;
    std::vector<LoadItem> wanted;
    const auto want = [&](std::uint64_t& slot, const char* store, std::string key) {
        if (slot) return;
        slot = new_slot();
        batch->slots.push_back(slot);
        wanted.push_back({slot, store, std::move(key)});
    };
    Item* before = from == 0 ? nullptr : &batch->items[from - 1];
    for (std::size_t i = from; i < to; ++i) {
        Item& item = batch->items[i];
        const Op& op = *outbox_.find(item.seq);
        Action action = op.action;
        for (const FoldRun& run : batch->folds)
            if (run.survivor == op.seq) action = run.action;
        const bool frozen = op.codec != Codec::none;
        const bool delta = !frozen && action == Action::update && settings_.delta && deltas_taken(op);
        if (delta && (compared += op.size_bytes) > kComparedAtOnce && i > from) {
            to = i;
            break;
        }
        item.chained = before && outbox_.find(before->seq)->lane == op.lane;
        if (frozen && op.codec != Codec::full) want(item.body_slot, "payloads", payload_key(op.seq, "body"));
        else if (action != Action::remove && !op.uploads()) want(item.next_slot, "payloads", payload_key(op.seq, "next"));
        if (item.chained && delta) want(before->next_slot, "payloads", payload_key(before->seq, "next"));
        if (!item.chained) want(item.base_slot, "bases", op.lane->name());
        if (!frozen && !op.rare().refs.is_null())
            for (const std::string& lane : op.rare().depends_on) {   // and ids, under which there is nothing
                std::uint64_t slot = 0;
                want(slot, "bases", lane);
                batch->parents[lane] = slot;
            }
        // Not stored anywhere: a shell that can make it makes it of base and next, and what it makes is frozen like any other delta.
        if (delta && !op.is_json()) want(item.body_slot, "payloads", say(payload_key(op.seq, "delta:"), op.lane->name()));
        before = &item;
    }
    if (wanted.empty()) return form_batch(batch, from, to, OutcomeIn{});
    emit_load(std::move(wanted), [this, batch, from, to](const OutcomeIn& outcome) { form_batch(batch, from, to, outcome); });
}

void Planner::form_batch(const BatchPtr& batch, std::size_t from, std::size_t to, const OutcomeIn& loaded) {
    if (loaded.error) {
        storage_retry_ms_ = now_ms_ + kStorageRetryMs;
        last_error_ = OpError{ErrorClass::storage, loaded.error->message, std::nullopt};
        release_batch(*batch);
        return;
    }
    // What was open when the bytes were asked for may be closed by now: a pause, a 429 or 401 to another request, no network, a sign-out.
    if (!may_send() || !gate().min_band || shut_out(outbox_.find_lane(*batch->lanes.begin())->owner)) return release_batch(*batch);
    // Or what one of them names is to be created anew: it was gone from the server, as a conflict said meanwhile.
    const auto blocked = [this](const Item& item) { return outbox_.blocked_by(*outbox_.find(item.seq)) != nullptr; };
    if (std::any_of(batch->items.begin(), batch->items.end(), blocked)) return release_batch(*batch);
    for (std::size_t i = from; i < to; ++i) {
        Item& item = batch->items[i];
        item.base_missing = true;   // a base without bytes is one: of a blob that lost a conflict the version alone is known
        const Json* base = record_in(loaded, static_cast<double>(item.base_slot));
        if (!base) continue;
        item.base_missing = false;
        item.base_etag = text_field(*base, kUnder);
        item.etag_at = item.base_etag.size();
        item.base_etag += text_field(*base, "etag");
        item.base_deleted = bool_field(*base, "deleted", false);
        item.server_id = text_field(*base, kServerId);
        item.twin = base->contains(kAlias);
        if (item.twin) item.server_id = id_in_lane(text_field(*base, kAlias));
    }
    CommitSpec spec;
    for (std::size_t i = from; i < to; ++i)
        if (!outbox_.find(batch->items[i].seq)->parked()) form_item(*batch, i, loaded, spec);
    if (!spec.writes.empty()) emit_commit(std::move(spec));
    if (to < batch->items.size()) return load_batch(batch, to);
    // What rests on a refused op in this batch waits for the next one, where it rests on the base.
    const Lane* held_up = nullptr;
    std::vector<Item> good;
    for (Item& item : batch->items) {
        const Op& op = *outbox_.find(item.seq);
        if (op.parked()) held_up = op.lane;
        else if (op.lane != held_up) good.push_back(std::move(item));
    }
    batch->items = std::move(good);
    cut_to_budget(*batch);
    batch->waits = !batch->items.empty() && (worked_ >= kWorkedAtOnce || requests_under_way() >= requests_at_once(profile(link_, static_cast<int>(settings_.maximum_concurrent_operations))));
    if (!batch->waits) begin_batch(batch);
}

// Parked until a person decides; a group as one.
void Planner::quarantine(Op& op, const std::string& reason, CommitSpec& spec) {
    for (const std::uint64_t seq : outbox_.unit(op)) {
        Op& member = *outbox_.find(seq);
        outbox_.change(member, [&](Op& o) {
            o.state = OpState::quarantined;
            o.make_rare().reason = reason;
            o.make_rare().error = OpError{ErrorClass::storage, reason, std::nullopt};
        });
        write_row(member, spec);
        Json told = named(member);
        set(told, "reason", reason);
        emit_notify("op.quarantined", std::move(told));
    }
}

// Gives the item its codec and body. An op that can never be sent as it is, is parked.
void Planner::form_item(Batch& batch, std::size_t index, const OutcomeIn& loaded, CommitSpec& spec) {
    Item& item = batch.items[index];
    Op& op = *outbox_.find(item.seq);
    Action action = op.action;
    for (const FoldRun& run : batch.folds)
        if (run.survivor == op.seq) action = run.action;
    if (item.next_slot && !bytes(item.next_slot)) return quarantine(op, "Its payload is missing from the store", spec);
    if (op.codec != Codec::none && item.body_slot && !bytes(item.body_slot)) return quarantine(op, "Its frozen body is missing from the store", spec);
    item.next = view(item.next_slot);
    if (item.chained) item.server_id = batch.items[index - 1].server_id;
    if (item.twin) return op_dead(op, kInvalid, 0, say("the entity is known here as ", item.server_id), spec);
    if (op.codec != Codec::none) {
        item.codec = op.codec;
        item.body = item.body_slot ? view(item.body_slot) : item.next;
        // A delta whose base is gone, or was refused: nothing has the empty tag, so unless the server knows the key already, the answer is a conflict.
        if (item.body_slot && !item.chained && (item.base_missing || item.base_deleted || on_refused(outbox_, op))) {
            item.base_etag = "\"\"";
            item.etag_at = 0;
            item.base_missing = item.base_deleted = false;
        }
        return;
    }
    if (action == Action::remove || op.uploads()) {
        item.codec = Codec::none;
        return;
    }
    if (!op.rare().refs.is_null() && !bind_refs(batch, loaded, item, op, spec)) return;
    item.codec = Codec::full;
    item.body = item.next;
    if (!op.is_json()) {
        const std::string_view delta = view(item.body_slot);
        if (view(item.base_slot).empty() || item.base_etag.empty() || !delta_pays(delta.size(), item.next.size())) return;
        item.codec = Codec::vcdiff;
        item.frozen_now = true;
        item.body = delta;
        return;
    }
    std::optional<std::string_view> base;
    if (item.chained) {
        if (const Item& before = batch.items[index - 1]; before.next_slot) base = before.next;
    } else if (!item.base_missing && !item.base_deleted) {
        base = view(item.base_slot);
    }
    if (action != Action::update || !settings_.delta || !delta_ok_ || (base && base->empty())) base.reset();
    auto form = choose_form(base, item.next);
    if (!form) return op_dead(op, kInvalid, 0, form.error().message, spec);
    if (base && !item.next.empty()) {
        const double sent = form.value().codec == Codec::full ? static_cast<double>(item.next.size()) : static_cast<double>(form.value().body.size());
        delta_ratio_ = std::clamp(0.8 * delta_ratio_ + 0.2 * sent / static_cast<double>(item.next.size()), 0.01, 1.0);
    }
    if (form.value().codec == Codec::full) return;
    item.codec = form.value().codec;
    item.frozen_now = true;
    item.body_slot = keep(std::move(form.value().body));
    batch.slots.push_back(item.body_slot);
    item.body = view(item.body_slot);
}

// The estimate was by full sizes and a learned ratio; the real sizes are known now. What does not fit goes next time, groups whole.
void Planner::cut_to_budget(Batch& batch) {
    const double most = link_.server_batch_bytes > 0 ? std::min(settings_.max_batch_bytes, link_.server_batch_bytes) : settings_.max_batch_bytes;
    double sum = 0;
    std::size_t count = 0;
    for (const Item& item : batch.items) {
        sum += static_cast<double>(item.body.size()) + 2 * kLineBytes;
        if (count > 0 && sum > most && outbox_.find(item.seq)->rare().group.empty()) break;
        ++count;
    }
    if (count == batch.items.size()) return;
    // A run that was to fold into a cut op stays unfolded.
    for (std::size_t i = count; i < batch.items.size(); ++i) {
        const std::uint64_t seq = batch.items[i].seq;
        batch.folds.erase(std::remove_if(batch.folds.begin(), batch.folds.end(), [seq](const FoldRun& run) { return run.survivor == seq; }),
                          batch.folds.end());
    }
    batch.items.resize(count);
}

// --- the mark, then the request ---------------------------------------------------------------------------------------------------

void Planner::append_folds(const Batch& batch, CommitSpec& spec) {
    for (const FoldRun& run : batch.folds) {
        Op* survivor = run.survivor ? outbox_.find(run.survivor) : nullptr;
        for (const std::uint64_t seq : run.folded) {
            const Op& op = *outbox_.find(seq);
            Json record = object().set("kind", survivor ? "folded" : "cancelled");
            if (survivor) set(record, "into", survivor->id);
            else set(record, "by", outbox_.find(run.folded.back())->id);
            audit(op, std::move(record), spec);
            let_go(op, spec);
        }
        const bool sent_now = std::any_of(batch.items.begin(), batch.items.end(), [&run](const Item& item) { return item.seq == run.survivor; });
        if (!survivor || sent_now) continue;
        const Action before = std::exchange(survivor->action, run.action);   // until it is stored
        write_row(*survivor, spec);
        survivor->action = before;
    }
}

void Planner::mark_sending(Batch& batch, Item& item, CommitSpec& spec) {
    Op& op = *outbox_.find(item.seq);
    item.old_state = op.state;
    item.old_codec = op.codec;
    item.old_action = op.action;
    item.old_last_attempt = op.last_attempt;
    item.marked = true;
    batch.retried = batch.retried || op.sends > 0;
    outbox_.change(op, [&](Op& o) {
        for (const FoldRun& run : batch.folds)
            if (run.survivor == o.seq) o.action = run.action;
        o.state = OpState::sending;
        o.codec = item.codec;
        o.body_bytes = static_cast<double>(item.body.size());
        o.last_attempt = now_ms_;
        ++o.sends;
    });
    write_row(op, spec);
    if (item.bound_now) add_write(spec.writes, "payloads", payload_key(op.seq, "next")).slot = item.next_slot;
    if (!item.frozen_now) return;
    Write& body = add_write(spec.writes, "payloads", payload_key(op.seq, "body"));
    body.slot = item.body_slot;
}

void Planner::begin_batch(const BatchPtr& batch) {
    if (batch->items.empty() && batch->folds.empty()) return release_batch(*batch);
    CommitSpec spec;
    batch->waits = false;
    next_phase(*batch);
    append_folds(*batch, spec);
    for (Item& item : batch->items) mark_sending(*batch, item, spec);
    worked_ += batch->items.size();
    spec.lanes.assign(batch->lanes.begin(), batch->lanes.end());
    const bool sends = !batch->items.empty();
    const Op* first = sends ? outbox_.find(batch->items.front().seq) : nullptr;
    const bool runs = sends && first->lane->runs;
    const char* type = runs ? "run" : sends && first->uploads() ? "upload" : "send";
    const Breaker breaker_before = breaker_;
    const RetryBudget retries_before = retries_;
    if (sends && !runs) {
        breaker_ = on_send(breaker_, now_ms_);
        batch->probe = breaker_.state != BreakerState::closed;
        if (batch->retried) retries_ = on_retry(retries_, now_ms_);
    }
    Effect request;
    if (sends) request = batch->single ? single_request(*batch) : batch_request(*batch);
    if (runs) {
        request.detail = named(*first);
        request.timeout_ms = std::max(kSecondMs, std::min(kMaxTimeoutMs, time_left_ms()));   // a sync event may join, which ends before an earlier event of the drain
    }
    spec.ok = [this, batch, sends] {
        for (const FoldRun& run : batch->folds) {
            if (Op* survivor = outbox_.find(run.survivor)) outbox_.change(*survivor, [&](Op& o) { o.action = run.action; });
            for (const std::uint64_t seq : run.folded) outbox_.remove(seq);
            totals_.folded += static_cast<std::int64_t>(run.folded.size());
        }
        batch->folds.clear();
        next_phase(*batch);
        if (!sends) release_batch(*batch);
    };
    spec.failed = [this, batch, breaker_before, retries_before](bool) {
        breaker_ = breaker_before;   // no probe went out
        retries_ = retries_before;
        take_back(*batch);
        release_batch(*batch);
    };
    emit_commit(std::move(spec));
    if (!sends) return;
    batch->in_flight = requests_open();
    last_attempt_ms_ = now_ms_;
    emit_send(std::move(request), [this, batch](const OutcomeIn& outcome) {
        if (!outcome.skipped.value_or(false)) settle(batch, outcome);
    }, type);
}

void Planner::take_back(Batch& batch) {
    for (Item& item : batch.items) {
        Op* op = item.marked ? outbox_.find(item.seq) : nullptr;
        if (!op) continue;
        outbox_.change(*op, [&](Op& o) {
            o.state = item.old_state;
            o.codec = item.old_codec;
            o.action = item.old_action;
            o.last_attempt = item.old_last_attempt;
            --o.sends;
        });
        item.marked = false;
    }
}

void Planner::next_phase(Batch& batch) const {
    batch.phase = edges_of(batch.phase).next;
    batch.since_ms = now_ms_;
}

void Planner::release_batch(Batch& batch) {
    for (const std::string& name : batch.lanes)
        if (Lane* lane = outbox_.find_lane(name); lane && lane->reserved_by == batch.id) outbox_.release(*lane);
    drop_slots(batch.slots);
    batches_.erase(batch.id);
}

Effect Planner::batch_request(Batch& batch) {
    std::string frame;
    append_head(frame);
    const Item* before = nullptr;
    for (const Item& item : batch.items) {
        const Op& op = *outbox_.find(item.seq);
        WireOp wire;
        wire.id = op.id;
        wire.key = std::string(op.key());
        wire.action = op.action;
        wire.entity = op.lane->entity;
        wire.entity_id = id_there(op.lane->entity_id(), item.server_id);
        wire.codec = item.codec;
        wire.group = op.rare().group;
        wire.body = item.body;
        if (item.chained && before) {
            wire.after = outbox_.find(before->seq)->id;
        } else if (op.action == Action::create || (op.action == Action::update && (item.base_missing || item.base_deleted))) {
            // Nothing of it was ever acknowledged here: it is new to the server, whatever the app called it.
            wire.action = Action::create;
            wire.if_none_match = true;
        } else {
            wire.if_match = item.etag();
        }
        append_op(frame, wire);
        batch.body_bytes += static_cast<double>(item.body.size());
        before = &item;
    }
    Effect send;
    send.method = "POST";
    send.url = "batch";
    send.headers = object().set("content-type", "application/x-ndjson").set("accept", "application/x-ndjson, application/problem+json");
    batch.gzip = compressed(frame.size());
    send.gzip = batch.gzip;
    send.timeout_ms = request_timeout_ms(static_cast<double>(frame.size()));
    send.owner = outbox_.find(batch.items.front().seq)->lane->owner;
    batch.frame_slot = keep(std::move(frame));
    batch.answer_slot = new_slot();
    batch.slots.push_back(batch.frame_slot);
    batch.slots.push_back(batch.answer_slot);
    send.slot = batch.frame_slot;
    send.answer_slot = batch.answer_slot;
    return send;
}

// On a link that may be metered every byte counts; elsewhere time does.
bool Planner::compressed(std::size_t bytes) const {
    const double goodput = metered_of(readings_) == false ? expected_goodput(link_) : 0;
    return settings_.compression && gzip_ok_ && worth_compressing(static_cast<double>(bytes), goodput);
}

Effect Planner::single_request(Batch& batch) {
    const Item& item = batch.items.front();
    const Op& op = *outbox_.find(item.seq);
    static constexpr const char* kTypes[] = {"", "application/json", "application/merge-patch+json", "application/json-patch+json", "application/vcdiff"};
    Effect send;
    Json headers = object().set("idempotency-key", say("\"", op.key(), "\"")).set("accept", "application/json, application/problem+json");
    const bool unseen = op.action == Action::create || (op.action == Action::update && (item.base_missing || item.base_deleted));
    if (unseen) headers["if-none-match"] = "*";
    else if (!item.base_etag.empty()) headers["if-match"] = item.etag();
    if (op.action == Action::remove) {
        send.method = "DELETE";
    } else if (!op.uploads()) {
        send.method = item.codec == Codec::full ? "PUT" : "PATCH";
        headers["content-type"] = op.is_json() || item.codec != Codec::full ? kTypes[static_cast<std::size_t>(item.codec)] : op.rare().content_type;
        batch.slots.push_back(batch.frame_slot = keep(std::string(item.body)));
        send.slot = batch.frame_slot;
    }
    send.url = entity_url(op.lane->entity, id_there(op.lane->entity_id(), item.server_id));
    send.headers = std::move(headers);
    if (!op.uploads()) batch.body_bytes = static_cast<double>(item.body.size());
    batch.gzip = op.is_json() && compressed(item.body.size());
    send.gzip = batch.gzip;
    if (op.uploads()) upload_request(batch, send);
    send.timeout_ms = request_timeout_ms(batch.body_bytes);
    send.owner = op.lane->owner;
    batch.slots.push_back(batch.answer_slot = new_slot());
    send.answer_slot = batch.answer_slot;
    return send;
}

}  // namespace tidegate
