#include <doctest/doctest.h>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};

std::string form(int n) {
    return "{\"title\":\"Well inspection at the northern settlement, visit of the water team\",\"severity\":" + std::to_string(n) +
           ",\"needs\":[\"water\",\"shelter\"],\"notes\":\"The pump handle is broken and the trough leaks.\"}";
}

}  // namespace

TEST_CASE("an accepted op reaches the server and leaves the outbox with its base stored") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.run(kSync);
    CHECK(w.last_idle);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == form(1));
    CHECK(w.values["bases"][":FORM/a"]["etag"] == "\"1\"");
    CHECK(w.bytes["bases"][":FORM/a"] == form(1));
    CHECK(w.bytes["payloads"].empty());
    CHECK(w.server.effects.size() == 1);
}

TEST_CASE("a hundred edits of one entity that was never sent are one request with one op") {
    World w;
    w.accept("FORM", "a", "create", form(0));
    for (int i = 1; i <= 100; ++i) w.accept("FORM", "a", "update", form(i));
    w.run(kSync);
    CHECK(w.server.requests.size() == 1);
    CHECK(w.server.effects.size() == 1);
    CHECK(w.doc("FORM", "a") == form(100));
    CHECK(w.queued() == 0);
    int folded = 0;
    for (const auto& [key, record] : w.values["history"])
        if (record.value("kind", "") == "folded") {
            ++folded;
            CHECK(record["into"] == "op-101");
        }
    CHECK(folded == 100);
}

TEST_CASE("with coalescing off every version is its own effect, chained in one request, each a delta") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.accept("FORM", "a", "create", form(0));
    w.run(kSync);
    for (int i = 1; i <= 39; ++i) w.accept("FORM", "a", "update", form(i));
    w.run(kSync);
    CHECK(w.server.requests.size() == 2);
    CHECK(w.server.effects.size() == 40);
    CHECK(w.doc("FORM", "a") == form(39));
    CHECK(w.server.requests[1].size() < 39 * form(0).size());
}

TEST_CASE("lanes that take turns in one batch are each one chain: no op meets its own sibling as a conflict") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    const char* lanes[] = {"a", "b", "c"};
    for (int round = 0; round < 4; ++round)
        for (const char* lane : lanes) w.accept("FORM", lane, round == 0 ? "create" : "update", form(10 * round + lane[0] % 3));
    w.run(kSync);
    CHECK(w.server.requests.size() == 1);
    CHECK(w.server.effects.size() == 12);
    CHECK(w.queued() == 0);
    for (const char* lane : lanes) CHECK(w.doc("FORM", lane) == form(30 + lane[0] % 3));
    for (const Json& event : w.events) CHECK(event["event"] != "sync.conflict");
    for (const std::string& key : w.server.effects) CHECK(key.find('.') == std::string::npos);  // each under its first key
}

TEST_CASE("what rests on a refused op waits, also when other lanes stand between them") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    for (int round = 0; round < 2; ++round)
        for (const char* lane : {"a", "b"}) w.accept("FORM", lane, round == 0 ? "create" : "update", form(round));
    w.bytes["payloads"].erase("000000000001:next");
    w.run(kSync);
    CHECK(w.row(1)["state"] == "quarantined");
    CHECK(w.doc("FORM", "a") == form(1));
    CHECK(w.doc("FORM", "b") == form(1));
    CHECK(w.server.effects.size() == 3);
}

TEST_CASE("create and delete before any send are nothing, with a record each") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.accept("FORM", "a", "delete", "");
    w.run(kSync);
    CHECK(w.server.requests.empty());
    CHECK(w.queued() == 0);
    int cancelled = 0;
    for (const auto& [key, record] : w.values["history"]) cancelled += record.value("kind", "") == "cancelled";
    CHECK(cancelled == 2);
}

TEST_CASE("FF-06: a lost answer is repeated with the same key and the same bytes, and there is one effect") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.run(kSync);
    w.accept("FORM", "a", "update", form(2));
    w.server.drop_answer = true;
    w.run(kSync, 6);
    const std::string first = w.server.requests.back();
    CHECK(w.row(2)["state"] == "unknown");
    CHECK(w.row(2)["unknown"] == true);
    w.server.drop_answer = false;
    w.restart();
    w.now += 400000;
    w.run(kSync);
    CHECK(w.server.requests.back() == first);
    CHECK(w.server.effects.size() == 2);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == form(2));
}

