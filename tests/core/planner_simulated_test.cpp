// Histories that the simulator found (docs/simulator.md), each cut down to the few steps it needs.
#include <doctest/doctest.h>

#include <algorithm>

#include "world.h"

using namespace tidegate;
using namespace tidegate::test;

namespace {

Json message() { return {{"event", {{"type", "message"}}}}; }

// One synced note, version 1 on the server.
void synced_note(World& world) {
    world.accept("NOTE", "a", "create", "{\"title\":\"one\",\"n\":1}");
    world.run(message());
    REQUIRE(world.queued() == 0);
}

}  // namespace

TEST_CASE("Simulated: a delete that waits behind a conflicting update stays what the app sees") {
    World world;
    synced_note(world);
    world.server.docs["NOTE/a"] = {"{\"title\":\"one\",\"n\":7}", 2, false};
    world.accept("NOTE", "a", "update", "{\"title\":\"two\",\"n\":1}", {{"noFold", true}});
    world.accept("NOTE", "a", "delete", "", {{"noFold", true}});
    world.values["docs"][":NOTE/a"] = {{"deleted", true}};
    world.run(message());
    CHECK(world.values["docs"][":NOTE/a"]["deleted"] == true);
    CHECK(world.doc("NOTE", "a").empty());
    CHECK(world.queued() == 0);
}

TEST_CASE("Simulated: where the server wins and the entity is gone, the app does not see it any more") {
    World world;
    synced_note(world);
    world.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
    world.server.docs["NOTE/a"] = {"", 2, true};
    world.accept("NOTE", "a", "update", "{\"title\":\"two\",\"n\":1}");
    world.run(message());
    CHECK(world.queued() == 0);
    CHECK(world.values["docs"][":NOTE/a"]["deleted"] == true);
}

TEST_CASE("Simulated: where the server wins over our delete, the app sees the server's version again") {
    World world;
    synced_note(world);
    world.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
    world.server.docs["NOTE/a"] = {"{\"title\":\"theirs\"}", 2, false};
    world.accept("NOTE", "a", "delete", "");
    world.run(message());
    CHECK(world.queued() == 0);
    CHECK(world.values["docs"][":NOTE/a"]["deleted"] == false);
    CHECK(world.bytes["docs"][":NOTE/a"] == "{\"title\":\"theirs\"}");
    CHECK(world.bytes["bases"][":NOTE/a"] == "{\"title\":\"theirs\"}");
}

TEST_CASE("Simulated: a wait that the server asked for outlives the success of another request") {
    World world;
    world.command({{"type", "settings"}, {"value", {{"maxBatchOps", 1}}}});
    for (int i = 0; i < 40; ++i) world.accept("NOTE", "n" + std::to_string(i), "create", "{}");   // it learns that several requests at once are well
    world.run(message());
    REQUIRE(world.queued() == 0);
    for (const char* id : {"a", "b", "c"}) world.accept("NOTE", id, "create", "{}");
    int requests = 0;
    world.network = [&requests](const Json&) -> Json {
        if (++requests > 1) return nullptr;
        return {{"status", 429}, {"headers", {{"retry-after", "60"}}}, {"body", ""}};
    };
    const double asked_at = world.now;
    world.run(message());
    CHECK(requests >= 2);
    CHECK(world.queued() >= 1);
    REQUIRE(world.wake);
    CHECK(*world.wake >= asked_at + 60000);
}

TEST_CASE("Simulated: a pause holds back the batch whose bytes are being loaded, and is stored before it is answered") {
    World world;
    world.accept("NOTE", "a", "create", "{}");
    const auto step = [&world](Json input) {
        input["nowMs"] = world.now;
        input["seed"] = 1;
        auto plan = world.planner.step(input);
        REQUIRE(plan.ok());
        return encode(plan.value());
    };
    const auto effect_of = [](const Json& plan, const char* type) {
        for (const Json& effect : plan["effects"])
            if (effect["type"] == type) return effect;
        return Json();
    };
    const Json load = effect_of(step({{"rows", Json::array({world.row(1)})}, {"event", {{"type", "message"}}}}), "load");
    REQUIRE(load.is_object());
    const Json paused = step({{"commands", Json::array({{{"type", "pause"}}})}});
    const Json commit = effect_of(paused, "commit");
    REQUIRE(commit.is_object());
    CHECK(commit["writes"].back()["value"]["paused"] == true);
    world.planner.put(load["items"][0]["slot"], "{}");
    const Json loaded = step({{"outcomes", Json::array({{{"id", commit["id"]}, {"commit", "ok"}}, {{"id", load["id"]}}})}});
    CHECK(effect_of(loaded, "send").is_null());
}

