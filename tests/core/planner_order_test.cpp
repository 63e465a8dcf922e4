// What waits for what: dependencies across lanes, atomic groups, expiry, edits while a request is under way.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};
const Json kOneByOne = {{"type", "settings"}, {"value", {{"batching", false}, {"coalesce", false}, {"maximumConcurrentOperations", 1}}}};

Json after(std::initializer_list<const char*> parents, const char* priority = "normal") {
    Json ids = Json::array();
    for (const char* parent : parents) ids.push_back(parent);
    return {{"dependsOn", ids}, {"priority", priority}};
}
Json in_group(const char* name) { return {{"group", name}}; }

int records(const World& w, const char* kind) {
    int found = 0;
    for (const auto& [key, record] : w.values.at("history")) found += record.value("kind", "") == kind;
    return found;
}

}  // namespace

TEST_CASE("an op waits for every op it depends on, whatever its own priority") {
    World w;
    w.command(kOneByOne);
    w.accept("FORM", "p", "create", "{}", {{"priority", "low"}});
    w.accept("FORM", "q", "create", "{}");
    w.accept("FORM", "child", "create", "{}", after({"op-1", "op-2"}, "critical"));
    w.accept("FORM", "grandchild", "create", "{}", after({"op-3", "op-1", "op-1"}, "critical"));
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 4);
    CHECK(w.server.effects[2] == "op-3");
    CHECK(w.server.effects[3] == "op-4");
}

TEST_CASE("FF-23, FF-30: a refused parent holds up its descendants and nobody else, until a person decides") {
    World w;
    w.server.refuse = [](const Json& line) { return line["entityId"] == "p" ? 422 : 0; };
    w.accept("FORM", "p", "create", "{}");
    const std::string child = w.accept("FORM", "child", "create", "{}", after({"op-1"}));
    w.accept("FORM", "grandchild", "create", "{}", after({"op-2"}));
    w.accept("FORM", "child", "update", R"({"n":1})", {{"noFold", true}});   // the same lane
    for (int i = 0; i < 5; ++i) w.accept("FORM", "other" + std::to_string(i), "create", "{}");
    w.run(kSync);
    CHECK(w.server.effects.size() == 5);
    CHECK(w.queued() == 4);
    CHECK(w.row(1)["state"] == "dead");
    const Json why = w.command({{"type", "explain"}, {"id", child}});
    CHECK(why["value"]["reason"] == "blocked");
    CHECK(why["value"]["sentence"].get<std::string>().find("op-1") != std::string::npos);
    w.server.refuse = nullptr;
    SUBCASE("retried") { CHECK(w.command({{"type", "retry"}, {"id", "op-1"}})["ok"] == true); }
    SUBCASE("dropped: they no longer wait for it") { CHECK(w.command({{"type", "drop"}, {"id", "op-1"}})["ok"] == true); }
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "child") == R"({"n":1})");
}

TEST_CASE("an op that names itself, or one accepted after it, is refused by name: so nothing waits in a circle") {
    World w;
    w.accept("FORM", "self", "create", "{}", after({"op-1"}));
    w.accept("FORM", "a", "create", "{}", after({"op-3"}));    // a waits for b, b for c, c for a
    w.accept("FORM", "b", "create", "{}", after({"op-4"}));
    w.accept("FORM", "c", "create", "{}", after({"op-2"}));
    w.accept("FORM", "other", "create", "{}");
    w.run(kSync);
    CHECK(w.row(1)["state"] == "quarantined");
    CHECK(w.row(1)["reason"] == "It waits for op op-1, itself");
    CHECK(w.row(2)["state"] == "quarantined");
    CHECK(w.row(2)["reason"] == "It waits for op op-3, which did not exist when it was accepted");
    CHECK(w.row(3)["state"] == "quarantined");
    CHECK(w.row(4).value("state", "queued") == "queued");
    CHECK(w.doc("FORM", "other") == "{}");
    w.restart();
    for (const char* id : {"op-1", "op-2", "op-3"}) CHECK(w.command({{"type", "drop"}, {"id", id}})["ok"] == true);
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "c") == "{}");
}

