// A server keeps idempotency keys for so long, and says how long. What was sent before that and had no answer is asked for by GET, never sent again under its key.
#include <doctest/doctest.h>

#include <algorithm>

#include "tidegate/patch.h"
#include "tidegate/time.h"
#include "world.h"

using namespace tidegate;
using tidegate::test::Doc;
using tidegate::test::Server;
using tidegate::test::World;

namespace {

const Json kPush = {{"event", {{"type", "push"}}}};

// A server that keeps keys for a day, and an entity FORM/a of which this client has the acknowledged version.
struct Aged : World {
    std::vector<std::string> asked;      // GETs of entities
    bool remembers = false;              // it keeps keys for longer than it says
    int gets_in_step = 0, most_gets = 0, step = 0;

    explicit Aged(const char* document = R"({"n":0})", int retention_s = 86400) {
        server.retention_s = retention_s;
        network = [this](const Json& send) { return note(send), Json(); };
        command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
        accept("FORM", "a", "create", document);
        run(kPush);
        REQUIRE(queued() == 0);
    }

    void note(const Json& send) {
        if (send["method"] != "GET" || send["url"].get<std::string>().rfind("entities/", 0) != 0) return;
        asked.push_back(send["url"]);
        gets_in_step = step == steps ? gets_in_step + 1 : 1;
        step = steps;
        most_gets = std::max(most_gets, gets_in_step);
    }

    // What is queued is applied, and no answer comes.
    void lose() {
        server.drop_answer = true;
        run(kPush);
        server.drop_answer = false;
        asked.clear();
    }

    void later(double ms) {
        now += ms;
        if (ms > kDayMs && !remembers) server.answers.clear();
        run(kPush);
    }

    std::vector<Json> history(const char* kind) const {
        std::vector<Json> found;
        for (const auto& [key, record] : values.at("history"))
            if (record.value("kind", "") == kind) found.push_back(record);
        return found;
    }
};

}  // namespace

TEST_CASE("two changes of an entity, both applied and never answered, are applied once each by a server that forgot their keys") {
    Aged w;
    w.accept("FORM", "a", "update", R"({"n":1})");
    w.accept("FORM", "a", "update", R"({"n":2})");
    w.lose();
    REQUIRE(w.server.effects.size() == 3);
    const std::size_t sent = w.server.requests.size();
    w.later(2 * kDayMs);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 3);
    CHECK(w.server.requests.size() == sent);   // both were known by what is there
    CHECK(w.asked.size() == 2);
    CHECK(w.doc("FORM", "a") == R"({"n":2})");
    CHECK(w.shown("FORM/a") == R"({"n":2})");
    CHECK(w.history("conflict").empty());
    REQUIRE(w.history("done").size() == 2);
    CHECK(w.history("done")[0]["by"] == "already on the server");
    w.accept("FORM", "a", "update", R"({"n":3})");   // the version that was found is what the next one rests on
    w.run(kPush);
    CHECK(w.server.effects.size() == 4);
    CHECK(w.doc("FORM", "a") == R"({"n":3})");
}

TEST_CASE("a create, an update and a delete that were applied are done by what GET says, and not sent again") {
    Aged w;
    w.accept("FORM", "b", "create", R"({"n":1})");
    w.run(kPush);
    w.accept("FORM", "a", "update", R"({"n":5})");
    w.accept("FORM", "b", "delete", "");
    w.accept("FORM", "c", "create", R"({"n":7})");
    w.accept("FORM", "d", "create", R"({"n":8})");   // and gone again, by a later change that was lost with it
    w.accept("FORM", "d", "delete", "");
    w.lose();
    const std::size_t sent = w.server.requests.size(), effects = w.server.effects.size();
    w.later(2 * kDayMs);
    CHECK(w.queued() == 0);
    CHECK(w.server.requests.size() == sent);
    CHECK(w.server.effects.size() == effects);
    CHECK(w.asked.size() == 5);
    CHECK(w.doc("FORM", "a") == R"({"n":5})");
    CHECK(w.doc("FORM", "c") == R"({"n":7})");
    CHECK_FALSE(w.server.docs["FORM/b"].text.empty());
    CHECK(w.server.docs["FORM/b"].deleted);
    CHECK(w.server.docs["FORM/d"].deleted);
    CHECK(w.most_gets <= 3);   // requests like any other: no more at once than the link carries
}