TEST_CASE("Simulated: a version cut off in the middle of its line is not taken as theirs") {
    World world;
    synced_note(world);
    world.server.docs["NOTE/a"] = {"{\"title\":\"one\",\"n\":7}", 2, false};
    world.accept("NOTE", "a", "update", "{\"title\":\"two\",\"n\":1}");
    bool cut = false;
    world.network = [&](const Json& send) -> Json {
        if (cut || send["method"] != "POST") return nullptr;
        cut = true;
        const std::string head = "{\"protocol\":1,\"results\":1}\n", result = "{\"id\":\"op-2\",\"status\":412,\"etag\":\"\\\"2\\\"\",\"body\":true}\n";
        return {{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", head + result + "{\"title\":\"on"}};
    };
    world.run(message());
    CHECK(cut);
    REQUIRE(world.wake);
    world.now = *world.wake;
    world.run(message());
    CHECK(world.doc("NOTE", "a") == "{\"title\":\"two\",\"n\":7}");
    CHECK(world.bytes["bases"][":NOTE/a"] == "{\"title\":\"two\",\"n\":7}");
}

TEST_CASE("Simulated: an answer that is no document is not taken for the server's version") {
    World world;
    synced_note(world);
    world.server.docs["NOTE/a"] = {"{\"title\":\"one\",\"n\":7}", 2, false};
    world.accept("NOTE", "a", "update", "{\"title\":\"two\",\"n\":1}");
    world.network = [&](const Json& send) -> Json {
        if (send["method"] == "GET") return {{"status", 200}, {"headers", {{"content-type", "text/html"}}}, {"body", "<html>Sign in</html>"}};
        return {{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}},
                {"body", "{\"protocol\":1,\"results\":1}\n{\"id\":\"op-2\",\"status\":412,\"etag\":\"\\\"2\\\"\"}\n"}};
    };
    world.run(message());
    CHECK(world.queued() == 1);
    CHECK(world.bytes["bases"][":NOTE/a"] == "{\"title\":\"one\",\"n\":1}");
}

TEST_CASE("Simulated: an atomic group waits while REST mode is on, says why, and goes whole when batches may") {
    World world;
    world.command({{"type", "settings"}, {"value", {{"mode", "rest"}}}});
    for (const char* id : {"a", "b"}) world.accept("FORM", id, "create", "{}", {{"group", "g"}});
    world.accept("NOTE", "n", "create", "{}");
    int requests = 0;
    world.network = [&requests](const Json& send) -> Json {
        requests += send["method"] != "GET";
        return send["url"] == "batch" ? Json() : Json{{"status", 201}, {"headers", {{"etag", "\"1\""}}}, {"body", ""}};
    };
    world.run(message());
    CHECK(requests == 1);
    CHECK(world.queued() == 2);
    CHECK(!world.wake);   // time alone does not let it go
    const auto why = world.planner.explain("op-1");
    REQUIRE(why.ok());
    CHECK(why.value()["reason"] == "group");
    world.command({{"type", "settings"}, {"value", {{"mode", "batch"}}}});
    CHECK(world.queued() == 0);
    CHECK(world.server.requests.size() == 1);
}

TEST_CASE("Simulated: a group whose answer says conflict for one member and refused for another is refused whole") {
    World world;
    for (const char* id : {"a", "b"}) world.accept("FORM", id, "create", R"({"n":1,"by":"us"})");
    world.run(message());
    REQUIRE(world.queued() == 0);
    world.server.edit("FORM/a", R"({"n":1,"by":"them"})");
    for (const char* id : {"a", "b"}) world.accept("FORM", id, "update", R"({"n":2,"by":"us"})", {{"group", "g"}});
    world.server.refuse = [](const Json& line) { return line["entityId"] == "b" ? 422 : 0; };
    world.run(message());
    CHECK(world.row(3)["state"] == "dead");
    CHECK(world.row(4)["state"] == "dead");
    CHECK(world.bytes["docs"][":FORM/a"] == R"({"n":1,"by":"us"})");
    CHECK(world.bytes["docs"][":FORM/b"] == R"({"n":1,"by":"us"})");
}

