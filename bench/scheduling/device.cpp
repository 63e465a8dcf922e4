#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace bench {
namespace {

using tidegate::Effect;
using tidegate::Json;

constexpr double kNever = std::numeric_limits<double>::infinity();

// A bench that cannot go on says why and ends.
[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "scheduling: %s\n", why.c_str());
    std::exit(1);
}

// The numbers of the ops in a batch frame: every line that is no body names one (docs/protocol.md).
std::vector<std::size_t> ops_in(std::string_view frame) {
    std::vector<std::size_t> ops;
    bool body = true;   // the head
    while (!frame.empty()) {
        const std::size_t end = frame.find('\n');
        if (!body) {
            const auto line = tidegate::parse_json(frame.substr(0, end));
            if (!line) give_up("the frame is malformed: " + line.error().message);
            ops.push_back(std::stoul(line.value()["id"].get<std::string>().substr(3)));
        }
        body = !body;
        frame.remove_prefix(end + 1);
    }
    return ops;
}

// A document that no batch takes goes by itself, under its key.
std::vector<std::size_t> op_of(const Effect& effect) {
    return {std::stoul(effect.headers->at("idempotency-key").get<std::string>().substr(4))};   // a quote, and what stands before the number
}

std::string all_created(const std::vector<std::size_t>& ops) {
    std::string answer = "{\"protocol\":1,\"results\":" + std::to_string(ops.size()) + "}\n";
    for (const std::size_t op : ops) answer += "{\"id\":\"" + Device::id_of(op) + "\",\"status\":201,\"etag\":\"\\\"1\\\"\"}\n";
    return answer;
}

}  // namespace

Device::Device(Network network, const Json& state, std::uint64_t seed) : network_(std::move(network)), seed_(seed * 1000003), wake_ms_(kNever) {
    const auto restored = planner_.restore("", state);
    if (!restored) give_up(restored.error().message);
}

std::size_t Device::save(double now_ms, std::uint32_t bytes, const Json& extra) {
    const std::size_t op = sizes_.size();
    sizes_.push_back(std::max(bytes, 2u));
    const std::string entity_id = std::to_string(op);
    Json row = {{"seq", op + 1}, {"id", id_of(op)}, {"lane", ":FORM/" + entity_id}, {"entity", "FORM"}, {"entityId", entity_id},
                {"action", "create"}, {"createdAt", now_ms}, {"sizeBytes", sizes_.back()}, {"state", "queued"}};
    row.update(extra);
    rows_.push_back(std::move(row));
    return op;
}

void Device::event(double now_ms, Json event) { run(now_ms, {{"event", std::move(event)}}); }

double Device::next_ms() const {
    double next = wake_ms_;
    for (const Flight& flight : flights_) next = std::min(next, flight.answer.at_ms);
    return next;
}

void Device::go_on(double now_ms) {
    const auto first = std::min_element(flights_.begin(), flights_.end(), [](const Flight& a, const Flight& b) { return a.answer.at_ms < b.answer.at_ms; });
    if (first != flights_.end() && first->answer.at_ms <= now_ms) {
        Flight flight = std::move(*first);
        flights_.erase(first);
        return run(now_ms, {{"outcomes", Json::array({arrive(std::move(flight))})}});
    }
    // A wait inside an event ends without a new one.
    run(now_ms, idle_ ? Json{{"event", wake_event(now_ms)}} : Json::object());
}

void Device::run(double now_ms, Json input) {
    for (;;) {
        input["nowMs"] = now_ms;
        input["seed"] = seed_++;
        input["readings"] = readings;
        input["rows"] = std::move(rows_);
        rows_.clear();
        const auto stepped = planner_.step(input);
        if (!stepped) give_up(stepped.error().message);
        const tidegate::Plan& plan = stepped.value();
        idle_ = plan.idle;
        wake_ms_ = plan.wake_at_ms.value_or(kNever);
        Json outcomes = Json::array();
        for (const Effect& effect : plan.effects) {
            if (effect.type == "load") outcomes.push_back(load(effect));
            else if (effect.type == "commit") outcomes.push_back({{"id", effect.id}, {"commit", "ok"}});
            else if (effect.type == "send") send(now_ms, effect);
            else if (effect.type != "notify") give_up("nothing here does the effect " + effect.type);
        }
        if (outcomes.empty()) return;
        input = {{"outcomes", std::move(outcomes)}};
    }
}

// Payloads are JSON texts of the size they were saved with; keys begin with the number of the op.
Json Device::load(const Effect& effect) {
    Json missing = Json::array();
    for (const tidegate::LoadItem& item : effect.items) {
        if (item.store == "payloads") planner_.put(item.slot, "\"" + std::string(sizes_[std::stoul(item.key) - 1] - 2, 'x') + "\"");
        else missing.push_back(item.slot);
    }
    return {{"id", effect.id}, {"missing", std::move(missing)}, {"metas", Json::array()}};
}

void Device::send(double now_ms, const Effect& effect) {
    const std::string& frame = *planner_.bytes(*effect.slot);
    Flight flight;
    flight.batch = effect.url == "batch";
    flight.answer = network_(now_ms, static_cast<double>(frame.size()), effect.timeout_ms.value_or(60e3));
    flight.request = {now_ms, flight.answer.at_ms, static_cast<double>(frame.size()), flight.answer.status, flight.batch ? ops_in(frame) : op_of(effect)};
    flight.effect = effect.id;
    flight.answer_slot = *effect.answer_slot;
    flights_.push_back(std::move(flight));
}

Json Device::arrive(Flight flight) {
    Json outcome = {{"id", flight.effect}, {"startedAtMs", flight.request.started_ms}, {"endedAtMs", flight.request.ended_ms}};
    const int status = flight.answer.status;
    if (status == 0) {
        outcome["failure"] = "network";
    } else {
        outcome["status"] = status;
        outcome["headers"] = {{"content-type", "application/x-ndjson"}};
        if (!flight.batch) outcome["headers"] = {{"content-type", "application/json"}, {"etag", "\"1\""}};
        if (flight.answer.retry_after > 0) outcome["headers"]["retry-after"] = std::to_string(flight.answer.retry_after);
        const std::string body = status == 200 && flight.batch ? all_created(flight.request.ops) : "";
        outcome["answerSlot"] = flight.answer_slot;
        outcome["sentBytes"] = flight.request.bytes;
        outcome["bodyBytes"] = body.size();
        planner_.put(flight.answer_slot, body);
    }
    requests_.push_back(std::move(flight.request));
    return outcome;
}

}  // namespace bench
