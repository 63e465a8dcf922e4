// What people and apps ask for, and what they are told when they ask for something that is not there.
#include <doctest/doctest.h>

#include <algorithm>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

Json asked(World& world, const char* type, Json more = Json::object()) {
    more["type"] = type;
    return world.command(more);
}

// Three notes that nothing was sent of yet.
void three_notes(World& world) {
    world.readings["online"] = false;
    for (const char* id : {"a", "b", "c"}) world.accept("NOTE", id, "create", R"({"n":1})");
    world.run();
}

}  // namespace

TEST_CASE("commands: one that does not exist is refused by name, cut to a readable length") {
    World world;
    const Json answer = asked(world, std::string(200, 'x').c_str());
    CHECK(answer["error"]["code"] == "unknown-command");
    CHECK(answer["error"]["path"] == "/type");
    CHECK(answer["error"]["message"] == "type: expected a command, got \"" + std::string(60, 'x') + "\"");
}

TEST_CASE("commands: an op that is not in the outbox is named by whoever is asked for it") {
    World world;
    for (const char* type : {"cancel", "retry", "drop", "setPriority", "explain"}) {
        CAPTURE(type);
        const Json answer = asked(world, type, {{"id", "nobody"}, {"priority", "high"}});
        CHECK(answer["error"]["code"] == "unknown-op");
        CHECK(answer["error"]["message"].get<std::string>().find("nobody") != std::string::npos);
    }
}

TEST_CASE("commands: an op on its way is cancelled, not dropped; a priority is one of four") {
    World world;
    three_notes(world);
    const Json dropped = asked(world, "drop", {{"id", "op-1"}});
    CHECK(dropped["error"]["code"] == "not-parked");
    CHECK(dropped["error"]["message"] == "op op-1 is still on its way: cancel it instead");
    const Json wrong = asked(world, "setPriority", {{"id", "op-1"}, {"priority", "urgent"}});
    CHECK(wrong["error"]["code"] == "wrong-value");
    CHECK(wrong["error"]["message"] == "priority: expected critical, high, normal or low, got \"urgent\"");
    CHECK(asked(world, "setPriority", {{"id", "op-1"}, {"priority", "critical"}})["ok"] == true);
    CHECK(world.row(1)["priority"] == "critical");
}

TEST_CASE("commands: a priority that could not be stored is stored later; one whose turn did not come is stored at once") {
    World world;
    three_notes(world);
    int refused = 0;
    world.on_commit = [&](const Json&) -> std::string { return refused++ == 0 ? "error" : ""; };
    asked(world, "setPriority", {{"id", "op-1"}, {"priority", "high"}});
    world.now += 60000;
    world.run({{"event", {{"type", "timer"}}}});
    CHECK(world.row(1)["priority"] == "high");

    refused = 0;
    world.on_commit = [&](const Json&) -> std::string { return refused++ == 0 ? "stale" : ""; };
    world.run({{"commands", Json::array({{{"type", "setPriority"}, {"id", "op-2"}, {"priority", "high"}}, {{"type", "setPriority"}, {"id", "op-3"}, {"priority", "low"}}})}});
    CHECK(world.row(2)["priority"] == "high");
    CHECK(world.row(3)["priority"] == "low");
}

TEST_CASE("commands: a priority that could not be stored does not bring back an op that was done meanwhile") {
    World world;
    world.accept("NOTE", "a", "create", R"({"n":1})");
    world.network = [](const Json&) -> Json { return {{"delay", 4}, {"status", 200}, {"headers", Json::object()}, {"body", "{\"protocol\":1,\"results\":1}\n{\"id\":\"op-1\",\"status\":201,\"etag\":\"\\\"1\\\"\"}\n"}}; };
    world.run({{"event", {{"type", "message"}}}}, 2);   // on the wire
    REQUIRE(world.row(1)["state"] == "sending");
    int refused = 0;
    world.on_commit = [&](const Json&) -> std::string { return refused++ == 0 ? "error" : ""; };
    world.run({{"commands", Json::array({{{"type", "setPriority"}, {"id", "op-1"}, {"priority", "high"}}})}});
    world.now += 60000;
    world.run({{"event", {{"type", "timer"}}}});
    CHECK(refused > 1);
    CHECK(world.queued() == 0);
}