TEST_CASE("Simulated: a dropped group leaves the lane alone that another change of it is being sent from") {
    World world;
    for (const char* id : {"a", "b"}) world.accept("FORM", id, "create", "{}", {{"group", "g"}});
    world.server.refuse = [](const Json& line) { return line.contains("group") ? 422 : 0; };
    world.run(message());
    REQUIRE(world.row(1)["state"] == "dead");
    world.server.refuse = nullptr;
    world.accept("FORM", "b", "create", "{}");
    world.network = [&](const Json&) -> Json { return {{"delay", 3}, {"failure", "network"}}; };
    world.run(message(), 4);   // on its way
    REQUIRE(world.row(3)["state"] == "sending");
    world.answers.clear();
    world.run({{"commands", Json::array({{{"type", "drop"}, {"id", "op-1"}}})}}, 1);
    REQUIRE(world.answers.size() == 1);
    CHECK(world.answers[0]["error"]["code"] == "in-flight");
    CHECK(world.row(1)["state"] == "dead");
}

TEST_CASE("Simulated: what depends on a refused change and was sent before without an answer keeps its key") {
    World world;
    synced_note(world);
    const std::string first = world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})", {{"noFold", true}});
    world.network = [](const Json&) -> Json { return {{"failure", "network"}}; };
    world.run(message(), 4);
    REQUIRE(world.row(3)["unknown"] == true);
    world.network = nullptr;
    world.server.refuse = [&](const Json& line) { return line["id"] == first ? 503 : 0; };
    world.now += 600000;
    world.run(message(), 4);
    CHECK(world.row(3)["unknown"] == true);   // it may still arrive, and must then be recognised
    CHECK(!world.row(3).contains("key"));
}

TEST_CASE("Simulated: a refused change is not cancelled while it has still to be taken out of its document") {
    World world;
    world.accept("FORM", "a", "create", R"({"n":1})");
    world.run(message());
    world.accept("FORM", "a", "update", R"({"n":2})");
    world.server.refuse = [](const Json&) { return 422; };
    world.on_commit = [](const Json& commit) -> std::string {
        for (const Json& write : commit["writes"])
            if (write["store"] == "docs") return "error";   // no room for the document as it was
        return "";
    };
    world.run(message());
    REQUIRE(world.row(2)["undo"] == "take-out");
    CHECK(world.command({{"type", "cancel"}, {"id", "op-2"}})["error"]["code"] == "in-flight");
    world.on_commit = nullptr;
    world.now += 5000;
    world.run(message());
    CHECK(world.bytes["docs"][":FORM/a"] == R"({"n":1})");
    CHECK(world.command({{"type", "cancel"}, {"id", "op-2"}})["ok"] == true);
}

TEST_CASE("Simulated: a change saved while a conflict's documents are being read is rebased with the others") {
    World world;
    synced_note(world);
    world.server.edit("NOTE/a", R"({"title":"one","n":7})");
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    bool saved = false;
    world.on_load = [&](const Json& load) {
        if (saved || world.server.requests.size() < 2 || load["items"][0]["store"] != "bases") return;   // of the conflict, not of the batch
        saved = true;
        world.accept("NOTE", "a", "update", R"({"title":"two","n":1,"more":true})", {{"noFold", true}});
    };
    world.run(message());
    CHECK(saved);
    CHECK(world.queued() == 0);
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":7,"more":true})");
}

TEST_CASE("Simulated: a change saved while a page's documents are being read costs nothing of the page") {
    World world;
    world.server.edit("NOTE/a", R"({"title":"one","n":1})");
    world.server.edit("NOTE/b", R"({"title":"one","n":1})");
    world.pull();
    REQUIRE(world.shown("NOTE/b") == R"({"title":"one","n":1})");
    world.server.edit("NOTE/a", R"({"title":"one","n":7})");
    world.server.edit("NOTE/b", R"({"title":"one","n":7})");
    bool saved = false;
    world.on_load = [&](const Json& load) {
        if (saved || load["items"][0]["store"] != "bases") return;
        saved = true;
        world.accept("NOTE", "b", "update", R"({"title":"two","n":1})");
    };
    world.pull();
    CHECK(saved);
    CHECK(world.shown("NOTE/a") == R"({"title":"one","n":7})");
    CHECK(world.shown("NOTE/b") == R"({"title":"two","n":7})");
    world.run(message());
    CHECK(world.doc("NOTE", "b") == R"({"title":"two","n":7})");
}