TEST_CASE("refusing is linear: ten thousand ops that each name the next") {
    World w;
    w.readings = {{"online", false}};
    const std::string text = "{}";
    for (int i = 1; i <= 10000; ++i) w.accept("FORM", "e" + std::to_string(i), "create", text, {{"dependsOn", {"op-" + std::to_string(i + 1)}}});
    w.run(kSync);
    CHECK(w.row(1)["state"] == "quarantined");
    CHECK(w.row(9999)["state"] == "quarantined");
    CHECK(w.row(10000).value("state", "queued") == "queued");
}

TEST_CASE("the next request is made ready while an answer is being stored, except where somebody waits for what was answered") {
    World w;
    w.command(kOneByOne);
    w.accept("FORM", "a", "create", "{}");
    SUBCASE("others wait") { w.accept("FORM", "b", "create", "{}"); }
    SUBCASE("another op waits for it") { w.accept("FORM", "b", "create", "{}", after({"op-1"})); }
    SUBCASE("its lane goes on") { w.accept("FORM", "a", "update", R"({"n":1})", {{"noFold", true}}); }
    w.accept("FORM", "c", "create", "{}");
    const Json second = w.row(2);
    const bool waits = second.contains("dependsOn") || second["action"] == "update";
    int sent = 0, stored_at = 0, loaded_at = 0;
    w.network = [&](const Json&) -> Json { ++sent; return nullptr; };
    w.on_commit = [&](const Json&) { if (sent == 1 && stored_at == 0) stored_at = w.steps; return ""; };
    w.on_load = [&](const Json&) { if (sent == 1 && loaded_at == 0) loaded_at = w.steps; };
    w.run(kSync);
    REQUIRE(stored_at > 0);
    CHECK((loaded_at > stored_at) == waits);
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2", "op-3"});
}

TEST_CASE("a large batch leaves before the bytes of the next are asked for") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 100}}}});
    for (int i = 0; i < 150; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}");
    std::vector<std::string> seen;
    w.network = [&](const Json&) -> Json { seen.push_back("send"); return nullptr; };
    w.on_load = [&](const Json& load) { seen.push_back("load " + std::to_string(load["items"].size())); };
    w.run(kSync);
    CHECK(seen == std::vector<std::string>{"load 200", "send", "load 100", "send"});
}

// What an answer for many ops leaves to be stored is enough for one step.
TEST_CASE("a step that settles an answer for many ops sends nothing; one that settles few does") {
    for (const int most : {100, 25}) {
        World w;
        w.command({{"type", "settings"}, {"value", {{"maxBatchOps", most}}}});
        for (int i = 0; i < 300; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}");
        std::set<int> settles, sends;
        w.on_commit = [&](const Json& commit) {
            const bool leaves = std::any_of(commit["writes"].begin(), commit["writes"].end(), [](const Json& write) { return write["store"] == "ops" && write.value("remove", false); });
            if (leaves) settles.insert(w.steps);
            return "";
        };
        w.network = [&](const Json&) -> Json { sends.insert(w.steps); return nullptr; };
        w.run(kSync);
        CHECK(w.queued() == 0);
        REQUIRE(settles.size() >= 2);
        std::vector<int> both;
        std::set_intersection(settles.begin(), settles.end(), sends.begin(), sends.end(), std::back_inserter(both));
        CHECK(both.empty() == (most > 25));
    }
}

// One request on the wire, and the next made ready behind it.
void one_under_way(World& w) {
    w.command(kOneByOne);
    for (const char* id : {"a", "b", "c"}) w.accept("FORM", id, "create", "{}");
    w.run(kSync, 2);
    REQUIRE(w.server.effects == std::vector<std::string>{"op-1"});
}