TEST_CASE("FF-28: an op that was sending when the process died is never folded") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.values["ops"]["1"]["state"] = "sending";
    w.values["ops"]["1"]["sends"] = 1;
    w.values["ops"]["1"]["codec"] = "full";
    w.server.answers["op-1"] = {201, 1};   // it had been applied
    w.server.docs["FORM/a"] = {form(1), 1, false};
    w.accept("FORM", "a", "update", form(2));
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == form(2));
    CHECK(w.server.effects.size() == 1);   // the update; the create was known
}

TEST_CASE("a kill at any step loses nothing and doubles nothing") {
    int most = 0;
    {
        World w;
        for (int i = 0; i < 5; ++i) w.accept("FORM", "e" + std::to_string(i % 3), i < 3 ? "create" : "update", form(i));
        w.run(kSync);
        most = w.steps;
    }
    for (int cut = 1; cut <= most; ++cut)
        for (const bool drop : {false, true}) {
            World w;
            for (int i = 0; i < 5; ++i) w.accept("FORM", "e" + std::to_string(i % 3), i < 3 ? "create" : "update", form(i));
            w.server.drop_answer = drop;
            w.run(kSync, cut);
            w.server.drop_answer = false;
            w.restart();
            w.now += 400000;
            w.run(kSync);
            CAPTURE(cut);
            CHECK(w.queued() == 0);
            CHECK(w.server.effects.size() <= 5);
            std::set<std::string> once(w.server.effects.begin(), w.server.effects.end());
            CHECK(once.size() == w.server.effects.size());
            CHECK(w.doc("FORM", "e0") == form(3));
            CHECK(w.doc("FORM", "e1") == form(4));
            CHECK(w.doc("FORM", "e2") == form(2));
        }
}

TEST_CASE("critical before normal, priority then FIFO") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}}}});
    w.accept("FORM", "low", "create", form(1), {{"priority", "low"}});
    w.accept("FORM", "n1", "create", form(2));
    w.accept("FORM", "crit", "create", form(3), {{"priority", "critical"}});
    w.accept("FORM", "n2", "create", form(4));
    w.accept("FORM", "high", "create", form(5), {{"priority", "high"}});
    w.command({{"type", "settings"}, {"value", {{"maximumConcurrentOperations", 1}}}});
    w.run(kSync);
    CHECK(w.server.effects == std::vector<std::string>{"op-3", "op-5", "op-2", "op-4", "op-1"});
}

TEST_CASE("rules add points: a severe low report overtakes a normal one") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
    const Json rules = Json::array({{{"name", "severe"}, {"points", 60}, {"when", {{"field", "severity"}, {"op", ">="}, {"value", 4}}}}});
    CHECK(w.command({{"type", "rules"}, {"value", rules}})["ok"] == true);
    w.accept("FORM", "n", "create", form(1), {{"fields", {{"severity", 1}}}});
    w.accept("FORM", "l", "create", form(2), {{"priority", "low"}, {"fields", {{"severity", 5}}}});
    w.run(kSync);
    CHECK(w.server.effects == std::vector<std::string>{"op-2", "op-1"});
}

TEST_CASE("a 412 merges both sides' edits, keeps the losing value, and sends the result under a new key") {
    World w;
    w.accept("FORM", "a", "create", R"({"a":1,"b":1,"c":1})");
    w.run(kSync);
    w.server.docs["FORM/a"] = {R"({"a":1,"b":2,"c":9})", 2, false};
    w.accept("FORM", "a", "update", R"({"a":5,"b":1,"c":7})");
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == R"({"a":5,"b":2,"c":7})");
    CHECK(w.server.effects.back() == "op-2.2");
    bool audited = false;
    for (const auto& [key, record] : w.values["history"])
        if (record.value("kind", "") == "conflict") {
            audited = true;
            REQUIRE(record["clashes"].size() == 1);
            CHECK(record["clashes"][0]["path"] == "/c");
            CHECK(record["clashes"][0]["theirs"] == "9");
            CHECK(record["clashes"][0]["winner"] == "ours");
        }
    CHECK(audited);
    CHECK(w.bytes["docs"][":FORM/a"] == R"({"a":5,"b":2,"c":7})");
}

