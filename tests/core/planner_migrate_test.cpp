// Documents of another version of the app: made into the present one before they are first sent, or left waiting, never refused.
#include <doctest/doctest.h>

#include <algorithm>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kPush = {{"event", {{"type", "push"}}}};
const Json kManual = {{"event", {{"type", "manual"}}}};

Json version(int n) { return {{"schemaVersion", n}}; }

// From now on the code is of this version; its `migrate` wraps what it is given.
void becomes(World& w, int n) {
    w.schema_version = n;
    w.on_migrate = [n](const Json& op, const std::string& doc) -> Json {
        return {{"body", R"({"v":)" + std::to_string(n) + R"(,"was":)" + doc + R"(,"from":)" + std::to_string(op["from"].get<int>()) + "}"}};
    };
    w.restart();
}

Json explained(World& w, const std::string& id) { return w.command({{"type", "explain"}, {"id", id}})["value"]; }

}  // namespace

TEST_CASE("what an older version saved is migrated before it is first sent: what goes, what the app sees and what the row says agree") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1})", version(1));
    w.accept("FORM", "b", "create", R"({"x":2})", version(3));
    becomes(w, 3);
    std::vector<Json> rows;
    w.on_commit = [&](const Json& commit) {
        for (const Json& write : commit["writes"])
            if (write["store"] == "ops" && write.contains("value")) rows.push_back(write["value"]);
        return "";
    };
    w.run(kPush);
    CHECK(w.doc("FORM", "a") == R"({"v":3,"was":{"x":1},"from":1})");
    CHECK(w.doc("FORM", "b") == R"({"x":2})");
    CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
    CHECK(w.queued() == 0);
    CHECK(w.server.effects == std::vector<std::string>{"op-2", "op-1"});   // others do not wait for the app; the key is the op's own
    REQUIRE(!rows.empty());
    CHECK(std::any_of(rows.begin(), rows.end(), [](const Json& row) {
        return row["id"] == "op-1" && row.value("state", "queued") == "queued" && row.value("schemaVersion", 0) == 3 && row.value("sizeBytes", 0) == 30;
    }));
    CHECK(std::any_of(w.events.begin(), w.events.end(), [](const Json& e) {
        return e["event"] == "sync.documents" && e["detail"]["documents"][0]["entityId"] == "a";
    }));
}

TEST_CASE("changes of one lane are migrated one after the other, then fold as ever; a delta rests on what the server has") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1,"long":"................................................................"})", version(1));
    w.run(kPush);
    w.accept("FORM", "a", "update", R"({"x":2,"long":"................................................................"})", version(1));
    w.accept("FORM", "a", "update", R"({"x":3,"long":"................................................................"})", version(1));
    w.schema_version = 2;
    int asked = 0;
    w.on_migrate = [&asked](const Json&, const std::string& doc) -> Json {
        ++asked;
        return {{"body", R"({"y":)" + doc.substr(5)}};   // x was renamed
    };
    w.restart();
    w.run(kPush);
    CHECK(asked == 2);
    CHECK(w.doc("FORM", "a") == R"({"long":"................................................................","y":3})");
    CHECK(w.server.effects.size() == 2);
    CHECK(w.server.requests.back().find("long") == std::string::npos);   // a delta against the acknowledged document, which is of version 1
    CHECK(w.queued() == 0);
}

TEST_CASE("never an op that was sent: it goes again as it was, and what stands behind it is migrated") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1})", version(1));
    w.server.drop_answer = true;
    w.run(kPush, 6);
    w.accept("FORM", "a", "update", R"({"x":2})", version(1));
    w.server.drop_answer = false;
    std::vector<std::string> seen;
    w.schema_version = 2;
    w.on_migrate = [&seen](const Json& op, const std::string& doc) -> Json {
        seen.push_back(op["opId"]);
        return {{"body", R"({"v":2,"was":)" + doc + "}"}};
    };
    w.restart();
    w.run(kManual);
    CHECK(seen == std::vector<std::string>{"op-2"});
    CHECK(w.server.effects == std::vector<std::string>{"op-1", "op-2"});
    CHECK(w.doc("FORM", "a") == R"({"v":2,"was":{"x":2}})");
}

