// The table of phases, and a batch that is killed in each of them.
#include <doctest/doctest.h>

#include "tidegate/phases.h"
#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

constexpr Phase kAll[] = {Phase::validate, Phase::prepare, Phase::execute, Phase::verify, Phase::cleanup};
const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};

// The checkpoint between two steps; null when there is none.
Json seen(World& w) {
    const auto plan = w.planner.step({{"nowMs", w.now}, {"seed", 1}, {"readings", w.readings}, {"commands", Json::array({{{"type", "status"}}})}});
    REQUIRE(plan.ok());
    REQUIRE(plan.value().effects.empty());
    return plan.value().answers[0]["value"].value("checkpoint", Json());
}

// Two creates whose answer takes a few steps.
struct Sent {
    World w;
    explicit Sent(bool lost_answer) {
        w.accept("FORM", "a", "create", "{\"n\":1}");
        w.accept("FORM", "b", "create", "{\"n\":2}");
        w.network = [this, lost_answer](const Json& send) -> Json {
            if (send["method"] == "GET") return nullptr;
            const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
            if (lost_answer) return Json({{"delay", 3}, {"failure", "network"}});
            return Json({{"delay", 3}, {"status", status}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", text}});
        };
    }
    // Runs until the batch is in that phase.
    Json until(Phase phase) {
        for (int i = 0; i < 20; ++i) {
            w.run(i == 0 ? kSync : Json::object(), 1);
            const Json at = seen(w);
            if (!at.is_null() && at["phase"] == name_of(phase)) return at;
        }
        return nullptr;
    }
};

}  // namespace

TEST_CASE("every phase leads to cleanup, and cleanup is the last") {
    for (const Phase from : kAll) {
        Phase at = from;
        for (int i = 0; i < 5; ++i) at = edges_of(at).next;
        CHECK(at == Phase::cleanup);
    }
    for (std::size_t i = 0; i + 1 < 5; ++i) CHECK(edges_of(kAll[i]).next == kAll[i + 1]);
}

TEST_CASE("no edge forgets a request that may have left, and none presumes what is not stored") {
    for (const Phase from : kAll) {
        const PhaseEdges& edges = edges_of(from);
        CAPTURE(name_of(from));
        for (const Phase to : {edges.failed, edges.killed}) {
            CHECK(to <= edges.next);
            // What may have left stays marked as sent.
            if (edges.rows == OpState::sending) CHECK(edges_of(to).rows == OpState::sending);
        }
        // A failure that is seen leads to where the rows say no more than they do.
        if (edges.rows == OpState::queued) CHECK(edges_of(edges.failed).rows == OpState::queued);
        // A kill while the mark is being stored is taken for one behind it.
        if (edges_of(edges.next).rows != edges.rows) CHECK(edges.killed == edges.next);
    }
}

TEST_CASE("the status names the phase that the oldest batch is in, what its rows say, and what of it is done") {
    Sent sent(false);
    World& w = sent.w;
    CHECK(seen(w).is_null());
    for (const Phase phase : {Phase::validate, Phase::prepare, Phase::execute, Phase::cleanup}) {
        CAPTURE(name_of(phase));
        const Json at = sent.until(phase);
        REQUIRE(!at.is_null());
        CHECK(at["id"] == 1);
        CHECK(at["timestamp"] == w.now);
        CHECK(at["completedOperations"] == (phase == Phase::cleanup ? 2 : 0));
        CHECK(at["state"] == name_of(edges_of(phase).rows));
        w.now += 10;
    }
    w.run();
    CHECK(seen(w).is_null());
    CHECK(w.queued() == 0);
}

TEST_CASE("what was acknowledged is in verify until a pull that began later has ended") {
    Sent sent(false);
    World& w = sent.w;
    w.pull();   // from now on there are pulls
    bool down = true;
    w.network = [&down, usual = w.network](const Json& send) -> Json {
        if (down && send["method"] == "GET") return {{"failure", "network"}};
        return usual(send);
    };
    const Json at = sent.until(Phase::verify);
    REQUIRE(!at.is_null());
    CHECK(at["id"] == 2);
    CHECK(at["timestamp"] == w.now);
    CHECK(at["completedOperations"] == 2);
    CHECK(at["state"] == "done");
    CHECK(w.queued() == 0);
    w.run();
    CHECK(w.status->at("checkpoint")["phase"] == "verify");   // the pull failed: nothing was compared
    down = false;
    w.now += 400000;
    w.run(kSync);
    CHECK(!w.status->contains("checkpoint"));
}

TEST_CASE("a kill in any phase leads where the table says, and nothing is lost or doubled") {
    for (const Phase phase : {Phase::validate, Phase::prepare, Phase::execute, Phase::cleanup})
        for (const bool stored : {true, false})
            for (const bool lost_answer : {false, true}) {
                CAPTURE(name_of(phase));
                CAPTURE(stored);
                CAPTURE(lost_answer);
                Sent sent(lost_answer);
                World& w = sent.w;
                int commits = 0;
                // `stored` false: the worker dies before the commit of that phase is.
                const int fatal = stored ? 0 : phase == Phase::prepare ? 1 : phase == Phase::cleanup ? 2 : 0;
                w.on_commit = [&](const Json&) { return ++commits == fatal ? "error" : ""; };
                REQUIRE(!sent.until(phase).is_null());
                w.on_commit = nullptr;
                w.restart();
                w.network = nullptr;
                w.readings = {{"online", false}};
                w.run(Json::object(), 1);
                const Json at = seen(w);
                const bool marked = edges_of(edges_of(phase).killed).rows == OpState::sending && !(phase == Phase::prepare && !stored);
                const bool over = phase == Phase::cleanup && stored && !lost_answer;
                if (!marked || over) {
                    CHECK(at.is_null());
                } else {
                    CHECK(at["id"] == 1);
                    CHECK(at["phase"] == name_of(edges_of(phase).killed));
                    CHECK(at["state"] == "unknown");
                    CHECK(at["timestamp"].get<double>() > 0);
                    CHECK(at["completedOperations"] == 0);
                }
                w.readings = {{"online", true}};
                w.now += 400000;
                const Json again = sent.until(Phase::validate);
                CHECK(again.is_null() == over);
                if (!over) CHECK(again["state"] == (marked ? "unknown" : "queued"));
                w.run();
                CHECK(w.queued() == 0);
                CHECK(w.server.effects.size() == 2);
                CHECK(w.doc("FORM", "a") == "{\"n\":1}");
                CHECK(w.doc("FORM", "b") == "{\"n\":2}");
            }
}

TEST_CASE("a refused mark is taken back, and the batch is chosen anew") {
    Sent sent(false);
    World& w = sent.w;
    int commits = 0;
    w.on_commit = [&](const Json&) { return ++commits == 1 ? "error" : ""; };
    REQUIRE(!sent.until(Phase::prepare).is_null());
    w.run(Json::object(), 1);
    CHECK(seen(w).is_null());   // edges_of(prepare).failed: nothing is stored of it
    CHECK(w.row(1)["state"] == "queued");
    w.now += 400000;
    CHECK(!sent.until(Phase::execute).is_null());
}
