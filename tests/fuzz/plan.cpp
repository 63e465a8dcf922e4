// Any sequence of inputs, one JSON text a line: a plan or an error, and after an error nothing has changed. The effects of each plan are answered in
// the next step, as the first byte says: what was sent gets a status, a commit succeeds, is fenced, stale or fails.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "tidegate/json.h"
#include "tidegate/planner.h"
#include "tidegate/snapshot.h"

using namespace tidegate;

namespace {

constexpr int kMostSteps = 24;

Json answer_to(const Json& effect, std::uint64_t chance, Planner& planner) {
    static const int statuses[] = {200, 201, 204, 400, 401, 404, 409, 412, 413, 415, 422, 425, 428, 429, 500, 503};
    static const char* const failures[] = {"network", "timeout", "aborted", "truncated"};
    static const char* const commits[] = {"ok", "ok", "ok", "ok", "ok", "fenced", "stale"};
    const std::string type = effect.value("type", "");
    Json outcome = object().set("id", effect["id"]);
    if (type == "load") {
        for (const Json& item : effect["items"])
            planner.put(item["slot"].get<std::uint64_t>(), chance % 5 ? R"({"id":"x","n":9007199254740993,"s":"\ud800"})" : "{");
    } else if (type == "commit") {
        if (chance % 11 == 10) outcome["error"] = object().set("code", "quota").set("message", "full");
        else outcome["commit"] = commits[chance % 7];
    } else if (type == "send") {
        if (chance % 7 == 6) outcome["failure"] = failures[chance / 7 % 4];
        else outcome["status"] = statuses[chance / 7 % 16];
        outcome["startedAtMs"] = 1.7e12;
        outcome["endedAtMs"] = 1.7e12 + 100;
    } else {
        return nullptr;
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    std::uint64_t chance = data[0];
    std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    Planner planner;
    if (!planner.restore("", Json::object()).ok()) return 0;
    Json outcomes = Json::array();
    double now_ms = 1.7e12;
    for (int step = 0; step < kMostSteps && (!input.empty() || !outcomes.empty()); ++step) {
        const std::string_view line = input.substr(0, input.find('\n'));
        input.remove_prefix(std::min(input.size(), line.size() + 1));
        const Result<Json> parsed = parse_json(line.empty() ? "{}" : line);
        if (!parsed.ok()) continue;
        Json json = parsed.value();
        if (json.is_object()) {
            if (!json.contains("nowMs")) json["nowMs"] = now_ms += 1000;
            if (!json.contains("seed")) json["seed"] = step + 1;
            if (!json.contains("outcomes")) json["outcomes"] = outcomes;
        }
        const std::string before = planner.snapshot();
        Result<Plan> plan = planner.step(json);
        if (!plan.ok()) {
            require(!plan.error().code.empty() && planner.snapshot() == before);
            continue;
        }
        const Json shown = encode(plan.value());
        require(parse_json(dump_json(shown)).ok());
        outcomes = Json::array();
        for (const Json& effect : shown["effects"]) {
            chance = chance * 6364136223846793005ull + 1442695040888963407ull;
            Json outcome = answer_to(effect, chance >> 33, planner);
            if (!outcome.is_null()) outcomes.push_back(outcome);
        }
        require(read_snapshot(planner.snapshot()).ok());
    }
    return 0;
}
