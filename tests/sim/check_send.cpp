// What a request may carry, and when it may leave.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr double kClockSlackMs = 1;
constexpr std::size_t kMostFailuresAMinute = 20;
constexpr double kRefusedMs = 60000;   // so long an owner whose credentials were refused is left alone

}  // namespace

void Check::decided(Drain& drain, const tidegate::Effect& effect) {
    if (carried_token_ != drain.token()) {
        carried_.clear();
        heard_refused_.clear();
        told_refused_ms_.clear();
    }
    carried_token_ = drain.token();
    carried_[effect.id].first = effect.owner.value_or("");
    may_start(drain, effect);
    idle_at_once_ = 0;
}

void Check::at_send(Drain& drain, const tidegate::Effect& effect, const std::string& body) {
    if (effect.method == std::optional<std::string>("GET")) {
        if (effect.url.value_or("").rfind("changes", 0) == 0) ++world_.ledger.counts.pulls;
        return;
    }
    if (effect.method == std::optional<std::string>("HEAD") && effect.type == "send") return;   // of their version of a film
    if (world_.disk.lease().token != drain.token()) fail(11, "a request left under token " + std::to_string(drain.token()) + ", the lease has " + std::to_string(world_.disk.lease().token));
    if (effect.type == "upload" && effect.method == std::optional<std::string>("DELETE")) {
        carried_.erase(effect.id);   // nothing is concluded from its answer
        for (const auto& [seq, row] : world_.disk.rows())
            if (row.value("upload", "").find(" " + effect.url.value_or("")) != std::string::npos && row["upload"].get<std::string>().substr(row["upload"].get<std::string>().find(' ') + 1) == *effect.url)
                fail(24, "the upload of op " + row.value("id", "") + " is given up while the op is queued");
        return;
    }
    if (flying_token_ != drain.token()) flying_.clear();
    flying_token_ = drain.token();
    std::set<std::uint64_t> in_request;
    if (effect.url != std::optional<std::string>("batch")) {
        const std::string key = effect.headers->value("idempotency-key", "");
        const std::string bare = key.size() > 2 ? key.substr(1, key.size() - 2) : "";
        op_sent(drain, effect, bare.substr(0, bare.find('.')), bare, in_request);
        if (effect.type == "upload" && effect.method == std::optional<std::string>("PATCH"))
            if (const Known* op = world_.ledger.find_key(bare)) chunk_sent(effect, *op, body);
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
    if (carried_token_ == drain.token()) carried_[effect.id].second.assign(in_request.begin(), in_request.end());
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
    for (const Fault fault : {Fault::clock_jump, Fault::freeze, Fault::auth, Fault::too_large, Fault::store_read, Fault::quota, Fault::crash, Fault::trap,
                              Fault::expired, Fault::update})
        if (world_.dice.on(fault)) return;
    if (status_ && status_->connectivity.connection_quality == "poor") return;
    if (stale_ms_ > world_.now() - kJustFreedMs) return;   // what was to go first is being chosen anew, while the next request goes
    const auto plain = [this](std::uint64_t seq, const Json& row) {
        const Known* op = world_.ledger.find(seq);
        return op && !op->absorbed && op->entity == "NOTE" && world_.disk.lane(op->lane).size() == 1 && op->group.empty() && op->depends_on.empty() && !row.contains("expiresAt") && !world_.awaited.count(op->id);
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
    // What was in the making when the core heard of it goes in that very step (known and open, docs/simulator.md).
    if (const auto refused = told_refused_ms_.find(effect.owner.value_or("")); clock_holds && refused != told_refused_ms_.end() &&
                                                                               world_.ledger.counts.steps > refused->second.second && now + kClockSlackMs < refused->second.first + kRefusedMs)
        fail(14, "a request of \"" + refused->first + "\" left " + std::to_string(now - refused->second.first) + " ms after his credentials were refused, and nobody signed in");
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
    if (world_.options.trace) world_.trace("send " + id + " key " + key + " in effect " + std::to_string(effect.id));
    Known* op = world_.ledger.find_id(id);
    if (!op) return fail(2, "op " + id + " was sent and never accepted");
    op->refused_at.reset();
    const auto row = world_.disk.rows().find(op->seq);
    if (row == world_.disk.rows().end()) return fail(1, "op " + id + " was sent after it had left the outbox");
    first_send(drain, *op, row->second);
    if (state_of(row->second) != "sending") fail(15, "op " + id + " was sent before the store knew that it is being sent");
    if (row->second.value("key", id) != key) fail(2, "op " + id + " was sent under key " + key + ", the store has another");
    if (effect.owner.value_or("") != op->owner) fail(14, "op " + id + " of \"" + op->owner + "\" was sent as \"" + effect.owner.value_or("") + "\"");
    for (const std::string& parent : op->depends_on)
        if (const Known* p = world_.ledger.find_id(parent); p && world_.disk.rows().count(p->seq) && (op->group.empty() || p->group != op->group)) fail(6, "op " + id + " was sent before its parent " + parent + " was done");
    if (const Known* creator = creator_before(*op)) fail(6, "op " + id + " was sent before op " + creator->id + " created what it names");
    if (!world_.dice.on(Fault::clock_jump) && row->second.value("untilMs", 0.0) > world_.now() + kClockSlackMs) fail(8, "op " + id + " was sent before its wait was over");
    for (const std::uint64_t before : world_.disk.lane(op->lane))
        if (before < op->seq && !in_request.count(before) && !parked(world_.disk.rows().at(before)))
            fail(5, "op " + id + " was sent before an earlier change of the same entity");
    if (!in_request.empty() && in_request.count(op->seq)) fail(2, "op " + id + " is twice in one request");
    in_request.insert(op->seq);
}

// A document goes for the first time as the code that sends it has documents. From then on its key stands for its bytes.
void Check::first_send(const Drain& drain, Known& op, const Json& row) {
    const bool first = op.sends++ == 0 && row.value("sends", 0) == 1;   // else a process died between its mark and its request
    if (!first || !world_.has_versions() || op.action == "delete" || !row.value("contentType", "").empty()) return;
    const int version = drain.process().version, of_row = row.value("schemaVersion", 0);
    if (of_row != version) return fail(23, "op " + op.id + " of version " + std::to_string(of_row) + " was sent by code of version " + std::to_string(version));
    if (op.version != version) fail(23, "op " + op.id + " is said to be of version " + std::to_string(of_row) + ", and nobody made it so");
}

// The app is asked to make a document into one of its present version, and only while nobody else can have seen it.
void Check::at_ask(const tidegate::Effect& effect, int version) {
    Known* op = world_.ledger.find_id(effect.detail->value("opId", ""));
    const auto row = op ? world_.disk.rows().find(op->seq) : world_.disk.rows().end();
    if (row == world_.disk.rows().end()) return fail(23, "the app was asked about an op that is not there");
    if (op->sends > 0) fail(23, "op " + op->id + " was sent, and then the app was asked to make it into another version");
    if (effect.detail->value("from", -1) != op->version || op->version >= version)
        fail(23, "the app of version " + std::to_string(version) + " was asked for op " + op->id + " of version " + std::to_string(op->version) + " as " + dump(*effect.detail));
    op->asked_app = true;
}

void Check::heard(std::uint64_t token, std::uint64_t effect, const Json& outcome) {
    const int status = outcome.value("status", 0);
    if (carried_token_ == token && (status == 401 || outcome.value("failure", "") == "auth")) {   // said by nobody who looked at the ops
        const auto carried = carried_.find(effect);
        if (carried != carried_.end()) heard_refused_.insert(carried->second.first);
        for (const std::uint64_t seq : carried == carried_.end() ? std::vector<std::uint64_t>() : carried->second.second)
            if (const auto row = world_.disk.rows().find(seq); row != world_.disk.rows().end()) world_.ledger.find(seq)->refused_at = row->second.value("attempts", 0);
    }
    if (world_.options.trace) world_.trace("heard " + dump(outcome));
    if (outcome.contains("failure") || status >= 500 || status == 429) failures_.push_back(world_.timeline.now());
    else failures_.clear();
    if ((status == 429 || status == 503) && outcome["headers"].contains("retry-after")) {
        const double until = world_.now() + 1000 * std::stod(outcome["headers"]["retry-after"].get<std::string>());
        heard_until_ms_[token] = std::max(heard_until_ms_[token], until);
    }
}

void Check::stale() { stale_ms_ = world_.now(); }

void Check::signed_in() {
    heard_refused_.clear();
    told_refused_ms_.clear();
}

void Check::told(std::uint64_t token) {
    for (const std::string& owner : heard_refused_) told_refused_ms_[owner] = {world_.now(), world_.ledger.counts.steps + 1};
    heard_refused_.clear();
    told_until_ms_[token] = heard_until_ms_[token];
}

}  // namespace sim
