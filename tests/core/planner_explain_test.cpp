// explain is always true: once a drain is idle nothing that is left is ready, and taking the reason it names away makes the op run, or names the next one.
// preview says the same of the whole queue.
#include <doctest/doctest.h>

#include "tidegate/random.h"
#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kPush = {{"event", {{"type", "push"}}}};
const Json kPage = {{"event", {{"type", "page"}}}};

Json explained(World& w, const std::string& id) {
    const auto answer = w.planner.explain(id);
    return answer ? answer.value() : Json();
}

void set(World& w, Json settings) { w.command({{"type", "settings"}, {"value", std::move(settings)}}); }

// Takes one reason away, in the way a person or time would. False: the test does not know it.
bool take_away(World& w, const Json& why, bool& down) {
    const std::string reason = why["reason"];
    if (reason == "enabled") set(w, {{"enabled", true}});
    else if (reason == "consent") set(w, {{"consent", "granted"}});
    else if (reason == "paused") w.command({{"type", "resume"}});
    else if (reason == "network") w.readings["online"] = true;
    else if (reason == "charging" || reason == "battery" || reason == "battery-budget") w.readings["charging"] = true;
    else if (reason == "metered") w.readings["metered"] = false;
    else if (reason == "save-data") w.readings["saveData"] = false;
    else if (reason == "data-budget") set(w, {{"dataBudgetPerDay", nullptr}});
    else if (reason == "quiet-hours") set(w, {{"quietHours", nullptr}});
    else if (reason == "poor-link") set(w, {{"pauseOnPoor", false}});
    else if (reason == "idle") w.readings["idle"] = true;
    else if (reason == "priority-threshold") set(w, {{"priorityThreshold", "low"}});
    else if (reason == "dead" || reason == "quarantined") w.command({{"type", "retry"}, {"id", why["id"]}});
    else if (reason == "interval" || reason == "backoff" || reason == "origin" || reason == "retry-budget" || reason == "auth") {
        down = false;
        REQUIRE(why.contains("untilMs"));
        w.now = std::max(w.now + 1, why["untilMs"].get<double>());
    } else if (reason == "blocked" || reason == "lane" || reason == "group" || reason == "order") {
        down = false;   // others have to go: let them
        set(w, {{"enabled", true}, {"consent", "granted"}, {"priorityThreshold", "low"}, {"quietHours", nullptr}, {"pauseOnPoor", false}, {"dataBudgetPerDay", nullptr},
                {"minInterval", 0}, {"unknownReadings", "open"}});
        w.readings = {{"online", true}, {"charging", true}, {"idle", true}, {"metered", false}};
        w.command({{"type", "resume"}});
        const auto rows = w.values["ops"];
        for (const auto& [key, row] : rows)
            if (row.value("state", "") == "dead") w.command({{"type", "retry"}, {"id", row["id"]}});
        w.run(kPush);
        w.now += 400000;
    } else {
        return false;
    }
    return true;
}

}  // namespace