TEST_CASE("a delete without a version to rest on does not take away what somebody made of the entity since") {
    Aged w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
    w.server.edit("FORM/other", R"({"n":1})");
    w.accept("FORM", "other", "delete", "");
    w.lose();
    REQUIRE(w.server.docs["FORM/other"].deleted);
    w.server.edit("FORM/other", R"({"made":"anew"})");
    w.later(2 * kDayMs);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "other") == R"({"made":"anew"})");
    CHECK(w.shown("FORM/other") == R"({"made":"anew"})");
    CHECK(w.history("conflict").size() == 1);
}

TEST_CASE("REST without entity tags: a patch that was applied is not applied again once its key is forgotten") {
    const std::string filler(400, 'x');
    const std::string before = "{\"list\":[1],\"text\":\"" + filler + "\"}", after = "{\"list\":[1,2],\"text\":\"" + filler + "\"}";
    Aged w(before.c_str());
    w.command({{"type", "settings"}, {"value", {{"mode", "rest"}}}});
    w.values["bases"][":FORM/a"]["etag"] = "";
    int patches = 0;
    std::map<std::string, bool> keys;
    w.network = [&](const Json& send) -> Json {
        w.note(send);
        std::string& text = w.server.docs["FORM/a"].text;
        if (send["method"] == "GET") return {{"status", 200}, {"headers", {{"content-type", "application/json"}}}, {"body", text}};
        CHECK_FALSE(send["headers"].contains("if-match"));
        REQUIRE(send["method"] == "PATCH");
        bool& known = keys[send["headers"]["idempotency-key"].get<std::string>()];
        if (!known) {
            const bool merges = send["headers"]["content-type"] == "application/merge-patch+json";
            const std::string& body = *w.planner.bytes(send["slot"]);
            text = (merges ? apply_merge_patch(text, body, 1 << 20) : apply_json_patch(text, body, 1 << 20)).value();
            ++patches;
        }
        known = true;
        if (w.server.drop_answer) return {{"failure", "network"}};
        return {{"status", 204}, {"headers", Json::object()}};
    };
    w.accept("FORM", "a", "update", after);
    w.lose();
    REQUIRE(patches == 1);
    SUBCASE("while the key is kept, the patch under its key is the question") {
        w.later(kDayMs / 2);
        CHECK(w.asked.empty());
    }
    SUBCASE("afterwards GET is") {
        keys.clear();
        w.later(2 * kDayMs);
        CHECK(w.asked == std::vector<std::string>{"entities/FORM/a"});
    }
    CHECK(w.queued() == 0);
    CHECK(patches == 1);
    CHECK(w.doc("FORM", "a") == after);
}

TEST_CASE("what never arrived goes under a new key, as no conflict, whatever the strategy") {
    for (const char* strategy : {"merge", "server-wins", "last-write-wins", "custom"}) {
        for (const char* action : {"update", "delete", "create"}) {
            Aged w;
            w.on_ask = [](const Json&) -> std::string { FAIL("the app was asked"); return ""; };
            w.command({{"type", "settings"}, {"value", {{"conflictStrategy", strategy}}}});
            const std::string entity = action == std::string("create") ? "new" : "a";
            const std::string id = w.accept("FORM", entity, action, action == std::string("delete") ? "" : R"({"n":1})");
            bool up = false;
            w.network = [&](const Json& send) -> Json {
                w.note(send);
                return up ? Json() : Json{{"failure", "network"}};
            };
            w.run(kPush);
            up = true;
            w.now += 2 * kDayMs;
            w.run(kPush);
            CAPTURE(strategy);
            CAPTURE(action);
            CHECK(w.asked.size() == 1);
            CHECK(w.queued() == 0);
            CHECK(w.server.effects.size() == 2);
            CHECK(w.server.effects.back() == (action == std::string("delete") ? id : id + ".2"));
            CHECK(w.doc("FORM", entity) == (action == std::string("delete") ? "" : R"({"n":1})"));
            CHECK(w.history("conflict").empty());
            CHECK(std::none_of(w.events.begin(), w.events.end(), [](const Json& e) { return e["event"] == "sync.conflict"; }));
        }
    }
}