TEST_CASE("a conflict in the middle of a chain rebases what comes after it") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.accept("FORM", "a", "create", R"({"a":1,"b":1,"c":1})");
    w.run(kSync);
    w.server.docs["FORM/a"] = {R"({"a":1,"b":2,"c":1})", 2, false};
    w.accept("FORM", "a", "update", R"({"a":5,"b":1,"c":1})");
    w.accept("FORM", "a", "update", R"({"a":5,"b":1,"c":8})");
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == R"({"a":5,"b":2,"c":8})");
    CHECK(w.server.effects.size() == 3);
}

TEST_CASE("a 4xx makes a dead letter with the answer in it, and the next version of the entity goes on") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.server.refuse = [](const Json& line) { return line["id"] == "op-1" ? 422 : 0; };
    w.accept("FORM", "a", "create", form(1));
    w.accept("FORM", "b", "create", form(2));
    w.run(kSync);
    CHECK(w.row(1)["state"] == "dead");
    CHECK(w.row(1)["error"]["status"] == 422);
    CHECK(w.bytes["payloads"]["000000000001:next"] == form(1));
    CHECK(w.doc("FORM", "b") == form(2));
    w.accept("FORM", "a", "update", form(3));
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == form(3));
    CHECK(w.queued() == 1);
    CHECK((*w.status)["deadLetters"] == 1);
    SUBCASE("a person can retry it") {
        w.server.refuse = nullptr;
        CHECK(w.command({{"type", "retry"}, {"id", "op-1"}})["ok"] == true);
    }
    SUBCASE("or drop it") {
        CHECK(w.command({{"type", "drop"}, {"id", "op-1"}})["ok"] == true);
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("FF-05, FF-08: per-op 500s count while others succeed, and end in a dead letter that says so") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"jitter", "none"}}}});
    w.server.refuse = [](const Json& line) { return line["entityId"] == "bad" ? 500 : 0; };
    w.accept("FORM", "bad", "create", form(1));
    for (int i = 0; i < 12; ++i) {
        w.accept("FORM", "good" + std::to_string(i), "create", form(i));
        w.run({{"event", {{"type", "timer"}}}});
        w.now += 400000;
    }
    CHECK(w.row(1)["state"] == "dead");
    CHECK(w.row(1)["attempts"] == 5);
    CHECK(w.queued() == 1);
}

TEST_CASE("a result missing from the answer is unknown, not done") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.accept("FORM", "b", "create", form(2));
    int calls = 0;
    w.network = [&](const Json&) -> Json {
        if (++calls > 1) return nullptr;
        return {{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}},
                {"body", "{\"protocol\":1,\"results\":2}\n{\"id\":\"op-1\",\"status\":201,\"etag\":\"\\\"1\\\"\"}\n{\"id\":\"zz\",\"status\":201}\n"}};
    };
    w.run(kSync);
    CHECK(w.row(1).is_null());
    CHECK(w.row(2)["state"] == "unknown");
    w.now += 400000;
    w.run(kSync);
    CHECK(w.queued() == 0);
}

TEST_CASE("a result missing in the middle of a lane leaves what follows it unknown, and the base never goes back") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.accept("FORM", "a", "create", form(1));
    w.run(kSync);
    w.accept("FORM", "a", "update", form(2));
    w.accept("FORM", "a", "update", form(3));
    bool once = true;
    w.network = [&](const Json& send) -> Json {
        if (!once) return nullptr;
        once = false;
        const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
        std::string cut = text;
        const std::size_t start = cut.find("{\"etag\":\"\\\"2\\\"\"");
        REQUIRE(start != std::string::npos);
        cut.erase(start, cut.find('\n', start) - start + 1);
        return {{"status", status}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", cut}};
    };
    w.run(kSync, 8);
    w.now += 400000;
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 3);
    CHECK(w.values["bases"][":FORM/a"]["etag"] == "\"3\"");
}