TEST_CASE("what is made ready while a request is on its way leaves in the step that hears the answer") {
    World w;
    one_under_way(w);
    int loads = 0;
    w.on_load = [&](const Json&) { ++loads; };
    w.run(Json::object(), 1);
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2"});
    CHECK(loads == 1);   // op-3
    CHECK(w.row(3)["state"] != "sending");   // nothing of what only waits is stored
    w.run();
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2", "op-3"});
}

TEST_CASE("what is saved while the next request waits goes before it, when it is more urgent") {
    World w;
    one_under_way(w);
    SUBCASE("critical") {
        w.accept("FORM", "d", "create", "{}", {{"priority", "critical"}});
        w.run();
        CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-4", "op-2", "op-3"});
    }
    SUBCASE("as urgent as the others") {
        w.accept("FORM", "d", "create", "{}");
        w.run();
        CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2", "op-3", "op-4"});
    }
}

TEST_CASE("what only waits for a request can be cancelled, and nothing of it leaves after a pause or an answer that stops all") {
    World w;
    one_under_way(w);
    SUBCASE("cancelled") {
        CHECK(w.command({{"type", "cancel"}, {"id", "op-2"}})["ok"] == true);
        CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-3"});
    }
    SUBCASE("paused") {
        CHECK(w.command({{"type", "pause"}})["ok"] == true);
        CHECK(w.server.effects == std::vector<std::string>{"op-1"});
        CHECK(w.queued() == 2);
    }
    SUBCASE("the server asks for time") {
        int asked = 0;
        w.server.refuse_request = [&] { return ++asked == 1 ? 503 : 0; };
        w.run(Json::object(), 1);   // op-2 is on the wire, op-3 waits
        w.run();
        CHECK(w.server.effects == std::vector<std::string>{"op-1"});
        CHECK(w.row(3)["state"] != "sending");
    }
}

TEST_CASE("what was made ready by an older measure of the server is measured again where a request is refused as a whole") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 3}, {"maximumConcurrentOperations", 1}}}});
    const std::string text = "\"" + std::string(30000, 'x') + "\"";
    for (const char* id : {"a", "b", "c", "d", "e", "f"}) w.accept("FORM", id, "create", text);
    int asked = 0;
    std::vector<std::size_t> sizes;
    w.network = [&](const Json& send) -> Json {
        sizes.push_back(w.planner.bytes(send["slot"])->size());
        return nullptr;
    };
    w.server.refuse_request = [&] { return ++asked == 1 ? 413 : 0; };
    w.run(kSync);
    w.now += 3'600'000;
    w.run(kSync);
    CHECK(w.queued() == 0);
    REQUIRE(sizes.size() == 7);
    CHECK(sizes[0] > 90000);
    for (std::size_t i = 1; i < sizes.size(); ++i) CHECK(sizes[i] < 45000);
}

TEST_CASE("the bytes of a large batch are read and formed in parts, and go in one request") {
    World w;
    for (int i = 0; i < 150; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}");
    std::vector<std::string> seen;
    w.network = [&](const Json&) -> Json { seen.push_back("send"); return nullptr; };
    w.on_load = [&](const Json& load) { seen.push_back("load " + std::to_string(load["items"].size())); };
    w.run(kSync);
    CHECK(seen == std::vector<std::string>{"load 200", "load 100", "send"});
    CHECK(w.server.requests.size() == 1);
    CHECK(w.queued() == 0);
}

