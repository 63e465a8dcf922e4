// What people and apps ask for, and what they are told when they ask for something that is not there.
#include <doctest/doctest.h>

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
    for (const char* type : {"cancel", "retry", "drop", "setPriority", "explain", "op"}) {
        CAPTURE(type);
        const Json answer = asked(world, type, {{"id", "nobody"}, {"priority", "high"}});
        CHECK(answer["error"]["code"] == "unknown-op");
        CHECK(answer["error"]["message"].get<std::string>().find("nobody") != std::string::npos);
    }
}

TEST_CASE("commands: op and ops show what is queued, by state, in pages") {
    World world;
    three_notes(world);
    CHECK(asked(world, "op", {{"id", "op-2"}})["value"]["entityId"] == "b");
    CHECK(asked(world, "ops")["value"].size() == 3);
    const Json page = asked(world, "ops", {{"value", {{"after", 1u}, {"limit", 1u}}}})["value"];
    REQUIRE(page.size() == 1);
    CHECK(page[0]["id"] == "op-2");
    CHECK(asked(world, "ops", {{"value", {{"state", "queued"}}}})["value"].size() == 3);
    CHECK(asked(world, "ops", {{"value", {{"state", "dead"}}}})["value"].empty());
    CHECK(asked(world, "ops", {{"value", {{"state", 7}, {"after", "x"}, {"limit", -1}}}})["value"].size() == 3);   // of the wrong type: as if absent
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
