// How the planner treats the origin as a whole: backoff, Retry-After, the breaker, the retry budget, the server's rate limit.
#include <doctest/doctest.h>

#include <algorithm>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kTimer = {{"event", {{"type", "timer"}}}};
const Json kPush = {{"event", {{"type", "push"}}}};

// Runs until the planner is idle, then goes to the time it wants to be woken at; as often as `most`.
void live(World& w, double until_ms, const Json& event = kTimer, int most = 1000) {
    for (int i = 0; i < most && w.queued() > 0 && w.now < until_ms; ++i) {
        w.run(event);
        if (!w.wake) return;
        w.now = std::max(w.now, *w.wake);
    }
}

Json breaker(const World& w) { return w.values.at("state").at("core")["breaker"]; }
std::string breaker_state(const World& w) { return w.values.at("state").at("core").at("breaker")["state"]; }

}  // namespace

TEST_CASE("FF-12: a 10-minute 503 outage leaves 0 dead letters") {
    for (const bool asked : {true, false}) {
        World w;
        for (int i = 0; i < 20; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{\"n\":" + std::to_string(i) + "}");
        const double end = w.now + 600000;
        double last = 0, least = 1e12;
        int refused = 0;
        w.network = [&](const Json&) -> Json {
            if (w.now >= end) return nullptr;
            if (last > 0) least = std::min(least, w.now - last);
            last = w.now;
            ++refused;
            const Json headers = asked ? Json{{"retry-after", "20"}} : Json::object();
            return {{"status", 503}, {"headers", headers}};
        };
        live(w, end + 900000);
        CAPTURE(asked);
        CHECK(w.queued() == 0);
        CHECK(w.server.effects.size() == 20);
        if (asked) CHECK(least >= 20000);   // Retry-After is a floor
        CHECK(refused <= 20);
        REQUIRE(w.status);
        CHECK((*w.status)["deadLetters"] == 0);
    }
}

TEST_CASE("five failed requests in a row open the breaker, one small probe goes at a time, an answer closes it") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"coalesce", false}, {"baseDelay", 10}}}});
    for (int i = 0; i < 40; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{\"n\":" + std::to_string(i) + "}");
    std::vector<double> at;
    std::vector<std::size_t> ops;
    bool down = true;
    w.network = [&](const Json& send) -> Json {
        at.push_back(w.now);
        const std::string frame = *w.planner.bytes(send["slot"]);
        ops.push_back(static_cast<std::size_t>(std::count(frame.begin(), frame.end(), '\n')) / 2);
        if (!down) return nullptr;
        return {{"status", 500}, {"headers", Json::object()}};
    };
    for (int i = 0; i < 60 && breaker_state(w) != "open"; ++i) {
        w.run(kPush);
        REQUIRE(w.wake);
        w.now = std::max(w.now, *w.wake);
    }
    REQUIRE(at.size() == 5);
    CHECK(ops[4] == 40);
    w.run(kPush);                        // its time is over: the probe
    REQUIRE(at.size() == 6);
    CHECK(at[5] - at[4] >= 15000);
    CHECK(ops[5] <= 10);
    CHECK(breaker_state(w) == "open");       // for longer
    CHECK(breaker(w)["openings"] == 2);
    w.restart();                             // and a restart does not forget it
    w.run(kPush);
    CHECK(at.size() == 6);
    REQUIRE(w.wake);
    CHECK(*w.wake - at[5] >= 30000);
    w.now = *w.wake;
    down = false;
    w.run(kPush);
    CHECK(w.queued() == 0);
    CHECK(breaker_state(w) == "closed");
    for (const Json& event : w.events) CHECK(event["event"] != "op.dead");
}

TEST_CASE("a 500 for one op in the probe's answer counts for nobody") {
    World w;
    w.values["state"]["core"] = {{"version", 1}, {"breaker", {{"state", "open"}, {"untilMs", w.now - 1}}}};
    w.restart();
    w.accept("FORM", "bad", "create", "{}");
    w.accept("FORM", "good", "create", "{}");
    w.server.refuse = [](const Json& line) { return line["entityId"] == "bad" ? 500 : 0; };
    w.run(kTimer);
    CHECK(w.server.effects.size() == 1);
    CHECK(w.row(1).value("attempts", 0) == 0);
    w.now += 400000;
    w.accept("FORM", "good2", "create", "{}");
    w.run(kTimer);
    CHECK(w.row(1)["attempts"] == 1);
}

