// The bidirectional half against the small world: what a page changes, what it leaves alone, and what is stored together.
#include <doctest/doctest.h>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};

int told(const World& w, const char* event) {
    int count = 0;
    for (const Json& e : w.events) count += e["event"] == event;
    return count;
}

std::string cursor_of(World& w) { return w.values["state"]["core"]["pulls"][""]["cursor"]; }

}  // namespace

TEST_CASE("a page is read whole or not at all") {
    const std::string good = "{\"entity\":\"A\",\"entityId\":\"1\",\"etag\":\"\\\"1\\\"\",\"body\":true}\n{\"n\":1}\n{\"cursor\":\"7\",\"more\":true}\n";
    const auto page = parse_changes(good);
    REQUIRE(page);
    CHECK(page.value().changes.size() == 1);
    CHECK(page.value().changes[0].body == "{\"n\":1}");
    CHECK(page.value().cursor == "7");
    CHECK(page.value().more);
    for (std::size_t cut = 0; cut + 1 < good.size(); ++cut) CHECK_MESSAGE(!parse_changes(std::string_view(good).substr(0, cut)), cut);
    CHECK(!parse_changes("<html>"));
    CHECK(!parse_changes(good + good));
}

TEST_CASE("nobody who did not ask for it pulls") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.accept("FORM", "b", "create", "{}");
    w.run(kSync);
    CHECK(w.server.pulls.empty());
}

TEST_CASE("a pull stores documents, versions and the cursor in one commit, and tells what changed") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.server.edit("FORM/b c", "{\"n\":2}");
    int with_docs = 0;
    w.on_commit = [&](const Json& commit) {
        bool docs = false, cursor = false;
        for (const Json& write : commit["writes"]) {
            docs = docs || write["store"] == "docs";
            cursor = cursor || (write["key"] == "core" && write["value"]["pulls"][""]["cursor"] == "2");
        }
        with_docs += docs;
        if (docs) CHECK(cursor);
        return "";
    };
    w.pull();
    CHECK(with_docs == 1);
    CHECK(w.shown("FORM/a") == "{\"n\":1}");
    CHECK(w.shown("FORM/b%20c") == "{\"n\":2}");
    CHECK(w.values["bases"][":FORM/a"]["etag"] == "\"1\"");
    CHECK(told(w, "sync.documents") == 1);
    w.pull();
    CHECK(w.server.pulls.back() == "2");
    CHECK(told(w, "sync.documents") == 1);
}

TEST_CASE("pages follow each other, also after a kill between two of them") {
    for (int kill = 1; kill < 12; ++kill) {
        World w;
        w.server.page = 2;
        for (int i = 0; i < 7; ++i) w.server.edit("FORM/" + std::to_string(i), "{\"n\":" + std::to_string(i) + "}");
        w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "pull"}}}}})}}, kill);
        w.restart();
        w.pull();
        for (int i = 0; i < 7; ++i) CHECK(w.shown("FORM/" + std::to_string(i)) == "{\"n\":" + std::to_string(i) + "}");
        CHECK(cursor_of(w) == "7");
    }
}

TEST_CASE("what was pulled is the base of the next delta") {
    World w;
    const std::string notes(600, 'x');
    w.server.edit("FORM/a", "{\"n\":1,\"notes\":\"" + notes + "\"}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"n\":2,\"notes\":\"" + notes + "\"}");
    w.run(kSync);
    CHECK(w.server.requests.size() == 1);
    CHECK(w.server.requests[0].size() < 400);
    CHECK(w.doc("FORM", "a") == "{\"n\":2,\"notes\":\"" + notes + "\"}");
    CHECK(told(w, "sync.conflict") == 0);
}

TEST_CASE("a drain of an owner that pulls ends with a pull, and the echo of our own writes changes nothing") {
    World w;
    w.pull();
    w.now += 2000;
    w.accept("FORM", "a", "create", "{\"n\":1}");
    w.run(kSync);
    CHECK(w.server.pulls.size() == 2);
    CHECK(told(w, "sync.documents") == 0);
    CHECK(cursor_of(w) == "1");
    CHECK(w.queued() == 0);
}

