// What a request may carry, and when it may leave.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr double kClockSlackMs = 1;
constexpr std::size_t kMostFailuresAMinute = 20;

}  // namespace

void Check::at_send(Drain& drain, const tidegate::Effect& effect, const std::string& body) {
    may_start(drain, effect);
    idle_at_once_ = 0;
    if (effect.method == std::optional<std::string>("GET")) {
        if (effect.url.value_or("").rfind("changes", 0) == 0) ++world_.ledger.counts.pulls;
        return;
    }
    if (world_.disk.lease().token != drain.token()) fail(11, "a request left under token " + std::to_string(drain.token()) + ", the lease has " + std::to_string(world_.disk.lease().token));
    if (flying_token_ != drain.token()) flying_.clear();
    flying_token_ = drain.token();
    std::set<std::uint64_t> in_request;
    if (effect.url != std::optional<std::string>("batch")) {
        const std::string key = effect.headers->value("idempotency-key", "");
        const std::string bare = key.size() > 2 ? key.substr(1, key.size() - 2) : "";
        op_sent(drain, effect, bare.substr(0, bare.find('.')), bare, in_request);
    } else {
        std::size_t at = body.find('\n') + 1;
        while (at < body.size()) {
            const std::size_t end = body.find('\n', at);
            const auto line = parse(body.substr(at, end - at));
            at = end + 1;
            if (!line || !line->is_object()) return fail(2, "a frame line that is none");
            const std::string id = line->value("id", "");
            op_sent(drain, effect, id, line->value("key", id), in_request);
            if (line->value("body", false)) at = body.find('\n', at) + 1;
        }
    }
    std::set<std::string> lanes;
    for (const std::uint64_t seq : in_request) lanes.insert(world_.ledger.find(seq)->lane);
    for (const auto& [id, others] : flying_)
        for (const std::string& lane : others)
            if (lanes.count(lane)) fail(5, "two requests for " + lane + " are under way");
    best_first(drain, in_request);
    flying_[effect.id].assign(lanes.begin(), lanes.end());
}

namespace {

// The place in the queue, from docs/decisions-of-the-core.md: a point is three minutes, critical leads by four hours and all points there are.
double place_of(const Json& row) {
    const std::string priority = row.value("priority", "normal");
    const double points = priority == "low" ? 25 : priority == "normal" ? 50 : priority == "high" ? 75 : 100;
    return row.value("createdAt", 0.0) - points * 180000 - (priority == "critical" ? 4 * 3600000.0 + 200 * 180000.0 : 0);
}

}  // namespace

// Nothing is overtaken: an op that could have gone with this request, or before it, and stands before one that does. Looked at where no other rule
// (bytes, chains, groups, retries, owners signed out) decides: single fresh ops, as large as the one left behind or larger.
void Check::best_first(Drain& drain, const std::set<std::uint64_t>& in_request) {
    constexpr double kSettledMs = 10000;   // what came later was perhaps not read yet
    constexpr double kJustFreedMs = 1000;
    for (const Fault fault : {Fault::clock_jump, Fault::freeze, Fault::auth, Fault::too_large, Fault::store_read, Fault::quota, Fault::crash, Fault::trap})
        if (world_.dice.on(fault)) return;
    if (status_ && status_->connectivity.connection_quality == "poor") return;
    if (stale_ms_ > world_.now() - kJustFreedMs) return;   // what was to go first is being chosen anew, while the next request goes
    const auto plain = [this](std::uint64_t seq, const Json& row) {
        const Known* op = world_.ledger.find(seq);
        return op && !op->absorbed && world_.disk.lane(op->lane).size() == 1 && op->group.empty() && op->depends_on.empty() && !row.contains("expiresAt") && !world_.awaited.count(op->id);
    };
    double last = 0;
    const Json* worst = nullptr;
    for (const std::uint64_t seq : in_request) {
        const Json& row = world_.disk.rows().at(seq);
        if (plain(seq, row) && row.value("sends", 0) == 1 && (!worst || place_of(row) > last)) worst = &row, last = place_of(row);
    }
    if (!worst) return;
    for (const auto& [seq, row] : world_.disk.rows()) {
        if (in_request.count(seq) || seq > drain.known_seq() || row.value("sends", 0) > 0 || state_of(row) != "queued" || !plain(seq, row)) continue;
        // What stood before it was being settled when this request was put together.
        if (const auto freed = freed_ms_.find(row.value("lane", "")); freed != freed_ms_.end() && freed->second > world_.now() - kJustFreedMs) continue;
        if (row.value("createdAt", 0.0) > world_.now() - kSettledMs || drain.begun_ms() > world_.now() - 1) continue;
        if (row.value("owner", "") != worst->value("owner", "") || row.value("sizeBytes", 0.0) > worst->value("sizeBytes", 0.0)) continue;
        if (row.value("action", "") == "create" && worst->value("action", "") != "create") continue;   // a delta is small, whatever its document
        if (place_of(row) < last - 1) return fail(7, "op " + worst->value("id", "") + " went before op " + row.value("id", "") + ", which stands before it" + reasons(drain));
    }
}