TEST_CASE("a captive portal's 200 is no answer") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    w.network = [](const Json&) -> Json { return {{"status", 200}, {"headers", {{"content-type", "text/html"}}}, {"body", "<html>Login</html>"}}; };
    w.run(kSync, 20);
    CHECK(w.row(1)["state"] == "unknown");
    CHECK(w.row(1).value("attempts", 0) == 0);
    w.network = nullptr;
    w.now += 400000;
    w.run(kSync);
    CHECK(w.queued() == 0);
}

TEST_CASE("413 halves the batch until it fits; one op that never fits is a dead letter") {
    World w;
    w.server.refuse_request = [&w] { return w.server.requests.back().size() > 3000 ? 413 : 0; };
    for (int i = 0; i < 40; ++i) w.accept("FORM", "e" + std::to_string(i), "create", form(i));
    w.accept("FORM", "big", "create", "{\"x\":\"" + std::string(5000, 'y') + "\"}");
    for (int i = 0; i < 60 && w.queued() > 1; ++i) {
        w.run(kSync);
        w.now += 400000;
    }
    CHECK(w.queued() == 1);
    CHECK(w.row(41)["state"] == "dead");
    CHECK(w.server.effects.size() == 40);
}

TEST_CASE("what no batch takes goes by itself, as in REST mode, and others go on in batches") {
    World w;
    std::string alone;
    w.network = [&](const Json& send) -> Json {
        if (send["url"] == "batch") return nullptr;
        alone = std::string(send["method"]) + " " + std::string(send["url"]);
        REQUIRE(w.planner.bytes(send["slot"]));
        CHECK(*w.planner.bytes(send["slot"]) == w.bytes["payloads"]["000000000002:next"]);
        return {{"status", 201}, {"headers", {{"etag", "\"1\""}}}, {"body", ""}};
    };
    w.accept("FORM", "small", "create", form(1));
    w.accept("FORM", "big", "create", "{\"x\":\"" + std::string(700'000, 'y') + "\"}");
    w.accept("FORM", "small too", "create", form(2));
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(alone == "PUT entities/FORM/big");
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-3"});
    CHECK(w.server.requests.size() == 1);
}

TEST_CASE("while a commit is stale nothing is sent, and the new rows are decided with the old") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    bool once = true;
    w.on_commit = [&](const Json& commit) -> std::string {
        if (!once || commit["lanes"].empty()) return "";
        once = false;
        w.accept("FORM", "a", "update", form(2));
        return "";
    };
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == form(2));
    CHECK(w.server.effects.size() == 1);
}

TEST_CASE("FF-02: a storage error after the server said yes causes no second effect and is retried") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    int commits = 0;
    w.on_commit = [&](const Json&) -> std::string { return ++commits == 2 ? "error" : ""; };
    w.run(kSync);
    for (int i = 0; i < 5 && w.queued() > 0; ++i) {
        w.now += 2000;
        w.run(kSync);
    }
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 1);
    CHECK(w.server.requests.size() == 1);
}

TEST_CASE("offline, paused, battery low: nothing is sent, and the status says which") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    SUBCASE("offline") {
        w.readings = {{"online", false}};
        w.run(kSync);
        CHECK((*w.status)["state"] == "offline");
        CHECK(w.last_reject);
    }
    SUBCASE("paused") {
        w.command({{"type", "pause"}});
        w.run(kSync);
        CHECK((*w.status)["state"] == "paused");
        CHECK_FALSE(w.last_reject);
        w.command({{"type", "resume"}});
    }
    SUBCASE("battery") {
        w.readings = {{"online", true}, {"batteryLevel", 12}, {"charging", false}, {"atMs", w.now}};
        w.run(kSync);
        CHECK((*w.status)["state"] == "waiting");
        CHECK((*w.status)["reason"].get<std::string>().find("12") != std::string::npos);
    }
    if (w.server.requests.empty()) CHECK(w.queued() == 1);
    w.readings = {{"online", true}};
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK((*w.status)["state"] == "completed");
}