TEST_CASE("a tombstone removes document and base, and what comes again is created anew") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.pull();
    w.server.edit("FORM/a", "");
    w.pull();
    CHECK(w.shown("FORM/a") == "");
    CHECK(w.values["bases"].count(":FORM/a") == 0);
    w.accept("FORM", "a", "create", "{\"n\":3}");
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"n\":3}");
    CHECK(w.queued() == 0);
}

TEST_CASE("FF-13: pending ops of a lane are rebased onto what came, in the commit that stores it") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.server.edit("FORM/a", "{\"site\":\"N\",\"n\":1,\"m\":1}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"site\":\"N\",\"n\":2,\"m\":1}");
    w.accept("FORM", "a", "update", "{\"site\":\"N\",\"n\":2,\"m\":2}");
    w.server.edit("FORM/a", "{\"site\":\"S\",\"n\":1,\"m\":1}");
    w.pull();
    CHECK(w.shown("FORM/a") == "{\"site\":\"S\",\"n\":2,\"m\":2}");
    CHECK(w.bytes["payloads"]["000000000001:next"] == "{\"site\":\"S\",\"n\":2,\"m\":1}");
    CHECK(w.bytes["bases"][":FORM/a"] == "{\"site\":\"S\",\"n\":1,\"m\":1}");
    CHECK(told(w, "sync.conflict") == 0);
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"site\":\"S\",\"n\":2,\"m\":2}");
    CHECK(w.queued() == 0);
    CHECK(told(w, "sync.conflict") == 0);   // no 412 was needed for it
}

TEST_CASE("the same field changed on both sides is a conflict, told and kept in the audit trail") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"n\":2}");
    w.server.edit("FORM/a", "{\"n\":3}");
    w.pull();
    CHECK(told(w, "sync.conflict") == 1);
    CHECK(w.shown("FORM/a") == "{\"n\":2}");
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"n\":2}");
}

TEST_CASE("the server deleted what has a pending change: it is created anew, and a pending delete is done") {
    World w;
    for (const char* id : {"a", "b"}) w.server.edit(std::string("FORM/") + id, "{\"n\":1}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"n\":2}");
    w.accept("FORM", "b", "delete", "");
    for (const char* id : {"a", "b"}) w.server.edit(std::string("FORM/") + id, "");
    w.pull();
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"n\":2}");
    CHECK(w.doc("FORM", "b") == "");
    CHECK(w.queued() == 0);
}

TEST_CASE("an op with an open outcome keeps its body; its lane is held back, and the cursor with it") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1,\"m\":1}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"n\":2,\"m\":1}");
    w.server.drop_answer = true;
    w.run(kSync, 6);
    REQUIRE(w.row(1)["unknown"] == true);
    const std::string first = w.server.requests.back();
    w.server.drop_answer = false;
    w.server.edit("FORM/a", "{\"n\":2,\"m\":5}");   // after ours
    w.server.edit("FORM/b", "{\"n\":9}");
    w.restart();
    w.now += 2000;
    w.pull();
    CHECK(w.shown("FORM/b") == "{\"n\":9}");
    CHECK(w.row(1)["unknown"] == true);
    CHECK(cursor_of(w) == "1");
    w.now += 400000;
    w.run(kSync);
    CHECK(w.server.requests.back() == first);
    CHECK(w.queued() == 0);
    CHECK(w.shown("FORM/a") == "{\"n\":2,\"m\":5}");
    CHECK(cursor_of(w) == "4");
    CHECK(w.doc("FORM", "a") == "{\"n\":2,\"m\":5}");
}

TEST_CASE("new ops that come while a page is being stored make it stale: it is taken in again with them") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1,\"m\":1}");
    w.pull();
    w.server.edit("FORM/a", "{\"n\":1,\"m\":2}");
    bool once = true;
    w.on_commit = [&](const Json& commit) {
        for (const Json& write : commit["writes"])
            if (write["store"] == "docs" && once) {
                once = false;
                w.accept("FORM", "a", "update", "{\"n\":7,\"m\":1}");
            }
        return "";
    };
    w.pull();
    CHECK(!once);
    CHECK(w.shown("FORM/a") == "{\"n\":7,\"m\":2}");
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"n\":7,\"m\":2}");
}

