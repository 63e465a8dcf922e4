// What an answer means for the ops it carried. Every change is stored before the lanes are free again: by one commit, or, of a large batch, by one for each part.
#include <algorithm>
#include <utility>

#include "tidegate/backoff.h"
#include "tidegate/conflict.h"
#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/retry_after.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {

std::string_view header(const OutcomeIn& outcome, const char* name) {
    const std::string* text = outcome.headers ? text_at(*outcome.headers, name) : nullptr;
    return text ? std::string_view(*text) : std::string_view();
}

namespace {

constexpr std::size_t kSettledAtOnce = 100;   // ops that one step settles by the results of an answer; a lane or a group stays whole

// The three older headers are written with and without "X-".
std::string_view either(const OutcomeIn& outcome, const char* name) {
    const std::string_view found = header(outcome, name + 2);
    return found.empty() ? header(outcome, name) : found;
}

BackoffPolicy policy_of(const Settings& settings, double loss) {
    BackoffPolicy policy;
    policy.strategy = parse_retry_strategy(settings.retry_strategy).value_or(RetryStrategy::exponential);
    policy.jitter = parse_jitter(settings.jitter).value_or(Jitter::full);
    policy.base_ms = settings.base_delay;
    policy.max_ms = settings.max_delay;
    policy.pressure = loss;
    return policy;
}

}  // namespace

// --- one answer ---------------------------------------------------------------------------------------------------------------------

void Planner::settle(const BatchPtr& batch, const OutcomeIn& outcome) {
    const std::size_t from = std::exchange(batch->settled, batch->items.size());   // more than none: the next part of a large answer
    worked_ += batch->items.size();
    CommitSpec spec;
    std::vector<TaskPtr> tasks;
    const bool answered = outcome.status.has_value() && !outcome.failure;
    const std::int64_t status = outcome.status.value_or(0);
    const bool ok = answered && status >= 200 && status <= 299;
    const bool captive = answered && looks_captive(static_cast<int>(status), header(outcome, "content-type"), true);
    const bool ran = outbox_.find(batch->items[from].seq)->lane->runs || outcome.failure == "no-task";
    if (from == 0) {
        batch->in_flight = std::max(batch->in_flight, requests_open());   // others may have begun while it was on its way
        // Its connection is free. Where others wait for it, they have the first claim on that, once it is stored.
        batch->freed = !waited_for(*batch);
        next_phase(*batch);
        const double moved = outcome.sent_bytes + outcome.body_bytes;
        if (Session* session = session_of(outbox_.find_lane(*batch->lanes.begin())->owner)) {
            ++session->requests;
            session->network_bytes += moved;
        }
        bytes_today_ += moved;
        if (!ran) note_exchange(*batch, outcome, captive);
        if (answered && !captive) note_pace(outcome);
    }
    if (ran) {
        settle_run(batch->items.front(), outcome, spec);
    } else if (!answered) {
        settle_request(*batch, rule_on_failure(outcome.failure.value_or("network")), outcome, 0, spec);
    } else if (captive) {
        settle_request(*batch, kPortal, outcome, status, spec);
    } else if (batch->single) {
        if (!settle_upload(*batch, outcome, spec)) settle_single(*batch, outcome, spec, tasks);
    } else if (ok) {
        settle_results(*batch, from, outcome, spec, tasks);
    } else {
        settle_request(*batch, rule_on(status, parse_problem(view(batch->answer_slot)).type), outcome, status, spec);
    }
    if (batch->settled == batch->items.size()) next_phase(*batch);
    // Lanes with a conflict stay reserved, by the task that works on it.
    for (const TaskPtr& task : tasks) {
        ++tasks_open_;
        batch->lanes.erase(task->lane);
        if (Lane* lane = outbox_.find_lane(task->lane)) outbox_.reserve(*lane, task->id);
    }
    spec.ok = [this, batch, outcome, tasks] {
        if (batch->settled < batch->items.size()) settle(batch, outcome);
        else release_batch(*batch);
        for (const TaskPtr& task : tasks) start_conflict(task);
    };
    emit_commit(std::move(spec));
}

void Planner::note_exchange(const Batch& batch, const OutcomeIn& outcome, bool captive) {
    Exchange exchange;
    const std::string failure = outcome.failure.value_or("");
    exchange.end = captive                 ? Exchange::End::captive
                   : failure == "timeout"  ? Exchange::End::timeout
                   : failure == "aborted" || failure == "blocked" || failure == "auth" ? Exchange::End::cancelled
                   : !failure.empty()      ? Exchange::End::failed
                                           : Exchange::End::answered;
    exchange.started_ms = outcome.started_at_ms;
    exchange.ended_ms = outcome.ended_at_ms;
    exchange.bytes = outcome.sent_bytes + outcome.body_bytes;
    exchange.retried = batch.retried;
    exchange.in_flight = batch.in_flight;
    const Quality before = link_.quality;
    link_ = after_exchange(link_, exchange, now_ms_, random_);
    link_changed(before);
}