TEST_CASE("FF-19: what cannot be migrated waits and says why, others go on, and it is never dead however often it was tried") {
    struct Row {
        const char* name;
        int from;
        Json answer;
        const char* sentence;
    };
    const Row rows[] = {
        {"no function", 1, Json::object(), "It is of schemaVersion 1. "},
        {"it throws", 1, {{"message", "Error: no such field"}}, "It is of schemaVersion 1. Error: no such field"},
        {"not JSON", 1, {{"body", "{\"x\":"}}, "It is of schemaVersion 1. "},
        {"a newer version", 3, {{"body", "{}"}}, "It is of schemaVersion 3. "},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        World w;
        const std::string id = w.accept("FORM", "a", "create", R"({"x":1})", version(row.from));
        const std::string behind = w.accept("FORM", "a", "update", R"({"x":2})", version(2));
        w.accept("NOTE", "b", "create", R"({"n":1})", version(2));
        w.schema_version = 2;
        int asked = 0;
        w.on_migrate = [&](const Json&, const std::string&) { return ++asked, row.answer; };
        w.restart();
        for (int i = 0; i < 20; ++i) w.run(i == 0 ? Json({{"event", {{"type", "sync"}}}}) : kManual);
        CHECK(w.doc("NOTE", "b") == R"({"n":1})");
        CHECK(w.doc("FORM", "a") == "");
        CHECK(asked == (row.from > 2 ? 0 : 20));   // again whenever somebody asks
        CHECK(w.queued() == 2);
        CHECK(w.row(1)["state"] == "queued");
        CHECK(w.row(1).value("attempts", 0) == 0);
        CHECK(w.row(1)["schemaVersion"] == row.from);
        CHECK(w.bytes["payloads"]["000000000001:next"] == R"({"x":1})");
        const Json why = explained(w, id);
        CHECK(why["reason"] == "schema");
        CHECK(why["sentence"] == row.sentence);
        CHECK(explained(w, behind)["reason"] == "lane");
        REQUIRE(w.status);
        CHECK_FALSE(w.wake);        // no time can help,
        CHECK_FALSE(w.last_reject); // so nobody is woken for it
        // Code that knows what to do takes it from there.
        becomes(w, 4);
        w.run(kManual);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == R"({"v":4,"was":{"x":2},"from":2})");
    }
}

TEST_CASE("one whose migration fails is alone in that: the others are stored and sent") {
    World w;
    for (int i = 0; i < 120; ++i) w.accept("FORM", "f" + std::to_string(i), "create", "{\"n\":" + std::to_string(i) + "}", version(1));
    w.schema_version = 2;
    w.on_migrate = [](const Json& op, const std::string& doc) -> Json {
        if (op["entityId"] == "f7" || op["entityId"] == "f70") return {{"message", "no"}};
        return {{"body", R"({"v":2,"was":)" + doc + "}"}};
    };
    w.restart();
    w.run(kPush);
    CHECK(w.queued() == 2);
    CHECK(w.doc("FORM", "f8") == R"({"v":2,"was":{"n":8}})");
    CHECK(w.doc("FORM", "f119") == R"({"v":2,"was":{"n":119}})");
    CHECK(w.command({{"type", "status"}})["value"]["reason"] == "Some changes wait for a decision");
    CHECK(w.command({{"type", "cancel"}, {"id", "op-8"}})["ok"] == true);
    w.on_migrate = [](const Json&, const std::string&) -> Json { return {{"body", "{}"}}; };
    CHECK(w.command({{"type", "retry"}, {"id", "op-71"}})["ok"] == true);
    CHECK(w.queued() == 0);
}

