// Ids that the server gives, against the small world: what is stored with the answer, what later requests and documents say, and what a pull makes of it.
#include <doctest/doctest.h>

#include <sstream>

#include "tidegate/snapshot.h"
#include "world.h"

using namespace tidegate;
using namespace tidegate::test;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};
const Json kRefs = {{"refs", {{"/customerId", ":CUSTOMER/tmp-1"}}}, {"dependsOn", {":CUSTOMER/tmp-1"}}};
const std::string kAda = "{\"name\":\"Ada\"}", kOrder = "{\"customerId\":\"tmp-1\",\"n\":1}";

// The world with a server that gives new entities ids of its own, s1, s2 …, and answers a key that it knows with the same id again.
struct Shop : World {
    std::vector<std::string> requests;          // frames as they came
    std::map<std::string, std::string> given;   // key → id
    bool assigns = true;

    Shop() {
        network = [this](const Json& send) -> Json {
            if (send["url"] != "batch") return {};
            const std::string answer = batch(*planner.bytes(send["slot"]));
            if (server.drop_answer) return {{"failure", "network"}};
            return {{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", answer}};
        };
    }

    std::string batch(const std::string& frame) {
        requests.push_back(frame);
        std::map<std::string, std::string> ids, named;   // op → id of its entity
        std::string inner;
        std::istringstream lines(frame);
        for (std::string text; std::getline(lines, text);) {
            Json line = parse_json(text).value();
            if (line.contains("id") && line.contains("entityId")) {
                const std::string op = line["id"], key = line.value("key", op), entity = line["entity"];
                std::string id = named[op] = line["entityId"];
                if (line.contains("after")) id = ids[line["after"]];
                if (assigns && entity != "NOTE" && line.contains("ifNoneMatch") && !given.count(key) && !server.docs.count(entity + "/" + id))
                    given[key] = "s" + std::to_string(given.size() + 1);
                if (given.count(key)) id = given[key];
                line["entityId"] = ids[op] = id;
                text = dump_json(line);
                if (line.value("body", false)) {
                    std::string body;
                    std::getline(lines, body);
                    text += "\n" + body;
                }
            }
            inner += text + "\n";
        }
        std::string out;
        std::istringstream results(server.batch(inner).second);
        for (std::string text; std::getline(results, text);) {
            const auto result = parse_json(text);
            if (result && result.value().is_object() && ids.count(result.value().value("id", "")) && result.value()["status"] < 300) {
                Json line = result.value();
                if (ids[line["id"]] != named[line["id"]]) line["entityId"] = ids[line["id"]];
                text = dump_json(line);
            }
            out += text + "\n";
        }
        return out;
    }

    void drain() {
        now += 600'000;
        run(kSync);
    }
    Json base(const std::string& path) { return values["bases"].count(":" + path) ? values["bases"][":" + path] : Json(); }
    bool sent(const std::string& text, std::size_t from = 0) const {
        for (std::size_t i = from; i < requests.size(); ++i)
            if (requests[i].find(text) != std::string::npos) return true;
        return false;
    }
    // The lines of an op's body in the requests that carried it.
    std::vector<std::string> bodies(const std::string& id) const {
        std::vector<std::string> found;
        for (const std::string& request : requests)
            if (const std::size_t at = request.find("\"id\":\"" + id + "\""); at != std::string::npos) {
                const std::size_t line = request.find('\n', at) + 1;
                found.push_back(request.substr(line, request.find('\n', line) - line));
            }
        return found;
    }
};

}  // namespace

TEST_CASE("FF-15: the id that the server gave is stored by the very commit that takes the create out, and is used after a restart") {
    Shop w;
    int together = 0;
    w.on_commit = [&](const Json& commit) {
        bool gone = false, base = false, alias = false;
        for (const Json& write : commit["writes"]) {
            gone = gone || (write["store"] == "ops" && write.value("remove", false));
            base = base || (write["store"] == "bases" && write["key"] == ":CUSTOMER/tmp-1" && write["value"]["serverId"] == "s1");
            alias = alias || (write["store"] == "bases" && write["key"] == ":CUSTOMER/s1" && write["value"]["alias"] == ":CUSTOMER/tmp-1");
        }
        CHECK(gone == base);
        CHECK(base == alias);
        together += gone;
        return "";
    };
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.drain();
    CHECK(together == 1);
    w.on_commit = nullptr;
    const std::size_t before = w.requests.size();
    w.restart();
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Ada\",\"age\":36}");
    w.drain();
    w.accept("CUSTOMER", "tmp-1", "delete", "");
    w.drain();
    CHECK(w.queued() == 0);
    CHECK(w.sent("\"entityId\":\"s1\"", before));
    CHECK(!w.sent("tmp-1", before));
    CHECK(w.server.docs.size() == 1);
    CHECK(w.server.docs["CUSTOMER/s1"].deleted);
    CHECK(w.server.docs["CUSTOMER/s1"].version == 3);
}

