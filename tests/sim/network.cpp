// The network between shell and server, and everything it does to a request on its way there and back.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr std::size_t kChunkOfBatch = 16;   // a chunk of an upload may be larger than a batch

}  // namespace

struct World::Exchange {
    Process* process = nullptr;
    Request request;
    std::function<void(Outcome)> then;
    double started_ms = 0, timeout_ms = 60000;
    std::function<bool()> may_leave;
    bool gzip = false, over = false, repeated = false;
    int credentials = 0;      // those it went with
    std::uint64_t life = 0;   // of the process that sent it: a dead one hears nothing
};

void World::send(Process& process, const tidegate::Effect& effect, std::string body, std::function<bool()> may_leave, std::function<void(Outcome)> then) {
    ++ledger.counts.requests;
    auto exchange = std::make_shared<Exchange>();
    exchange->process = &process;
    exchange->life = process.life;
    exchange->request = {effect.method.value_or("POST"), effect.url.value_or(""), effect.owner.value_or(""), std::move(body), effect.headers.value_or(Json::object())};
    exchange->then = std::move(then);
    exchange->may_leave = std::move(may_leave);
    exchange->started_ms = now();
    exchange->timeout_ms = effect.timeout_ms.value_or(60000);
    exchange->gzip = effect.gzip.value_or(false);
    later(process, exchange->timeout_ms, [this, exchange] { end_exchange(exchange, Json{{"failure", "timeout"}}, std::nullopt); });
    if (dice.roll(Fault::expired, 0.01)) {   // the app's provider has none
        ++ledger.counts.auth;
        later(process, 1, [this, exchange] { end_exchange(exchange, Json{{"failure", "auth"}, {"message", "no headers for this owner"}}, std::nullopt); });
        return;
    }
    const std::string& owner = exchange->request.owner;
    exchange->credentials = process.held.emplace(owner, valid_[owner]).first->second;
    travel(exchange);
}

// One way there. What becomes of it, and of the answer, is the network's.
void World::travel(const std::shared_ptr<Exchange>& exchange) {
    const double up_ms = device.rtt_ms / 2 * link.between(0.8, 1.5) + static_cast<double>(exchange->request.body.size()) / device.bytes_per_s * 1000;
    const auto fails = [this, exchange](double ms) {
        later(*exchange->process, ms, [this, exchange] { end_exchange(exchange, Json{{"failure", "network"}, {"message", "Failed to fetch"}}, std::nullopt); });
    };
    if (!online_) return fails(5);
    if (timeline.now() < outage_until_ms_) return fails(up_ms * 2);
    if (timeline.now() < portal_until_ms_) {
        Answer page{200, {{"content-type", "text/html"}}, "<html>Sign in</html>"};
        return damage(exchange, std::move(page), up_ms);
    }
    const bool chunk = exchange->request.method == "PATCH" && exchange->request.url.rfind("uploads/", 0) == 0;
    const auto comes_in = [this, exchange, chunk](double ms) {   // all of it, if nothing happens to it on its way
        const auto found = chunk ? server.uploads().find(exchange->request.url) : server.uploads().end();
        if (found != server.uploads().end()) found->second.busy_until_ms = std::max(found->second.busy_until_ms, timeline.now() + ms);
    };
    if (dice.roll(Fault::loss, 0.04)) {
        comes_in(up_ms);
        if (chunk) timeline.in(up_ms, [this, exchange] { server.keep(exchange->request, dice.rng(Fault::loss).below(static_cast<std::uint32_t>(exchange->request.body.size() + 1))); });
        return fails(up_ms * link.between(1, 4));
    }
    comes_in(up_ms);
    if (dice.roll(Fault::hang, 0.02)) {
        if (link.chance(0.5)) timeline.in(up_ms, [this, exchange] { answer_of(exchange); });
        return;
    }
    if (dice.roll(Fault::late, 0.02)) {
        ++ledger.counts.late;
        const double late_ms = dice.rng(Fault::late).between(5000, 300000);
        comes_in(late_ms);
        timeline.in(late_ms, [this, exchange] { answer_of(exchange); });
        return fails(up_ms);
    }
    timeline.in(up_ms, [this, exchange] { deliver(exchange); });
}

// Answered 401 the provider is asked once, and with others than those that were refused the request is repeated: the same bytes under the same key.
bool World::refresh(const std::shared_ptr<Exchange>& exchange) {
    if (exchange->over || exchange->life != exchange->process->life || exchange->repeated) return false;
    const std::string& owner = exchange->request.owner;
    int& held = exchange->process->held[owner];
    if (held == exchange->credentials && !dice.roll(Fault::expired, 0.2)) {   // else another request asked meanwhile, or the provider fails
        ++ledger.counts.refreshes;
        held = valid_[owner];
    }
    if (held == exchange->credentials) return false;
    exchange->repeated = true;
    exchange->credentials = held;
    if (!exchange->may_leave()) {
        end_exchange(exchange, Json{{"failure", "aborted"}, {"message", "the lease ran out before the request left"}}, std::nullopt);
        return true;
    }
    exchange->started_ms = now();
    travel(exchange);
    return true;
}