TEST_CASE("Simulated: a cancel that a save made stale is carried out, and what was saved stays") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    world.command({{"type", "pause"}});
    bool saved = false;
    world.on_commit = [&](const Json& commit) -> std::string {
        if (saved || commit["lanes"].empty()) return "";
        saved = true;
        world.accept("NOTE", "a", "update", R"({"title":"three","n":1})", {{"noFold", true}});
        return "";   // the store finds the new row by itself
    };
    CHECK(world.command({{"type", "cancel"}, {"id", "op-2"}}).value("ok", false));
    CHECK(saved);
    CHECK(world.values["ops"].count("2") == 0);
    CHECK(world.values["ops"].count("3") == 1);
    CHECK(world.bytes["docs"][":NOTE/a"] == R"({"title":"three","n":1})");
}

TEST_CASE("Simulated: a refused delete that is retried is what the app sees again") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "delete", "");
    world.server.refuse = [](const Json&) { return 422; };
    world.run(message());
    REQUIRE(world.row(2)["state"] == "dead");
    CHECK(world.shown("NOTE/a") == R"({"title":"one","n":1})");
    world.command({{"type", "pause"}});
    world.command({{"type", "retry"}, {"id", "op-2"}});
    CHECK(world.values["docs"][":NOTE/a"]["deleted"] == true);
    CHECK(world.shown("NOTE/a").empty());
}

TEST_CASE("Simulated: in REST mode a probe that meets a 412 fetches theirs") {
    World world;
    synced_note(world);
    world.command({{"type", "settings"}, {"value", {{"mode", "rest"}}}});
    world.server.edit("NOTE/a", R"({"title":"one","n":7})");
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})");
    bool down = true;
    int fetched = 0;
    world.network = [&](const Json& send) -> Json {
        if (down) return {{"failure", "network"}};
        if (send["method"] == "GET") return ++fetched, Json();
        return {{"status", 412}, {"headers", {{"content-type", "application/problem+json"}, {"etag", "\"2\""}}}, {"body", "{}"}};
    };
    for (int i = 0; i < 12 && world.queued(); ++i) {   // the breaker opens
        world.run({{"event", {{"type", "timer"}}}});
        REQUIRE(world.wake);
        world.now = *world.wake;
    }
    down = false;
    world.run({{"event", {{"type", "timer"}}}});
    CHECK(fetched >= 1);
    CHECK(world.bytes["docs"][":NOTE/a"] == R"({"title":"two","n":7})");
}

TEST_CASE("Simulated: a wait that the server asks for holds for what is decided in the same step before its answer is looked at") {
    World world;
    world.command({{"type", "settings"}, {"value", {{"maxBatchOps", 1}}}});
    for (int i = 0; i < 40; ++i) world.accept("NOTE", "n" + std::to_string(i), "create", "{}");   // it learns that several requests at once are well
    world.run(message());
    REQUIRE(world.queued() == 0);
    world.accept("NOTE", "a", "create", "{}");
    int requests = 0;
    world.network = [&](const Json&) -> Json {
        if (++requests > 1) return nullptr;
        world.accept("NOTE", "b", "create", "{}");   // its bytes are there in the same step as this answer
        return {{"delay", 2}, {"status", 429}, {"headers", {{"retry-after", "60"}}}, {"body", ""}};
    };
    const double asked_at = world.now;
    world.run(message());
    CHECK(requests == 1);
    REQUIRE(world.wake);
    CHECK(*world.wake >= asked_at + 60000);
}

