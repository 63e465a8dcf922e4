// An event lasts so long and no longer: what is sent in it, what waits in it, what is left to the next one; and how much one step does on a busy device.
#include <doctest/doctest.h>

#include <algorithm>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

Json event(const World& w, double lasts_ms, bool last_chance = false, const char* type = "sync") {
    return {{"event", {{"type", type}, {"trigger", "connectivity"}, {"lastChance", last_chance}, {"deadlineMs", w.now + lasts_ms}}}};
}

std::size_t ops_in(const std::string& frame) { return static_cast<std::size_t>(std::count(frame.begin(), frame.end(), '\n')) / 2; }

void accept_many(World& w, int count) {
    for (int i = 0; i < count; ++i) w.accept("FORM", "e" + std::to_string(i), "create", "{\"n\":" + std::to_string(i) + "}");
}

}  // namespace

TEST_CASE("nothing is in flight at the deadline: a request's timeout ends before it, and none begins too late for one") {
    for (const double lasts : {180000.0, 30000.0}) {
        World w;
        w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 1}, {"maximumConcurrentOperations", 1}}}});
        accept_many(w, 40);
        const Json first = event(w, lasts);
        const double deadline = first["event"]["deadlineMs"];
        double last_end = 0;
        w.network = [&](const Json& send) -> Json {
            last_end = w.now + send["timeoutMs"].get<double>();
            CHECK(last_end <= deadline);
            w.now += 7000;   // slow, but it answers
            return nullptr;
        };
        w.run(first);
        CAPTURE(lasts);
        CHECK(w.last_idle);
        CHECK(w.last_reject);               // the browser fires again
        CHECK(w.server.effects.size() > 1);
        CHECK(w.queued() > 0);
        CHECK(w.now <= deadline);
        REQUIRE(w.wake);                    // and whoever looks first goes on
        for (std::uint64_t seq = 1; seq <= 40; ++seq)
            if (!w.row(seq).is_null()) CHECK(w.row(seq).value("state", "queued") == "queued");
        w.network = nullptr;
        w.run(event(w, lasts));
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("a short event on a slow link is still used: half of it is enough to begin") {
    World w;
    w.values["state"]["core"] = {{"version", 1}, {"link", {{"srttMs", 9000}, {"rttvarMs", 6000}, {"samples", 9}, {"quality", "poor"}}}};
    w.restart();
    w.accept("FORM", "a", "create", "{}");
    double timeout = 0;
    w.network = [&](const Json& send) -> Json { return timeout = send["timeoutMs"], nullptr; };
    w.run(event(w, 30000));
    CHECK(w.queued() == 0);
    CHECK(timeout <= 28000);
}

TEST_CASE("a wait that ends well before the deadline happens inside the event, a longer one does not") {
    for (const int asked_s : {20, 170}) {
        World w;
        w.accept("FORM", "a", "create", "{}");
        const Json first = event(w, 180000);
        const double began = w.now;
        bool once = true;
        w.network = [&](const Json&) -> Json {
            if (!once) return nullptr;
            once = false;
            return {{"status", 503}, {"headers", {{"retry-after", std::to_string(asked_s)}}}};
        };
        w.run(first);
        CAPTURE(asked_s);
        CHECK(w.last_idle);
        CHECK((w.queued() == 0) == (asked_s == 20));
        if (asked_s == 20) continue;
        CHECK(w.last_reject);
        REQUIRE(w.wake);
        CHECK(*w.wake >= began + 170000);
        CHECK(w.now < began + 60000);       // the worker may go to sleep
    }
}

TEST_CASE("three attempts of the browser, then the last chance: never rejected on it, the work parked, the next wake armed") {
    World w;
    w.accept("FORM", "a", "create", "{}");
    w.network = [](const Json&) -> Json { return {{"status", 503}, {"headers", {{"retry-after", "3600"}}}}; };
    const double due = w.now + 3600000;
    for (const int minutes : {0, 5, 10}) {   // 0, +5, +15
        w.now += minutes * 60000.0;
        const bool last = minutes == 10;
        w.run(event(w, 180000, last));
        CHECK(w.last_idle);
        CHECK(w.last_reject == !last);
        REQUIRE(w.wake);
        CHECK(*w.wake == due);
        CHECK(w.row(1)["state"] == "unknown");
    }
    w.network = nullptr;
    w.now = due;
    w.run(event(w, 180000, false, "page"));  // whatever comes next
    CHECK(w.queued() == 0);
}