TEST_CASE("commands: new rules reach a long queue a part at a step, all of it in the end, and what is accepted meanwhile; of two commands the later wins") {
    const auto rules = [](const char* entity) {
        return Json{{"type", "rules"}, {"value", {{{"name", "first"}, {"when", {{"field", "entity"}, {"op", "=="}, {"value", entity}}}, {"points", 60}}}}};
    };
    const auto first = [](World& world) {
        const Json items = asked(world, "preview")["value"]["items"];
        REQUIRE(!items.empty());
        return items[0]["entity"].get<std::string>();
    };
    constexpr int kOps = 3 * kRescoredAtOnce + 10;
    World world;
    world.command({{"type", "pause"}});
    for (int i = 0; i < kOps; ++i) world.accept(i + 1 < kOps ? "NOTE" : "TASK", "e" + std::to_string(i), "create", "{}");
    world.run();
    int parts = 0;
    world.on_commit = [&](const Json& commit) -> std::string {
        if (commit["writes"].size() == 1 && ++parts == 1) world.accept("TASK", "late", "create", "{}");   // of the core's own state alone
        return "";
    };
    CHECK(first(world) == "NOTE");
    CHECK_FALSE(world.command(rules("TASK")).contains("error"));
    CHECK(parts == 3);   // after the first thousand
    CHECK(first(world) == "TASK");
    world.run();
    CHECK(asked(world, "explain", {{"id", "op-" + std::to_string(kOps + 1)}})["value"]["id"] == "op-" + std::to_string(kOps + 1));
    world.run({{"commands", Json::array({rules("NOBODY"), rules("NOTE")})}});
    CHECK(first(world) == "NOTE");
    const std::string here = asked(world, "preview").dump();
    world.restart();
    CHECK(asked(world, "preview").dump() == here);
}

TEST_CASE("commands: settings and rules are shown when nothing is given, and a wrong one changes nothing") {
    World world;
    const Json shown = asked(world, "settings")["value"];
    CHECK(shown["maxBatchOps"] == asked(world, "settings", {{"value", nullptr}})["value"]["maxBatchOps"]);
    CHECK(asked(world, "settings", {{"value", {{"maxBatchOps", "many"}}}})["error"]["path"].get<std::string>().find("maxBatchOps") != std::string::npos);
    const Json unknown = asked(world, "settings", {{"value", {{"fromTheFuture", 1}}}});
    CHECK(unknown["unknown"] == Json::array({"fromTheFuture"}));
    CHECK(asked(world, "settings", {{"value", {{"fromTheFuture", 2}}}})["unknown"].size() == 1);
    CHECK(world.values["state"]["settings"]["fromTheFuture"] == 2);   // kept for the code that knows it

    CHECK(asked(world, "rules")["value"].empty());
    CHECK(asked(world, "rules", {{"value", nullptr}})["value"].empty());
    CHECK(asked(world, "rules", {{"value", {{{"name", 7}}}}}).contains("error"));
    CHECK(asked(world, "rules")["value"].empty());
}

TEST_CASE("commands: isSyncRecommended takes three weights") {
    World world;
    for (const char* weight : {"light", "medium", "heavy"}) CHECK(asked(world, "isSyncRecommended", {{"value", weight}})["ok"] == true);
    for (const Json& wrong : {Json("huge"), Json(1), Json()}) {
        const Json answer = asked(world, "isSyncRecommended", {{"value", wrong}});
        CHECK(answer["error"]["code"] == "wrong-value");
        CHECK(answer["error"]["path"] == "/weight");
    }
}

TEST_CASE("minPriority: this drain sends what is of that priority or above; the rest goes by itself later, not at once") {
    const char* const kBands[] = {"low", "normal", "high", "critical"};
    for (const char* least : kBands) {
        World w;
        for (const char* band : kBands) w.accept("FORM", band, "create", "{}", {{"priority", band}});
        w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"minPriority", least}}}}})}});
        const std::size_t left = static_cast<std::size_t>(std::find(std::begin(kBands), std::end(kBands), std::string(least)) - std::begin(kBands));
        CHECK(w.queued() == left);
        CHECK(w.last_idle);
        if (left == 0) continue;
        REQUIRE(w.wake);
        CHECK(*w.wake == w.now + 30000);
        w.run({{"event", {{"type", "timer"}}}});   // another drain, without that wish
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("a scheduled session is no manual one: the interval holds it, a critical op passes, and it is written down with its trigger") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"minInterval", 600000}}}});
    w.accept("FORM", "a", "create", "{}");
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
    w.now += 1000;
    w.accept("FORM", "b", "create", "{}");
    const Json schedule = {{"event", {{"type", "message"}, {"trigger", "push"}}}, {"commands", Json::array({{{"type", "schedule"}, {"value", Json::object()}}})}};
    w.run(schedule);
    CHECK(w.queued() == 1);
    w.accept("FORM", "c", "create", "{}", {{"priority", "critical"}});
    w.run(schedule);
    CHECK(w.queued() == 0);   // inside a session there is no interval
    const auto session = std::find_if(w.events.rbegin(), w.events.rend(), [](const Json& event) { return event["event"] == "sync.completed"; });
    REQUIRE(session != w.events.rend());
    CHECK((*session)["detail"]["trigger"] == "push");
}