TEST_CASE("Simulated: how long to wait after a pull that failed is remembered by the next process") {
    World world;
    world.pull();
    int requests = 0;
    world.network = [&requests](const Json&) -> Json { return ++requests, Json{{"failure", "network"}}; };
    const Json start = {{"event", {{"type", "start"}}}};
    for (int i = 0; i < 8 && (!world.wake || *world.wake < world.now + 2000); ++i) {
        world.now += 2000;
        world.run(start);
    }
    REQUIRE(world.wake);
    REQUIRE(*world.wake >= world.now + 2000);
    const int before = requests;
    world.now += 1500;   // later than the gap between two pulls
    world.restart();
    world.run(start);
    CHECK(requests == before);
}

TEST_CASE("Simulated: what was formed as a change of an op that leaves is formed anew") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}, {"expiresAt", world.now + 20000}});
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})", {{"noFold", true}});
    world.network = [](const Json&) -> Json { return {{"status", 401}, {"headers", Json::object()}, {"body", ""}}; };   // both were formed, neither applied
    world.run(message());
    REQUIRE(world.row(3)["sends"] == 1);
    world.now += 30000;
    world.network = nullptr;
    world.command({{"type", "resume"}});
    CHECK(world.queued() == 0);
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":2})");
    CHECK(world.bytes["bases"][":NOTE/a"] == R"({"title":"two","n":2})");
}

TEST_CASE("Simulated: an op does not expire under a later change that was sent on top of it and may have been applied") {
    World world;
    synced_note(world);
    const std::string both = R"({"title":"three","n":2})";
    const std::string first = world.accept("NOTE", "a", "update", R"({"title":"three","n":1})", {{"noFold", true}, {"expiresAt", world.now + 20000}});
    const std::string second = world.accept("NOTE", "a", "update", both, {{"noFold", true}});
    const std::string other = world.accept("NOTE", "b", "create", "{}");
    const std::uint64_t seq = world.seq;
    world.network = [&](const Json&) -> Json {   // of the second there is no result
        world.readings = {{"online", false}};
        return {{"status", 200}, {"headers", Json::object()}, {"body", "{\"protocol\":1,\"results\":3}\n{\"id\":\"" + first + "\",\"status\":424}\n{\"id\":\"" + other + "\",\"status\":422}\n"}};
    };
    world.run(message());
    REQUIRE(world.row(seq - 2)["key"] == first + ".2");   // queued, to be formed anew
    REQUIRE(world.row(seq - 1)["state"] == "unknown");
    world.network = nullptr;
    world.readings = {{"online", true}};
    world.now += 30000;
    world.command({{"type", "resume"}});
    CHECK(world.queued() == 1);   // the other one, refused
    CHECK(world.doc("NOTE", "a") == both);
    CHECK(world.bytes["bases"][":NOTE/a"] == both);
}

TEST_CASE("Simulated: what was formed as a change of a refused creation creates the entity itself") {
    World world;
    world.accept("NOTE", "a", "create", R"({"n":1})", {{"noFold", true}});
    world.accept("NOTE", "a", "update", R"({"n":2})", {{"noFold", true}});
    world.server.refuse = [](const Json& line) { return line["id"] == "op-1" ? 403 : 503; };
    world.run(message(), 8);
    REQUIRE(world.row(1)["state"] == "dead");
    world.server.refuse = nullptr;
    for (int i = 0; i < 5 && world.row(2).is_object() && world.queued() > 1; ++i) {
        if (world.wake) world.now = std::max(world.now, *world.wake);
        world.run({{"event", {{"type", "timer"}}}});
    }
    CHECK(world.queued() == 1);
    CHECK(world.doc("NOTE", "a") == R"({"n":2})");
}

TEST_CASE("Simulated: a refused change is not retried below a later one whose answer is open") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    world.server.refuse = [](const Json&) { return 422; };
    world.run(message());
    REQUIRE(world.row(2)["state"] == "dead");
    world.server.refuse = nullptr;
    world.accept("NOTE", "a", "update", R"({"title":"one","n":5})", {{"noFold", true}});
    world.server.drop_answer = true;
    world.run(message(), 6);
    REQUIRE(world.row(3)["unknown"] == true);
    CHECK(world.command({{"type", "retry"}, {"id", "op-2"}})["error"]["code"] == "in-flight");
    CHECK(world.row(2)["state"] == "dead");
    world.server.drop_answer = false;
    world.now += 600000;
    world.run({{"event", {{"type", "manual"}}}});
    REQUIRE(world.queued() == 1);
    CHECK(world.command({{"type", "retry"}, {"id", "op-2"}}).value("ok", false));
    CHECK(world.queued() == 0);
    CHECK(world.server.effects.size() == 3);   // each once
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":5})");
}