TEST_CASE("what somebody changed since is a conflict like any other: merged, and sent under a new key") {
    Aged w(R"({"a":1,"b":1})");
    const std::string id = w.accept("FORM", "a", "update", R"({"a":2,"b":1})");
    w.lose();
    w.server.edit("FORM/a", R"({"a":2,"b":9})");
    SUBCASE("what it changed is there: the merged document is theirs, and nothing is sent") {
        w.later(2 * kDayMs);
        CHECK(w.server.effects.size() == 2);
    }
    SUBCASE("what it changed is not there") {
        w.server.edit("FORM/a", R"({"a":1,"b":9})");
        w.later(2 * kDayMs);
        CHECK(w.server.effects.size() == 3);
        CHECK(w.server.effects.back() == id + ".2");
    }
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == R"({"a":2,"b":9})");
    CHECK(w.history("conflict").size() == 1);
}

TEST_CASE("two changes that never arrived go on top of what somebody wrote since") {
    Aged w(R"({"a":1,"b":1,"c":1})");
    bool up = false;
    w.network = [&](const Json& send) -> Json {
        w.note(send);
        return up ? Json() : Json{{"failure", "network"}};
    };
    w.accept("FORM", "a", "update", R"({"a":2,"b":1,"c":1})");
    w.accept("FORM", "a", "update", R"({"a":2,"b":2,"c":1})");
    w.run(kPush);
    w.accept("FORM", "a", "update", R"({"a":3,"b":2,"c":1})");
    w.server.edit("FORM/a", R"({"a":1,"b":1,"c":9})");
    up = true;
    w.now += 2 * kDayMs;
    w.run(kPush);
    CHECK(w.queued() == 0);
    CHECK(w.asked.size() == 1);   // what was sent on top of it never arrived either
    CHECK(w.doc("FORM", "a") == R"({"a":3,"b":2,"c":9})");
    CHECK(w.server.effects.size() == 4);
    CHECK(w.history("conflict").size() == 1);
}

TEST_CASE("within the retention, without one, and when the clock jumped back, the key is the question: the op goes again as it was") {
    bool stated = true;
    double wait = kDayMs / 2;
    SUBCASE("within it") {}
    SUBCASE("a clock that jumped back") { wait = -30 * kDayMs; }
    SUBCASE("nothing was stated") {
        stated = false;
        wait = 2 * kDayMs;
    }
    Aged w(R"({"n":0})", stated ? 86400 : 0);
    w.remembers = true;
    const std::string id = w.accept("FORM", "z", "create", R"({"n":1})");
    w.lose();
    const std::size_t sent = w.server.requests.size();
    w.later(wait);
    CHECK(w.queued() == 0);
    CHECK(w.asked.empty());
    CHECK(w.server.requests.size() == sent + 1);
    CHECK(std::count(w.server.effects.begin(), w.server.effects.end(), id) == 1);
}

TEST_CASE("the time counts from the first request that may have been applied, however many went unanswered since") {
    Aged w;
    w.accept("FORM", "a", "update", R"({"n":1})");
    w.accept("FORM", "a", "update", R"({"n":2})");
    w.lose();
    const auto goes_through = w.network;
    w.network = [](const Json&) -> Json { return {{"failure", "network"}}; };
    w.later(kDayMs - kHourMs);   // again, and this one does not arrive
    REQUIRE(w.row(2)["sends"] == 2);
    w.network = goes_through;
    w.restart();
    w.server.answers.clear();
    w.now += 2 * kHourMs;
    w.run(kPush);
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 3);
    CHECK(w.asked.size() == 2);
}