TEST_CASE("FF-14: a version that was acknowledged while an older page was on its way stands") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.pull();
    w.server.edit("FORM/a", "{\"n\":2}");
    // The page is made first and arrives last: meanwhile the op meets the newer version, is merged and acknowledged.
    w.network = [&](const Json& send) -> Json {
        const std::string url = send["url"];
        if (url.rfind("changes", 0) != 0 || w.server.pulls.size() > 1) return nullptr;
        w.accept("FORM", "a", "update", "{\"n\":1,\"m\":1}");
        return {{"status", 200}, {"delay", 12}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", w.server.changes(url).second}};
    };
    w.now += 2000;
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "both"}}}}})}});
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 1);
    CHECK(w.doc("FORM", "a") == "{\"n\":2,\"m\":1}");
    CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
    CHECK(w.bytes["bases"][":FORM/a"] == w.doc("FORM", "a"));
    w.now += 2000;
    w.run(kSync);
    CHECK(cursor_of(w) == "3");
    CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
}

TEST_CASE("410: all is pulled again from the start, pending ops are kept and rebased, what the server lost sight of is gone here too") {
    World w;
    for (const char* id : {"a", "b", "c", "d", "e"}) w.server.edit(std::string("FORM/") + id, "{\"n\":1,\"m\":1}");
    w.pull();
    w.accept("FORM", "a", "update", "{\"n\":2,\"m\":1}");
    w.accept("FORM", "d", "update", "{\"n\":2,\"m\":1}");
    w.server.edit("FORM/a", "{\"n\":1,\"m\":5}");
    for (const char* id : {"b", "d", "e"}) w.server.edit(std::string("FORM/") + id, "");
    w.server.horizon = w.server.n;   // the tombstones are purged
    w.pull();
    CHECK(w.server.pulls.back() == "");
    CHECK(w.shown("FORM/a") == "{\"n\":2,\"m\":5}");
    CHECK(w.shown("FORM/b") == "");
    CHECK(w.shown("FORM/c") == "{\"n\":1,\"m\":1}");
    CHECK(w.shown("FORM/d") == "{\"n\":2,\"m\":1}");
    CHECK(w.shown("FORM/e") == "");
    CHECK(w.values["bases"].count(":FORM/b") == 0);
    CHECK(w.values["state"]["core"]["pulls"][""]["full"] == false);
    w.run(kSync);
    CHECK(w.doc("FORM", "a") == "{\"n\":2,\"m\":5}");
    CHECK(w.doc("FORM", "d") == "{\"n\":2,\"m\":1}");
    CHECK(w.queued() == 0);
}

TEST_CASE("many hints are one pull") {
    World w;
    w.pull();
    w.now += 5000;
    const std::size_t before = w.server.pulls.size();
    w.server.edit("FORM/a", "{\"n\":1}");
    for (int i = 0; i < 20; ++i) w.run({{"event", {{"type", "message"}}}, {"commands", Json::array({{{"type", "hint"}}})}});
    CHECK(w.server.pulls.size() == before + 1);
    CHECK(w.shown("FORM/a") == "{\"n\":1}");
    REQUIRE(w.wake);   // the nineteen after it are one more, a second later
    w.now = *w.wake;
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(w.server.pulls.size() == before + 2);
    CHECK(!w.wake);
}

TEST_CASE("a server without changes is left alone until somebody asks again; a failing one is asked again later") {
    World w;
    int status = 503;
    w.network = [&](const Json&) -> Json { return {{"status", status}, {"headers", {{"content-type", "text/plain"}}}, {"body", ""}}; };
    w.pull();
    REQUIRE(w.wake);
    CHECK(*w.wake > w.now);
    status = 404;
    w.now = *w.wake;
    w.run({{"event", {{"type", "timer"}}}});
    CHECK(!w.wake);
    w.network = nullptr;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.run(kSync);
    CHECK(w.shown("FORM/a") == "");
    w.pull();
    CHECK(w.shown("FORM/a") == "{\"n\":1}");
}