TEST_CASE("a probe whose worker was killed is lost with it: the next worker sends another at once") {
    World w;
    w.values["state"]["core"] = {{"version", 1}, {"breaker", {{"state", "half-open"}, {"openings", 1}, {"untilMs", w.now + 179000}}}};
    w.restart();
    w.accept("FORM", "a", "create", "{}");
    w.run(kTimer);
    CHECK(w.server.requests.size() == 1);
    CHECK(w.queued() == 0);
}

TEST_CASE("a probe whose commit failed is no probe: the next one may go") {
    World w;
    w.values["state"]["core"] = {{"version", 1}, {"breaker", {{"state", "open"}, {"untilMs", w.now - 1}}}};
    w.restart();
    w.accept("FORM", "a", "create", "{}");
    bool once = true;
    w.on_commit = [&](const Json&) -> std::string {
        if (!once) return "";
        once = false;
        return "error";
    };
    w.run(kTimer);
    for (int i = 0; i < 5 && w.queued() > 0; ++i) {
        w.now += 2000;
        w.run(kTimer);
    }
    CHECK(w.queued() == 0);
    CHECK(w.server.requests.size() == 1);
}

TEST_CASE("when the retry budget is used up only first tries go, one retry per wake, and explain says so") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}, {"maxDelay", 1}, {"baseDelay", 1}}}});
    int refused = 0;
    w.network = [&](const Json& send) -> Json {
        if (w.planner.bytes(send["slot"])->find("\"bad\"") == std::string::npos) return nullptr;
        ++refused;
        return {{"status", 503}, {"headers", Json::object()}};
    };
    const std::string bad = w.accept("FORM", "bad", "create", "{}", {{"priority", "low"}});   // after the others, so that they succeed between
    for (int i = 0; i < 30; ++i) {
        w.accept("FORM", "good" + std::to_string(i), "create", "{}");
        w.run({{"event", {{"type", "accept"}}}});
        w.now += 10;
    }
    const std::size_t done = w.server.effects.size();
    CHECK(done == 30);
    CHECK(refused <= 5 + 30 * kRetryRefund + 1);   // half the tokens, what thirty successes give back, the retry of this wake
    const Json why = w.command({{"type", "explain"}, {"id", bad}});
    CHECK(why["value"]["reason"] == "retry-budget");
    CHECK(why["value"]["untilMs"].get<double>() > w.now);
    const int before = refused;
    w.run(kPush);
    CHECK(refused == before + 1);
    w.restart();                             // nor does a restart give a new one
    w.run({{"event", {{"type", "accept"}}}});
    CHECK(refused == before + 1);
    REQUIRE(w.wake);
    w.network = nullptr;
    w.now = *w.wake;                         // tokens come back with time
    w.run(kTimer);
    CHECK(w.queued() == 0);
}

TEST_CASE("what never reached the server costs no retry tokens") {
    World w;
    w.accept("FORM", "a", "create", "{}");
    w.network = [](const Json&) -> Json { return {{"failure", "network"}}; };
    for (int i = 0; i < 30; ++i) {
        w.run(kTimer);
        w.now = std::max(w.now, w.wake.value_or(w.now));
    }
    CHECK(w.values["state"]["core"]["retries"]["tokens"] == 10.0);
}

TEST_CASE("the network coming back ends a wait that guessed at the network, never one that the server asked for") {
    for (const bool server : {false, true}) {
        World w;
        w.accept("FORM", "a", "create", "{}");
        int sends = 0;
        w.network = [&](const Json&) -> Json {
            ++sends;
            if (server) return {{"status", 503}, {"headers", {{"retry-after", "600"}}}};
            return {{"failure", "network"}};
        };
        for (int i = 0; i < 6; ++i) {
            w.run(kTimer);
            w.now = std::max(w.now, w.wake.value_or(w.now));
        }
        w.run(kTimer);
        const int before = sends;
        w.readings = {{"online", false}};
        w.run(kTimer);
        w.readings = {{"online", true}};
        w.run({{"event", {{"type", "online"}}}});
        CAPTURE(server);
        CHECK(sends == before + (server ? 0 : 1));
    }
}