TEST_CASE("removing the reason that explain names makes the op run, or names the next one") {
    std::map<std::string, int> seen;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        Random random(seed);
        const auto chance = [&random](double p) { return random.between(0, 1) < p; };
        World w;
        bool down = chance(0.3);
        w.server.refuse = [&](const Json& line) { return down && line["entityId"] == "e1" ? 422 : 0; };
        w.network = [&](const Json&) -> Json {
            if (down && random.between(0, 1) < 0.5) return {{"status", 503}, {"headers", {{"retry-after", "30"}}}};
            return nullptr;
        };
        const char* bands[] = {"low", "normal", "high", "critical"};
        const char* ids[] = {"e0", "e1", "e2", "e3", "e4"};
        set(w, {{"coalesce", chance(0.5)}, {"maxBatchOps", chance(0.3) ? 1 : 50}, {"maximumConcurrentOperations", chance(0.5) ? 1 : 3}});
        for (int i = 0; i < 8; ++i) {
            Json extra = {{"priority", bands[static_cast<int>(random.between(0, 4))]}};
            if (i > 1 && chance(0.3)) extra["dependsOn"] = Json::array({"op-" + std::to_string(1 + static_cast<int>(random.between(0, i)))});
            if (i == 3 || i == 4) extra["group"] = "g";
            w.accept("FORM", ids[static_cast<int>(random.between(0, 5))], i < 3 ? "create" : "update", "{\"n\":" + std::to_string(i) + "}", extra);
        }
        if (down) w.run(kPush);
        if (chance(0.2)) set(w, {{"enabled", false}});
        if (chance(0.2)) set(w, {{"consent", "withdrawn"}});
        if (chance(0.2)) w.command({{"type", "pause"}});
        if (chance(0.2)) set(w, {{"priorityThreshold", "high"}});
        if (chance(0.2)) set(w, {{"quietHours", {{"fromMinute", 0}, {"toMinute", 1439}}}});
        if (chance(0.2)) set(w, {{"requiresCharging", true}});
        if (chance(0.2)) set(w, {{"unmeteredOnly", true}});
        if (chance(0.2)) set(w, {{"requiresIdle", true}});
        if (chance(0.2)) set(w, {{"minInterval", 600000}});
        if (chance(0.2)) set(w, {{"dataBudgetPerDay", 0}});
        w.readings = {{"online", !chance(0.2)}, {"saveData", chance(0.2)}, {"metered", chance(0.5)}, {"charging", chance(0.5)}, {"batteryLevel", chance(0.3) ? 10 : 80},
                      {"idle", chance(0.5)}, {"utcOffsetMinutes", 0}};
        w.run(kPage);
        std::vector<std::string> waiting;
        for (const auto& [key, row] : w.values["ops"]) waiting.push_back(row["id"]);
        if (waiting.empty()) continue;
        const std::string id = waiting[static_cast<std::size_t>(random.between(0, static_cast<double>(waiting.size())))];
        CAPTURE(seed);
        CAPTURE(id);
        Json before;
        int round = 0;
        for (Json why = explained(w, id); !why.is_null() && round < 60; why = explained(w, id), ++round) {
            const std::string reason = why["reason"];
            ++seen[reason];
            CAPTURE(reason);
            CHECK(reason != "ready");   // the drain is idle: what could go went
            CHECK(why != before);       // what was named was taken away
            CHECK_FALSE(why["sentence"].get<std::string>().empty());
            REQUIRE_MESSAGE(take_away(w, why, down), dump_json(why));
            w.run(kPage);
            before = std::move(why);
        }
        CHECK(round < 60);
    }
    for (const char* reason : {"enabled", "consent", "paused", "network", "charging", "save-data", "metered", "idle", "quiet-hours", "data-budget", "interval", "blocked", "lane",
                               "priority-threshold", "origin"}) {
        CAPTURE(reason);
        CHECK(seen[reason] > 0);
    }
}

TEST_CASE("preview says what would go, in which order and form and when, and sends nothing") {
    World w;
    w.accept("FORM", "a", "create", "{\"n\":1,\"t\":\"" + std::string(2000, 'x') + "\"}");
    w.run(kPush);
    w.readings = {{"online", false}};
    w.accept("FORM", "a", "update", "{\"n\":2,\"t\":\"" + std::string(2000, 'x') + "\"}");
    w.accept("FORM", "a", "update", "{\"n\":3,\"t\":\"" + std::string(2000, 'x') + "\"}");
    w.accept("FORM", "b", "create", "{}", {{"priority", "critical"}});
    w.accept("FORM", "c", "create", "{}", {{"dependsOn", {"op-4"}}});
    w.accept("MEDIA", "m", "create", "bytes", {{"contentType", "image/png"}});
    w.run(kPush);
    const std::size_t before = w.server.requests.size();
    Json shown = w.command({{"type", "preview"}})["value"];
    CHECK(shown["closedBy"] == "network");
    REQUIRE(shown["items"].size() == 3);   // c waits for b
    CHECK(shown["others"] == 1);
    CHECK(shown["items"][0]["id"] == "op-4");
    CHECK(shown["items"][0]["form"] == "full");
    CHECK(shown["items"][0]["startMs"].is_null());   // who knows when there will be a network
    CHECK(shown["items"][1]["id"] == "op-3");
    CHECK(shown["items"][1]["form"] == "delta");
    CHECK(shown["items"][1]["folded"] == 1);
    CHECK(shown["items"][2]["id"] == "op-6");
    CHECK(shown["bytes"].get<double>() < 2500);
    w.readings = {{"online", true}};
    w.command({{"type", "pause"}});
    shown = w.command({{"type", "preview"}, {"value", {{"since", w.now + 1}}}})["value"];
    CHECK(shown["items"].empty());
    CHECK(shown["others"] == 5);
    CHECK(w.server.requests.size() == before);
    CHECK(w.queued() == 5);
}

TEST_CASE("preview of a longer queue than it lists says how many ops are in no item of it") {
    World w;
    w.readings = {{"online", false}};
    for (std::size_t i = 0; i < kMaxPreviewed + 7; ++i) w.accept("FORM", std::to_string(i), "create", "{}");
    w.run(kPush);
    const Json shown = w.command({{"type", "preview"}})["value"];
    CHECK(shown["items"].size() == kMaxPreviewed);
    CHECK(shown["others"] == 7);
}
