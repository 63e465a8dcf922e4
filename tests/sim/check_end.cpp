// What is told to people, what a drain leaves behind, and what must hold once faults have ceased.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr int kMostIdleAtOnce = 3;

}  // namespace

void Check::published(const std::string& type, const Json& detail) {
    if (world_.options.seed % 8 == 0 && dump(detail).find(kCanary) != std::string::npos) fail(20, "the event " + type + " carries a document");
}

void Check::rejected(const tidegate::Rejected& rejected) {
    // Outcomes of a request that was given up are the only thing the shell may tell in vain.
    if (rejected.code != "unknown-effect") fail(21, "the core refused a row of the store: " + rejected.message);
}

void Check::status(const tidegate::Status& status) {
    status_ = status;
    if (status.state == tidegate::EngineState::completed && status.queue_size > 0) fail(13, "the status says completed with ops pending");
    // The status is published after the plan's commits, so the estimate may be a few store operations old.
    const std::optional<double> eta = status.estimated_completion_time;
    if (eta && !(*eta >= world_.now() - 1000) && !world_.dice.on(Fault::clock_jump) && !world_.dice.on(Fault::freeze)) fail(13, "the estimate lies in the past");
    if (world_.options.seed % 8 == 0) {
        tidegate::Status copy = status;
        if (dump(tidegate::encode(copy)).find(kCanary) != std::string::npos) fail(20, "the status carries a document");
    }
}

// What the core says of every op that is left, for a person who reads the violation.
std::string Check::reasons(Drain& drain) const {
    std::string out;
    for (const auto& [seq, row] : world_.disk.rows())
        if (drain.planner())
            if (const auto why = drain.planner()->explain(row.value("id", "")); why.ok()) out += "\n    " + dump(why.value());
    return out;
}

void Check::at_idle(Drain& drain, const tidegate::Plan& plan, bool rejects_sync, bool last_chance) {
    std::int64_t unfinished = 0, dead = 0;
    const Record* core = world_.disk.get("state", "core");
    const bool told = core && core->value.contains("owner");   // then it counts for him alone who is signed in
    for (const auto& [seq, row] : world_.disk.rows()) {
        if (seq > drain.known_seq() || (told && core->value["owner"] != row.value("owner", ""))) continue;
        (parked(row) ? dead : unfinished) += 1;
    }
    if (rejects_sync && last_chance) fail(11, "the last sync event was rejected");
    if (rejects_sync && unfinished == 0) fail(11, "a sync event was rejected with nothing left to do");
    if (!world_.dice.on(Fault::quota) && status_ && (status_->queue_size != unfinished || status_->dead_letters != dead))
        fail(13, "the status says " + std::to_string(status_->queue_size) + " pending and " + std::to_string(status_->dead_letters) + " dead, the store has " +
                     std::to_string(unfinished) + " and " + std::to_string(dead));
    if (plan.wake_at_ms && (*plan.wake_at_ms < 0 || *plan.wake_at_ms > world_.now() + 25.0 * 3600000) && !world_.dice.on(Fault::clock_jump))
        fail(8, "the core wants to be woken at " + std::to_string(*plan.wake_at_ms));
    // Once is right: the event's time was over, or the drain was asked for one direction only.
    const bool at_once = plan.wake_at_ms && *plan.wake_at_ms <= world_.now() && !world_.dice.on(Fault::clock_jump);
    idle_at_once_ = at_once ? idle_at_once_ + 1 : 0;
    if (idle_at_once_ >= kMostIdleAtOnce)
        fail(8, "the core does nothing and wants to be woken at once: it would do so for ever" + reasons(drain));
    // Whatever was loaded or formed is forgotten by now.
    if (tidegate::Planner* planner = drain.planner(); planner && !world_.dice.on(Fault::quota))
        for (std::uint64_t slot = 1; slot <= world_.last_slot; ++slot)
            if (planner->bytes(slot)) return fail(12, "slot " + std::to_string(slot) + " still holds bytes when the drain is over");
}

// --- after the faults -----------------------------------------------------------------------------------------------------------