TEST_CASE("killed at every step of a migration: one effect, of the migrated document") {
    for (int kill = 1; kill < 14; ++kill) {
        CAPTURE(kill);
        World w;
        w.accept("FORM", "a", "create", R"({"x":1})", version(1));
        becomes(w, 2);
        w.run(kPush, kill);
        w.restart();
        w.run(kManual);
        w.now += 600000;
        w.run(kManual);
        CHECK(w.doc("FORM", "a") == R"({"v":2,"was":{"x":1},"from":1})");
        CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
        CHECK(w.server.effects == std::vector<std::string>{"op-1"});
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("a commit of migrated documents that is refused changes nothing, and they are made again; a save meanwhile is kept") {
    for (const std::string verdict : {"error", "stale"}) {
        CAPTURE(verdict);
        World w;
        w.accept("FORM", "a", "create", R"({"x":1})", version(1));
        becomes(w, 2);
        int times = 0;
        w.on_commit = [&](const Json& commit) -> std::string {
            for (const Json& write : commit["writes"])
                if (write["store"] == "payloads" && ++times == 1) {
                    if (verdict == "stale") w.accept("FORM", "a", "update", R"({"x":2})", version(2));
                    return verdict;
                }
            return "";
        };
        w.run(kPush);
        w.now += 5000;
        w.run(kManual);
        CHECK(times >= 2);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == (verdict == "stale" ? R"({"x":2})" : R"({"v":2,"was":{"x":1},"from":1})"));
        CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
    }
}

TEST_CASE("nobody is asked for blobs and deletes, for who is not signed in, while nothing may be sent, or by code that does not say its version") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1})", version(1));
    int asked = 0;
    const auto count = [&](const Json&, const std::string& doc) -> Json { return ++asked, Json{{"body", doc}}; };
    SUBCASE("blobs and deletes") {
        w.run(kPush);
        w.accept("FORM", "a", "delete", "", version(1));
        w.accept("PHOTO", "p", "create", "bytes", {{"schemaVersion", 1}, {"contentType", "image/png"}});
        w.schema_version = 2;
        w.on_migrate = count;
        w.restart();
        w.network = [](const Json& send) -> Json { return send["url"] == "batch" ? Json() : Json{{"status", 201}, {"headers", {{"etag", "\"1\""}}}}; };
        w.run(kPush);
        CHECK(asked == 0);
        CHECK(w.queued() == 0);
    }
    SUBCASE("not signed in") {
        w.schema_version = 2;
        w.on_migrate = count;
        w.restart();
        w.command({{"type", "signIn"}, {"value", {{"owner", "ann"}}}});
        w.run(kManual);
        CHECK(asked == 0);
        w.command({{"type", "signIn"}, {"value", {{"owner", ""}}}});
        CHECK(asked == 1);
        CHECK(w.queued() == 0);
    }
    SUBCASE("paused") {
        w.command({{"type", "pause"}});
        w.schema_version = 2;
        w.on_migrate = count;
        w.restart();
        w.run(kManual);
        CHECK(asked == 0);
        w.command({{"type", "resume"}});
        CHECK(asked == 1);
        CHECK(w.queued() == 0);
    }
    SUBCASE("no version") {
        w.on_migrate = count;
        w.restart();
        w.run(kPush);
        CHECK(asked == 0);
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("an atomic group waits until all of it is of the present version, and goes as one") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1})", version(1));
    w.run(kPush);
    w.accept("FORM", "a", "update", R"({"x":2})", {{"schemaVersion", 1}, {"group", "g"}});
    w.accept("FORM", "b", "create", R"({"x":3})", {{"schemaVersion", 2}, {"group", "g"}});
    becomes(w, 2);
    w.run(kPush);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == R"({"v":2,"was":{"x":2},"from":1})");
    CHECK(w.doc("FORM", "b") == R"({"x":3})");
}

TEST_CASE("a pull leaves a lane alone that is still to be migrated: the app is given what it saved, and the merge is of documents of one version") {
    World w;
    w.accept("FORM", "a", "create", R"({"x":1,"z":1})", version(1));
    w.run(kPush);
    w.pull();
    w.server.edit("FORM/a", R"({"y":1,"z":5})");   // by somebody whose app is of version 2 already: x is called y
    std::vector<std::string> given;
    w.schema_version = 2;
    w.on_migrate = [&given](const Json&, const std::string& doc) -> Json {
        given.push_back(doc);
        return {{"body", R"({"y":)" + doc.substr(5)}};
    };
    w.restart();
    bool saved = false;
    w.network = [&](const Json& send) -> Json {
        if (send["url"].get<std::string>().rfind("changes", 0) == 0 && !saved) {
            saved = true;
            w.accept("FORM", "a", "update", R"({"x":2,"z":1})", version(1));
        }
        return nullptr;
    };
    w.pull();
    w.network = nullptr;
    w.pull();
    w.run(kManual);
    CHECK(given == std::vector<std::string>{R"({"x":2,"z":1})"});
    CHECK(w.doc("FORM", "a") == R"({"y":2,"z":5})");
    CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
    CHECK(w.queued() == 0);
}