TEST_CASE("ids of the server: made anew after a delete, the entity goes by the id it had") {
    Shop w;
    for (const char* action : {"create", "delete", "create"}) {
        w.accept("CUSTOMER", "tmp-1", action, action[0] == 'c' ? kAda : "");
        w.drain();
    }
    CHECK(w.queued() == 0);
    CHECK(w.server.docs.size() == 1);
    CHECK(w.doc("CUSTOMER", "s1") == kAda);
}

TEST_CASE("ids of the server: what follows the create in its request is on the same entity, and so is what follows that") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda, {{"noFold", true}});
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Bea\"}", {{"noFold", true}});
    w.drain();
    CHECK(w.requests.size() == 1);
    CHECK(w.base("CUSTOMER/tmp-1")["serverId"] == "s1");
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Cid\"}", {{"noFold", true}});
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Dan\"}", {{"noFold", true}});
    w.drain();
    CHECK(w.requests.size() == 2);
    CHECK(w.doc("CUSTOMER", "s1") == "{\"name\":\"Dan\"}");
    CHECK(w.server.docs.size() == 1);
}

TEST_CASE("refs: an op waits for the entities that its document names, and is sent with the ids they got") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda, {{"priority", "low"}});
    const std::string order = w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.server.refuse = [](const Json& line) { return line["entity"] == "CUSTOMER" ? 503 : 0; };
    w.run(kSync);
    CHECK(w.planner.explain(order).value()["reason"] == "blocked");
    CHECK(!w.sent("ORDER"));
    w.server.refuse = nullptr;
    w.drain();
    CHECK(w.queued() == 0);
    CHECK(w.doc("ORDER", "s2") == "{\"customerId\":\"s1\",\"n\":1}");
    CHECK(w.bytes["bases"][":ORDER/tmp-2"] == "{\"customerId\":\"s1\",\"n\":1}");
    CHECK(w.shown("ORDER/tmp-2") == kOrder);   // the app's documents name what they name here

    // Base and next agree: the delta is of what was edited.
    w.accept("ORDER", "tmp-2", "update", "{\"customerId\":\"tmp-1\",\"n\":2}", kRefs);
    w.drain();
    CHECK(w.doc("ORDER", "s2") == "{\"customerId\":\"s1\",\"n\":2}");
    CHECK(w.requests.back().find("customerId") == std::string::npos);
}

TEST_CASE("refs: what was sent once is sent again byte for byte, also when the parent has another id by then and after a restart") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.drain();
    const std::string order = w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.server.drop_answer = true;
    w.drain();
    CHECK(w.row(2)["state"] == "unknown");
    w.server.drop_answer = false;
    w.restart();
    w.values["bases"][":CUSTOMER/tmp-1"]["serverId"] = "s99";
    w.drain();
    CHECK(w.queued() == 0);
    const auto bodies = w.bodies(order);
    REQUIRE(bodies.size() == 2);
    CHECK(bodies[0] == "{\"customerId\":\"s1\",\"n\":1}");
    CHECK(bodies[1] == bodies[0]);
    CHECK(w.server.effects.size() == 2);
}