void Planner::note_pace(const OutcomeIn& outcome) {
    const RateLimitHeaders headers{header(outcome, "ratelimit"), header(outcome, "ratelimit-policy"), either(outcome, "x-ratelimit-limit"),
                                   either(outcome, "x-ratelimit-remaining"), either(outcome, "x-ratelimit-reset")};
    const auto limit = parse_rate_limit(headers, now_ms_);
    const double pace = limit ? pacing_ms(*limit) : 0;
    pace_until_ms_ = pace > 0 ? now_ms_ + pace : 0;
}

std::optional<double> Planner::asked_wait(const OutcomeIn& outcome) const { return parse_retry_after(header(outcome, "retry-after"), now_ms_); }

// `detail` is a word of ours. What a server or a browser says may quote the document or name the entity: the op has it, a session's record holds neither.
void Planner::note_error(const std::string& owner, const Ruling& ruling, std::int64_t status, const std::string& detail) {
    ++totals_.errors_by_class[static_cast<std::size_t>(ruling.error_class)];
    if (outbox_.away(owner)) return;
    last_error_ = OpError{ruling.error_class, ruling.sentence, status ? std::optional(status) : std::nullopt};
    if (session_) session_->note_error(detail.empty() ? ruling.sentence : say(ruling.sentence, ": ", detail));
}

// The request failed as a whole: the origin waits, and no op is charged for it.
void Planner::origin_failed(const Ruling& ruling, const OutcomeIn& outcome) {
    core_dirty_ = true;   // also where nothing else is stored, as after a pull
    ++origin_failures_;
    origin_wait_ms_ = wait_ms(policy_of(settings_, link_.loss), origin_failures_, origin_wait_ms_, random_);
    const auto asked = asked_wait(outcome);
    if (asked) origin_wait_ms_ = std::max(origin_wait_ms_, *asked);
    origin_retry_ms_ = now_ms_ + origin_wait_ms_;
    origin_wait_is_network_ = ruling.error_class == ErrorClass::network && !asked;
    breaker_ = on_result(breaker_, true, now_ms_, random_, settings_.max_delay);
    // What never reached the server cost it nothing.
    if (outcome.status || outcome.failure == "timeout") retries_ = on_answer(retries_, true, now_ms_);
}

// That owner's lanes wait, and nobody else's; the app hears whose.
void Planner::sign_in_needed(const std::string& owner) {
    auth_paused_[owner] = now_ms_ + kAuthRetryMs;
    core_dirty_ = true;
    emit_notify("sync.auth", object().set("owner", owner));
}

void Planner::origin_answered() {
    origin_failures_ = 0;
    origin_wait_ms_ = 0;
    origin_retry_ms_ = 0;
    last_success_ms_ = now_ms_;
    breaker_ = Breaker{};
    retries_ = on_answer(retries_, false, now_ms_);
}

void Planner::unfreeze(Op& op, CommitSpec& spec) {
    if (op.codec != Codec::none && op.codec != Codec::full) add_write(spec.writes, "payloads", payload_key(op.seq, "body")).remove = true;
    if (op.codec == Codec::none) return;
    // A changed body takes a new stored key: id, id.2, id.3 …
    const std::string& old = op.rare().key;
    const double n = old.size() > op.id.size() ? std::max(1.0, number_at_start(std::string_view(old).substr(op.id.size() + 1))) : 1;
    op.make_rare().key = say(op.id, ".", static_cast<std::uint64_t>(n) + 1);
    op.codec = Codec::none;
    op.body_bytes = 0;
}