TEST_CASE("FF-07: a bad row is rejected by itself, the rest is planned") {
    World w;
    w.accept("FORM", "a", "create", form(1), {{"priority", "urgent"}});
    w.accept("FORM", "b", "create", form(2));
    w.run(kSync);
    REQUIRE(w.rejected.size() == 1);
    CHECK(w.rejected[0]["path"] == "/priority");
    CHECK(w.rejected[0]["seq"] == 1);
    CHECK(w.doc("FORM", "b") == form(2));
    CHECK(w.queued() == 1);
}

TEST_CASE("FF-07: a row that cannot be read is an op all the same: counted, explained, waited for, never sent and never written over; mended, it goes") {
    World w;
    const std::string bad = w.accept("FORM", "a", "create", form(1), {{"priority", "urgent"}});
    w.accept("FORM", "b", "create", form(2), {{"dependsOn", {bad}}});
    w.accept("FORM", "c", "create", form(3));
    const Json row = w.row(1);
    const auto ask = [&w](const char* type, const std::string& id) { return w.command({{"type", type}, {"id", id}, {"priority", "high"}}); };
    for (int start = 1; start <= 2; ++start) {
        CAPTURE(start);
        w.run(kSync);
        CHECK(w.rejected.size() == static_cast<std::size_t>(start));
        CHECK(w.queued() == 2);
        CHECK((*w.status)["deadLetters"] == 1);
        CHECK(w.values["state"]["core"]["unread"]["1"]["state"] == "quarantined");
        const std::string reason = w.values["state"]["core"]["unread"]["1"]["reason"];
        CHECK(reason.find("\"urgent\"") != std::string::npos);
        CHECK(ask("explain", bad)["value"].dump().find("urgent") != std::string::npos);
        CHECK_FALSE(ask("retry", bad).contains("error"));
        w.run(kSync);
        CHECK(ask("explain", bad)["value"].dump().find("urgent") != std::string::npos);
        CHECK(w.queued() == 2);
        CHECK_FALSE(ask("setPriority", bad).contains("error"));
        CHECK(w.row(1) == row);
        w.restart();
    }
    SUBCASE("mended") {
        w.values["ops"]["1"]["priority"] = "high";
        w.run(kSync);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == form(1));
        CHECK(w.doc("FORM", "b") == form(2));
        CHECK(w.values["state"]["core"]["unread"].empty());
    }
    SUBCASE("mended, and nothing can be sent") {
        w.values["ops"]["1"]["priority"] = "high";
        w.readings = {{"online", false}};
        w.run(kSync);
        CHECK(w.queued() == 2);
        CHECK(w.values["state"]["core"]["unread"].empty());
    }
    SUBCASE("given up") {
        w.run(kSync);
        CHECK_FALSE(ask("drop", bad).contains("error"));
        w.run(kSync);
        CHECK(w.row(1).is_null());
        CHECK(w.doc("FORM", "b") == form(2));
    }
}

TEST_CASE("of rows that cannot be read a hundred are listed; all of them stay") {
    World w;
    for (int i = 0; i < 120; ++i) w.accept("FORM", "f" + std::to_string(i), "create", form(i), {{"priority", "urgent"}});
    w.accept("FORM", "fine", "create", form(1));
    w.run(kSync);
    CHECK(w.doc("FORM", "fine") == form(1));
    CHECK(w.queued() == 120);
    CHECK((*w.status)["deadLetters"] == 120);
    CHECK((*w.status)["state"] == "failed");
    CHECK(w.values["state"]["core"]["unread"].size() == kMaxUnreadShown);
}

TEST_CASE("the reason of a row that cannot be read outlives new rules and a person's sync, also where documents are migrated") {
    World w;
    w.schema_version = 1;
    w.restart();
    const std::string bad = w.accept("FORM", "a", "create", form(1), {{"priority", "urgent"}});
    w.run(kSync);
    w.command({{"type", "rules"}, {"value", Json::array()}});
    w.run({{"event", {{"type", "manual"}, {"trigger", "manual"}}}});
    CHECK(w.command({{"type", "explain"}, {"id", bad}}).dump().find("urgent") != std::string::npos);
}