TEST_CASE("one step compares so many bytes of documents, or one op, and all go in one request") {
    World w;
    const auto film = [](int edition) { return "{\"edition\":" + std::to_string(edition) + ",\"text\":\"" + std::string(400 * 1024, 'x') + "\"}"; };
    for (int n = 0; n < 4; ++n) {
        w.accept("FORM", std::to_string(n), "create", film(1));
        w.run(kSync);
    }
    w.server.requests.clear();
    for (int n = 0; n < 4; ++n) w.accept("FORM", std::to_string(n), "update", film(2));
    w.accept("FORM", "small", "create", "{\"n\":1}");
    std::vector<std::string> seen;
    w.network = [&](const Json&) -> Json { seen.push_back("send"); return nullptr; };
    w.on_load = [&](const Json& load) { seen.push_back("load " + std::to_string(load["items"].size())); };
    w.run(kSync);
    CHECK(seen == std::vector<std::string>{"load 2", "load 2", "load 2", "load 4", "send"});
    CHECK(w.server.requests.size() == 1);
    CHECK(w.queued() == 0);
}

TEST_CASE("what a critical op waits for goes as early as the critical op itself") {
    World w;
    w.command(kOneByOne);
    for (int i = 0; i < 3; ++i) w.accept("FORM", "normal" + std::to_string(i), "create", "{}");
    w.accept("FORM", "root", "create", "{}", {{"priority", "low"}});                        // op-4
    w.accept("FORM", "middle", "create", "{}", after({"op-4"}, "low"));                     // op-5
    w.accept("FORM", "middle", "update", R"({"n":1})", {{"priority", "low"}});              // op-6, the same lane
    w.accept("FORM", "leaf", "create", "{}", after({"op-6"}, "critical"));                  // op-7
    w.run(kSync);
    CHECK(w.server.effects == std::vector<std::string>{"op-4", "op-5", "op-6", "op-7", "op-1", "op-2", "op-3"});
}

TEST_CASE("what has expired is not sent, however much of it there is") {
    World w;
    for (int i = 0; i < 400; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}", {{"expiresAt", w.now + 1000}});
    w.accept("FORM", "stays", "create", "{}");
    w.now += 2000;
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects == std::vector<std::string>{"op-401"});
    CHECK(records(w, "expired") == 400);
}

TEST_CASE("a group is refused, retried and dropped as one") {
    World w;
    const char* bad = "b";
    w.server.refuse = [&](const Json& line) { return bad && line.value("group", "") == "g" ? (line["entityId"] == bad ? 422 : 424) : 0; };
    for (const char* id : {"a", "b", "c"}) w.accept("FORM", id, "create", "{}", in_group("g"));
    w.accept("FORM", "alone", "create", "{}");
    w.run(kSync);
    CHECK(w.doc("FORM", "alone") == "{}");
    for (int seq = 1; seq <= 3; ++seq) CHECK(w.row(static_cast<std::uint64_t>(seq))["state"] == "dead");
    CHECK(w.row(2)["reason"].get<std::string>().rfind("Validation failed", 0) == 0);
    CHECK(w.row(1)["reason"].get<std::string>().rfind("Another change of its group", 0) == 0);
    SUBCASE("retried") {
        bad = nullptr;
        CHECK(w.command({{"type", "retry"}, {"id", "op-3"}})["ok"] == true);
        w.run(kSync);
        CHECK(w.queued() == 0);
        CHECK(w.server.effects.size() == 4);
    }
    SUBCASE("dropped") {
        CHECK(w.command({{"type", "drop"}, {"id", "op-1"}})["ok"] == true);
        CHECK(w.queued() == 0);
        CHECK(records(w, "cancelled") == 3);
    }
}

TEST_CASE("a group is cancelled as one, or not at all") {
    World w;
    w.readings = {{"online", false}};
    for (const char* id : {"a", "b"}) w.accept("FORM", id, "create", "{}", in_group("g"));
    w.run(kSync);
    const std::string later = w.accept("FORM", "b", "update", R"({"n":1})");
    CHECK(w.command({{"type", "cancel"}, {"id", "op-1"}})["error"]["code"] == "has-later");
    CHECK(w.queued() == 3);
    CHECK(w.command({{"type", "cancel"}, {"id", later}})["ok"] == true);
    CHECK(w.command({{"type", "cancel"}, {"id", "op-1"}})["ok"] == true);
    CHECK(w.queued() == 0);
    CHECK_FALSE(w.bytes["docs"].count(":FORM/a"));
    CHECK_FALSE(w.bytes["docs"].count(":FORM/b"));
}