TEST_CASE("refs: a mark that was not stored leaves the document as it was accepted") {
    for (const char* verdict : {"stale", "error"}) {
        Shop w;
        w.accept("CUSTOMER", "tmp-1", "create", kAda);
        w.drain();
        w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
        bool first = true;
        w.on_commit = [&](const Json& commit) -> std::string {
            for (const Json& write : commit["writes"])
                if (first && write["store"] == "payloads" && write["key"] == "000000000002:next") {
                    first = false;
                    CHECK(w.bytes["payloads"]["000000000002:next"] == kOrder);
                    return verdict;
                }
            return "";
        };
        w.drain();
        w.drain();
        CHECK(!first);
        CHECK(w.doc("ORDER", "s2") == "{\"customerId\":\"s1\",\"n\":1}");
        CHECK(w.server.effects.size() == 2);
    }
}

TEST_CASE("refs: a dead parent blocks what names it; dropped, it leaves a dead letter that says so, and nothing with its id is sent") {
    Shop w;
    const std::string parent = w.accept("CUSTOMER", "tmp-1", "create", kAda), order = w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.server.refuse = [](const Json& line) { return line["entity"] == "CUSTOMER" ? 403 : 0; };
    w.drain();
    CHECK(w.row(1)["state"] == "dead");
    w.drain();
    CHECK(w.row(2)["state"] == "queued");
    CHECK(w.planner.explain(order).value()["sentence"] == "It waits for op " + parent);
    w.command({{"type", "drop"}, {"id", parent}});
    w.drain();
    CHECK(w.row(2)["state"] == "dead");
    CHECK(w.row(2)["reason"] == "Validation failed: the server does not have what stands at /customerId");
    CHECK(!w.sent("ORDER"));
    CHECK(w.bytes["payloads"]["000000000002:next"] == kOrder);
}

TEST_CASE("refs: what was deleted before the server had it is not there, although its record is") {
    Shop w;
    w.server.refuse = [](const Json& line) { return line["action"] == "delete" ? 404 : 0; };
    w.accept("CUSTOMER", "tmp-1", "delete", "");
    w.drain();
    CHECK(w.base("CUSTOMER/tmp-1")["deleted"] == true);
    w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.drain();
    CHECK(w.row(2)["reason"] == "Validation failed: the server does not have what stands at /customerId");
    CHECK(!w.sent("ORDER"));
}

TEST_CASE("refs: a create that others name is not folded into the change after it, which they do not wait for") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Bea\"}");
    w.drain();
    CHECK(w.server.effects.size() == 3);
    CHECK(w.doc("CUSTOMER", "s1") == "{\"name\":\"Bea\"}");
    CHECK(w.server.docs.size() == 2);
}

TEST_CASE("refs: an entity whose id the server kept is named by it") {
    Shop w;
    w.assigns = false;
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.accept("ORDER", "tmp-2", "create", kOrder, kRefs);
    w.drain();
    CHECK(w.doc("ORDER", "tmp-2") == kOrder);
}

TEST_CASE("refs: pointers are those of RFC 6901, and nothing else of the text changes") {
    struct Case {
        const char *pointer, *text, *bound;
    };
    const Case cases[] = {
        {"/a/1/b", "{ \"a\" : [0, {\"b\":\"tmp-1\"}], \"n\": 1.0 }", "{ \"a\" : [0, {\"b\":\"s1\"}], \"n\": 1.0 }"},
        {"/x~1y/m~0n", "{\"x/y\":{\"m~n\":\"tmp-1\"}}", "{\"x/y\":{\"m~n\":\"s1\"}}"},
        {"/a~1b", "{\"a\\/b\":\"tmp-\\u0031\"}", "{\"a\\/b\":\"s1\"}"},
        {"/q\\\"", "{\"q\\\"\":\"tmp-1\"}", "{\"q\\\"\":\"s1\"}"},
        {"/", "{\"\":\"tmp-1\",\"c\":9007199254740993}", "{\"\":\"s1\",\"c\":9007199254740993}"},
        {"/d", "{\"d\":\"tmp-1\",\"d\":\"tmp-1\"}", "{\"d\":\"tmp-1\",\"d\":\"s1\"}"},
        {"/no/where", "{\"a\":\"tmp-1\"}", "{\"a\":\"tmp-1\"}"},
        {"/a/b", "{\"a\":\"tmp-1\"}", "{\"a\":\"tmp-1\"}"},
        {"/a", "{\"a\":\"another\"}", "{\"a\":\"another\"}"},
        {"/a/01", "{\"a\":[\"tmp-1\",\"tmp-1\"]}", "{\"a\":[\"tmp-1\",\"tmp-1\"]}"},
    };
    for (const Case& c : cases) {
        Shop w;
        w.accept("CUSTOMER", "tmp-1", "create", kAda);
        w.accept("NOTE", "n", "create", c.text, {{"refs", {{c.pointer, ":CUSTOMER/tmp-1"}}}, {"dependsOn", {":CUSTOMER/tmp-1"}}});
        w.drain();
        CHECK_MESSAGE(w.doc("NOTE", "n") == c.bound, c.pointer);
    }
    Shop w;
    w.accept("NOTE", "n", "create", "{}", {{"refs", 7}});
    w.drain();
    REQUIRE(w.rejected.size() == 1);
    CHECK(w.rejected[0]["message"] == "op op-1: refs: expected {JSON Pointer: lane}");
}