void Planner::settle_request(Batch& batch, const Ruling& ruling, const OutcomeIn& outcome, std::int64_t status, CommitSpec& spec) {
    give_back_waiting();   // how much goes at once, and what, is another question now
    const std::string detail = status ? parse_problem(view(batch.answer_slot)).text : outcome.message;
    const std::size_t count = batch.items.size();
    const std::string& owner = outbox_.find(batch.items.front().seq)->lane->owner;
    note_error(owner, ruling, status, status || ruling.verdict != Verdict::auth ? std::string() : detail);   // of this our shell speaks: why there are no headers
    // One op, or one group that cannot be split: nothing smaller is left to try.
    const bool smallest = count == outbox_.unit(*outbox_.find(batch.items.front().seq)).size();
    bool kill = false;
    const auto halve = [&] {
        split_ops_ = std::max<std::uint64_t>(1, count / 2);
        kill = smallest;
    };
    if (ruling.verdict == Verdict::split) {
        link_ = after_too_large(link_, batch.body_bytes);
        halve();
    } else if (ruling.verdict == Verdict::plain) {
        if (batch.gzip) gzip_ok_ = false;
        else if (bool& taken = deltas_taken(*outbox_.find(batch.items.front().seq))) taken = false;
        else halve();
    } else if (ruling.verdict == Verdict::auth) {
        sign_in_needed(owner);
    } else if (ruling.verdict == Verdict::dead && (status == 400 || status == 422)) {
        halve();   // something in it is refused and the server does not say what
    } else {
        origin_failed(ruling, outcome);
    }
    for (Item& item : batch.items) {
        Op& op = *outbox_.find(item.seq);
        if (op.parked()) continue;   // with its group
        if (kill) {
            op_dead(op, ruling, status, detail, spec);
            continue;
        }
        outbox_.change(op, [&](Op& o) {
            // What an earlier send left unknown stays so; a known refusal of this one tells nothing about that one.
            if (!ruling.speaks_for_key()) o.unknown = true;
            o.state = o.unknown ? OpState::unknown : OpState::queued;
            ++o.failures;
            o.make_rare().error = OpError{ruling.error_class, ruling.sentence, status ? std::optional(status) : std::nullopt};
            if (ruling.verdict == Verdict::plain && !o.unknown && !batch.gzip) unfreeze(o, spec);
        });
        write_row(op, spec);
    }
}

// --- per op -------------------------------------------------------------------------------------------------------------------------

void Planner::settle_results(Batch& batch, std::size_t from, const OutcomeIn& outcome, CommitSpec& spec, std::vector<TaskPtr>& tasks) {
    const auto answer = parse_answer(view(batch.answer_slot));
    if (!answer) {
        settle_request(batch, {Verdict::again, false, false, ErrorClass::server, "Answer not understood"}, outcome, 0, spec);
        return;
    }
    if (answer.value().max_batch_bytes > 0) link_ = after_server_limit(link_, answer.value().max_batch_bytes);
    if (answer.value().idempotency_retention_s > 0) key_retention_ms_ = answer.value().idempotency_retention_s * kSecondMs;
    std::map<std::string_view, const WireResult*> by_id;
    bool any_success = false, any_failed = false;
    for (const WireResult& result : answer.value().results) {
        by_id.emplace(result.id, &result);  // the first of a doubled result counts
        any_success = any_success || (result.status >= 200 && result.status <= 299);
        any_failed = any_failed || (result.status > 299 && result.status != 424);
    }
    if (from == 0) {
        origin_answered();
        if (any_success) split_ops_ = split_ops_ ? std::min<std::uint64_t>(split_ops_ * 2, kMaxBatchOps) : 0;
    }
    // An op is done only after those before it in its lane are: the answer of one that a fault kept back comes later, from the server's memory of its key,
    // and would put an older version under the lane. What was applied already is asked for again with it, under the same key.
    const Lane* held_back = nullptr;   // in a batch the ops of a lane stand side by side
    for (std::size_t& i = batch.settled = from; i < batch.items.size(); ++i) {
        Item& item = batch.items[i];
        Op& op = *outbox_.find(item.seq);
        if (item.chained) {
            item.server_id = batch.items[i - 1].server_id;   // perhaps given a moment ago
            item.base_etag = batch.items[i - 1].base_etag;
        } else if (i - from >= kSettledAtOnce >> restraint_ && op.rare().group.empty()) {
            break;
        }
        if (op.parked()) continue;   // with its group
        const Lane* lane = op.lane;
        const auto it = by_id.find(op.id);
        const WireResult absent;
        // A 424 where nothing failed that it could depend on says nothing, and is not asked again at once.
        const WireResult& result = it == by_id.end() || (it->second->status == 424 && !any_failed) ? absent : *it->second;
        if (held_back == lane && result.status >= 200 && result.status <= 299) {
            outbox_.change(op, [](Op& o) {
                o.unknown = true;
                o.state = OpState::unknown;
            });
            write_row(op, spec);
            continue;
        }
        settle_op(batch, item, result, any_success, outcome, spec, tasks);
        if (const Op* left = outbox_.find(item.seq); left && !left->parked()) held_back = lane;
    }
}