TEST_CASE("consent withdrawn while the bytes are read: nothing leaves") {
    for (const bool withdrawn : {false, true}) {
        Planner planner;
        REQUIRE(planner.restore("", Json::object()).ok());
        const Json row = {{"seq", 1}, {"id", "op-1"}, {"lane", ":FORM/a"}, {"entity", "FORM"}, {"entityId", "a"}, {"action", "create"}, {"createdAt", 1e12}, {"sizeBytes", 2}};
        const auto read = planner.step({{"nowMs", 1e12}, {"seed", 1}, {"event", {{"type", "sync"}}}, {"rows", Json::array({row})}});
        REQUIRE(read.ok());
        Json outcomes = Json::array();
        for (const Effect& effect : read.value().effects) {
            if (effect.type != "load") continue;
            for (const LoadItem& item : effect.items) planner.put(item.slot, "{}");
            outcomes.push_back({{"id", effect.id}});
        }
        REQUIRE(outcomes.size() == 1);
        Json input = {{"nowMs", 1e12 + 5}, {"seed", 2}, {"outcomes", outcomes}};
        if (withdrawn) input["commands"] = Json::array({{{"type", "settings"}, {"value", {{"consent", "withdrawn"}}}}});
        // Commands come after outcomes in a step: the send of this one is still there. What counts is the next step (SHAPES.md: within one step).
        if (withdrawn) REQUIRE(planner.step({{"nowMs", 1e12 + 4}, {"seed", 2}, {"commands", input["commands"]}}).ok());
        const auto plan = planner.step(input);
        REQUIRE(plan.ok());
        const auto& effects = plan.value().effects;
        const bool sends = std::any_of(effects.begin(), effects.end(), [](const Effect& e) { return e.type == "send"; });
        CHECK(sends != withdrawn);
    }
}

TEST_CASE("a short event on a measured link is given what it can carry") {
    World w;
    w.values["state"]["core"] = {{"version", 1}, {"link", {{"srttMs", 300}, {"rttvarMs", 50}, {"goodputFast", 4000}, {"goodputSlow", 4000}, {"goodputDeviation", 100},
                                                           {"samples", 9}, {"quality", "good"}, {"batchBytes", 262144}}}};
    w.restart();
    const std::string text = "{\"t\":\"" + std::string(1000, 'x') + "\"}";
    for (int i = 0; i < 100; ++i) w.accept("FORM", "e" + std::to_string(i), "create", text);
    w.run(event(w, 30000), 4);
    REQUIRE_FALSE(w.server.requests.empty());
    CHECK(w.server.requests.front().size() < 4000 * 28);
    CHECK(w.server.requests.front().size() > 8000);
}

TEST_CASE("on a busy device a step does less, and more again only after a while of calm") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"maximumConcurrentOperations", 1}, {"coalesce", false}}}});
    const Json calm = {{"online", true}, {"stepMs", 3}};
    const auto batch = [&](int round) {
        for (int i = 0; i < 200; ++i) w.accept("FORM", "r" + std::to_string(round) + "-" + std::to_string(i), "create", "{}");
        const std::size_t before = w.server.requests.size();
        w.run(event(w, 180000));
        CHECK(w.queued() == 0);
        return ops_in(w.server.requests.at(before));
    };
    CHECK(batch(0) == 200);
    w.readings = {{"online", true}, {"stepMs", 80}};
    w.run(event(w, 180000), 1);
    w.readings = calm;
    CHECK(batch(1) == 200);                   // one long step is an accident
    for (const Json& load : {Json{{"online", true}, {"stepMs", 80}}, Json{{"online", true}, {"timerLateMs", 900}}, Json{{"online", true}, {"pressure", "critical"}}}) {
        w.readings = load;
        w.run(event(w, 180000), 1);
        w.run(event(w, 180000), 1);
        w.readings = load;
        for (int i = 0; i < 200; ++i) w.accept("FORM", "b" + std::to_string(w.seq), "create", "{}");
        const std::size_t before = w.server.requests.size();
        w.run(event(w, 180000));
        CHECK(ops_in(w.server.requests.at(before)) < 100);
        CHECK(w.queued() == 0);
        w.readings = calm;
        for (int i = 0; i < 7; ++i) w.run(Json::object(), 1);
        CHECK(batch(100 + w.steps) < 200);   // not back at once
        for (int i = 0; i < 80; ++i) w.run(Json::object(), 1);
        CHECK(batch(100 + w.steps) == 200);
    }
}