TEST_CASE("an event that the browser fires only with a network ends a wait that guessed at it, any other does not, and none what the server asked for") {
    for (const std::string news : {"sync", "periodicsync", "push", "page", "accept"})
        for (const bool server : {false, true}) {
            World w;
            w.command({{"type", "settings"}, {"value", {{"baseDelay", 3600000}, {"maxDelay", 3600000}, {"jitter", "none"}}}});
            w.accept("FORM", "a", "create", "{}");
            int sends = 0;
            w.network = [&](const Json&) -> Json {
                ++sends;
                if (server) return {{"status", 503}, {"headers", {{"retry-after", "3600"}}}};
                return {{"failure", "network"}};
            };
            w.run({{"event", {{"type", "accept"}}}});
            REQUIRE(sends == 1);
            w.now += 10 * 60000;   // past the interval of sessions that begin by themselves
            w.run({{"event", {{"type", news}}}});
            CAPTURE(news);
            CAPTURE(server);
            CHECK(sends == (!server && (news.ends_with("sync") || news == "push") ? 2 : 1));
        }
}

TEST_CASE("requests are spread over what is left of the server's rate limit") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}}}});
    for (int i = 0; i < 6; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{}");
    std::vector<double> at;
    int left = 4;
    w.network = [&](const Json& send) -> Json {
        at.push_back(w.now);
        const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
        const std::string rest = std::to_string(left > 0 ? left-- : 0);
        return {{"status", status}, {"headers", {{"content-type", "application/x-ndjson"}, {"ratelimit", "\"default\";r=" + rest + ";t=50"},
                                                 {"ratelimit-policy", "\"default\";q=10;w=60"}}}, {"body", text}};
    };
    live(w, w.now + 600000);
    CHECK(w.queued() == 0);
    REQUIRE(at.size() == 6);
    for (std::size_t i = 1; i < at.size(); ++i) CHECK(at[i] - at[i - 1] >= 10000);   // 50 s / (4 + 1)
}

TEST_CASE("a server that takes no form of anything gets each op once in its plainest form, alone; then it is a dead letter") {
    World w;
    w.accept("FORM", "a", "create", R"({"n":1})");
    w.accept("FORM", "b", "create", R"({"n":2})");
    w.accept("FORM", "c", "delete", "");
    int requests = 0;
    w.network = [&](const Json&) -> Json { return ++requests, Json{{"status", 415}, {"headers", Json::object()}}; };
    w.run({{"event", {{"type", "manual"}}}}, 200);
    CHECK(w.last_idle);
    CHECK(requests < 12);
    for (std::uint64_t seq = 1; seq <= 3; ++seq) CHECK(w.row(seq)["state"] == "dead");
}

TEST_CASE("a delete that is answered 415 is a dead letter: it has no plainer form") {
    for (const std::string mode : {"batch", "rest"}) {
        CAPTURE(mode);
        World w;
        w.command({{"type", "settings"}, {"value", {{"mode", mode}}}});
        w.accept("FORM", "a", "delete", "");
        int requests = 0;
        w.network = [&](const Json&) -> Json {
            ++requests;
            if (mode == "rest") return {{"status", 415}, {"headers", Json::object()}};
            return {{"status", 200}, {"headers", Json::object()}, {"body", "{\"protocol\":1,\"results\":1}\n{\"id\":\"op-1\",\"status\":415}\n"}};
        };
        w.run({{"event", {{"type", "manual"}}}}, 200);
        CHECK(requests == 1);
        CHECK(w.row(1)["state"] == "dead");
    }
}