void Planner::settle_single(Batch& batch, const OutcomeIn& outcome, CommitSpec& spec, std::vector<TaskPtr>& tasks) {
    Item& item = batch.items.front();
    WireResult result;
    result.id = outbox_.find(item.seq)->id;
    result.status = outcome.status.value_or(0);
    result.etag = std::string(header(outcome, "etag"));
    // A created resource is where Location says (RFC 9110, section 15.3.2). The shell writes it as effects name addresses where it lies below the endpoint.
    const std::string collection = entity_url(outbox_.find(item.seq)->lane->entity, "");
    if (const std::string_view location = header(outcome, "location"); result.status == 201 && location.substr(0, collection.size()) == collection)
        result.entity_id = id_in_lane(location.substr(collection.size() - 1));
    const bool ok = result.status >= 200 && result.status <= 299;
    if (result.status == 424) result.status = 0;   // it depends on nothing in its request
    if (!ok) {
        const Problem problem = parse_problem(view(batch.answer_slot));
        result.problem_type = problem.type;
        result.problem_text = problem.text;
    }
    const Ruling ruling = rule_on(result.status, result.problem_type);
    // An update of something that is gone: the same conflict that a batch answers as 412 with `missing` (RFC 9110 section 13.2.1 lets REST say 404 first).
    const bool gone = outbox_.find(item.seq)->action == Action::update && !outbox_.find(item.seq)->uploads() && !item.base_etag.empty() && (result.status == 404 || result.status == 410);
    if (gone) {
        result.status = 412;
        result.missing = true;
    }
    const bool about_origin = ruling.verdict == Verdict::again || ruling.verdict == Verdict::refused || ruling.verdict == Verdict::auth ||
                              (ruling.verdict == Verdict::plain && batch.gzip);
    // A 5xx for one op while others of the origin succeed is about that op; the first of its kind is taken as the origin's.
    const bool others_succeed = last_success_ms_ > 0 && last_success_ms_ >= item.old_last_attempt && item.old_last_attempt > 0;
    if (about_origin && !(ruling.counts && others_succeed)) {
        settle_request(batch, ruling, outcome, result.status, spec);
        return;
    }
    if (!about_origin) origin_answered();   // also by a refusal: a probe that met a 412 must not keep theirs from being fetched
    settle_op(batch, item, result, others_succeed, outcome, spec, tasks);
}

void Planner::settle_op(Batch& batch, Item& item, const WireResult& result, bool others_succeed, const OutcomeIn& outcome, CommitSpec& spec,
                        std::vector<TaskPtr>& tasks) {
    Op& op = *outbox_.find(item.seq);
    if (result.status == 0) {
        // Promised and not there: unknown, never done.
        op_again(op, {Verdict::again, false, false, ErrorClass::server, "The answer lacks a result for it"}, 0, false, outcome, spec);
        return;
    }
    const Ruling ruling = rule_on(result.status, result.problem_type);
    const bool gone_already = op.action == Action::remove && (result.status == 404 || result.status == 410 || (result.status == 412 && result.missing));
    if (ruling.verdict == Verdict::done || gone_already) {
        op_done(item, result, spec);
        return;
    }
    switch (ruling.verdict) {
        case Verdict::conflict: {
            auto task = std::make_shared<Task>();
            task->id = next_batch_++;
            task->seq = op.seq;
            task->lane = op.lane->name();
            task->etag = result.etag;
            task->missing = result.missing;
            task->server_id = item.server_id;
            if (result.body) task->slots.push_back(task->theirs_slot = keep(std::string(*result.body)));
            outbox_.change(op, [](Op& o) { o.state = OpState::conflict; });
            tasks.push_back(std::move(task));
            return;
        }
        case Verdict::dependency:
        case Verdict::plain:
            if (ruling.verdict == Verdict::plain) {
                if (op.codec == Codec::full || op.action == Action::remove) return op_dead(op, ruling, result.status, result.problem_text, spec);   // nothing plainer is left
                deltas_taken(op) = false;
            }
            // Of an earlier send without an answer this one tells nothing; only a form that is not taken was not taken then either.
            outbox_.change(op, [&](Op& o) {
                if (ruling.verdict == Verdict::plain) o.unknown = false;
                o.state = o.unknown ? OpState::unknown : OpState::queued;
                if (!o.unknown) unfreeze(o, spec);
            });
            write_row(op, spec);
            return;
        case Verdict::quarantine:
            note_error(op.lane->owner, ruling, result.status);
            quarantine(op, ruling.sentence, spec);
            return;
        case Verdict::dead:
        case Verdict::split:  // one op that is too large for the server
            op_dead(op, ruling, result.status, result.problem_text, spec);
            return;
        default:
            op_again(op, ruling, result.status, ruling.counts && others_succeed && !batch.probe, outcome, spec);
            return;
    }
}