// Ops that wait for a person, and what waits for those.
bool Check::may_remain(std::uint64_t seq, std::set<std::uint64_t>& seen) const {
    if (!seen.insert(seq).second) return false;
    const auto row = world_.disk.rows().find(seq);
    if (row == world_.disk.rows().end()) return false;
    if (parked(row->second) || (state_of(row->second) == "conflict" && !row->second.value("reason", "").empty())) return true;
    const Known* op = world_.ledger.find(seq);
    const Record* settings = world_.disk.get("state", "settings");
    if (!op->group.empty() && settings && settings->value.value("mode", "") == "rest") return true;   // an atomic group needs the batch
    for (const std::string& parent : op->depends_on)
        if (const Known* p = world_.ledger.find_id(parent); p && may_remain(p->seq, seen)) return true;
    if (const Known* creator = creator_before(*op); creator && may_remain(creator->seq, seen)) return true;
    for (const std::uint64_t before : world_.disk.lane(op->lane))
        if (before < seq && !parked(world_.disk.rows().at(before)) && may_remain(before, seen)) return true;
    if (!op->group.empty())
        for (auto& [other, known] : world_.ledger.ops())
            if (known.group == op->group && other != seq && may_remain(other, seen)) return true;
    return false;
}

std::string Check::what_is_left() const {
    for (const auto& [seq, row] : world_.disk.rows()) {
        std::set<std::uint64_t> seen;
        if (!may_remain(seq, seen)) return "op " + row.value("id", "") + " is still " + row.value("state", "queued") + ": " + dump(row);
    }
    return upload_left();
}

void Check::at_end() {
    if (const std::string left = what_is_left(); !left.empty()) return fail(17, "long after the faults ceased " + left);
    std::set<std::string> lanes;
    for (auto& [seq, op] : world_.ledger.ops()) {
        lanes.insert(op.lane);
        const bool queued = world_.disk.rows().count(seq) > 0;
        if (op.end == End::none && !queued) fail(1, "op " + op.id + " is gone without a trace");
        if (op.end != End::none && queued) fail(1, "op " + op.id + " has ended and is queued");
        if (op.effects > 1) fail(2, "op " + op.id + " took effect " + std::to_string(op.effects) + " times");
        if (op.effects > 0 && (op.end == End::folded || ((op.end == End::cancelled || op.end == End::expired) && !world_.dice.on(Fault::late)))) fail(2, "op " + op.id + " took effect after it was given up");
    }
    for (const auto& [key, record] : world_.disk.payloads())
        if (key.rfind("up:", 0) == 0)
            if (const Known* op = world_.ledger.find_id(key.substr(3, key.rfind(':') - 3)); op && op->end != End::none) fail(17, "op " + op->id + " has left, and its pieces have not");
    for (const std::string& lane : lanes) {
        lane_view(lane);
        alias_kept(lane);
        lane_converged(lane);
    }
    if (world_.options.seed % 8 != 0) return;
    for (const auto& [key, record] : world_.disk.stores().at("history"))
        if (dump(record.value).find(kCanary) != std::string::npos && record.value.value("kind", "") != "conflict") fail(20, "history " + key + " carries a document");
}

// Client and server agree: on the version, on its document, and on what the app shows.
void Check::lane_converged(const std::string& lane) {
    const Server::Entity* entity = world_.server.find(world_.server.name_of_lane(lane));
    if (!world_.disk.lane(lane).empty() || !entity || !entity->current()) return;
    const Server::Version& current = *entity->current();
    const Record* base = world_.disk.get("bases", lane);
    const bool foreign = std::any_of(entity->versions.begin(), entity->versions.end(), [](const Server::Version& v) { return v.key.empty(); });
    if (!current.key.empty() && (!base || base->value.value("etag", "") != Server::etag(current.number)))
        return fail(17, "the server has " + lane + " at " + Server::etag(current.number) + ", the client at " + (base ? base->value.value("etag", "") : "nothing"));
    if (foreign) return;
    // Nobody else wrote: the server has the last document that was saved here and not taken back.
    const Known* last = nullptr;
    for (auto& [seq, op] : world_.ledger.ops()) {
        if (op.lane != lane) continue;
        if (op.end == End::cancelled || op.end == End::expired || op.end == End::yielded || op.asked_retry) return;   // a dead letter that goes later goes over what came after it
        last = &op;
    }
    if (!last) return;
    if ((last->action == "delete") != current.deleted) return fail(17, lane + (current.deleted ? " is deleted on the server and not here" : " is deleted here and not on the server"));
    if (current.deleted) return;
    if (last->entity == kFilmEntity) {
        if (last->text != current.text) fail(24, "the server has other bytes of " + lane + " than were saved last");
        return;
    }
    const auto& wanted = world_.documents.read(last->text);
    if (!wanted || !same(world_.server.as_here(*wanted), world_.server.as_here(current.json))) fail(17, "the server has " + current.text + " of " + lane + ", the last save was " + last->text);
}

}  // namespace sim