TEST_CASE("a 424 where nothing failed is waited on like a server error, not asked again at once") {
    for (const std::string mode : {"batch", "rest"}) {
        CAPTURE(mode);
        World w;
        w.command({{"type", "settings"}, {"value", {{"mode", mode}}}});
        w.accept("FORM", "a", "create", R"({"n":1})");
        int requests = 0;
        w.network = [&](const Json&) -> Json {
            ++requests;
            if (mode == "rest") return {{"status", 424}, {"headers", Json::object()}};
            return {{"status", 200}, {"headers", Json::object()}, {"body", "{\"protocol\":1,\"results\":1}\n{\"id\":\"op-1\",\"status\":424}\n"}};
        };
        w.run({{"event", {{"type", "manual"}}}}, 20);
        CHECK(requests < 5);
        CHECK(w.row(1)["unknown"] == true);
        w.network = nullptr;
        w.command({{"type", "settings"}, {"value", {{"mode", "batch"}}}});   // what the small world's server takes
        w.now += 600000;
        w.run({{"event", {{"type", "manual"}}}});
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("where an op is suspected of ending the worker, no request has more ops than the shell says, and one is under way at a time") {
    World w;
    for (int i = 0; i < 7; ++i) w.accept("FORM", std::to_string(i), "create", "{}");
    w.max_ops = 3;
    w.run({{"event", {{"type", "sync"}}}});
    CHECK(w.queued() == 0);
    CHECK(w.server.requests.size() >= 3);
    for (const std::string& frame : w.server.requests) CHECK(std::count(frame.begin(), frame.end(), '\n') <= 1 + 2 * 3);   // a line and a body each
}

TEST_CASE("without credentials the owner's ops wait: nothing is held against the origin, the link or the ops") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"batching", false}, {"maximumConcurrentOperations", 1}}}});
    for (int i = 0; i < 3; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{}");
    int asked = 0;
    bool known = false;
    w.network = [&](const Json&) -> Json {
        ++asked;
        return known ? Json(nullptr) : Json{{"failure", "auth"}};
    };
    w.run(kTimer);
    CHECK(asked == 1);   // one answer speaks for all of the owner
    const Json core = w.values["state"]["core"];
    CHECK(core["breaker"]["failures"] == 0);
    CHECK(core["originFailures"] == 0);
    CHECK(core["originRetryMs"] == 0.0);
    CHECK((*w.status)["connectivity"]["connectionQuality"] == "good");
    const Json row = w.row(1);
    CHECK(row.value("state", "queued") == "queued");
    CHECK(row.value("attempts", 0) == 0);
    CHECK_FALSE(row.value("unknown", false));
    const auto told = std::count_if(w.events.begin(), w.events.end(), [](const Json& event) { return event["event"] == "sync.auth"; });
    CHECK(told == 1);
    REQUIRE(w.wake);
    CHECK(*w.wake == w.now + kAuthRetryMs);
    w.run(kTimer);
    CHECK(asked == 1);
    w.run({{"event", {{"type", "sync"}, {"trigger", "connectivity"}, {"deadlineMs", w.now + 240'000}}}}, 20);
    CHECK(w.last_idle);   // an event is not held until the next try, though it would last so long
    CHECK(w.last_reject);
    CHECK(asked == 1);
    known = true;
    w.command({{"type", "signIn"}, {"value", {{"owner", ""}}}});
    w.run(kTimer);
    CHECK(w.queued() == 0);
}

TEST_CASE("a 401 while theirs is fetched holds up the owner, not the origin") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "last-write-wins"}}}});
    w.accept("FORM", "a", "create", "{\"n\":1}");
    w.run(kTimer);
    w.server.edit("FORM/a", "{\"n\":2}");
    w.accept("FORM", "a", "update", "{\"n\":3}");
    int fetched = 0;
    w.network = [&](const Json& send) -> Json {
        if (send["method"] != "GET") return nullptr;
        ++fetched;
        return {{"status", 401}, {"headers", Json::object()}};
    };
    w.run(kTimer);
    CHECK(fetched == 1);
    CHECK(w.values["state"]["core"]["originFailures"] == 0);
    CHECK(w.values["state"]["core"]["authPaused"].size() == 1);
    w.network = nullptr;
    w.now += kAuthRetryMs;
    w.run(kTimer);
    CHECK(w.queued() == 0);
}