// A job of the app ran, which tells nothing of the origin. Where nobody knows the job, or how to upload, it waits until somebody does.
void Planner::settle_run(Item& item, const OutcomeIn& outcome, CommitSpec& spec) {
    if (outcome.status) return op_done(item, WireResult{}, spec);
    const bool known = outcome.failure != "no-task";
    op_again(*outbox_.find(item.seq), {Verdict::again, true, true, ErrorClass::internal, known ? "The task failed" : "Nobody here knows how: an option is missing"}, 0, known, outcome, spec);
}

void Planner::op_done(Item& item, const WireResult& result, CommitSpec& spec) {
    Op& op = *outbox_.find(item.seq);
    take_server_id(item, op, result.entity_id, spec);
    Write& base = add_write(spec.writes, "bases", op.lane->name());
    base.value = base_record(result.etag, item.server_id);
    if (!op.is_json()) set(*base.value, "contentType", op.rare().content_type);
    stamp_base(*op.lane, *base.value);
    note_acked(item, result.etag, *base.value);
    if (op.action == Action::remove) set(*base.value, "deleted", true);
    else if (!op.uploads()) base.from = StoreRef{"payloads", payload_key(op.seq, "next")};
    let_go(op, spec);
    if (Session* session = session_of(op.lane->owner)) {
        ++session->processed;
        ++session->succeeded;
        session->synced_bytes += op.size_bytes;
        if (const auto it = pulls_.find(op.lane->owner); it != pulls_.end() && !it->second.off) {
            acked_.id = op.seq;
            acked_.timestamp = now_ms_;
            ++acked_.completed_operations;
        }
    }
    eta_ = eta_completed(eta_, work_of(op.size_bytes), now_ms_);
    emit_notify("op.done", named(op));
    outbox_.remove(op.seq);
}

void Planner::op_dead(Op& op, const Ruling& ruling, std::int64_t status, const std::string& detail, CommitSpec& spec) {
    note_error(op.lane->owner, ruling, status);
    std::string reason = ruling.sentence;
    if (!detail.empty()) reason += say(": ", detail.substr(0, 200));
    for (const std::uint64_t seq : outbox_.unit(op)) {   // a group as one
        Op& member = *outbox_.find(seq);
        mark_undo(member, Undo::take_out);
        outbox_.change(member, [&](Op& o) {
            o.state = OpState::dead;
            OpExtra& rare = o.make_rare();
            rare.reason = &o == &op ? reason : say("Another change of its group: ", reason);
            if (!ruling.speaks_for_key()) o.unknown = true;
            if (o.unknown) rare.reason += " (whether any earlier send that had no answer was applied is not known)";
            rare.error = OpError{ruling.error_class, rare.reason, status ? std::optional(status) : std::nullopt};
        });
        write_row(member, spec);
        ++totals_.dead;
        if (Session* session = session_of(op.lane->owner)) {
            ++session->processed;
            ++session->failed;
        }
        Json told = named(member);
        set(told, "reason", member.rare().reason);
        emit_notify("op.dead", std::move(told));
    }
}

// It waits and is repeated with the same body under the same key. `counts`: the answer was about this op alone.
void Planner::op_again(Op& op, const Ruling& ruling, std::int64_t status, bool counts, const OutcomeIn& outcome, CommitSpec& spec) {
    note_error(op.lane->owner, ruling, status);
    if (counts && op.attempts + 1 >= settings_.max_retry_attempts) {
        outbox_.change(op, [](Op& o) { ++o.attempts; });
        op_dead(op, ruling, status, say("refused ", op.attempts, " times while others succeeded"), spec);
        return;
    }
    outbox_.change(op, [&](Op& o) {
        if (!ruling.speaks_for_key()) o.unknown = true;
        o.state = o.unknown ? OpState::unknown : OpState::queued;
        o.attempts += counts ? 1 : 0;
        ++o.failures;
        o.wait_ms = wait_ms(policy_of(settings_, link_.loss), o.failures, o.wait_ms, random_);
        if (const auto asked = asked_wait(outcome)) o.wait_ms = std::max(o.wait_ms, *asked);
        o.until_ms = now_ms_ + o.wait_ms;
        o.make_rare().reason = ruling.sentence;
        o.make_rare().error = OpError{ruling.error_class, ruling.sentence, status ? std::optional(status) : std::nullopt};
    });
    write_row(op, spec);
}

}  // namespace tidegate