TEST_CASE("what is not JSON is fetched by itself, and once") {
    World w;
    w.server.edit("PHOTO/p", std::string("\x00\xff\x01", 3), "image/png");
    w.server.edit("PHOTO/q", "gone soon", "image/png");
    w.server.edit("PHOTO/q", "");
    int gets = 0;
    w.network = [&](const Json& send) -> Json {
        const std::string url = send["url"];
        gets += url.rfind("entities", 0) == 0;
        return nullptr;
    };
    w.pull();
    CHECK(gets == 1);
    CHECK(w.shown("PHOTO/p") == std::string("\x00\xff\x01", 3));
    CHECK(w.values["docs"][":PHOTO/p"]["contentType"] == "image/png");
    w.pull({{"operation", "full"}});
    CHECK(gets == 1);
    CHECK(w.shown("PHOTO/p") == std::string("\x00\xff\x01", 3));
}

TEST_CASE("a pull by itself is a session as long as it took, and told under the name it is stored under") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    w.pull();
    CHECK(w.values["state"]["core"]["averageSessionMs"].get<double>() < 60000);
    REQUIRE(told(w, "sync.completed") == 1);
    for (const Json& e : w.events)
        if (e["event"] == "sync.completed") CHECK(w.values["history"].count(e["detail"]["sessionId"].get<std::string>()) == 1);
}

TEST_CASE("a blob that was cut off on its way, or that the server puts off, is asked for again; one that is gone or longer than the shell reads is left out") {
    const auto after = [](const Json& answer) {
        World w;
        w.server.edit("PHOTO/p", "bytes", "image/png");
        w.network = [&](const Json& send) -> Json { return send["url"].get<std::string>().rfind("entities", 0) == 0 ? answer : Json(nullptr); };
        w.pull();
        CHECK(w.shown("PHOTO/p") == "");
        w.network = nullptr;
        w.now += 3600000;
        w.pull();
        return w.shown("PHOTO/p");
    };
    const auto status = [](int code) { return Json{{"status", code}, {"headers", {{"content-type", "text/plain"}}}, {"body", ""}}; };
    CHECK(after({{"failure", "truncated"}}) == "bytes");
    CHECK(after({{"failure", "network"}}) == "bytes");
    for (const int code : {401, 408, 429, 503}) CHECK_MESSAGE(after(status(code)) == "bytes", code);
    CHECK(after({{"failure", "too-large"}}) == "");
    for (const int code : {403, 404, 410}) CHECK_MESSAGE(after(status(code)) == "", code);
}

TEST_CASE("a blob that is left out because it is longer than the shell reads is told once, with a record; what came with it is there") {
    World w;
    w.server.edit("PHOTO/p", "bytes", "image/png");
    w.server.edit("PHOTO/q", "few", "image/png");
    w.network = [](const Json& send) -> Json { return send["url"] == "entities/PHOTO/p" ? Json{{"failure", "too-large"}} : Json(nullptr); };
    w.pull();
    w.now += 3600000;
    w.pull();
    CHECK(w.shown("PHOTO/p") == "");
    CHECK(w.shown("PHOTO/q") == "few");
    REQUIRE(told(w, "sync.not-pulled") == 1);
    for (const Json& e : w.events) {
        if (e["event"] != "sync.not-pulled") continue;
        CHECK(e["detail"]["entityId"] == "p");
        CHECK(e["detail"]["reason"] == "Answer too long to be read");
        int records = 0;
        for (const auto& [key, record] : w.values["history"]) records += record.value("kind", "") == "not-pulled" && record["entityId"] == "p" && record["owner"] == "" && record.contains("at");
        CHECK(records == 1);
    }
}

