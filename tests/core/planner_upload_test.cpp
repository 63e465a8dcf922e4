// Uploads as the core sees them: which request comes next, how much it may carry, what its answer does to the op. The shell that reads tus is scripted here: what it keeps
// with the op is the offset as a number in text.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tidegate/throttle.h"
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
    std::vector<Json> deletes;           // effects that take an upload away
    Json deleted = {{"status", 204}};    // what they are answered

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
        if (effect["method"] == "DELETE") {
            deletes.push_back(effect);
            return deleted;
        }
        seen.push_back(effect);
        methods.push_back(effect["method"]);
        const Json row = w.row(1);
        CHECK(row["state"] == "sending");   // the mark is stored before it leaves
        const std::string state = row["upload"];
        CHECK((effect["method"] == "POST") == (state == "new"));
        const double at = state == "new" ? 0 : std::stod(state);
        const Json said = answer(effect, at);
        const Json other = instead ? instead(static_cast<int>(seen.size())) : Json();
        Json outcome = other.is_null() ? said : other;
        if (outcome.value("status", 0) == 413 && effect["method"] == "PATCH") outcome["sentBytes"] = std::min(kSize - at, std::floor(effect["detail"]["bytes"].get<double>()));
        return outcome;
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

TEST_CASE("upload: where the server has all of it and nobody knows what came of that, it may have been applied: it cannot be cancelled before the server has said so") {
    Film film;
    const std::string id = film.save();
    film.instead = [&](int) -> Json { return film.there == kSize && film.methods.back() == "PATCH" && film.count("HEAD") == 0 ? Json{{"failure", "network"}} : Json(); };
    film.w.run(kSync, 1);
    for (int i = 0; i < 200 && film.count("HEAD") == 0; ++i) film.w.run(film.w.last_idle ? kSync : Json::object(), 1);
    REQUIRE(film.methods.back() == "HEAD");
    film.w.command({{"type", "pause"}});   // takes in what HEAD said, and nothing else leaves
    REQUIRE(film.methods.back() == "HEAD");
    CHECK(std::stod(film.w.row(1)["upload"].get<std::string>()) == kSize);
    CHECK(film.w.command({{"type", "cancel"}, {"id", id}}).contains("error"));
    CHECK(film.w.queued() == 1);
    film.w.restart();
    CHECK(film.w.command({{"type", "cancel"}, {"id", id}}).contains("error"));
    film.w.command({{"type", "resume"}});
    film.rest();
    CHECK(film.w.queued() == 0);
    CHECK(film.methods.back() == "PATCH");
    CHECK(film.count("HEAD") <= 2);
    CHECK(film.deletes.empty());
}

