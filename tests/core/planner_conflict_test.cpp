// Two writers of one entity: every strategy, per entity type, in bounded rounds, with an audit entry from which the decision can be replayed.
#include <doctest/doctest.h>

#include "tidegate/conflict.h"
#include "tidegate/hash.h"
#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kPush = {{"event", {{"type", "push"}}}};
const char* const kBase = R"({"a":1,"b":{"x":1,"y":1},"c":1})";
const char* const kOurs = R"({"a":5,"b":{"x":1,"y":3},"c":1})";
const char* const kTheirs = R"({"a":7,"b":{"x":2,"y":1},"c":9})";

// An entity that both sides changed since the base. The op that meets the conflict is the last one accepted.
std::string clash(World& w, const std::string& entity = "FORM", const std::string& ours = kOurs) {
    w.accept(entity, "a", "create", kBase);
    w.run(kPush);
    w.server.docs[entity + "/a"].text = kTheirs;
    w.server.docs[entity + "/a"].version = 2;
    const std::string id = w.accept(entity, "a", "update", ours);
    w.run(kPush);
    return id;
}

std::vector<Json> audits(const World& w) {
    std::vector<Json> found;
    for (const auto& [key, record] : w.values.at("history"))
        if (record.value("kind", "") == "conflict") found.push_back(record);
    return found;
}

// Decides again from what the entry says alone.
void replay(const Json& entry) {
    const auto text = [&entry](const char* name) -> std::optional<std::string> {
        return entry.contains(name) ? std::optional(entry[name].get<std::string>()) : std::nullopt;
    };
    const auto base = text("base"), ours = text("ours"), theirs = text("theirs"), answer = text("answer");
    const auto strategy = parse_strategy(entry["strategy"].get<std::string>());
    REQUIRE(strategy);
    REQUIRE(ours);
    const Resolution made = resolve(*strategy, base, *ours, theirs, entry["theirsLater"], answer);
    CHECK(std::to_string(xxh64(made.document)) == entry["result"]);
    REQUIRE(made.clashes.size() == entry["clashes"].size());
    for (std::size_t i = 0; i < made.clashes.size(); ++i) {
        CHECK(made.clashes[i].path == entry["clashes"][i]["path"]);
        CHECK((made.clashes[i].winner == Side::ours) == (entry["clashes"][i]["winner"] == "ours"));
    }
}

// Answers the GET of an entity as a server that says when it was written, so long ago.
void says_when(World& w, double age_s) {
    w.network = [&w, age_s](const Json& send) -> Json {
        if (send["method"] != "GET") return nullptr;
        const int written = 40 - static_cast<int>(age_s);
        return {{"status", 200}, {"body", kTheirs},
                {"headers", {{"content-type", "application/json"}, {"etag", "\"2\""}, {"date", "Sat, 21 Nov 2026 10:00:40 GMT"},
                             {"last-modified", "Sat, 21 Nov 2026 10:00:" + std::string(written < 10 ? "0" : "") + std::to_string(written) + " GMT"}}}};
    };
}

}  // namespace

TEST_CASE("each strategy makes its own of one conflict, says so in the audit trail, and the entry replays to the same") {
    struct Row {
        const char *strategy, *server, *clashes;
    };
    const Row rows[] = {
        {"merge", R"({"a":5,"b":{"x":2,"y":3},"c":9})", "/a "},
        {"three-way", R"({"a":5,"b":{"x":2,"y":3},"c":9})", "/a "},
        {"field-level", R"({"a":5,"b":{"x":1,"y":3},"c":9})", "/a /b "},
        {"client-wins", kOurs, " "},
        {"server-wins", kTheirs, " "},
        {"last-write-wins", kOurs, " "},
        {"custom", R"({"a":5,"b":{"x":2,"y":3},"c":9})", "/a "},   // the app says nothing: merge
    };
    for (const Row& row : rows) {
        World w;
        w.command({{"type", "settings"}, {"value", {{"conflictStrategy", row.strategy}}}});
        if (std::string(row.strategy) == "last-write-wins") says_when(w, 30);
        const std::string id = clash(w);
        CAPTURE(row.strategy);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == row.server);
        CHECK(w.bytes["docs"][":FORM/a"] == row.server);
        const std::vector<Json> entries = audits(w);
        REQUIRE(entries.size() == 1);
        std::string paths;
        for (const Json& c : entries[0]["clashes"]) paths += c["path"].get<std::string>() + " ";
        CHECK(paths == row.clashes);
        CHECK(entries[0]["opId"] == id);
        replay(entries[0]);
    }
}