void World::end_exchange(const std::shared_ptr<Exchange>& exchange, Json outcome, std::optional<std::string> body) {
    if (exchange->over || exchange->life != exchange->process->life) return;
    exchange->over = true;
    outcome["startedAtMs"] = exchange->started_ms;
    outcome["endedAtMs"] = now();
    if (outcome.contains("status")) {
        outcome["sentBytes"] = exchange->request.body.size();
        outcome["bodyBytes"] = body ? body->size() : 0;
    }
    exchange->then({std::move(outcome), std::move(body), 0});
}

std::size_t World::small_batch_bytes() { return 1000 + dice.rng(Fault::too_large).below(3000); }

// An answer for the whole request, given before anything of it is looked at.
bool World::refused_whole(const std::shared_ptr<Exchange>& exchange, Answer& answer) {
    const auto refuse = [&answer](int status, const char* type) {
        answer = {status, {{"content-type", "application/problem+json"}}, dump(Json{{"type", std::string("urn:tidegate:") + type}, {"title", type}, {"status", status}})};
        return true;
    };
    const std::string& owner = exchange->request.owner;
    if (dice.roll(Fault::auth, 0.01)) signed_out_.insert(owner);
    if (dice.roll(Fault::expired, 0.03)) ++valid_[owner];
    if (signed_out_.count(owner) || exchange->credentials != valid_[owner]) {
        ++ledger.counts.auth;
        return refuse(401, "unauthorized");
    }
    if (const auto found = server.uploads().find(exchange->request.url); found != server.uploads().end()) {
        Server::Upload& upload = found->second;
        if (exchange->request.method != "PATCH" && upload.busy_until_ms > timeline.now()) upload.overtaken = true;
        if (!upload.ended && dice.roll(Fault::upload, 0.01)) upload.gone = true;
        if (exchange->request.method == "PATCH" && dice.roll(Fault::upload, 0.01)) return refuse(460, "damaged");
        if (exchange->request.body.size() > server.max_batch_bytes * kChunkOfBatch) {
            ++ledger.counts.too_large;
            return refuse(413, "too-large");
        }
    }
    if (exchange->gzip && dice.on(Fault::op_error) && options.seed % 16 == 3) return refuse(415, "unsupported");
    if (dice.roll(Fault::rate_limit, 0.02)) {
        refuse(link.chance(0.5) ? 429 : 503, "rate-limited");
        const int seconds = 1 + static_cast<int>(dice.rng(Fault::rate_limit).below(90));
        answer.headers["retry-after"] = std::to_string(seconds);
        return true;
    }
    if (dice.roll(Fault::server_error, 0.02)) {
        static constexpr int kStatuses[] = {500, 502, 503, 504, 408, 425};
        return refuse(kStatuses[dice.rng(Fault::server_error).below(6)], "internal");
    }
    if (dice.roll(Fault::too_large, 0.05)) server.max_batch_bytes = small_batch_bytes();   // a proxy with a limit of its own, a deployment
    if (exchange->request.url.rfind("uploads", 0) != 0 && exchange->request.body.size() > server.max_batch_bytes) ++ledger.counts.too_large;
    return false;
}

// What the server says. Whether anybody hears it is another matter.
Answer World::answer_of(const std::shared_ptr<Exchange>& exchange) {
    Answer answer;
    return refused_whole(exchange, answer) ? answer : served(exchange);
}

Answer World::served(const std::shared_ptr<Exchange>& exchange) {
    Answer answer = server.handle(exchange->request);
    if (options.trace) trace("answer " + std::to_string(answer.status) + " " + answer.body);
    return answer;
}

void World::deliver(const std::shared_ptr<Exchange>& exchange) {
    Answer answer = answer_of(exchange);
    if (dice.roll(Fault::resend, 0.04)) {   // the first answer breaks off before its headers, and Chromium sends the POST again by itself
        ++ledger.counts.resends;
        answer = answer_of(exchange);
    }
    if (dice.roll(Fault::server_error, 0.01)) answer = {500, {{"content-type", "application/problem+json"}}, "{}"};   // after the commit
    double down_ms = device.rtt_ms / 2 * link.between(0.8, 1.5) + static_cast<double>(answer.body.size()) / device.bytes_per_s * 1000;
    if (dice.roll(Fault::lost_answer, 0.05)) {
        ++ledger.counts.lost_answers;
        later(*exchange->process, down_ms, [this, exchange] { end_exchange(exchange, Json{{"failure", "network"}}, std::nullopt); });
        return;
    }
    damage(exchange, std::move(answer), down_ms);
}

void World::damage(const std::shared_ptr<Exchange>& exchange, Answer answer, double ms) {
    if (dice.roll(Fault::truncate, 0.02)) {
        Rng& rng = dice.rng(Fault::truncate);
        if (rng.chance(0.5)) {
            later(*exchange->process, ms, [this, exchange] { end_exchange(exchange, Json{{"failure", "truncated"}}, std::nullopt); });
            return;
        }
        answer.body.resize(rng.below(static_cast<std::uint32_t>(answer.body.size() + 1)));
    }
    if (dice.roll(Fault::garbage, 0.01)) answer.body = std::string("\x00\xff{]garbage\n", 12);
    Json outcome = {{"status", answer.status}, {"headers", answer.headers}};
    later(*exchange->process, ms, [this, exchange, outcome = std::move(outcome), body = std::move(answer.body)]() mutable {
        if (outcome["status"] == 401 && refresh(exchange)) return;
        end_exchange(exchange, std::move(outcome), std::move(body));
    });
}

}  // namespace sim