TEST_CASE("a row of another owner that cannot be read is told to nobody") {
    World w;
    w.command({{"type", "signIn"}, {"value", {{"owner", "ann"}}}});
    w.accept("FORM", "a", "create", form(1), {{"owner", "bob"}, {"priority", "urgent"}});
    w.run(kSync);
    CHECK(w.rejected.empty());
    CHECK((*w.status)["deadLetters"] == 0);
    w.command({{"type", "signIn"}, {"value", {{"owner", "bob"}}}});
    CHECK((*w.status)["deadLetters"] == 1);
}

TEST_CASE("an atomic group with a row that cannot be read goes not at all") {
    World w;
    w.accept("FORM", "a", "create", form(1), {{"group", "g"}, {"priority", "urgent"}});
    const std::string fine = w.accept("FORM", "b", "create", form(2), {{"group", "g"}});
    w.run(kSync);
    CHECK(w.queued() == 2);
    CHECK(w.server.requests.empty());
    CHECK_FALSE(w.command({{"type", "retry"}, {"id", fine}}).contains("error"));   // whichever of them is asked for
    w.run(kSync);
    CHECK(w.queued() == 2);
    CHECK(w.server.requests.empty());
}

TEST_CASE("a malformed input is refused by path and changes nothing") {
    World w;
    w.accept("FORM", "a", "create", form(1));
    auto refused = w.planner.step({{"nowMs", "later"}, {"seed", 1}});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().path == "/nowMs");
    refused = w.planner.step({{"nowMs", 1}, {"seed", 1}, {"event", {{"type", "moon"}}}});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().path == "/event/type");
    w.run(kSync);
    CHECK(w.queued() == 0);
}

TEST_CASE("settings are validated with path and value, unknown keys are kept and reported") {
    World w;
    const Json refused = w.command({{"type", "settings"}, {"value", {{"minimumBatteryLevel", 400}}}});
    CHECK(refused["error"]["path"] == "/minimumBatteryLevel");
    CHECK(refused["error"]["message"].get<std::string>().find("400") != std::string::npos);
    const Json kept = w.command({{"type", "settings"}, {"value", {{"colour", "blue"}, {"requiresCharging", true}}}});
    CHECK(kept["unknown"][0] == "colour");
    CHECK(w.values["state"]["settings"]["colour"] == "blue");
    w.restart();
    CHECK(w.command({{"type", "settings"}})["value"]["requiresCharging"] == true);
}

TEST_CASE("settings that another release stored beyond what this one takes are read with the rest, and shown as they are used") {
    World w;
    w.values["state"]["settings"] = {{"maximumConcurrentOperations", 16}, {"maxBatchOps", 1000}, {"maxBatchBytes", 16777216}, {"jitter", "none"}};
    w.restart();
    const Json read = w.command({{"type", "settings"}})["value"];
    CHECK(read["maximumConcurrentOperations"] == 6);
    CHECK(read["maxBatchOps"] == 200);
    CHECK(read["maxBatchBytes"] == 524288);
    CHECK(read["jitter"] == "none");
}

TEST_CASE("what a newer release put into the core's state and into the settings is still there after this one wrote them") {
    World w;
    w.accept("FORM", "a", "create", R"({"n":1})");
    w.run(kSync);
    w.values["state"]["core"]["later"] = {{"n", 1}};
    w.values["state"]["core"]["link"]["later"] = 2;
    w.values["state"]["settings"] = {{"later", Json::array({3})}};
    w.restart();
    w.accept("FORM", "b", "create", R"({"n":2})");
    w.run(kSync);
    CHECK(w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 7}}}})["value"]["maxBatchOps"] == 7);
    CHECK(w.values["state"]["core"]["later"] == Json{{"n", 1}});
    CHECK(w.values["state"]["core"]["link"]["later"] == 2);
    CHECK(w.values["state"]["core"]["totals"]["succeeded"] == 2);
    CHECK(w.values["state"]["settings"]["later"] == Json::array({3}));
    CHECK((*w.status)["warnings"].size() == 1);
}