TEST_CASE("a pull that was paused after its page asks for none of the blobs in it, and for all of them when it goes on") {
    World w;
    w.server.edit("PHOTO/a", "\xff\xd8 one", "image/jpeg");
    std::vector<std::string> asked;
    w.network = [&](const Json& send) -> Json { return asked.push_back(send["url"]), nullptr; };
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "pull"}}}}})}}, 1);
    for (int i = 0; i < 20 && asked.empty(); ++i) w.run(Json::object(), 1);
    REQUIRE(asked.size() == 1);
    w.command({{"type", "pause"}});
    CHECK(asked.size() == 1);
    w.command({{"type", "resume"}});
    w.pull();
    CHECK(w.shown("PHOTO/a") == "\xff\xd8 one");
}

TEST_CASE("the page of a captive portal is no blob: it is asked for again, and a page of HTML that is one is taken by its version") {
    const auto after = [](const Json& answer) {
        World w;
        w.server.edit("PAGE/p", "<p>ours</p>", "text/html");
        w.network = [&](const Json& send) -> Json { return send["url"].get<std::string>().rfind("entities", 0) == 0 ? answer : Json(nullptr); };
        w.pull();
        const std::string first = w.shown("PAGE/p");
        CHECK(w.bytes["bases"][":PAGE/p"] == first);
        w.network = nullptr;
        w.now += 3600000;
        w.pull();
        CHECK(w.values["bases"][":PAGE/p"]["etag"] == "\"1\"");
        return first + " " + w.shown("PAGE/p");
    };
    const auto page = [](const char* etag, const char* text) {
        return Json{{"status", 200}, {"headers", {{"content-type", "text/html; charset=utf-8"}, {"etag", etag}}}, {"body", text}};
    };
    CHECK(after(page("\"portal\"", "<p>Sign in</p>")) == " <p>ours</p>");
    CHECK(after(page("", "<p>Sign in</p>")) == " <p>ours</p>");
    CHECK(after(page("\"1\"", "<p>ours</p>")) == "<p>ours</p> <p>ours</p>");
    CHECK(after({{"status", 511}, {"headers", Json::object()}, {"body", "<p>Sign in</p>"}}) == " <p>ours</p>");
}

TEST_CASE("a page of HTML whose server names no version with it is asked for three times at most, and is then what the page of changes says") {
    World w;
    for (const char* id : {"p", "q"}) w.server.edit(std::string("PAGE/") + id, "<p>ours</p>", "text/html; charset=utf-8");
    int gets = 0;
    bool portal = false;
    w.network = [&](const Json& send) -> Json {
        const bool blob = send["url"].get<std::string>().rfind("entities", 0) == 0;
        gets += blob;
        if (!blob && !portal) return nullptr;
        return {{"status", 200}, {"headers", {{"content-type", "text/html"}}}, {"body", portal ? "<p>Sign in</p>" : "<p>ours</p>"}};
    };
    const auto pull = [&] {
        w.now += 3600000;
        w.pull();
    };
    pull();
    pull();
    CHECK(gets == 2);
    CHECK(w.shown("PAGE/p") == "");
    SUBCASE("one after the other") {
        pull();
        CHECK(gets == 4);   // and the other page with it
    }
    SUBCASE("a portal that answers for the page of changes, too, begins it anew") {
        portal = true;
        pull();
        portal = false;
        pull();
        pull();
        CHECK(gets == 4);
        CHECK(w.shown("PAGE/p") == "");
        pull();
        CHECK(gets == 6);
    }
    for (const char* id : {"p", "q"}) CHECK(w.shown(std::string("PAGE/") + id) == "<p>ours</p>");
    CHECK(w.values["bases"][":PAGE/p"]["etag"] == "\"1\"");
    const int before = gets;
    pull();
    CHECK(gets == before);
    CHECK(cursor_of(w) == "2");
}

TEST_CASE("direction and operation are checked, and push sends without pulling") {
    World w;
    w.pull();
    CHECK(w.command({{"type", "flush"}, {"value", {{"direction", "sideways"}}}})["error"]["path"] == "/direction");
    CHECK(w.command({{"type", "flush"}, {"value", {{"operation", "half"}}}})["error"]["path"] == "/operation");
    const std::size_t before = w.server.pulls.size();
    w.accept("FORM", "a", "create", "{}");
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "push"}}}}})}});
    CHECK(w.server.pulls.size() == before);
    CHECK(w.queued() == 0);
    w.accept("FORM", "a", "update", "{\"n\":1}");
    w.pull();
    CHECK(w.queued() == 1);
    CHECK(w.server.pulls.size() == before + 1);
}