TEST_CASE("with a minimum interval a lone save goes at once, and what follows it goes together before the first of that has waited longer") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"minInterval", 600000}}}});
    w.accept("FORM", "a", "create", "{}");
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
    w.now += 300000;
    const double first_ms = w.now;
    for (const char* id : {"b", "c"}) {
        w.accept("FORM", id, "create", "{}");
        w.run({{"event", {{"type", "timer"}}}});
        REQUIRE(w.wake);
        CHECK(*w.wake <= first_ms + 600000);
        CHECK(*w.wake > first_ms + 600000 - 2000);
        w.now = *w.wake - 1;   // long after the interval that began with the lone one
    }
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 2);
    w.now = *w.wake;
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
    w.now += 700000;   // and after a quiet time there is nothing to gather
    w.accept("FORM", "d", "create", "{}");
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
}

TEST_CASE("cancelSync: what is on its way is heard to its end, nothing more is begun, and the rest goes later") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
    CHECK(w.command({{"type", "cancelSync"}})["error"]["code"] == "unknown-session");
    for (int i = 0; i < 5; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{}");
    // The second request is on the wire when the person cancels.
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}}})}}, 3);
    const std::size_t before = w.server.effects.size();
    REQUIRE(before > 0);
    REQUIRE(before < 5);
    w.run({{"commands", Json::array({{{"type", "cancelSync"}, {"session", "session/000000000001"}}})}});
    CHECK(w.last_idle);
    CHECK(w.server.effects.size() <= before + 1);
    CHECK(w.queued() == 5 - w.server.effects.size());
    REQUIRE(w.wake);
    CHECK(*w.wake == w.now + 30000);
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 5);
}

TEST_CASE("a task has 150 s, also in an event that lasts longer: a sync event that joins has less") {
    for (const auto& [lasts_ms, timeout_ms] : {std::pair(240000.0, 150000.0), std::pair(100000.0, 98000.0)}) {
        World w;
        w.accept(std::string(kTaskEntity), "thumbnails", "create", "{}");
        double told_ms = 0;
        w.network = [&](const Json& effect) -> Json {
            if (effect["type"] == "run") told_ms = effect["timeoutMs"];
            return effect["type"] == "run" ? Json{{"status", 200}} : Json(nullptr);
        };
        w.run({{"event", {{"type", "message"}, {"deadlineMs", w.now + lasts_ms}}}});
        CHECK(told_ms <= timeout_ms);
        CHECK(told_ms > timeout_ms - 1000);
    }
}

TEST_CASE("a run of a task says nothing of the origin: its failures count for it alone, and it is no probe") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"baseDelay", 10}, {"maxDelay", 10}, {"maxRetryAttempts", 3}}}});
    const std::string id = w.accept(std::string(kTaskEntity), "thumbnails", "create", "{\"n\":1}");
    int runs = 0;
    w.network = [&](const Json& effect) -> Json {
        if (effect["type"] != "run") return nullptr;
        ++runs;
        CHECK(effect["detail"]["entityId"] == "thumbnails");
        CHECK(effect["detail"]["id"] == id);
        CHECK(*w.planner.bytes(effect["slot"]) == "{\"n\":1}");
        return {{"failure", "task"}};
    };
    for (int i = 0; i < 20 && w.wake.value_or(w.now) >= w.now; ++i) {
        w.run({{"event", {{"type", "timer"}}}});
        if (!w.wake) break;
        w.now = std::max(w.now, *w.wake);
    }
    CHECK(runs == 3);
    CHECK(w.row(1)["state"] == "dead");
    CHECK(w.values["state"]["core"]["breaker"]["failures"] == 0);
    CHECK(w.values["state"]["core"]["originFailures"] == 0);
    CHECK(w.server.requests.empty());
    // Nobody knows it: it waits, and no attempt is counted.
    w.accept(std::string(kTaskEntity), "unheard", "create", "{}");
    w.network = [](const Json& effect) -> Json { return effect["type"] == "run" ? Json{{"failure", "no-task"}} : Json(nullptr); };
    for (int i = 0; i < 10; ++i) {
        w.run({{"event", {{"type", "timer"}}}});
        w.now += 1000;
    }
    CHECK(w.row(2).value("attempts", 0) == 0);
    CHECK(w.row(2).value("state", "queued") == "queued");
    w.network = [](const Json& effect) -> Json { return effect["type"] == "run" ? Json{{"status", 200}} : Json(nullptr); };
    w.command({{"type", "retry"}, {"id", id}});
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.queued() == 0);
}
