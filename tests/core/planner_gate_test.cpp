// What the planner feeds the gate and the link's estimators with: pace, budgets of a day, windows, what is told of the connection.
#include <doctest/doctest.h>

#include <cmath>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

Json event(const char* type) { return {{"event", {{"type", type}}}}; }

// A session that sent something, ended now.
void one_session(World& w) {
    w.accept("FORM", "s" + std::to_string(w.seq), "create", "{}");
    w.run(event("push"));
    REQUIRE(w.queued() == 0);
}

// How long after a session a periodic event may send again.
double pace_of(World& w) {
    one_session(w);
    const double ended = w.now;
    w.accept("FORM", "p" + std::to_string(w.seq), "create", "{}");
    w.run(event("periodicsync"));
    if (w.queued() == 0) return 0;
    REQUIRE(w.wake);
    return *w.wake - ended;
}

}  // namespace

TEST_CASE("automatic sessions without a page keep a pace that follows battery and link; critical ops and people do not wait for it") {
    World w;
    CHECK(pace_of(w) == 5 * 60000);
    w.run(event("push"));   // data, not the pace, woke us
    CHECK(w.queued() == 0);
    w.readings = {{"online", true}, {"batteryLevel", 40}, {"charging", false}};
    CHECK(pace_of(w) == 10 * 60000);
    w.accept("FORM", "c", "create", "{}", {{"priority", "critical"}});
    w.run(event("periodicsync"));
    CHECK(w.doc("FORM", "c") == "{}");
    CHECK(w.queued() == 0);   // the interval lies between sessions: what waited goes with it, the radio is on
    CHECK(pace_of(w) == 10 * 60000);
    w.run(event("manual"));
    CHECK(w.queued() == 0);
    w.readings = {{"online", true}, {"foreground", true}};
    one_session(w);
    w.accept("FORM", "page", "create", "{}");
    w.run(event("timer"));  // a page is open: its own interval is the pace
    CHECK(w.queued() == 0);
    w.command({{"type", "settings"}, {"value", {{"syncIntervalMinutes", 60}}}});
    w.readings = {{"online", true}};
    CHECK(pace_of(w) == 60 * 60000);
}

TEST_CASE("the data budget of a day closes the gate until the local midnight") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"dataBudgetPerDay", 300}}}});
    w.readings = {{"online", true}, {"utcOffsetMinutes", 60}};
    w.network = [&](const Json& send) -> Json {
        const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
        return {{"status", status}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", text}, {"sentBytes", 200}, {"bodyBytes", 150}};
    };
    one_session(w);
    w.accept("FORM", "a", "create", "{}");
    w.run(event("push"));
    CHECK(w.queued() == 1);
    CHECK((*w.status)["reason"].get<std::string>().find("data budget") != std::string::npos);
    w.restart();            // nor does a restart begin a new day
    w.run(event("push"));
    CHECK(w.queued() == 1);
    REQUIRE(w.wake);
    CHECK(std::fmod(*w.wake + 3600000, 86400000) == 0);
    w.now = *w.wake;
    w.run(event("timer"));
    CHECK(w.queued() == 0);
}

