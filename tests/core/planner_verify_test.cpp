// A server that no longer has what it acknowledged: restored from a backup, or fallen over to a copy that lagged.
#include <doctest/doctest.h>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};

std::vector<Json> told(const World& w, const char* event) {
    std::vector<Json> found;
    for (const Json& e : w.events)
        if (e["event"] == event) found.push_back(e["detail"]);
    return found;
}

// An owner that pulls, and one write of his in each drain.
struct Backed {
    World w;
    std::map<std::string, test::Doc> copy;
    Backed() { w.pull(); }
    void save(const char* id, const char* action, const std::string& text) {
        w.accept("FORM", id, action, text);
        w.run(kSync);
        REQUIRE(w.queued() == 0);
        w.now += 60000;
    }
    void back_up() { copy = w.server.docs; }
    // The copy is put back, under another epoch: all cursors are of a database that is no more.
    void go_back() {
        w.server.docs = copy;
        w.server.horizon = ++w.server.n;
    }
};

}  // namespace

TEST_CASE("a write that the server lost is told, kept as the losing value of a conflict, and can be saved again on top of what is there") {
    Backed b;
    World& w = b.w;
    b.save("a", "create", "{\"n\":1}");
    b.back_up();
    b.save("a", "update", "{\"n\":2}");
    b.go_back();
    int together = 0;
    w.on_commit = [&](const Json& commit) {
        bool audit = false, base = false, state = false;
        for (const Json& write : commit["writes"]) {
            audit = audit || (write["store"] == "history" && write["value"].is_object() && write["value"].value("strategy", "") == "lost-write");
            base = base || write["store"] == "bases";
            state = state || write["key"] == "core";
        }
        together += audit && base && state;
        return "";
    };
    w.pull();
    w.on_commit = nullptr;
    CHECK(together == 1);
    const auto lost = told(w, "sync.lost-write");
    REQUIRE(lost.size() == 1);
    CHECK(lost[0]["owner"] == "");
    CHECK(lost[0]["entity"] == "FORM");
    CHECK(lost[0]["entityId"] == "a");
    CHECK(lost[0]["etag"] == "\"1\"");
    CHECK(lost[0]["expected"] == "\"2\"");
    const Json entry = w.values["history"][lost[0]["key"].get<std::string>()];
    CHECK(entry["kind"] == "conflict");
    CHECK(entry["owner"] == "");
    REQUIRE(entry["clashes"].size() == 1);
    CHECK(entry["clashes"][0] == Json({{"path", ""}, {"base", nullptr}, {"ours", "{\"n\":2}"}, {"theirs", "{\"n\":1}"}, {"winner", "theirs"}}));
    CHECK(w.shown("FORM/a") == "{\"n\":1}");
    w.pull({{"operation", "full"}});
    CHECK(told(w, "sync.lost-write").size() == 1);
    b.save("a", "update", entry["clashes"][0]["ours"]);   // what restore(key) does
    CHECK(w.doc("FORM", "a") == "{\"n\":2}");
    CHECK(told(w, "sync.conflict").empty());
}

TEST_CASE("a create that the server lost is told; what it deleted, or lost after a day, is only gone") {
    for (const int hours : {0, 25}) {
        CAPTURE(hours);
        Backed b;
        World& w = b.w;
        b.back_up();
        b.save("a", "create", "{\"n\":1}");
        w.now += hours * 3600000.0;
        b.go_back();
        w.pull();
        CHECK(w.shown("FORM/a") == "");
        const auto lost = told(w, "sync.lost-write");
        REQUIRE(lost.size() == (hours ? 0 : 1));
        if (!hours) CHECK(w.values["history"][lost[0]["key"].get<std::string>()]["clashes"][0]["ours"] == "{\"n\":1}");
    }
    Backed b;
    b.save("a", "create", "{\"n\":1}");
    b.w.server.edit("FORM/a", "");
    b.w.pull();
    CHECK(b.w.shown("FORM/a") == "");
    CHECK(told(b.w, "sync.lost-write").empty());
}