TEST_CASE("Simulated: a delta on top of a change that was refused, both sent before without an answer, is not applied to what was there before") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})", {{"noFold", true}});
    world.network = [](const Json&) -> Json { return {{"failure", "network"}}; };
    world.run(message(), 6);
    REQUIRE(world.row(3)["unknown"] == true);
    world.network = nullptr;
    world.server.refuse = [](const Json& line) { return line["id"] == "op-2" ? 422 : line.contains("after") ? 503 : 0; };
    for (int i = 0; i < 8 && world.queued() > 1; ++i) {
        if (world.wake) world.now = std::max(world.now, *world.wake);
        world.run({{"event", {{"type", "timer"}}}});
    }
    CHECK(world.queued() == 1);
    CHECK(world.row(2)["state"] == "dead");
    CHECK(world.doc("NOTE", "a") == R"({"title":"one","n":2})");
    CHECK(world.bytes["bases"][":NOTE/a"] == world.doc("NOTE", "a"));
}

namespace {

// The server applies the request, the reused connection breaks, and the browser sends the same bytes again by itself: that copy is answered with `status`.
void sent_again_and_refused(World& world, int status) {
    world.network = [&world, status](const Json& send) -> Json {
        world.server.batch(*world.planner.bytes(send["slot"]));
        return {{"status", status}, {"headers", Json::object()}};
    };
}

}  // namespace

TEST_CASE("Simulated: a request refused whole before keys are looked at leaves open what an earlier copy of it did") {
    for (const int status : {401, 429}) {
        CAPTURE(status);
        World world;
        synced_note(world);
        world.accept("NOTE", "a", "update", R"({"title":"two","n":1})");
        sent_again_and_refused(world, status);
        world.run(message(), 6);
        REQUIRE(world.server.effects.size() == 2);
        CHECK(world.row(2)["unknown"] == true);
        CHECK(world.command({{"type", "cancel"}, {"id", "op-2"}})["error"]["code"] == "in-flight");
        world.network = nullptr;
        world.server.edit("NOTE/a", R"({"title":"theirs","n":1})");
        world.pull();
        world.now += 600000;
        world.run({{"event", {{"type", "manual"}}}});
        CHECK(world.queued() == 0);
        CHECK(world.server.effects.size() == 2);   // not put over theirs
    }
}

TEST_CASE("Simulated: the priority of an op that is folded in this very step is not set, and its row does not come back") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})");
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})");
    world.run(message(), 1);   // its bytes are being read
    const Json answer = world.command({{"type", "setPriority"}, {"id", "op-2"}, {"priority", "high"}});
    CHECK(answer["error"]["code"] == "in-flight");
    world.run(message());
    CHECK(world.queued() == 0);
    CHECK(world.row(2).is_null());
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":2})");
}

TEST_CASE("Simulated: what was to create anew behind a delete that expired changes what stays, and a delete of that is sent") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "delete", "", {{"expiresAt", world.now + 1000}});
    world.accept("NOTE", "a", "create", R"({"n":2})");
    world.accept("NOTE", "a", "delete", "");
    world.values["docs"][":NOTE/a"] = {{"deleted", true}};
    world.readings["online"] = false;
    world.run(message());
    world.now += 60000;
    world.readings["online"] = true;
    world.run(message());
    CHECK(world.queued() == 0);
    CHECK(world.doc("NOTE", "a").empty());
    CHECK(world.server.effects.size() == 2);
}

TEST_CASE("Simulated: a refused change is taken out of what was made on top of it, and not of what is created anew behind a delete") {
    World world;
    synced_note(world);
    const std::string refused = world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", {{"noFold", true}});
    world.accept("NOTE", "a", "delete", "", {{"noFold", true}});
    world.accept("NOTE", "a", "create", R"({"title":"two","n":7})", {{"noFold", true}});
    world.accept("NOTE", "a", "update", R"({"title":"two","n":8})", {{"noFold", true}});
    world.server.refuse = [&](const Json& line) { return line["id"] == refused ? 403 : 0; };
    for (int i = 0; i < 4; ++i) {
        world.run(message());
        world.now += 600000;
    }
    CHECK(world.row(2)["state"] == "dead");
    CHECK(world.queued() == 1);
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":8})");
}