TEST_CASE("the battery that sessions use is counted, on battery power only, and closes the gate over its budget") {
    for (const bool charging : {false, true}) {
        World w;
        w.command({{"type", "settings"}, {"value", {{"batteryBudgetPerDay", 3}}}});
        double level = 90;
        w.readings = {{"online", true}, {"batteryLevel", level}, {"charging", charging}};
        w.network = [&](const Json&) -> Json {
            level -= 4;
            w.readings["batteryLevel"] = level;
            return nullptr;
        };
        one_session(w);
        w.accept("FORM", "a", "create", "{}");
        w.run(event("push"));
        CAPTURE(charging);
        CHECK((w.queued() == 0) == charging);
        if (charging) continue;
        CHECK((*w.status)["reason"].get<std::string>().find("battery budget") != std::string::npos);
        w.now += 86400000;
        w.run(event("push"));
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("what weight of sync is recommended follows the quality of the link") {
    const auto answers = [](World& w) {
        std::string out;
        for (const char* weight : {"light", "medium", "heavy"})
            out += w.command({{"type", "isSyncRecommended"}, {"value", weight}})["value"] == true ? 'y' : 'n';
        return out;
    };
    World w;
    CHECK(answers(w) == "yyn");
    w.readings = {{"online", true}, {"effectiveType", "slow-2g"}};
    CHECK(answers(w) == "ynn");
    w.readings = {{"online", false}};
    CHECK(answers(w) == "nnn");
    const Json refused = w.command({{"type", "isSyncRecommended"}, {"value", "huge"}});
    CHECK(refused["error"]["path"] == "/weight");
    CHECK(refused["error"]["message"].get<std::string>().find("huge") != std::string::npos);
}

TEST_CASE("sync.connectivity tells the whole connection, on each change of class and only then") {
    World w;
    const auto told = [&w] {
        std::vector<Json> out;
        for (const Json& e : w.events)
            if (e["event"] == "sync.connectivity") out.push_back(e["detail"]);
        return out;
    };
    w.run(event("page"));
    w.run(event("page"));
    CHECK(told().empty());
    w.readings = {{"online", false}, {"connectionType", "wifi"}, {"batteryLevel", 77}};
    w.run(event("page"));
    w.run(event("page"));
    REQUIRE(told().size() == 1);
    CHECK(told()[0]["isOnline"] == false);
    CHECK(told()[0]["connectionQuality"] == "offline");
    CHECK(told()[0]["connectionType"] == "wifi");
    CHECK(told()[0]["batteryLevel"] == 77);
    w.readings = {{"online", true}};
    w.run(event("page"));
    CHECK(told().size() == 2);
    w.accept("FORM", "a", "create", "{}");
    w.network = [](const Json&) -> Json { return {{"failure", "timeout"}}; };
    for (int i = 0; i < 6; ++i) {
        w.run(event("timer"));
        w.now = std::max(w.now, w.wake.value_or(w.now));
    }
    CHECK(told().back()["connectionQuality"] == "offline");
    CHECK(told().size() <= 4);
}

TEST_CASE("in a window that is too short for all, as earlier ones were, what costs most to delay per byte goes first") {
    for (const bool short_window : {true, false}) {
        World w;
        Json link = {{"srttMs", 200}, {"rttvarMs", 20}, {"goodputFast", 5000}, {"goodputSlow", 5000}, {"goodputDeviation", 0}, {"samples", 20}, {"quality", "good"}};
        if (short_window) {
            link["windowMs"] = 20000;
            link["upSinceMs"] = w.now;
        }
        w.values["state"]["core"] = {{"version", 1}, {"link", link}};
        w.restart();
        w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
        w.accept("FORM", "large", "create", "{\"t\":\"" + std::string(200000, 'x') + "\"}");
        w.accept("FORM", "small", "create", "{}");
        w.run(event("sync"));
        CAPTURE(short_window);
        REQUIRE(w.server.effects.size() == 2);
        CHECK(w.server.effects[0] == (short_window ? "op-2" : "op-1"));
    }
}

TEST_CASE("in a window that is too short for all, an op goes for what waits for it") {
    World w;
    const Json link = {{"srttMs", 200},         {"rttvarMs", 20},    {"goodputFast", 5000}, {"goodputSlow", 5000},
                       {"goodputDeviation", 0}, {"windowMs", 20000}, {"upSinceMs", w.now},  {"samples", 20}};
    w.values["state"]["core"] = {{"version", 1}, {"link", link}};
    w.restart();
    w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
    const std::string text = "{\"t\":\"" + std::string(50000, 'x') + "\"}";
    w.accept("FORM", "other", "create", text, {{"priority", "high"}});
    const std::string parent = w.accept("FORM", "parent", "create", text, {{"priority", "low"}});
    w.accept("FORM", "child", "create", text, {{"priority", "critical"}, {"dependsOn", {parent}}});
    w.run(event("sync"));
    CHECK(w.server.effects == std::vector<std::string>{"op-2", "op-3", "op-1"});
}

TEST_CASE("a batch goes raw where compressing takes longer than sending, unless bytes may be paid for") {
    const auto compressed = [](double goodput, Json readings) {
        World w;
        w.values["state"]["core"] = {{"version", 1}, {"link", {{"srttMs", 20}, {"rttvarMs", 2}, {"goodputFast", goodput}, {"goodputSlow", goodput},
                                                              {"goodputDeviation", 0}, {"samples", 20}, {"quality", "excellent"}}}};
        w.restart();
        readings["online"] = true;
        w.readings = std::move(readings);
        std::optional<bool> gzip;
        w.network = [&](const Json& send) -> Json {
            if (send.value("url", std::string()) == "batch") gzip = send.value("gzip", false);
            return nullptr;
        };
        w.accept("FORM", "a", "create", "{\"t\":\"" + std::string(100000, 'x') + "\"}");
        w.run(event("sync"));
        REQUIRE(gzip);
        return *gzip;
    };
    CHECK_FALSE(compressed(20e6, {{"connectionType", "wifi"}}));
    CHECK(compressed(1e6, {{"connectionType", "wifi"}}));
    CHECK(compressed(20e6, {{"connectionType", "cellular"}}));
    CHECK(compressed(20e6, {{"connectionType", "wifi"}, {"metered", true}}));
    CHECK(compressed(20e6, Json::object()));
}
