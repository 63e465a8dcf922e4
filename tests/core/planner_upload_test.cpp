// Uploads as the core sees them: which request comes next, how much it may carry, what its answer does to the op. The shell that reads tus is scripted here: what it keeps
// with the op is the offset as a number in text.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "world.h"

using namespace tidegate;
using namespace tidegate::test;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};
constexpr double kSize = 2'000'000;

struct Film {
    World w;
    std::vector<Json> seen;              // the effects that carried it
    std::vector<std::string> methods;
    double there = 0;                    // bytes the server has
    bool known = false;                  // the server has an upload of it
    std::function<Json(int n)> instead;  // of the n-th request, from 1; null: the server answers. Whatever it says, the server did what was asked

    Film() {
        w.network = [this](const Json& effect) { return effect["type"] == "upload" ? step(effect) : Json(); };
    }

    std::string save(Json extra = Json::object()) {
        Json row = {{"contentType", "video/mp4"}, {"sizeBytes", kSize}, {"upload", "new"}, {"noFold", true}};
        row.update(extra);
        const std::string id = w.accept("MEDIA", "film", "create", "", row);
        w.bytes["payloads"]["up:" + id + ":00000"] = "pieces";
        return id;
    }

    Json step(const Json& effect) {
        seen.push_back(effect);
        methods.push_back(effect["method"]);
        const Json row = w.row(1);
        CHECK(row["state"] == "sending");   // the mark is stored before it leaves
        const std::string state = row["upload"];
        CHECK((effect["method"] == "POST") == (state == "new"));
        const Json said = answer(effect, state == "new" ? 0 : std::stod(state));
        const Json other = instead ? instead(static_cast<int>(seen.size())) : Json();
        return other.is_null() ? said : other;
    }

    Json answer(const Json& effect, double at) {
        const auto far = [](double offset) { return Json{{"status", 200}, {"message", std::to_string(static_cast<std::int64_t>(offset))}}; };
        if (effect["method"] == "POST") known = true;
        if (!known) return {{"status", 404}};
        if (effect["method"] != "PATCH") return far(there);
        if (at != there) return {{"status", 409}};
        there = std::min(kSize, there + std::floor(effect["detail"]["bytes"].get<double>()));
        return there < kSize ? far(there) : Json{{"status", 204}, {"headers", {{"etag", "\"1\""}}}};
    }

    // Drains, and again whenever a wait is over, until it is gone or a person has to decide.
    void rest() {
        w.run(kSync);
        for (int i = 0; i < 60 && w.queued() > 0 && w.row(1)["state"] != "dead"; ++i) {
            w.now = std::max(w.now + 1, w.wake.value_or(w.now + 1000));
            w.run(kSync);
        }
    }

    std::string steps() const {
        std::string text;
        for (const std::string& method : methods) text += method.substr(0, 2) + " ";
        return text;
    }
    std::size_t count(const char* method) const { return static_cast<std::size_t>(std::count(methods.begin(), methods.end(), method)); }
};

}  // namespace