void Check::landed(std::uint64_t token, std::uint64_t effect) {
    if (token == flying_token_) flying_.erase(effect);
}

// Conditions of the request as a whole.
void Check::may_start(Drain& drain, const tidegate::Effect& effect) {
    if (const std::string owner = effect.owner.value_or(""); !world_.may_leave(owner)) fail(14, "a request of \"" + owner + "\" left while he was not signed in");
    const double now = world_.now();
    const bool clock_holds = !world_.dice.on(Fault::clock_jump);
    const Json& readings = drain.readings();
    if (!readings.value("online", true)) fail(10, "a request left while the device said that it is offline");
    if (readings.contains("batteryLevel") && readings["batteryLevel"] < 20 && !drain.manual()) fail(10, "a request left on a low battery");
    if (world_.ledger.paused) fail(10, "a request left although sync is paused");
    if (clock_holds && !world_.dice.on(Fault::freeze) && drain.deadline() && now + effect.timeout_ms.value_or(60000) > *drain.deadline() + kClockSlackMs + 200)
        fail(10, "a request may still be under way after the event's deadline");
    const double asked_until_ms = std::max(stored_until_ms_, told_until_ms_[drain.token()]);
    if (clock_holds && now + kClockSlackMs < asked_until_ms)
        fail(8, "a request left " + std::to_string(asked_until_ms - now) + " ms before the time the server asked for");
    while (!failures_.empty() && failures_.front() < world_.timeline.now() - 60000) failures_.erase(failures_.begin());
    if (failures_.size() > kMostFailuresAMinute) fail(9, "more than " + std::to_string(kMostFailuresAMinute) + " failing requests within a minute");
}

void Check::op_sent(Drain& drain, const tidegate::Effect& effect, const std::string& id, const std::string& key, std::set<std::uint64_t>& in_request) {
    ++world_.ledger.counts.attempts;
    world_.trace("send " + id + " key " + key + " in effect " + std::to_string(effect.id));
    Known* op = world_.ledger.find_id(id);
    if (!op) return fail(2, "op " + id + " was sent and never accepted");
    const auto row = world_.disk.rows().find(op->seq);
    if (row == world_.disk.rows().end()) return fail(1, "op " + id + " was sent after it had left the outbox");
    if (state_of(row->second) != "sending") fail(15, "op " + id + " was sent before the store knew that it is being sent");
    if (row->second.value("key", id) != key) fail(2, "op " + id + " was sent under key " + key + ", the store has another");
    if (effect.owner.value_or("") != op->owner) fail(14, "op " + id + " of \"" + op->owner + "\" was sent as \"" + effect.owner.value_or("") + "\"");
    for (const std::string& parent : op->depends_on)
        if (const Known* p = world_.ledger.find_id(parent); p && world_.disk.rows().count(p->seq) && (op->group.empty() || p->group != op->group)) fail(6, "op " + id + " was sent before its parent " + parent + " was done");
    if (!world_.dice.on(Fault::clock_jump) && row->second.value("untilMs", 0.0) > world_.now() + kClockSlackMs) fail(8, "op " + id + " was sent before its wait was over");
    for (const std::uint64_t before : world_.disk.lane(op->lane))
        if (before < op->seq && !in_request.count(before) && !parked(world_.disk.rows().at(before)))
            fail(5, "op " + id + " was sent before an earlier change of the same entity");
    if (!in_request.empty() && in_request.count(op->seq)) fail(2, "op " + id + " is twice in one request");
    in_request.insert(op->seq);
    (void)drain;
}

void Check::heard(std::uint64_t token, const Json& outcome) {
    const int status = outcome.value("status", 0);
    if (world_.options.trace) world_.trace("heard " + dump(outcome));
    if (outcome.contains("failure") || status >= 500 || status == 429) failures_.push_back(world_.timeline.now());
    else failures_.clear();
    if ((status == 429 || status == 503) && outcome["headers"].contains("retry-after")) {
        const double until = world_.now() + 1000 * std::stod(outcome["headers"]["retry-after"].get<std::string>());
        heard_until_ms_[token] = std::max(heard_until_ms_[token], until);
    }
}

void Check::stale() { stale_ms_ = world_.now(); }

void Check::told(std::uint64_t token) {
    told_until_ms_[token] = heard_until_ms_[token];
}

}  // namespace sim