TEST_CASE("FF-21: last write wins by the ages of both writes, each by its own clock; without a time ours is the last") {
    for (const double clock_error : {0.0, -3.0e9, 3.0e9}) {
        World w;
        w.now += clock_error;
        w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "last-write-wins"}}}});
        w.accept("FORM", "a", "create", kBase);
        w.run(kPush);
        w.server.docs["FORM/a"].text = kTheirs;
        w.server.docs["FORM/a"].version = 2;
        w.readings = {{"online", false}};
        w.accept("FORM", "a", "update", kOurs);
        w.run(kPush);
        w.now += 20000;   // ours is 20 s old when it meets theirs
        w.readings = {{"online", true}};
        bool theirs_later = true;
        SUBCASE("theirs is later") { says_when(w, 5); }
        SUBCASE("ours is later") { says_when(w, 35), theirs_later = false; }
        SUBCASE("nobody knows") {
            theirs_later = false;
            w.network = [](const Json& send) -> Json {
                if (send["method"] != "GET") return nullptr;
                return {{"status", 200}, {"body", kTheirs}, {"headers", {{"content-type", "application/json"}, {"etag", "\"2\""}}}};
            };
        }
        w.run(kPush);
        CAPTURE(clock_error);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == (theirs_later ? kTheirs : kOurs));
        REQUIRE(audits(w).size() == 1);
        CHECK(audits(w)[0]["theirsLater"] == theirs_later);
        replay(audits(w)[0]);
    }
}

TEST_CASE("each entity type has its strategy") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategies", {{"NOTE", "server-wins"}, {"PLAN", "client-wins"}}}}}});
    clash(w, "NOTE");
    clash(w, "PLAN");
    clash(w, "FORM");
    CHECK(w.doc("NOTE", "a") == kTheirs);
    CHECK(w.doc("PLAN", "a") == kOurs);
    CHECK(w.doc("FORM", "a") == R"({"a":5,"b":{"x":2,"y":3},"c":9})");
    const Json refused = w.command({{"type", "settings"}, {"value", {{"conflictStrategies", {{"NOTE", "coin"}}}}}});
    CHECK(refused["error"]["path"] == "/conflictStrategies/NOTE");
}

TEST_CASE("custom: the app is asked once per round with the three documents, and its word is the document") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "custom"}}}});
    std::vector<Json> asked;
    std::string answer = R"({"a":12})";
    w.on_ask = [&](const Json& detail) {
        asked.push_back(detail);
        return answer;
    };
    SUBCASE("a document") {
        clash(w);
        CHECK(w.doc("FORM", "a") == answer);
    }
    SUBCASE("theirs: nothing is left to send") {
        answer = kTheirs;
        clash(w);
        CHECK(w.doc("FORM", "a") == kTheirs);
        CHECK(w.server.effects.size() == 1);
    }
    SUBCASE("no JSON: as if it had said nothing") {
        answer = "{\"a\":";
        clash(w);
        CHECK(w.doc("FORM", "a") == R"({"a":5,"b":{"x":2,"y":3},"c":9})");
    }
    CHECK(w.queued() == 0);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0]["base"] == kBase);
    CHECK(asked[0]["ours"] == kOurs);
    CHECK(asked[0]["theirs"] == kTheirs);
    CHECK(asked[0]["entity"] == "FORM");
    REQUIRE(audits(w).size() == 1);
    replay(audits(w)[0]);
}

TEST_CASE("FF-26: a server that changes under us every time is asked three times; then a person decides, and other lanes go on") {
    World w;
    bool moving = true;
    w.network = [&](const Json&) -> Json {
        tidegate::test::Doc& doc = w.server.docs["FORM/a"];
        if (moving && doc.version > 0) doc.text = "{\"a\":" + std::to_string(100 + ++doc.version) + ",\"b\":{\"x\":1,\"y\":1},\"c\":1}";
        return nullptr;
    };
    const std::string id = clash(w);
    w.accept("FORM", "other", "create", "{}");
    w.run(kPush);
    CHECK(w.doc("FORM", "other") == "{}");
    CHECK(w.row(2)["state"] == "conflict");
    CHECK(w.row(2)["rounds"] == 3);
    CHECK((*w.status)["conflicts"] == 1);
    CHECK(audits(w).size() == 3);
    for (const Json& entry : audits(w)) replay(entry);
    CHECK(w.last_idle);
    CHECK_FALSE(w.last_reject);   // time does not help
    std::vector<Json> told;
    for (const Json& event : w.events)
        if (event["event"] == "op.conflict") told.push_back(event["detail"]);
    REQUIRE(told.size() == 1);
    CHECK(told[0] == Json{{"id", id}, {"owner", ""}, {"entity", "FORM"}, {"entityId", "a"}, {"reason", "Changed on the server again and again"}});
    moving = false;
    CHECK(w.command({{"type", "retry"}, {"id", id}})["ok"] == true);
    w.run(kPush);
    CHECK(w.queued() == 0);
}

TEST_CASE("the losing value is kept whole, however long; documents that are too large together are not") {
    World w;
    const std::string long_text(10000, 'x'), larger(40000, 'y');
    w.accept("FORM", "a", "create", R"({"a":"1"})");
    w.run(kPush);
    w.server.docs["FORM/a"].text = "{\"a\":\"" + long_text + "\"}";
    w.server.docs["FORM/a"].version = 2;
    w.accept("FORM", "a", "update", "{\"a\":\"" + larger + "\"}");
    w.run(kPush);
    REQUIRE(audits(w).size() == 1);
    const Json entry = audits(w)[0];
    CHECK(entry["clashes"][0]["theirs"] == "\"" + long_text + "\"");
    CHECK(entry["clashes"][0]["ours"].get<std::string>().size() < 5000);
    CHECK_FALSE(entry.contains("ours"));
}