TEST_CASE("a page that is too long to be read is asked for with fewer changes, then with more again") {
    World w;
    for (int i = 0; i < 40; ++i) w.server.edit("FORM/" + std::to_string(i), "{\"n\":" + std::to_string(i) + "}");
    std::vector<int> limits;
    w.network = [&](const Json& send) -> Json {
        const std::string url = send["url"];
        w.server.page = std::stoi(url.substr(url.find("limit=") + 6));
        limits.push_back(w.server.page);
        if (w.server.page > 6) return {{"failure", "too-large"}};
        return nullptr;
    };
    w.pull();
    CHECK(cursor_of(w) == "40");
    for (int i = 0; i < 40; ++i) CHECK(w.shown("FORM/" + std::to_string(i)) == "{\"n\":" + std::to_string(i) + "}");
    const std::vector<int> first(limits.begin(), limits.begin() + 5);
    CHECK(first == std::vector<int>{200, 25, 3, 6, 12});
    CHECK(limits.size() < 30);
    CHECK_FALSE((*w.status).contains("lastError"));
}

TEST_CASE("one change that is too long to be read is told, and asked for after ever longer waits; what was saved goes meanwhile, and the pull goes on once it can be read") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"jitter", "none"}}}});
    w.server.edit("FORM/a", "{\"n\":1}");
    std::vector<double> asked;
    bool too_long = true;
    w.network = [&](const Json& send) -> Json {
        if (!too_long || send["url"].get<std::string>().rfind("changes", 0) != 0) return nullptr;
        asked.push_back(w.now);
        return {{"failure", "too-large"}};
    };
    w.pull();
    CHECK(asked.size() == 4);   // 200, 25, 3 and one change
    CHECK((*w.status)["lastError"]["message"] == "Answer too long to be read");
    CHECK((*w.status)["lastError"]["class"] == "server");
    for (int i = 0; i < 6; ++i) {
        REQUIRE(w.wake);
        w.now = *w.wake;
        w.run({{"event", {{"type", "timer"}}}});
    }
    REQUIRE(asked.size() == 10);
    for (std::size_t i = 4; i < asked.size(); ++i) CHECK(asked[i] - asked[i - 1] >= 1000 << (i - 4));
    w.accept("FORM", "mine", "create", "{}");
    w.now += 400000;
    w.run(kSync);
    CHECK(w.doc("FORM", "mine") == "{}");
    too_long = false;
    w.now += 400000;
    w.pull();
    CHECK(w.shown("FORM/a") == "{\"n\":1}");
}

TEST_CASE("nothing is pulled while paused or opted out, and a pull ends within one step of it") {
    World w;
    w.server.page = 1;
    for (int i = 0; i < 5; ++i) w.server.edit("FORM/" + std::to_string(i), "{}");
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "pull"}}}}})}}, 3);
    const std::size_t asked = w.server.pulls.size();
    w.command({{"type", "settings"}, {"value", {{"consent", "withdrawn"}}}});
    CHECK(w.server.pulls.size() <= asked + 1);
    const std::size_t after = w.server.pulls.size();
    w.pull();
    w.run(kSync);
    CHECK(w.server.pulls.size() == after);
    w.command({{"type", "settings"}, {"value", {{"consent", "granted"}}}});
    w.run(kSync);
    CHECK(cursor_of(w) == "5");
}

// --- rollback ------------------------------------------------------------------------------------------------------------------------

namespace {

// A world whose server refuses what says bad, and an entity {n:1, m:1, bad:false} that is acknowledged.
void refusing(World& w) {
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
    w.server.edit("FORM/a", "{\"n\":1,\"m\":1,\"bad\":0}");
    w.pull();
    w.now += 2000;
    w.server.refuse = [](const Json& line) { return line["id"] == "op-1" ? 422 : 0; };
}

}  // namespace