TEST_CASE("members of a group may name each other: they go together") {
    World w;
    w.accept("FORM", "a", "create", "{}", {{"group", "g"}, {"dependsOn", {"op-2"}}});
    w.accept("FORM", "b", "create", "{}", {{"group", "g"}, {"dependsOn", {"op-1"}}});
    w.run(kSync);
    CHECK(w.server.effects.size() == 2);
    CHECK(w.server.requests.size() == 1);
}

TEST_CASE("two groups that would wait for each other are surfaced: one is parked with the reason, the other goes") {
    World w;
    w.accept("FORM", "a", "create", "{}", in_group("g1"));
    w.accept("FORM", "b", "create", "{}", in_group("g2"));
    w.accept("FORM", "a", "update", R"({"n":2})", in_group("g2"));
    w.accept("FORM", "b", "update", R"({"n":1})", in_group("g1"));
    w.run(kSync);
    CHECK(w.row(1)["state"] == "quarantined");
    CHECK(w.row(4)["state"] == "quarantined");
    CHECK(w.row(4)["reason"] == "Other changes were accepted in the middle of its group g1");
    CHECK(w.queued() == 2);
    CHECK(w.doc("FORM", "a") == R"({"n":2})");
    CHECK(w.doc("FORM", "b") == "{}");
}

TEST_CASE("groups over the same lanes, each accepted in one piece, go one after the other") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    const char* lanes[] = {"a", "b", "a", "b", "b", "a", "b", "a"};
    const char* groups[] = {"g1", "g1", "g2", "g2", "g3", "g3", "", "g4"};
    for (int i = 0; i < 8; ++i)
        w.accept("FORM", lanes[i], i < 2 ? "create" : "update", "{\"n\":" + std::to_string(i) + "}", groups[i][0] ? in_group(groups[i]) : Json::object());
    for (int i = 0; i < 8 && w.queued() > 0; ++i) w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 8);
    CHECK(w.doc("FORM", "a") == R"({"n":7})");
    CHECK(w.doc("FORM", "b") == R"({"n":6})");
}

TEST_CASE("a group larger than a batch may be goes alone, in its turn") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 2}, {"maximumConcurrentOperations", 1}}}});
    w.accept("FORM", "first", "create", "{}");
    for (int i = 0; i < 5; ++i) w.accept("FORM", "g" + std::to_string(i), "create", "{}", in_group("g"));
    for (int i = 0; i < 6; ++i) w.accept("FORM", "s" + std::to_string(i), "create", "{}");
    w.run(kSync);
    CHECK(w.queued() == 0);
    std::vector<std::size_t> ops;
    for (const std::string& frame : w.server.requests) ops.push_back(static_cast<std::size_t>(std::count(frame.begin(), frame.end(), '\n')) / 2);
    CHECK(ops == std::vector<std::size_t>{2, 5, 2, 2, 1});   // first + s0 (the group does not fit beside it), the group, the rest
}

TEST_CASE("a group that the server finds too large is refused as one, what shares the batch with it is not") {
    World w;
    w.server.refuse_request = [&w] { return w.server.requests.back().find("\"g\"") != std::string::npos ? 413 : 0; };
    for (int i = 0; i < 3; ++i) w.accept("FORM", "g" + std::to_string(i), "create", "{}", in_group("g"));
    for (int i = 0; i < 4; ++i) w.accept("FORM", "s" + std::to_string(i), "create", "{}");
    for (int i = 0; i < 20 && w.queued() > 3; ++i) {
        w.run(kSync);
        w.now += 400000;
    }
    CHECK(w.queued() == 3);
    CHECK(w.server.effects.size() == 4);
    for (int seq = 1; seq <= 3; ++seq) CHECK(w.row(static_cast<std::uint64_t>(seq))["state"] == "dead");
}