TEST_CASE("what a newer release put into a row stays in it, however often it is written: marked, failed, changed, restarted from rows and from a snapshot, refused") {
    World w;
    const Json future = {{"futureThing", {{"since", "N"}, {"more", {1, nullptr, "é"}}}}, {"later", false}};
    int written = 0;
    w.on_commit = [&](const Json& commit) {
        for (const Json& write : commit["writes"]) {
            if (write["store"] != "ops" || !write.contains("value") || write["value"]["entityId"] != "a") continue;
            ++written;
            for (const auto& item : future.items()) CHECK(write["value"][item.key()] == item.value());
        }
        return "";
    };
    const std::string id = w.accept("FORM", "a", "create", R"({"n":1})", future);
    for (int i = 0; i < 300; ++i) w.accept("FORM", "e" + std::to_string(i), "create", form(i), {{"dependsOn", Json::array({id})}});
    int status = 500;
    w.network = [&](const Json&) -> Json { return {{"status", status}, {"headers", Json::object()}}; };
    w.run(kSync);
    CHECK(w.row(1)["sends"] == 1);
    CHECK(w.row(1)["state"] == "unknown");
    CHECK(written == 2);   // marked, and failed
    REQUIRE(w.bytes["state"].count("snapshot"));
    w.restart();
    REQUIRE(w.given == 301);
    CHECK(w.command({{"type", "setPriority"}, {"id", id}, {"priority", "high"}})["ok"] == true);
    CHECK(written == 3);
    w.now += 600000;
    w.run({{"event", {{"type", "manual"}}}});
    CHECK(w.row(1)["sends"].get<int>() >= 2);
    const int before = written;
    CHECK(before >= 5);
    w.bytes["state"].erase("snapshot");
    w.restart();
    REQUIRE(w.given == 0);
    w.network = nullptr;
    w.server.refuse = [](const Json& op) { return op["entityId"] == "a" ? 403 : 0; };
    w.now += 600000;
    w.run({{"event", {{"type", "manual"}}}});
    CHECK(w.row(1)["state"] == "dead");
    CHECK(written > before);
    for (const auto& item : future.items()) CHECK(w.row(1)[item.key()] == item.value());
}

TEST_CASE("an op that a newer release put something into is not folded with another") {
    World w;
    w.accept("FORM", "a", "create", R"({"n":1})", {{"futureThing", 1}});
    w.accept("FORM", "a", "update", R"({"n":2})");
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 2);
    CHECK(w.doc("FORM", "a") == R"({"n":2})");
}

TEST_CASE("a row with more from a newer release than is kept here is refused by name and stays as it is, also where there are enough ops for a snapshot: the newer one reads it") {
    World w;
    w.readings = {{"online", false}};
    const Json most = {{"more", std::string(kMaxOtherBytes - 11, 'x')}}, more = {{"more", std::string(kMaxOtherBytes - 10, 'x')}};
    w.accept("FORM", "most", "create", form(1), most);
    w.accept("FORM", "more", "create", form(2), more);
    for (int i = 0; i < 300; ++i) w.accept("FORM", "e" + std::to_string(i), "create", form(i));
    const Json row = w.row(2);
    for (int start = 1; start <= 2; ++start) {
        w.rejected.clear();
        w.run(kSync);
        REQUIRE(w.rejected.size() == 1);
        CHECK(w.rejected[0]["seq"] == 2);
        CHECK(w.rejected[0]["code"] == "limit");
        CHECK(w.rejected[0]["message"].get<std::string>().find("256 bytes") != std::string::npos);
        CHECK_FALSE(w.bytes["state"].count("snapshot"));
        w.restart();
        CHECK(w.given == 0);
    }
    w.readings = {{"online", true}};
    w.run(kSync);
    CHECK(w.queued() == 1);
    CHECK(w.row(2) == row);
    CHECK(w.server.effects.size() == 301);
}