TEST_CASE("FF-04: a refused change is rolled back: the app sees what was acknowledged, the change is kept as a dead letter") {
    World w;
    refusing(w);
    w.accept("FORM", "a", "update", "{\"n\":1,\"m\":1,\"bad\":9}");
    w.run(kSync);
    CHECK(w.row(1)["state"] == "dead");
    CHECK(w.shown("FORM/a") == "{\"n\":1,\"m\":1,\"bad\":0}");
    CHECK(w.bytes["payloads"]["000000000001:next"] == "{\"n\":1,\"m\":1,\"bad\":9}");
    CHECK(told(w, "sync.documents") == 2);
}

TEST_CASE("a refused create is not there any more, a refused delete is there again") {
    World w;
    w.server.edit("FORM/b", "{\"n\":1}");
    w.pull();
    w.server.refuse = [](const Json&) { return 403; };
    w.accept("FORM", "a", "create", "{\"n\":1}");
    w.accept("FORM", "b", "delete", "");
    w.bytes["docs"].erase(":FORM/b");
    w.run(kSync);
    CHECK(w.shown("FORM/a") == "");
    CHECK(w.shown("FORM/b") == "{\"n\":1}");
}

TEST_CASE("exactly the refused change is taken out of what follows it, at whatever step the worker is killed") {
    for (int kill = 1; kill < 16; ++kill) {
        World w;
        refusing(w);
        w.accept("FORM", "a", "update", "{\"n\":1,\"m\":1,\"bad\":9}");
        w.accept("FORM", "a", "update", "{\"n\":2,\"m\":1,\"bad\":9}");
        w.accept("FORM", "a", "update", "{\"n\":2,\"m\":2,\"bad\":9}");
        w.run(kSync, kill);
        w.restart();
        w.now += 700000;
        w.run(kSync);
        CHECK(w.row(1)["state"] == "dead");
        CHECK(!w.row(1).contains("undo"));
        CHECK(w.queued() == 1);
        CHECK(w.doc("FORM", "a") == "{\"n\":2,\"m\":2,\"bad\":0}");
        CHECK(w.shown("FORM/a") == "{\"n\":2,\"m\":2,\"bad\":0}");
    }
}

TEST_CASE("a refused change that is retried comes on top of what is there by then") {
    World w;
    refusing(w);
    w.accept("FORM", "a", "update", "{\"n\":1,\"m\":1,\"bad\":9}");
    w.run(kSync);
    w.accept("FORM", "a", "update", "{\"n\":7,\"m\":1,\"bad\":0}");
    w.now += 2000;
    w.run(kSync);
    CHECK(w.queued() == 1);
    w.server.refuse = nullptr;
    CHECK(w.command({{"type", "pause"}})["ok"] == true);
    w.accept("FORM", "a", "update", "{\"n\":7,\"m\":8,\"bad\":0}");
    CHECK(w.command({{"type", "retry"}, {"id", "op-1"}})["ok"] == true);
    CHECK(w.shown("FORM/a") == "{\"n\":7,\"m\":8,\"bad\":9}");
    w.command({{"type", "resume"}});
    w.now += 2000;
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.doc("FORM", "a") == "{\"n\":7,\"m\":8,\"bad\":9}");
}

TEST_CASE("an edit that comes while a refused change is being rolled back is rolled back with it") {
    World w;
    refusing(w);
    w.accept("FORM", "a", "update", "{\"n\":1,\"m\":1,\"bad\":9}");
    bool once = true;
    w.on_commit = [&](const Json& commit) {
        for (const Json& write : commit["writes"])
            if (write["store"] == "docs" && once) {
                once = false;
                w.accept("FORM", "a", "update", "{\"n\":5,\"m\":1,\"bad\":9}");
            }
        return "";
    };
    w.run(kSync);
    CHECK(!once);
    CHECK(w.shown("FORM/a") == "{\"n\":5,\"m\":1,\"bad\":0}");
    CHECK(w.doc("FORM", "a") == "{\"n\":5,\"m\":1,\"bad\":0}");
}