TEST_CASE("upload: POST, then chunk after chunk under the op's key, and nothing of it stays") {
    Film film;
    const std::string id = film.save();
    film.w.run(kSync);
    CHECK(film.w.queued() == 0);
    CHECK(film.there == kSize);
    CHECK(film.methods.front() == "POST");
    CHECK(film.count("PATCH") + 1 == film.methods.size());
    CHECK(film.methods.size() >= 5);
    for (const Json& effect : film.seen) {
        CHECK(effect["headers"]["idempotency-key"] == "\"" + id + "\"");
        CHECK(effect["headers"]["if-none-match"] == "*");
        CHECK(effect["detail"]["bytes"].get<double>() <= 512'000);
        CHECK_FALSE(effect.contains("slot"));
    }
    CHECK(film.w.bytes["payloads"].empty());
    CHECK(film.w.values["bases"][":MEDIA/film"]["etag"] == "\"1\"");
    CHECK(film.w.bytes["bases"].count(":MEDIA/film") == 0);
}

TEST_CASE("upload: each answer is stored, and a process that ends between two chunks goes on there without asking") {
    Film film;
    film.save();
    film.w.run(kSync, 3);
    film.w.command({{"type", "pause"}});
    REQUIRE_FALSE(film.w.row(1).contains("state"));   // queued
    REQUIRE(film.w.row(1)["upload"] == std::to_string(static_cast<std::int64_t>(film.there)));
    film.w.restart();
    film.w.command({{"type", "resume"}});
    film.w.run(kSync);
    CHECK(film.w.queued() == 0);
    CHECK(film.count("POST") == 1);
    CHECK(film.count("HEAD") == 0);
}

TEST_CASE("upload: killed while a chunk is under way it asks, and sends from where the server says") {
    for (const bool applied : {true, false}) {
        CAPTURE(applied);
        Film film;
        film.save();
        film.instead = [&](int n) -> Json {
            if (n != 3) return nullptr;
            if (!applied) film.there = film.w.row(1)["upload"] == "new" ? 0 : std::stod(film.w.row(1)["upload"].get<std::string>());
            return {{"delay", 1000}};   // no answer ever
        };
        film.w.run(kSync, 12);
        REQUIRE(film.w.row(1)["state"] == "sending");
        film.w.restart();
        film.instead = nullptr;
        film.w.run(kSync);
        CHECK(film.steps().substr(0, 15) == "PO PA PA HE PA ");
        CHECK(film.w.queued() == 0);
        CHECK(film.there == kSize);
    }
}

TEST_CASE("upload: the last answer lost, an answer to HEAD alone is not the end; the empty PATCH after it is") {
    Film film;
    film.save();
    film.instead = [&](int) -> Json { return film.there == kSize && film.methods.back() == "PATCH" && film.count("HEAD") == 0 ? Json{{"failure", "network"}} : Json(); };
    film.rest();
    CHECK(film.w.queued() == 0);
    REQUIRE(film.methods.size() >= 3);
    CHECK(film.methods[film.methods.size() - 2] == "HEAD");
    CHECK(film.methods.back() == "PATCH");
}

TEST_CASE("upload: 409, 423 and 460 wait and ask, 404 and 410 begin anew; none of them is an attempt") {
    for (const int status : {409, 423, 460, 404, 410}) {
        CAPTURE(status);
        Film film;
        film.save();
        const bool gone = status == 404 || status == 410;
        double waited = 0, begun = 0;
        film.instead = [&](int n) -> Json {
            if (n == 4) waited = film.w.now - begun;
            if (n != 3) return nullptr;
            begun = film.w.now;
            if (gone) film.there = 0;
            return {{"status", status}};
        };
        film.rest();
        CHECK(film.steps().substr(0, 15) == (gone ? "PO PA PA PO PA " : "PO PA PA HE PA "));
        CHECK(waited > 0);
        CHECK(film.w.queued() == 0);
        CHECK(film.there == kSize);
    }
}

TEST_CASE("upload: a chunk too large for who stands before the server goes in smaller ones; too large at their smallest, or as a whole, it is refused") {
    Film film;
    film.save();
    film.instead = [&](int) -> Json {
        const Json& effect = film.seen.back();
        if (effect["method"] != "PATCH" || effect["detail"]["bytes"].get<double>() <= 50'000) return nullptr;
        film.there -= std::floor(effect["detail"]["bytes"].get<double>());
        return {{"status", 413}};
    };
    film.rest();
    CHECK(film.w.queued() == 0);
    CHECK(film.there == kSize);
    for (const char* method : {"POST", "PATCH"}) {
        Film refused;
        refused.save();
        refused.instead = [&, method](int) -> Json { return refused.methods.back() == method ? Json{{"status", 413}} : Json(); };
        refused.rest();
        CHECK(refused.w.row(1)["state"] == "dead");
        CHECK(refused.methods.size() < 40);
    }
}

TEST_CASE("upload: a server that says 409 for ever is asked ever more rarely") {
    Film film;
    film.save();
    film.instead = [&](int) -> Json { return film.methods.back() == "PATCH" ? Json{{"status", 409}} : Json(); };
    film.w.run(kSync);
    for (int i = 0; i < 100; ++i) {
        film.w.now = film.w.wake.value_or(film.w.now + 1000);
        film.w.run(kSync);
    }
    CHECK(film.w.row(1)["failures"].get<int>() > 20);
    CHECK(film.w.row(1).value("attempts", 0) == 0);
    CHECK(film.w.row(1)["waitMs"].get<double>() <= 300'000);
}

TEST_CASE("upload: 5xx for it while others succeed is about it; a chunk that arrived makes good for those before") {
    Film film;
    film.save();
    film.instead = [&](int) -> Json { return film.methods.back() == "PATCH" && film.count("PATCH") % 2 == 0 ? Json{{"status", 500}} : Json(); };
    film.rest();
    CHECK(film.w.queued() == 0);
    CHECK(film.count("HEAD") >= 3);
}

TEST_CASE("upload: an op that is more urgent goes between two chunks, and a pause holds after the one under way") {
    Film film;
    film.w.command({{"type", "settings"}, {"value", {{"maximumConcurrentOperations", 1}}}});
    film.save();
    std::size_t chunks_before = 0;
    film.w.network = [&](const Json& effect) -> Json {
        if (effect["type"] != "upload") {
            chunks_before = film.count("PATCH");
            return nullptr;
        }
        const Json said = film.step(effect);
        if (film.count("PATCH") == 2 && effect["method"] == "PATCH") film.w.accept("NOTE", "now", "create", "{}", {{"priority", "critical"}});
        return said;
    };
    film.w.run(kSync);
    CHECK(chunks_before == 2);
    CHECK(film.w.queued() == 0);

    Film paused;
    paused.save();
    paused.w.run(kSync, 6);
    paused.w.command({{"type", "pause"}});
    const std::size_t requests = paused.methods.size();
    REQUIRE(paused.w.queued() == 1);
    paused.w.run(kSync);
    CHECK(paused.methods.size() <= requests + 1);
    CHECK(paused.w.queued() == 1);
}

TEST_CASE("upload: a chunk is as large as the link and what is left of the event carry") {
    const auto first = [](Json event, double batch_bytes) {
        Film film;
        film.w.command({{"type", "settings"}, {"value", {{"maxBatchBytes", batch_bytes}}}});
        film.save();
        film.w.run({{"event", std::move(event)}}, 30);
        REQUIRE(film.seen.size() >= 2);
        return film.seen[1]["detail"]["bytes"].get<double>();
    };
    const Json sync = kSync["event"];
    CHECK(first(sync, 512'000) > 200'000);
    CHECK(first(sync, 20'000) <= 20'000);
    Json brief = sync;
    brief["deadlineMs"] = World().now + 14'000;
    const double hurried = first(brief, 512'000);
    CHECK(hurried >= 8'192);
    CHECK(hurried < 250'000);
}

TEST_CASE("upload: where nobody uploads it waits as long as asked, no attempt counts, and the others go") {
    Film film;
    film.save();
    film.instead = [](int) -> Json { return {{"failure", "no-task"}, {"headers", {{"retry-after", "10"}}}}; };
    film.w.accept("NOTE", "n", "create", "{}");
    const double before = film.w.now;
    film.w.run(kSync, 60);
    CHECK(film.w.queued() == 1);
    CHECK(film.w.doc("NOTE", "n") == "{}");
    const Json row = film.w.row(1);
    CHECK(row.value("attempts", 0) == 0);
    CHECK(row["untilMs"].get<double>() >= before + 10'000);
    CHECK(row["upload"] == "new");
}

TEST_CASE("upload: refused, it keeps its pieces; dropped, they go") {
    Film film;
    const std::string id = film.save();
    film.instead = [](int n) -> Json { return n == 3 ? Json{{"status", 403}} : Json(); };
    film.w.run(kSync);
    CHECK(film.w.row(1)["state"] == "dead");
    CHECK(film.w.bytes["payloads"].count("up:" + id + ":00000") == 1);
    film.w.command({{"type", "drop"}, {"id", id}});
    CHECK(film.w.queued() == 0);
    CHECK(film.w.bytes["payloads"].empty());
}

TEST_CASE("upload: refused and retried, the app sees it again, as the op whose pieces it is") {
    Film film;
    const std::string id = film.save();
    film.instead = [](int n) -> Json { return n == 3 ? Json{{"status", 403}} : Json(); };
    film.w.run(kSync);
    REQUIRE(film.w.row(1)["state"] == "dead");
    film.w.command({{"type", "retry"}, {"id", id}});
    film.rest();
    CHECK(film.w.queued() == 0);
    CHECK(film.w.values["docs"][":MEDIA/film"]["opId"] == id);
}