TEST_CASE("ids of the server: a pull that brings the entity finds its lane, an own write is known, and a tombstone takes both records") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.drain();
    w.pull();
    CHECK(w.shown("CUSTOMER/tmp-1") == kAda);
    CHECK(w.shown("CUSTOMER/s1") == "");
    w.server.edit("CUSTOMER/s1", "{\"name\":\"Eve\"}");
    w.pull();
    CHECK(w.shown("CUSTOMER/tmp-1") == "{\"name\":\"Eve\"}");
    CHECK(w.shown("CUSTOMER/s1") == "");
    CHECK(w.base("CUSTOMER/tmp-1")["serverId"] == "s1");
    for (const Json& event : w.events) CHECK(event.dump().find("\"entityId\":\"s1\"") == std::string::npos);

    // Pending changes meet it in the lane, and what is sent then goes to the server's id.
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Eve\",\"age\":1}");
    w.server.edit("CUSTOMER/s1", "{\"name\":\"Eve\",\"city\":\"X\"}");
    w.pull();
    w.drain();
    CHECK(parse_json(w.doc("CUSTOMER", "s1")).value() == Json{{"name", "Eve"}, {"age", 1}, {"city", "X"}});
    CHECK(w.server.docs.size() == 1);

    // From the start: the record that leads back is no entity that the server lost.
    w.pull({{"operation", "full"}});
    CHECK(parse_json(w.shown("CUSTOMER/tmp-1")).value() == Json{{"name", "Eve"}, {"age", 1}, {"city", "X"}});
    CHECK(w.base("CUSTOMER/s1")["alias"] == ":CUSTOMER/tmp-1");

    w.server.edit("CUSTOMER/s1", "");
    w.pull();
    CHECK(w.shown("CUSTOMER/tmp-1") == "");
    CHECK(w.base("CUSTOMER/tmp-1").is_null());
    CHECK(w.base("CUSTOMER/s1").is_null());
}

TEST_CASE("ids of the server: a conflict is fetched, merged and sent under the server's id, which the new base keeps") {
    Shop w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "last-write-wins"}}}});   // always a GET
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.drain();
    w.server.edit("CUSTOMER/s1", "{\"name\":\"Eve\"}");
    w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Bea\"}");
    w.drain();
    CHECK(w.queued() == 0);
    CHECK(w.doc("CUSTOMER", "s1") == "{\"name\":\"Bea\"}");
    CHECK(w.base("CUSTOMER/tmp-1")["serverId"] == "s1");
    CHECK(w.server.docs.size() == 1);
}

TEST_CASE("ids of the server: of a create whose first answer was lost a pull makes no second entity, and no change of it is missed") {
    for (const bool known : {false, true}) {   // whether such ids are expected by then
        Shop w;
        if (known) {
            w.accept("CUSTOMER", "tmp-0", "create", "{}");
            w.drain();
        }
        w.pull();
        w.accept("CUSTOMER", "tmp-1", "create", kAda);
        w.server.drop_answer = true;
        w.drain();
        w.server.drop_answer = false;
        const std::string id = known ? "s2" : "s1";
        const auto online = w.network;
        w.network = [&](const Json& effect) { return effect["url"] == "batch" ? Json{{"failure", "network"}} : Json(); };
        w.pull();
        w.server.edit("CUSTOMER/" + id, "{\"name\":\"Eve\"}");
        w.pull();
        if (known) CHECK(w.shown("CUSTOMER/" + id) == "");
        w.network = online;
        w.drain();
        w.pull();
        CHECK(w.queued() == 0);
        CHECK(w.shown("CUSTOMER/" + id) == "");
        CHECK(w.shown("CUSTOMER/tmp-1") == "{\"name\":\"Eve\"}");
        CHECK(w.base("CUSTOMER/tmp-1")["serverId"] == id);
    }
}