TEST_CASE("the last retention that was stated holds after a restart, also for what a kill cut off") {
    Aged w;
    w.accept("FORM", "a", "update", R"({"n":1})");
    w.server.drop_answer = true;
    w.run(kPush, 2);   // mark and request are out, the answer is not taken in
    REQUIRE(w.row(2)["state"] == "sending");
    REQUIRE(w.server.effects.size() == 2);
    w.server.drop_answer = false;
    w.asked.clear();
    w.restart();
    const std::size_t sent = w.server.requests.size();
    w.later(2 * kDayMs);
    CHECK(w.asked.size() == 1);
    CHECK(w.server.requests.size() == sent);
    CHECK(w.queued() == 0);
}

TEST_CASE("while GET has no answer nothing is sent and nothing decided; a store that refuses the decision lets it be asked again") {
    Aged w;
    const std::string id = w.accept("FORM", "a", "update", R"({"n":1})");
    w.lose();
    w.server.edit("FORM/a", R"({"n":0,"theirs":1})");   // as if it had not been applied, and somebody else's was
    const std::size_t sent = w.server.requests.size();
    int failures = 2;
    SUBCASE("the network") {
        w.network = [&](const Json& send) -> Json {
            w.note(send);
            return failures-- > 0 ? Json{{"failure", "network"}} : Json();
        };
        w.later(2 * kDayMs);
        CHECK(w.row(2)["state"] == "unknown");
        CHECK(w.wake);
    }
    SUBCASE("a server that fails") {
        w.network = [&](const Json& send) -> Json {
            w.note(send);
            return failures-- > 0 ? Json{{"status", 503}, {"headers", Json::object()}} : Json();
        };
        w.later(2 * kDayMs);
        CHECK(w.row(2)["state"] == "unknown");
        CHECK(w.wake);
    }
    SUBCASE("the store") {
        w.on_commit = [&](const Json& commit) {
            bool decides = false;
            for (const Json& write : commit["writes"]) decides = decides || write["store"] == "bases";
            return decides && failures-- > 0 ? "error" : "";
        };
        w.later(2 * kDayMs);
    }
    for (int i = 0; i < 10 && w.queued() > 0; ++i) {
        CHECK(w.server.requests.size() == sent);
        w.now = std::max(w.now + 1, w.wake.value_or(w.now + 1000));
        w.run(kPush);
    }
    CHECK(w.queued() == 0);
    CHECK(w.asked.size() == 3);
    CHECK(w.server.effects.size() == 3);
    CHECK(w.server.effects.back() != id);
    CHECK(w.doc("FORM", "a") == R"({"n":1,"theirs":1})");
}

TEST_CASE("an atomic group of which nobody knows any more goes again in one piece, each of its members asked for first") {
    Aged w;
    const Json group = {{"group", "g"}};
    w.accept("FORM", "a", "update", R"({"n":1})", group);
    w.accept("FORM", "a", "delete", "", group);
    w.accept("FORM", "b", "create", R"({"n":2})", group);
    bool up = true;
    SUBCASE("applied: each is known by what is there") {
        w.lose();
        w.later(2 * kDayMs);
        CHECK(w.server.requests.size() == 2);
        CHECK(w.asked.size() == 3);
    }
    SUBCASE("never arrived") {
        up = false;
        w.network = [&](const Json& send) -> Json {
            w.note(send);
            return up ? Json() : Json{{"failure", "network"}};
        };
        w.run(kPush);
        up = true;
        w.later(2 * kDayMs);
        REQUIRE(w.server.requests.size() == 2);
        CHECK(w.server.requests.back().find("\"action\":\"delete\"") != std::string::npos);
        CHECK(w.server.requests.back().find("\"entityId\":\"b\"") != std::string::npos);
        CHECK(w.asked.size() == 2);
    }
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 4);
    CHECK(w.server.docs["FORM/a"].deleted);
    CHECK(w.doc("FORM", "b") == R"({"n":2})");
}