TEST_CASE("a group whose last members are in the next window of rows waits for them") {
    World w;
    w.accept("FORM", "a", "create", "{}", in_group("g"));
    w.accept("FORM", "b", "create", "{}", in_group("g"));
    Json first = kSync;
    first["more"] = true;
    w.run(first);
    CHECK(w.server.requests.empty());
    w.accept("FORM", "c", "create", "{}", in_group("g"));
    w.run(kSync);
    CHECK(w.server.requests.size() == 1);
    CHECK(w.server.effects.size() == 3);
}

namespace {

// How many ops each commit of the drain takes out of the outbox, those that take none left out.
std::vector<std::size_t> parts(World& w, int most = 500) {
    std::vector<std::size_t> out;
    w.on_commit = [&](const Json& commit) {
        const Json& writes = commit["writes"];
        const auto gone = std::count_if(writes.begin(), writes.end(), [](const Json& write) { return write["store"] == "ops" && write.value("remove", false); });
        if (gone > 0) out.push_back(static_cast<std::size_t>(gone));
        return std::string();
    };
    w.run(kSync, most);
    w.on_commit = nullptr;
    return out;
}

}  // namespace

TEST_CASE("the answer to a large batch is settled a hundred ops at a time, a lane or a group as one") {
    World w;
    for (int i = 0; i < 200; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}");
    CHECK(parts(w) == std::vector<std::size_t>{100, 100});
    CHECK(w.server.effects.size() == 200);

    World lane;
    for (int i = 0; i < 60; ++i) lane.accept("FORM", "f" + std::to_string(i), "create", "{}");
    for (int i = 0; i < 60; ++i) lane.accept("FORM", "a", i ? "update" : "create", "{\"n\":" + std::to_string(i) + "}", {{"noFold", true}});
    for (int i = 0; i < 60; ++i) lane.accept("FORM", "g" + std::to_string(i), "create", "{}", in_group("g"));
    for (int i = 0; i < 20; ++i) lane.accept("FORM", "h" + std::to_string(i), "create", "{}");
    CHECK(parts(lane) == std::vector<std::size_t>{180, 20});
    CHECK(lane.doc("FORM", "a") == R"({"n":59})");
}

TEST_CASE("killed between two parts of an answer, what is left has its results from the server's memory") {
    for (int steps = 1; steps < 12; ++steps) {
        World w;
        for (int i = 0; i < 200; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{}");
        const std::vector<std::size_t> before = parts(w, steps);
        w.restart();
        const std::vector<std::size_t> after = parts(w);
        CHECK(std::accumulate(before.begin(), before.end(), std::size_t{0}) + std::accumulate(after.begin(), after.end(), std::size_t{0}) == 200);
        CHECK(w.queued() == 0);
        CHECK(w.server.effects.size() == 200);
        CHECK(w.server.docs.size() == 200);
    }
}

TEST_CASE("what is accepted between two parts of an answer waits for the second") {
    World w;
    for (int i = 0; i < 200; ++i) w.accept("FORM", "f" + std::to_string(i), "create", R"({"n":1})");
    bool once = true;
    w.on_commit = [&](const Json& commit) {
        const Json& writes = commit["writes"];
        if (!once || std::none_of(writes.begin(), writes.end(), [](const Json& write) { return write["store"] == "ops" && write.value("remove", false); })) return std::string();
        once = false;
        w.accept("FORM", "f0", "update", R"({"n":2})");
        w.accept("FORM", "f199", "update", R"({"n":2})");
        return std::string();
    };
    w.run(kSync);
    CHECK_FALSE(once);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 202);
    CHECK(w.doc("FORM", "f0") == R"({"n":2})");
    CHECK(w.doc("FORM", "f199") == R"({"n":2})");
}

