// How long what was done is remembered: by number, and by age.
#include <doctest/doctest.h>

#include <algorithm>

#include "tidegate/history.h"
#include "tidegate/time.h"
#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

// An app that is used once in so many hours: each time one session and, in every other, one audit entry.
struct Uses {
    Marks marks;
    std::map<std::string, double> kept;   // key → when it was written
    double now_ms = 1'700'000'000'000;
    std::uint64_t sessions = 0, audits = 0;

    void use(double hours, double keep_days) {
        now_ms += hours * kHourMs;
        if (sessions % 2 == 0) kept[numbered_key("audit", ++audits)] = now_ms;
        std::vector<Write> writes;
        ++sessions;
        expire_records(marks, now_ms, sessions, audits + 1, keep_days * kDayMs, writes);
        CHECK(writes.size() <= static_cast<std::size_t>(kMaxExpired));
        kept[numbered_key("session", sessions)] = now_ms;
        for (const Write& write : writes) {
            CHECK((write.store == "history" && write.remove));
            kept.erase(write.key->get<std::string>());
        }
        marks = marks_from_json(to_json(marks));   // as across a restart
        CHECK(marks.size() <= 3 * (kMarks + 1));
    }
    double oldest_days() const {
        double most = 0;
        for (const auto& [key, at_ms] : kept) most = std::max(most, (now_ms - at_ms) / kDayMs);
        return most;
    }
};

}  // namespace

TEST_CASE("sessions and audit go by age: none is older than it may be, none goes before seven eighths of it") {
    for (const double gap_hours : {1.0, 7.0, 30.0}) {
        Uses app;
        double least = 1e9;
        for (double days = 0; days < 100; days += gap_hours / 24) {
            const auto before = app.kept;
            app.use(gap_hours, 30);
            CHECK(app.oldest_days() <= 30);
            for (const auto& [key, at_ms] : before)
                if (!app.kept.count(key)) least = std::min(least, (app.now_ms - at_ms) / kDayMs);
        }
        CHECK(least >= 30.0 * 7 / 8 - gap_hours / 24);
        CHECK(app.kept.size() > 20);
    }
}

TEST_CASE("after a long absence all of it goes, five hundred to a commit; with no days to keep nothing but the last session is there") {
    Uses app;
    for (int i = 0; i < 2000; ++i) app.use(0.1, 30);
    REQUIRE(app.kept.size() == 3000);
    app.use(24 * 365, 30);
    CHECK(app.kept.size() == 2502);
    for (int i = 0; i < 6; ++i) app.use(0.1, 30);
    CHECK(app.oldest_days() < 1);
    for (int i = 0; i < 3; ++i) app.use(1, 0);
    CHECK(app.kept.size() == 1);
}

TEST_CASE("a clock that was years ahead keeps nothing for years") {
    Uses app;
    app.use(24 * 3650, 30);
    app.use(-24 * 3650, 30);
    for (int i = 0; i < 40; ++i) app.use(24, 30);
    for (const auto& [key, at_ms] : app.kept) CHECK(at_ms <= app.now_ms);
}

TEST_CASE("damaged marks are none") {
    CHECK(marks_from_json("soon").empty());
    CHECK(marks_from_json({1, 2}).empty());
    CHECK(marks_from_json({"soon", -1, 1e300}) == Marks{0, 0, 0});
}

TEST_CASE("a session says what went wrong in words of ours: what a server or a browser says of it may quote the document, and stays with the op") {
    const std::string words = "the form john-doe must not be seropositive";
    const Json problem = {{"type", "about:blank"}, {"title", "No"}, {"detail", words}};
    const auto results = [&](const std::string& id, const Json& result) {
        Json line = result;
        line["id"] = id;
        return Json{{"status", 200}, {"headers", {{"content-type", "application/x-ndjson"}}}, {"body", dump_json({{"protocol", 1}, {"results", 1}}) + "\n" + dump_json(line) + "\n"}};
    };
    struct Case {
        const char *what, *mode, *error;
        std::function<Json(const std::string& id)> answer;
        bool dead;
    };
    const Json whole = {{"status", 422}, {"headers", {{"content-type", "application/problem+json"}}}, {"body", dump_json(problem)}};
    for (const Case& c : {
             Case{"the request", "batch", "Validation failed", [&](const std::string&) { return whole; }, true},
             Case{"one request for each op", "rest", "Validation failed", [&](const std::string&) { return whole; }, true},
             Case{"one of a batch", "batch", "Validation failed", [&](const std::string& id) { return results(id, {{"status", 422}, {"problem", problem}}); }, true},
             Case{"one of a batch that was answered before", "batch", "The server knows this key with another body",
                  [&](const std::string& id) { Json reused = problem; reused["type"] = "urn:tidegate:key-reused"; return results(id, {{"status", 422}, {"problem", reused}}); }, false},
             Case{"the line", "batch", "Network unreachable", [&](const std::string&) { return Json{{"failure", "network"}, {"message", words}}; }, false},
         }) {
        CAPTURE(c.what);
        World w;
        w.command({{"type", "settings"}, {"value", {{"mode", c.mode}}}});
        const std::string id = w.accept("FORM", "john-doe", "create", R"({"finding":"seropositive"})");
        w.network = [&](const Json&) { return c.answer(id); };
        w.run({{"event", {{"type", "sync"}, {"lastChance", true}}}});
        const auto& history = w.values["history"];
        const auto session = std::find_if(history.begin(), history.end(), [](const auto& record) { return record.first.rfind("session/", 0) == 0; });
        REQUIRE(session != history.end());
        CHECK(session->second["errors"] == Json::array({c.error}));
        for (const Json& told : w.events)
            if (told["detail"].contains("sessionId")) CHECK(dump_json(told).find("john-doe") == std::string::npos);
        if (c.dead) CHECK(w.row(1)["reason"] == "Validation failed: " + words);
    }
}

TEST_CASE("the store holds no session older than retentionDays, and by number no more than the newest thousand") {
    World w;
    const auto sessions = [&w] {
        std::size_t found = 0;
        for (const auto& [key, value] : w.values["history"]) found += key.rfind("session/", 0) == 0;
        return found;
    };
    w.command({{"type", "settings"}, {"value", {{"retentionDays", 2}}}});
    for (int i = 0; i < 12; ++i) {
        w.accept("FORM", std::to_string(i), "create", "{}");
        w.run({{"event", {{"type", "sync"}}}});
        w.now += 12 * kHourMs;
        if (i == 6) w.restart();
    }
    CHECK(sessions() <= 4);
    CHECK(sessions() >= 3);
    w.command({{"type", "settings"}, {"value", {{"retentionDays", 3650}}}});
    for (std::uint64_t i = 0; i < kMaxSessions + 20; ++i) {
        w.accept("FORM", "x" + std::to_string(i), "create", "{}");
        w.run({{"event", {{"type", "sync"}}}});
    }
    CHECK(sessions() == kMaxSessions);
}