TEST_CASE("what is saved shortly after each other goes in one request: the first save waits 50 ms for the others, and no longer however many come") {
    const Json saved = {{"event", {{"type", "accept"}, {"trigger", "data-change"}}}};
    World w;
    const double began = w.now;
    std::vector<double> sent;
    w.network = [&](const Json&) -> Json { return sent.push_back(w.now - began), nullptr; };
    for (int i = 0; i < 10; ++i) {   // one every 9 ms: the last of them come too late
        w.now = began + 9 * i;
        w.accept("FORM", "e" + std::to_string(i), "create", "{}");
        w.run(saved, 1);
        CHECK(w.last_idle == false);
        CHECK((i > 5 || (w.status && (*w.status)["reason"] == "Waiting for what is saved with it")));
    }
    w.run();
    CHECK(w.queued() == 0);
    CHECK(w.server.effects.size() == 10);
    REQUIRE(sent.size() >= 1);
    CHECK(sent[0] >= 50);
    CHECK(sent[0] < 68);             // with the second step from then on: the first asks for the bytes
    CHECK(ops_in(w.server.requests[0]) >= 6);

    w.accept("FORM", "later", "create", "{}");
    sent.clear();
    const double again = w.now - began;
    w.run(saved);
    REQUIRE(sent.size() == 1);       // the next drain gathers anew, and does not end before it has sent
    CHECK(sent[0] == again + 50);
}

TEST_CASE("while a save waits for what is saved with it the status is scheduled, for when it goes, and says of no retry; a wait after a failure is shown as one") {
    World w;
    const Json saved = {{"event", {{"type", "accept"}, {"trigger", "data-change"}}}};
    const std::string id = w.accept("FORM", "a", "create", "{}");
    const double goes = w.now + 50;
    w.run(saved, 1);   // and the time has gone on to when it wakes
    w.now = goes - 50;
    REQUIRE(w.status);
    CHECK((*w.status)["state"] == "scheduled");
    CHECK((*w.status)["reason"] == "Waiting for what is saved with it");
    CHECK_FALSE(w.status->contains("nextRetryTime"));
    CHECK((*w.status)["currentProgress"]["nextScheduledSync"] == goes);
    CHECK(w.planner.explain(id).value()["untilMs"] == goes);
    CHECK(w.wake == goes);

    World failing;
    failing.network = [](const Json&) -> Json { return {{"status", 503}, {"headers", Json::object()}}; };
    failing.accept("FORM", "a", "create", "{}");
    failing.run({{"event", {{"type", "push"}}}});
    failing.accept("FORM", "b", "create", "{}");
    failing.run(saved, 1);
    REQUIRE(failing.status);
    CHECK((*failing.status)["state"] == "waiting");
    CHECK((*failing.status)["reason"] == "The server needs time");
    CHECK(failing.status->contains("nextRetryTime"));
}

TEST_CASE("nothing is gathered for a critical op, for a person who asks, nor while there is no way to send") {
    const auto sent_after = [](const Json& first, const char* priority) {
        World w;
        const double began = w.now;
        double sent = -1;
        w.network = [&](const Json&) -> Json { return sent = w.now - began, nullptr; };
        w.accept("FORM", "a", "create", "{}", {{"priority", priority}});
        w.run(first);
        CHECK(w.queued() == 0);
        return sent;
    };
    CHECK(sent_after({{"event", {{"type", "accept"}}}}, "high") == 50);
    CHECK(sent_after({{"event", {{"type", "accept"}}}}, "critical") == 0);
    CHECK(sent_after({{"event", {{"type", "manual"}}}}, "normal") == 0);
    CHECK(sent_after({{"event", {{"type", "page"}}}}, "normal") == 0);

    World w;
    w.readings = {{"online", false}};
    w.accept("FORM", "a", "create", "{}");
    const int steps = w.steps;
    w.run({{"event", {{"type", "accept"}}}});
    CHECK(w.last_idle);
    CHECK(w.steps < steps + 4);
    CHECK(w.queued() == 1);
}