TEST_CASE("an op that was not sent by its time leaves with a record, and the app sees what lies under it") {
    World w;
    w.accept("FORM", "a", "create", R"({"n":1})");
    w.run(kSync);
    w.readings = {{"online", false}};
    w.accept("FORM", "a", "update", R"({"n":2})", {{"expiresAt", w.now + 1000}});
    w.accept("FORM", "b", "create", "{}", {{"expiresAt", w.now + 1000}});
    w.accept("FORM", "c", "create", "{}", {{"expiresAt", w.now + 5000}});
    w.run(kSync);
    CHECK(w.queued() == 3);
    w.now += 1000;
    w.run(kSync);
    CHECK(w.queued() == 1);
    CHECK(records(w, "expired") == 2);
    CHECK(w.bytes["docs"][":FORM/a"] == R"({"n":1})");
    CHECK_FALSE(w.bytes["docs"].count(":FORM/b"));
    w.readings = {{"online", true}};
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == R"({"n":1})");
    CHECK(w.doc("FORM", "c") == "{}");
}

TEST_CASE("what may have been applied does not expire, and neither does one member of a group without the others") {
    World w;
    w.accept("FORM", "a", "create", "{}", {{"expiresAt", w.now + 1000}});
    w.accept("FORM", "g1", "create", "{}", {{"group", "g"}, {"expiresAt", w.now + 1000}});
    w.accept("FORM", "g2", "create", "{}", in_group("g"));
    w.server.drop_answer = true;
    w.network = [&](const Json& send) -> Json {   // the group never left
        if (w.planner.bytes(send["slot"])->find("\"a\"") == std::string::npos) return {{"failure", "network"}};
        return nullptr;
    };
    w.run(kSync, 8);
    CHECK(w.row(1)["state"] == "unknown");
    w.now += 2000;
    w.readings = {{"online", false}};
    w.run(kSync);
    CHECK(w.queued() == 3);
    CHECK(records(w, "expired") == 0);

    World other;
    other.readings = {{"online", false}};
    other.accept("FORM", "g1", "create", "{}", {{"group", "g"}, {"expiresAt", other.now + 1000}});
    other.accept("FORM", "g2", "create", "{}", in_group("g"));
    other.now += 2000;
    other.run(kSync);
    CHECK(other.queued() == 0);
    CHECK(records(other, "expired") == 2);
}

TEST_CASE("FF-24: an edit while the op before it is under way goes behind it, against its result") {
    World w;
    bool once = true;
    w.network = [&](const Json&) -> Json {
        if (once) w.accept("FORM", "a", "update", R"({"n":2})");
        once = false;
        return nullptr;
    };
    w.accept("FORM", "a", "create", R"({"n":1})");
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2"});
    CHECK(w.doc("FORM", "a") == R"({"n":2})");
    for (const Json& event : w.events) CHECK(event["event"] != "sync.conflict");
}

TEST_CASE("FF-03: a dead letter frees its key: retried, it goes under a new one") {
    World w;
    bool refuse = true;
    w.server.refuse = [&](const Json&) { return refuse ? 422 : 0; };
    w.accept("FORM", "a", "create", "{}");
    w.run(kSync);
    CHECK(w.row(1)["state"] == "dead");
    refuse = false;
    w.command({{"type", "retry"}, {"id", "op-1"}});
    w.run(kSync);
    CHECK(w.server.effects == std::vector<std::string>{"op-1.2"});
}

TEST_CASE("what left the outbox is remembered by its ids, so that a later dependency on it can be told from one on nothing") {
    World w;
    w.accept("FORM", "a", "create", "{}");
    w.accept("FORM", "b", "create", "{}");
    w.run(kSync);
    CHECK(w.values["history"]["left/000000000001"]["ids"] == Json({"op-1", "op-2"}));
    w.accept("FORM", "c", "create", "{}", after({"op-1"}));   // done already: nothing to wait for
    w.run(kSync);
    CHECK(w.queued() == 0);
}