TEST_CASE("ids of the server: an op saved under the server's id is a dead letter that says which id to use") {
    Shop w;
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.drain();
    const std::size_t before = w.requests.size();
    w.accept("CUSTOMER", "s1", "create", "{\"name\":\"Twin\"}");
    w.drain();
    CHECK(w.row(2)["reason"] == "Validation failed: the entity is known here as tmp-1");
    CHECK(w.requests.size() == before);
    CHECK(w.base("CUSTOMER/s1")["alias"] == ":CUSTOMER/tmp-1");
}

TEST_CASE("ids of the server: in REST mode it is the Location of a 201 in the entity's collection, and nothing else") {
    struct Case {
        const char *location, *id;
        int status;
    };
    const Case cases[] = {{"entities/CUSTOMER/a%20b", "a b", 201},        {"entities/CUSTOMER/s1", "", 200},      {"entities/ORDER/s1", "", 201},  {"https://other.example/entities/CUSTOMER/s1", "", 201},
                          {"entities/CUSTOMER/", "", 201},                {"entities/CUSTOMER/a%2Fb", "", 201},   {"entities/CUSTOMER/..", "", 201}, {"entities/CUSTOMER/a%00b", "", 201},
                          {"entities/CUSTOMER/%FF", "", 201},             {"entities/CUSTOMER/tmp-1", "", 201},   {"", "", 201}};
    for (const Case& c : cases) {
        World w;
        w.command({{"type", "settings"}, {"value", {{"mode", "rest"}}}});
        std::vector<std::string> urls;
        w.network = [&](const Json& send) -> Json {
            urls.push_back(send["url"]);
            return {{"status", c.status}, {"headers", {{"etag", "\"1\""}, {"location", c.location}}}};
        };
        w.accept("CUSTOMER", "tmp-1", "create", kAda);
        w.run(kSync);
        w.accept("CUSTOMER", "tmp-1", "update", "{\"name\":\"Bea\"}");
        w.run(kSync);
        REQUIRE(urls.size() == 2);
        CHECK(urls[0] == "entities/CUSTOMER/tmp-1");
        CHECK_MESSAGE(urls[1] == (*c.id ? "entities/CUSTOMER/a%20b" : "entities/CUSTOMER/tmp-1"), c.location);
        CHECK(w.values["bases"][":CUSTOMER/tmp-1"].value("serverId", "") == c.id);
    }
    World w;
    std::string long_id(513, 'x');
    w.network = [&](const Json&) -> Json {
        return {{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}},
                {"body", "{\"protocol\":1,\"results\":1}\n" + dump_json({{"id", "op-1"}, {"status", 201}, {"etag", "\"1\""}, {"entityId", long_id}}) + "\n"}};
    };
    w.accept("CUSTOMER", "tmp-1", "create", kAda);
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.values["bases"][":CUSTOMER/tmp-1"].value("serverId", "") == "");
    REQUIRE(w.events.back()["event"] == "sync.completed");
    CHECK(w.events.back()["detail"]["errors"] == Json::array({"The server gave an id that is none: CUSTOMER"}));
    CHECK((*w.status)["lastError"]["class"] == "server");
}

TEST_CASE("ids of the server: rows with refs come back from a snapshot as they were") {
    Snapshot out;
    OpRow row;
    row.seq = out.known_seq = 1;
    row.id = "a";
    row.lane = ":ORDER/tmp-2";
    row.entity = "ORDER";
    row.entity_id = "tmp-2";
    row.refs = kRefs["refs"];
    out.rows.push_back(row);
    auto read = read_snapshot(write_snapshot(out));
    REQUIRE(read);
    Outbox outbox;
    const auto added = outbox.add(read.value().rows[0]);
    REQUIRE(added);
    CHECK(outbox.row_of(*added.value()).refs == kRefs["refs"]);
}