TEST_CASE("a snapshot restores the same queue; a damaged one is refused") {
    World w;
    w.readings = {{"online", false}};
    for (int i = 0; i < 300; ++i) w.accept("FORM", "e" + std::to_string(i), "create", form(i));
    w.run(kSync);
    REQUIRE(w.bytes["state"].count("snapshot"));
    w.restart();
    CHECK(w.given == 300);
    w.readings = {{"online", true}};
    w.run(kSync);
    CHECK(w.server.effects.size() == 300);
    CHECK(w.queued() == 0);
    CHECK_FALSE(w.bytes["state"].count("snapshot"));

    std::string bytes = w.planner.snapshot();
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    Planner other;
    const auto refused = other.restore(bytes, Json::object());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == "snapshot-damaged");
}

TEST_CASE("a queue too long for a snapshot in one step is read in windows again") {
    World w;
    w.readings = {{"online", false}};
    for (int i = 0; i < 2001; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{}");
    w.run(kSync);
    CHECK_FALSE(w.bytes["state"].count("snapshot"));
    w.restart();
    CHECK(w.given == 0);
    w.readings = {{"online", true}};
    w.run(kSync);
    CHECK(w.queued() == 0);
}

TEST_CASE("the same inputs give the same plans") {
    std::string logs[2];
    for (std::string& log : logs) {
        World w;
        w.network = [&](const Json& send) -> Json {
            log += dump_json(send);
            return w.steps % 7 == 3 ? Json{{"failure", "network"}} : Json();
        };
        for (int i = 0; i < 30; ++i) w.accept("FORM", "e" + std::to_string(i % 11), i < 11 ? "create" : "update", form(i));
        for (int i = 0; i < 10; ++i) {
            w.run(kSync, 40);
            w.now += 60000;
        }
        log += dump_json(w.values["state"]["core"]);
    }
    CHECK(logs[0] == logs[1]);
}

TEST_CASE("an atomic group goes whole or not at all") {
    World w;
    const Json group = {{"group", "g1"}};
    w.accept("FORM", "a", "create", form(1), group);
    w.accept("FORM", "b", "create", form(2), group);
    w.accept("FORM", "c", "create", form(3));
    w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 1}, {"maximumConcurrentOperations", 1}}}});
    for (int i = 0; i < 3; ++i) w.run(kSync);
    CHECK(w.queued() == 0);
    bool together = false;
    for (const std::string& request : w.server.requests)
        together = together || (request.find("op-1") != std::string::npos && request.find("op-2") != std::string::npos);
    CHECK(together);
}

TEST_CASE("cancelling shows what lies under the op; what may have been applied cannot be cancelled") {
    World w;
    w.readings = {{"online", false}};
    const std::string id = w.accept("FORM", "a", "create", form(1));
    w.run(kSync);
    CHECK(w.command({{"type", "cancel"}, {"id", id}})["ok"] == true);
    CHECK(w.queued() == 0);
    CHECK_FALSE(w.bytes["docs"].count(":FORM/a"));
    CHECK(w.command({{"type", "cancel"}, {"id", "nobody"}})["error"]["code"] == "unknown-op");
    w.readings = {{"online", true}};
    w.server.drop_answer = true;
    const std::string sent = w.accept("FORM", "b", "create", form(2));
    w.run(kSync, 8);
    CHECK(w.command({{"type", "cancel"}, {"id", sent}})["error"]["code"] == "in-flight");
}

TEST_CASE("a blob goes alone, as a PUT with its key and content type") {
    World w;
    w.accept("MEDIA", "m", "create", std::string("\x89PNG\r\n\x1a\n", 8), {{"contentType", "image/png"}});
    Json seen;
    w.network = [&](const Json& send) -> Json {
        seen = send;
        return {{"status", 201}, {"headers", {{"etag", "\"1\""}}}};
    };
    w.run(kSync);
    CHECK(seen["method"] == "PUT");
    CHECK(seen["url"] == "entities/MEDIA/m");
    CHECK(seen["headers"]["content-type"] == "image/png");
    CHECK(seen["headers"]["idempotency-key"] == "\"op-1\"");
    CHECK(seen["headers"]["if-none-match"] == "*");
    CHECK(w.queued() == 0);
    CHECK(w.values["bases"][":MEDIA/m"]["etag"] == "\"1\"");
}