TEST_CASE("upload: a chunk without an answer may arrive after HEAD said it had not: the upload can be cancelled once another chunk went in its place") {
    Film film;
    const std::string id = film.save();
    film.instead = [&](int n) -> Json {
        if (n == 4) film.w.readings = {{"online", false}};   // so that no third chunk leaves
        if (n != 2) return nullptr;
        film.there = 0;   // it is under way still
        return {{"failure", "network"}};
    };
    film.w.run(kSync, 1);
    for (int i = 0; i < 200 && film.count("HEAD") == 0; ++i) film.w.run(film.w.last_idle ? kSync : Json::object(), 1);
    film.w.command({{"type", "pause"}});   // takes in what HEAD said, and nothing else leaves
    REQUIRE(film.steps() == "PO PA HE ");
    CHECK(film.w.command({{"type", "cancel"}, {"id", id}})["error"]["code"] == "in-flight");
    film.w.restart();
    CHECK(film.w.command({{"type", "cancel"}, {"id", id}})["error"]["code"] == "in-flight");
    film.w.command({{"type", "resume"}});
    REQUIRE(film.steps() == "PO PA HE PA ");
    CHECK_FALSE(film.w.command({{"type", "cancel"}, {"id", id}}).contains("error"));
    CHECK(film.w.queued() == 0);
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

TEST_CASE("upload: no chunk is smaller than kMinBatchBytes, whatever 413 taught about other requests") {
    Film film;
    film.w.server.refuse_request = [] { return 413; };
    film.w.accept("NOTE", "n", "create", "{\"text\":\"forty bytes of it, or so\"}");
    film.w.run(kSync);
    REQUIRE(film.w.row(1)["state"] == "dead");
    film.w.command({{"type", "drop"}, {"id", film.w.row(1)["id"]}});
    film.w.server.refuse_request = nullptr;
    film.w.network = [&](const Json& effect) -> Json {
        if (effect["type"] != "upload") return nullptr;
        film.seen.push_back(effect);
        if (effect["method"] == "POST") return {{"status", 201}, {"message", "0"}};
        return {{"delay", 1000}};
    };
    film.save();
    film.w.run(kSync, 8);
    REQUIRE(film.seen.size() == 2);
    CHECK(film.seen[1]["detail"]["bytes"] == kMinBatchBytes);
}

TEST_CASE("upload: 413 halves the chunks down to kMinBatchBytes and no further; to one of that size it is a dead letter with the answer") {
    Film film;
    film.save();
    film.instead = [&](int) -> Json { return film.methods.back() == "PATCH" ? Json{{"status", 413}, {"body", "{\"title\":\"no films here\"}"}} : Json(); };
    film.rest();
    const Json row = film.w.row(1);
    CHECK(row["state"] == "dead");
    CHECK(row["reason"].get<std::string>().find("no films here") != std::string::npos);
    CHECK(row["error"]["status"] == 413);
    CHECK(film.seen.back()["detail"]["bytes"] == kMinBatchBytes);
    double before = 1e9;
    for (const Json& effect : film.seen) {
        if (effect["method"] != "PATCH") continue;
        CHECK(effect["detail"]["bytes"].get<double>() < before);
        before = effect["detail"]["bytes"].get<double>();
    }
}

TEST_CASE("upload: 413 to a last chunk that is small is about the whole: no other follows, and batches stay as large as they were") {
    Film film;
    film.known = true;
    film.there = kSize - 1000;
    film.save({{"upload", "1999000"}});
    film.instead = [&](int) -> Json { return {{"status", 413}}; };
    film.w.run(kSync);
    CHECK(film.steps() == "PA ");
    CHECK(film.w.row(1)["state"] == "dead");
    CHECK(film.w.values["state"]["core"]["link"]["serverBatchBytes"] == 0);
}

TEST_CASE("upload: 412 to the last chunk is decided, then it is asked for how far it came, and an empty PATCH ends it; only bytes the server did not keep go again") {
    for (const bool kept : {true, false}) {
        CAPTURE(kept);
        Film film;
        film.w.values["bases"][":MEDIA/film"] = {{"etag", "\"1\""}};
        film.save({{"action", "update"}});
        double last = 0;
        film.instead = [&](int) -> Json {
            if (film.there < kSize || last > 0 || film.methods.back() != "PATCH") return nullptr;
            last = std::stod(film.w.row(1)["upload"].get<std::string>());
            if (!kept) film.there = last;
            return {{"status", 412}, {"headers", {{"etag", "\"2\""}}}};
        };
        film.rest();
        CHECK(film.w.queued() == 0);
        CHECK(film.there == kSize);
        const std::string steps = film.steps();
        CHECK(steps.substr(steps.size() - 9) == "PA HE PA ");
        CHECK(film.seen.back()["headers"]["if-match"] == "\"2\"");
        CHECK(film.seen.front()["headers"]["if-match"] == "\"1\"");
        CHECK(film.seen.back()["headers"]["idempotency-key"] == film.seen.front()["headers"]["idempotency-key"]);
    }
}

TEST_CASE("upload: 412 that does not name their version: it is asked for by HEAD, for theirs may be as large as ours") {
    Film film;
    film.w.values["bases"][":MEDIA/film"] = {{"etag", "\"1\""}};
    film.save({{"action", "update"}});
    std::vector<std::string> asked;
    film.w.network = [&](const Json& effect) -> Json {
        if (effect["type"] == "upload") return film.step(effect);
        asked.push_back(effect["method"]);
        CHECK(effect["url"] == "entities/MEDIA/film");
        return {{"status", 200}, {"headers", {{"etag", "\"2\""}}}};
    };
    film.instead = [&](int n) -> Json { return n == 3 ? Json{{"status", 412}} : Json(); };
    film.rest();
    CHECK(asked == std::vector<std::string>{"HEAD"});
    CHECK(film.w.queued() == 0);
    CHECK(film.seen.back()["headers"]["if-match"] == "\"2\"");
}

TEST_CASE("upload: where their version is not to be had after a 412 to the last chunk, that chunk does not go again before it was asked for") {
    Film film;
    film.w.values["bases"][":MEDIA/film"] = {{"etag", "\"1\""}};
    film.save({{"action", "update"}});
    int refused = 0, asked = 0;
    film.w.network = [&](const Json& effect) -> Json {
        if (effect["type"] == "upload") return film.step(effect);
        return ++asked == 1 ? Json{{"failure", "network"}} : Json{{"status", 200}, {"headers", {{"etag", "\"2\""}}}};
    };
    film.instead = [&](int) -> Json {
        const bool end = film.there == kSize && film.methods.back() == "PATCH" && film.seen.back()["headers"]["if-match"] == "\"1\"";
        return end && ++refused > 0 ? Json{{"status", 412}} : Json();
    };
    film.rest();
    CHECK(film.w.queued() == 0);
    CHECK(refused == 2);
    CHECK(asked == 2);
    const std::string steps = film.steps();
    CHECK(steps.substr(steps.size() - 15) == "PA HE PA HE PA ");
}

TEST_CASE("upload: the progress of what is under way is the share of its bytes that the server has, and told no more often than any status") {
    for (const double between : {10.0, 300.0}) {
        CAPTURE(between);
        Film film;
        film.w.command({{"type", "settings"}, {"value", {{"maxBatchBytes", 50'000}}}});
        film.save();
        std::vector<double> told;
        film.instead = [&](int) -> Json {
            film.w.now += between;
            if (film.methods.back() != "PATCH") return nullptr;
            const Json progress = (*film.w.status)["currentProgress"]["currentOperation"];
            CHECK(progress["entityId"] == "film");
            if (told.empty() || told.back() != progress["progress"]) told.push_back(progress["progress"]);
            if (between > kStatusIntervalMs) CHECK(told.back() == doctest::Approx(100 * std::stod(film.w.row(1)["upload"].get<std::string>()) / kSize));
            return nullptr;
        };
        film.rest();
        REQUIRE(film.w.queued() == 0);
        CHECK(std::is_sorted(told.begin(), told.end()));
        if (between > kStatusIntervalMs) CHECK(told.size() == film.count("PATCH"));
        else CHECK(static_cast<double>(told.size()) <= 2 + static_cast<double>(film.count("PATCH")) * between / kStatusIntervalMs);
    }
}

TEST_CASE("upload: cancelled in the middle it is gone at once; the server is told once a drain until it answered, also after a restart, and only while something may be sent") {
    Film film;
    const std::string id = film.save();
    film.w.run(kSync, 6);
    film.w.command({{"type", "pause"}});
    const std::string upload = film.w.row(1)["upload"];
    REQUIRE(film.there > 0);
    CHECK(film.w.command({{"type", "cancel"}, {"id", id}}) == Json{{"ok", true}});
    CHECK(film.w.queued() == 0);
    CHECK(film.w.bytes["payloads"].empty());
    CHECK(film.deletes.empty());   // paused
    film.w.restart();
    film.deleted = {{"failure", "network"}};
    film.w.command({{"type", "resume"}});
    REQUIRE(film.deletes.size() == 1);
    CHECK(film.deletes[0]["type"] == "upload");
    CHECK(film.deletes[0]["owner"] == "");
    CHECK(film.deletes[0]["detail"]["upload"] == upload + "\n");
    CHECK(film.w.last_idle);
    film.w.run(kSync);
    CHECK(film.deletes.size() == 2);
    film.w.command({{"type", "settings"}, {"value", {{"consent", "withdrawn"}}}});
    film.w.run(kSync);
    CHECK(film.deletes.size() == 2);
    film.w.command({{"type", "settings"}, {"value", {{"consent", "granted"}}}});
    film.w.command({{"type", "signOut"}, {"value", {{"owner", ""}}}});
    CHECK(film.deletes.size() == 3);   // with the settings
    film.w.run(kSync);
    CHECK(film.deletes.size() == 3);   // nobody's credentials are there
    film.deleted = {{"status", 404}};
    film.w.command({{"type", "signIn"}, {"value", {{"owner", ""}}}});
    CHECK(film.deletes.size() == 4);
    film.w.run(kSync);
    film.w.restart();
    film.w.run(kSync);
    CHECK(film.deletes.size() == 4);
}

TEST_CASE("upload: whatever takes an op out in the middle of its upload abandons it: expiry, a drop, their version; what was not begun, or has ended, nothing") {
    const auto deletes_after = [](const std::function<void(Film&)>& ending) {
        Film film;
        ending(film);
        film.w.run(kSync);
        CHECK(film.w.queued() == 0);
        return film.deletes.size();
    };
    CHECK(deletes_after([](Film& film) { film.save(), film.rest(); }) == 0);
    CHECK(deletes_after([](Film& film) {
        film.w.command({{"type", "pause"}});
        film.w.command({{"type", "cancel"}, {"id", film.save()}});
        film.w.command({{"type", "resume"}});
    }) == 0);
    CHECK(deletes_after([](Film& film) {
        film.save({{"expiresAt", film.w.now + 5000}});
        film.w.run(kSync, 6);
        film.w.command({{"type", "pause"}});
        film.w.now += 6000;
        film.w.command({{"type", "resume"}});
    }) == 1);
    CHECK(deletes_after([](Film& film) {
        const std::string id = film.save();
        film.instead = [](int n) -> Json { return n == 3 ? Json{{"status", 403}} : Json(); };
        film.w.run(kSync);
        film.w.command({{"type", "drop"}, {"id", id}});
    }) == 1);
    CHECK(deletes_after([](Film& film) {
        film.w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
        film.w.values["bases"][":MEDIA/film"] = {{"etag", "\"1\""}};
        film.save({{"action", "update"}});
        film.instead = [](int n) -> Json { return n == 3 ? Json{{"status", 412}, {"headers", {{"etag", "\"2\""}}}} : Json(); };
        film.w.run(kSync);
    }) == 1);
}

TEST_CASE("upload: more abandoned uploads than are remembered are left to the server, and none is told twice") {
    Film film;
    film.w.network = [&](const Json& effect) -> Json {
        if (effect["method"] == "DELETE") film.deletes.push_back(effect);
        else if (effect["method"] == "POST") return {{"status", 201}, {"message", "0 " + effect["detail"]["entityId"].get<std::string>()}};
        else return {{"status", 403}};
        return {{"status", 204}};
    };
    for (int i = 0; i < 20; ++i) film.w.accept("MEDIA", std::to_string(i), "create", "", {{"contentType", "video/mp4"}, {"sizeBytes", kSize}, {"upload", "new"}, {"noFold", true}});
    film.w.run(kSync);
    film.w.command({{"type", "pause"}});
    for (int i = 1; i <= 20; ++i) CHECK(film.w.command({{"type", "drop"}, {"id", "op-" + std::to_string(i)}}) == Json{{"ok", true}});
    CHECK(film.w.queued() == 0);
    film.w.command({{"type", "resume"}});
    std::set<std::string> told;
    for (const Json& effect : film.deletes) told.insert(effect["detail"]["upload"].get<std::string>());
    CHECK(film.deletes.size() == 16);
    CHECK(told.size() == 16);
}
