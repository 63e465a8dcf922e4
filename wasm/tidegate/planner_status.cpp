// What people see: one true status, metrics, and why an op is not moving.
#include <algorithm>

#include "tidegate/batch.h"
#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/say.h"
#include "tidegate/time.h"

namespace tidegate {

EngineState Planner::engine_state(std::string& reason) const {
    const Tally& tally = outbox_.tally();
    if (!settings_.enabled || settings_.consent != "granted" || paused_) {
        reason = gate().sentence;
        return EngineState::paused;
    }
    if (!batches_.empty() || tasks_open_ > 0 || pull_) return EngineState::running;
    const std::int64_t stuck = tally.of(OpState::conflict) + tally.unmigrated;
    if (tally.unfinished > stuck) {
        const GateResult g = gate();
        if (!g.open && g.closed_by == "network") {
            reason = g.sentence;
            return EngineState::offline;
        }
        if (!g.min_band) {
            reason = g.sentence;
            return EngineState::waiting;
        }
        std::string why;
        if (!may_send(&why)) {
            reason = why;
            if (why == kGathering) return EngineState::scheduled;   // nothing has failed
            return last_error_ && (last_error_->error_class == ErrorClass::storage || last_error_->error_class == ErrorClass::quota) ? EngineState::failed
                                                                                                                                  : EngineState::waiting;
        }
        if (!auth_paused_.empty() && outbox_.ready().empty()) reason = "Sign-in needed";
        if (outbox_.ready().empty() && !outbox_.timers().empty()) {
            reason = "Waiting to try again";
            return EngineState::waiting;
        }
        return EngineState::scheduled;
    }
    if (readings_.online && !*readings_.online) {
        reason = "The device is offline";
        return EngineState::offline;
    }
    if (stuck > 0) {
        reason = "Some changes wait for a decision";
        return EngineState::waiting;
    }
    if (tally.of(OpState::dead) + tally.of(OpState::quarantined) > 0) {
        reason = "Some changes were refused and wait for a decision";
        return EngineState::failed;
    }
    return totals_.sessions > 0 ? EngineState::completed : EngineState::idle;
}

Status Planner::status() const {
    const Tally& tally = outbox_.tally();
    Status s;
    std::string reason;
    s.state = engine_state(reason);
    if (!reason.empty()) s.reason = reason;
    s.is_active = !batches_.empty() || tasks_open_ > 0 || pull_;
    Progress& p = s.current_progress;
    p.completed_items = session_ ? session_->succeeded : 0;
    p.failed_items = session_ ? session_->failed : 0;
    p.total_items = p.completed_items + p.failed_items + tally.unfinished;
    if (last_attempt_ms_ > 0) p.last_sync_attempt = last_attempt_ms_;
    if (totals_.sessions > 0) p.average_sync_duration = average_session_ms_ / 1000.0;

    std::optional<EtaEstimate> eta;
    if (session_ && tally.unfinished > 0)
        eta = eta_of(eta_, tally.bytes + static_cast<double>(tally.unfinished) * kEtaOpBytes, now_ms_);
    if (!batches_.empty() && !batches_.begin()->second->items.empty()) {
        const Batch& batch = *batches_.begin()->second;
        Checkpoint& at = s.checkpoint.emplace();
        at.id = batch.items.front().seq;
        at.phase = batch.phase;
        at.timestamp = batch.since_ms;
        for (const Item& item : batch.items) at.completed_operations += !outbox_.find(item.seq);
        const Op* op = outbox_.find(at.id);
        if (!op || !op->unknown || edges_of(at.phase).rows == OpState::sending) at.state = edges_of(at.phase).rows;
        if (op && !op->lane->away) {
            CurrentOperation current;
            current.type = say(name_of(op->action), " ", op->lane->entity);
            current.entity_id = op->lane->entity_id();
            const double total = static_cast<double>(std::max<std::int64_t>(1, p.total_items));
            current.progress = 100.0 * static_cast<double>(p.completed_items + p.failed_items) / total;
            if (op->uploads()) current.progress = 100.0 * op->uploaded() / std::max(1.0, op->size_bytes);
            if (eta) current.estimated_time_remaining = eta->seconds;
            p.current_operation = std::move(current);
        }
    } else if (tally.of(OpState::unknown) > 0) {   // cut, as the rows say
        auto cut = outbox_.ops().begin();
        while (cut->second.state != OpState::unknown || cut->second.lane->away) ++cut;
        Checkpoint& at = s.checkpoint.emplace();
        at.id = cut->first;
        at.timestamp = cut->second.last_attempt;
    } else if (acked_.completed_operations > 0) {
        s.checkpoint = acked_;
    }
    if (eta) {
        s.estimated_completion_time = now_ms_ + eta->seconds * 1000.0;
        s.eta_low_ms = eta->low * 1000.0;
        s.eta_high_ms = eta->high * 1000.0;
    }

    s.connectivity = connectivity();
    s.queue_size = tally.unfinished;
    s.high_priority = tally.high;
    s.dead_letters = tally.of(OpState::dead) + tally.of(OpState::quarantined);
    s.conflicts = tally.of(OpState::conflict);
    s.unknown = tally.of(OpState::unknown) + tally.of(OpState::sending);
    if (tally.unfinished > 0)
        s.average_wait = std::max(0.0, now_ms_ - tally.created_sum / static_cast<double>(tally.unfinished));
    if (session_ && now_ms_ > session_->start_ms && session_->start_ms > 0 && session_->succeeded > 0)
        s.rate_per_minute = static_cast<double>(session_->succeeded) * kMinuteMs / (now_ms_ - session_->start_ms);
    s.last_error = last_error_;
    if (last_success_ms_ > 0) s.last_sync_time = last_success_ms_;
    s.failure_count = origin_failures_;
    if (const double again = origin_again_ms(); again > now_ms_) s.next_retry_time = again;
    s.unknown_readings = gate().unknown;
    s.warnings = warnings_;
    for (auto it = other_settings_.begin(); it != other_settings_.end(); ++it)
        s.warnings.push_back(say("Setting \"", it.key(), "\" is not known; it is kept and has no effect"));
    // Critical used for everything is critical for nothing.
    if (tally.unfinished >= 10 && tally.critical * 5 > tally.unfinished)
        s.warnings.push_back("More than 20 % of the queue is critical: priorities have little effect");
    return s;
}

ConnectivityShown Planner::connectivity() const {
    ConnectivityShown c;
    c.is_online = readings_.online.value_or(true);
    c.connection_type = readings_.connection_type.value_or("unknown");
    if (c.connection_type != "wifi" && c.connection_type != "cellular" && c.connection_type != "ethernet") c.connection_type = "unknown";
    c.connection_quality = name(link_.quality);
    c.stability = stability(link_);
    if (link_.last_connected_ms > 0) c.last_connected = link_.last_connected_ms;
    if (link_.goodput_slow > 0) c.network_speed = link_.goodput_slow * 8.0 / 1e6;
    if (link_.srtt_ms > 0) c.rtt = link_.srtt_ms;
    c.battery_level = readings_.battery_level;
    c.is_charging = readings_.charging;
    return c;
}

Json Planner::metrics() const {
    Json out = totals_.to_json();
    set(out, "current", session_ ? session_->to_json(std::nullopt, readings_.battery_level) : Json());
    return out;
}

// Would the next batch carry it, as far as the queue alone decides?
bool Planner::goes_next(const Op& op, const GateResult& gate) {
    Batch batch;
    choose(gate, profile(link_, static_cast<int>(settings_.maximum_concurrent_operations)), batch);
    const auto is_op = [&op](std::uint64_t seq) { return seq == op.seq; };
    for (const FoldRun& run : batch.folds)
        if (is_op(run.survivor) || std::any_of(run.folded.begin(), run.folded.end(), is_op)) return true;
    return std::any_of(batch.items.begin(), batch.items.end(), [&](const Item& item) { return is_op(item.seq); });
}

Result<Json> Planner::explain(std::string_view op_id) {
    const Op* op = outbox_.find_id(op_id);
    if (!op) return Error{"unknown-op", "/id", say("no op ", op_id.substr(0, 128), " is in the outbox")};
    Json out = object().set("id", op->id).set("state", name_of(op->state));
    const auto because = [&out](const char* reason, std::string_view sentence, std::optional<double> until = std::nullopt) {
        set(out, "reason", reason);
        set(out, "sentence", sentence);
        if (until) set(out, "untilMs", *until);
        return out;
    };
    const GateResult g = gate();
    if (const Op* later = op->parked() ? outbox_.open_after(*op) : nullptr) return because("lane", say("op ", later->id, " behind it was sent and had no answer yet"));
    if (held(*op, g, &out)) return out;
    for (const Op* first = outbox_.head(*op->lane); first && first->seq < op->seq; first = outbox_.after(*first))
        if (held(*first, g)) return because("lane", say("An earlier change of the same entity goes first: op ", first->id));
    for (const std::uint64_t seq : outbox_.unit(*op))
        if (const Op* member = outbox_.find(seq); member != op && held(*member, g)) return because("group", say("Op ", member->id, " of its group cannot go yet"));
    std::string why;
    if (!may_send(&why)) {
        const double again = std::max({origin_again_ms(), storage_retry_ms_, due_ms(gather_until_ms_, now_ms_, kGatherMs)});
        return because("origin", why, again > now_ms_ ? std::optional(again) : std::nullopt);
    }
    const Profile link = profile(link_, static_cast<int>(settings_.maximum_concurrent_operations));
    if (requests_open() >= requests_at_once(link)) return because("busy", "Requests under way are waited for");
    if (!goes_next(*op, g)) return because("order", "Others go first");
    return because("ready", "It goes with the next batch");
}

// What would be sent, in which order and form, and when: by what is known now. Where the gate is closed, as if it opened when it says.
Json Planner::preview(const std::optional<Json>& options) {
    const double since = options ? number_field(*options, "since", 0, kMaxInstantMs, 0) : 0;
    const GateResult g = gate();
    GateResult open = g;
    open.min_band = g.min_band.value_or(Band::low);
    const Profile link = profile(link_, static_cast<int>(settings_.maximum_concurrent_operations));
    double at = std::max(origin_again_ms(), g.look_again_ms.value_or(now_ms_)), bytes = 0;
    const bool known = g.min_band || g.look_again_ms;
    const double start = at;
    Json items = Json::array();
    Batch batch;
    batch.preview = true;
    Choice choice;
    collect(open, choice, batch);
    std::vector<std::size_t> order = choose_batch(choice.candidates, {1e18, kMaxPreviewed, g.min_band && link.prioritize, true});
    std::size_t in_batch = 0;
    std::int64_t others = outbox_.tally().unfinished;
    for (const std::size_t index : order) {
        const Choice::Pick& pick = choice.picks[index];
        const Op& op = *pick.op;
        if (op.created_at < since) continue;
        const std::size_t folded = pick.run ? pick.run->folded.size() : 0;
        others -= 1 + static_cast<std::int64_t>(folded);
        const double size = std::ceil(estimated_bytes(op));
        if (in_batch++ % most_ops(link) == 0) at += rto_ms(link_);
        items.push_back(object()
            .set("id", op.id)
            .set("entity", op.lane->entity)
            .set("entityId", op.lane->entity_id())
            .set("action", name_of(pick.run ? pick.run->action : op.action))
            .set("form", op.codec != Codec::none ? name_of(op.codec) : size < op.size_bytes ? "delta" : "full")
            .set("bytes", size)
            .set("folded", static_cast<std::uint64_t>(folded))
            .set("startMs", known ? Json(std::ceil(at)) : Json()));
        bytes += size;
        at += size / expected_goodput(link_) * 1000.0;
    }
    Json out = object().set("items", std::move(items)).set("bytes", bytes).set("seconds", (at - start) / 1000.0).set("others", others);
    if (!g.open) {
        set(out, "closedBy", g.closed_by);
        set(out, "sentence", g.sentence);
    }
    return out;
}

}  // namespace tidegate