TEST_CASE("Simulated: what was refused as too large may have been taken in an earlier copy: it keeps its key when it is retried") {
    World world;
    synced_note(world);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})");
    sent_again_and_refused(world, 413);
    world.run(message());
    REQUIRE(world.row(2)["state"] == "dead");
    CHECK(world.row(2)["reason"] == "Too large for the server (whether any earlier send that had no answer was applied is not known)");
    world.network = nullptr;
    CHECK(world.command({{"type", "retry"}, {"id", "op-2"}}).value("ok", false));
    world.run(message());
    CHECK(world.queued() == 0);
    CHECK(world.server.effects.size() == 2);   // the note, and this once
}

TEST_CASE("Simulated: what was made on top of a change that is refused late does not rest on an earlier one in its request") {
    World world;
    const auto note = [](const char* title, int n) { return Json{{"title", title}, {"n", n}, {"long", std::string(300, 'x')}}.dump(); };
    world.accept("NOTE", "a", "create", note("one", 1));
    world.run(message());
    world.accept("NOTE", "a", "update", note("one", 2), {{"noFold", true}});
    world.accept("NOTE", "a", "update", note("two", 2), {{"noFold", true}});
    world.accept("NOTE", "a", "update", note("two", 3), {{"noFold", true}});
    world.network = [](const Json&) { return Json{{"failure", "network"}}; };
    world.run(message());
    REQUIRE(world.row(4)["state"] == "unknown");
    world.network = nullptr;
    world.server.refuse = [](const Json& line) { return line["id"] == "op-2" ? 500 : line["id"] == "op-3" ? 403 : 0; };
    world.now += 600000;
    world.run(message());
    REQUIRE(world.row(3)["state"] == "dead");
    world.server.refuse = nullptr;
    for (int i = 0; i < 6; ++i) {
        world.now += 600000;
        world.run(message());
    }
    CHECK(world.queued() == 1);
    CHECK(parse_json(world.doc("NOTE", "a")).value() == parse_json(note("one", 3)).value());
    CHECK(parse_json(world.bytes["bases"][":NOTE/a"]).value() == parse_json(note("one", 3)).value());
}

TEST_CASE("Simulated: of two changes that are refused at once both are taken out, and the one after them keeps what it changed") {
    World world;
    synced_note(world);
    world.server.refuse = [](const Json& line) { return line["id"] == "op-2" || line["id"] == "op-3" ? 422 : 0; };
    const Json apart = {{"noFold", true}};
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})", apart);
    world.accept("NOTE", "a", "update", R"({"title":"three","n":1})", apart);
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})", apart);   // back to what the first of them made of it
    for (int i = 0; i < 5 && world.queued() > 2; ++i) {
        world.run(message());
        world.now += 400000;
    }
    CHECK(world.row(2)["state"] == "dead");
    CHECK(world.row(3)["state"] == "dead");
    CHECK(world.queued() == 2);
    CHECK(world.doc("NOTE", "a") == R"({"title":"two","n":2})");
    CHECK(world.shown("NOTE/a") == R"({"title":"two","n":2})");
}

TEST_CASE("Simulated: what names an entity waits when that turns out to be gone from the server, also while its bytes are being loaded") {
    World world;
    synced_note(world);
    world.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
    world.server.docs["NOTE/a"] = {"", 2, true};
    world.accept("NOTE", "a", "update", R"({"title":"two","n":1})");
    world.accept("NOTE", "a", "update", R"({"title":"two","n":2})", {{"noFold", true}});
    world.accept("NOTE", "b", "create", "{}", {{"dependsOn", Json::array({":NOTE/a"})}});
    world.run(message());
    CHECK(world.queued() == 0);
    const auto at = [&world](const char* key) { return std::find(world.server.effects.begin(), world.server.effects.end(), key) - world.server.effects.begin(); };
    CHECK(at("op-2.2") < at("op-4"));
    CHECK(world.server.effects.size() == 4);
}