TEST_CASE("several versions back is back, also to one from the middle of a batch; somebody else's later version is not") {
    for (int back = 1; back <= 4; ++back) {
        CAPTURE(back);
        Backed b;
        World& w = b.w;
        w.command({{"type", "settings"}, {"value", {{"coalesce", false}}}});
        b.save("a", "create", "{\"n\":1}");
        w.accept("FORM", "a", "update", "{\"n\":2}");
        w.accept("FORM", "a", "update", "{\"n\":3}");
        w.accept("FORM", "a", "update", "{\"n\":4}");
        w.run(kSync);
        REQUIRE(w.queued() == 0);
        b.save("a", "update", "{\"n\":5}");
        b.back_up();
        b.copy["FORM/a"].version -= back;
        b.copy["FORM/a"].text = "{\"n\":" + std::to_string(5 - back) + "}";
        b.go_back();
        w.pull();
        CHECK(told(w, "sync.lost-write").size() == 1);
        CHECK(w.shown("FORM/a") == w.doc("FORM", "a"));
    }
    Backed b;
    b.save("a", "create", "{\"n\":1}");
    b.save("a", "update", "{\"n\":2}");
    b.w.server.edit("FORM/a", "{\"n\":1}");
    b.w.pull();
    CHECK(b.w.shown("FORM/a") == "{\"n\":1}");
    CHECK(told(b.w, "sync.lost-write").empty());
}

TEST_CASE("what was acknowledged longer ago than a day is the server's to take back") {
    Backed b;
    b.save("a", "create", "{\"n\":1}");
    b.back_up();
    b.save("a", "update", "{\"n\":2}");
    b.w.now += kVerifyMs;
    b.go_back();
    b.w.pull();
    CHECK(b.w.shown("FORM/a") == "{\"n\":1}");
    CHECK(told(b.w, "sync.lost-write").empty());
}

TEST_CASE("a pending change carries what the server lost: it goes whole onto what is there, whether a pull or a 412 shows it") {
    for (const bool pull_first : {true, false}) {
        CAPTURE(pull_first);
        Backed b;
        World& w = b.w;
        b.save("a", "create", "{\"n\":1,\"m\":1}");
        b.back_up();
        b.save("a", "update", "{\"n\":2,\"m\":1}");
        b.go_back();
        w.accept("FORM", "a", "update", "{\"n\":2,\"m\":2}");
        if (pull_first) w.pull();
        else w.run(kSync);
        w.run(kSync);
        CHECK(w.queued() == 0);
        CHECK(w.doc("FORM", "a") == "{\"n\":2,\"m\":2}");
        CHECK(w.shown("FORM/a") == "{\"n\":2,\"m\":2}");
        CHECK(told(w, "sync.lost-write").empty());
    }
}

TEST_CASE("a blob that the server lost stays what the app sees, and goes again when it is saved") {
    World w;
    w.server.edit("MEDIA/p", "older", "image/png");
    w.values["bases"][":MEDIA/p"] = {{"etag", "\"2\""}, {"contentType", "image/png"}, {"before", "\"1\""}, {"ackedAt", w.now - 1000}};
    w.bytes["bases"][":MEDIA/p"] = "newer";
    w.bytes["docs"][":MEDIA/p"] = "newer";
    w.pull();
    CHECK(w.shown("MEDIA/p") == "newer");
    CHECK(w.values["bases"][":MEDIA/p"]["etag"] == "\"1\"");
    const auto lost = told(w, "sync.lost-write");
    REQUIRE(lost.size() == 1);
    CHECK(w.values["history"][lost[0]["key"].get<std::string>()]["clashes"][0]["ours"].is_null());
}

TEST_CASE("what lies under an acknowledged version is remembered within bounds") {
    Backed b;
    World& w = b.w;
    b.save("a", "create", "{\"n\":0}");
    for (int n = 1; n < 300; ++n) b.save("a", "update", "{\"n\":" + std::to_string(n) + "}");
    const std::string under = w.values["bases"][":FORM/a"]["before"];
    CHECK(under.size() <= kMaxUnderBytes);
    CHECK(under.find("\"299\"") != std::string::npos);
    CHECK(under.find("\"300\"") == std::string::npos);
}
