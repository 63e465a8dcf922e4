// Blobs: each goes alone, whole or as a VCDIFF delta of the acknowledged version. A server of blobs in plain REST mode, scripted into the world.
#include <doctest/doctest.h>

#include "tidegate/binary_delta.h"
#include "world.h"

using namespace tidegate;
using namespace tidegate::test;

namespace {

const Json kSync = {{"event", {{"type", "sync"}, {"trigger", "connectivity"}}}};

// One entity, MEDIA/m.
struct BlobServer {
    std::string blob;
    int version = 0;
    bool takes_deltas = true, drop_answer = false;
    int refuse_all = 0;
    std::map<std::string, std::pair<std::string, int>> keys;  // key → (body, version)
    std::vector<Json> seen;                                   // {method, key, type, ifMatch, bytes}
    int effects = 0;

    Json answer(const Planner& planner, const Json& send) {
        if (send["method"] == "GET") return {{"status", 200}, {"headers", {{"etag", Server::tag(version)}}}, {"body", blob}};
        const std::string body = *planner.bytes(send["slot"]), key = send["headers"]["idempotency-key"], type = send["headers"]["content-type"];
        const Json& headers = send["headers"];
        seen.push_back({{"method", send["method"]}, {"key", key}, {"type", type}, {"ifMatch", headers.value("if-match", "")}, {"bytes", body.size()}});
        const auto say = [](int status, const std::string& etag) -> Json { return {{"status", status}, {"headers", {{"etag", etag}}}}; };
        if (refuse_all) return say(refuse_all, "");
        if (const auto known = keys.find(key); known != keys.end())
            return known->second.first == body ? say(200, Server::tag(known->second.second)) : Json({{"status", 422}, {"body", R"({"type":"urn:tidegate:key-reused"})"}});
        if (headers.contains("if-none-match") ? version > 0 : headers["if-match"] != Server::tag(version)) return say(412, Server::tag(version));
        if (send["method"] == "PATCH") {
            CHECK(type == "application/vcdiff");
            if (!takes_deltas) return say(415, "");
            const auto made = apply_delta(blob, body, 1 << 24);
            REQUIRE(made.ok());
            blob = made.value();
        } else {
            blob = body;
        }
        keys[key] = {body, ++version};
        ++effects;
        return drop_answer ? Json({{"failure", "network"}}) : say(200, Server::tag(version));
    }
};

struct Scene {
    World w;
    BlobServer server;
    std::string base = noise(40000), next;

    static std::string noise(std::size_t size) {
        std::string out(size, '\0');
        Random random(7);
        for (char& c : out) c = static_cast<char>(random.next());
        return out;
    }

    Scene() {
        w.network = [this](const Json& send) { return server.answer(w.planner, send); };
        next = base.substr(0, 9000) + "an edit" + base.substr(9100);
        save("create", base);
        w.run(kSync);
        REQUIRE(w.queued() == 0);
        REQUIRE(server.blob == base);
    }

    void save(const char* action, const std::string& bytes) { w.accept("MEDIA", "m", action, bytes, {{"contentType", "image/png"}}); }
    // An update that a shell with an encoder has a delta of.
    void edit(const std::string& to) {
        save("update", to);
        w.bytes["payloads"][payload_key(w.seq, "delta::MEDIA/m")] = encode_delta(base, to).value();
    }
    const Json& last() const { return server.seen.back(); }
};

}  // namespace

TEST_CASE("a changed blob goes as a delta of the acknowledged version, and the version after it as a delta of that") {
    Scene s;
    s.edit(s.next);
    s.w.run(kSync);
    CHECK(s.last()["method"] == "PATCH");
    CHECK(s.last()["ifMatch"] == "\"1\"");
    CHECK(s.last()["bytes"] < 200);
    CHECK(s.server.blob == s.next);
    CHECK(s.w.queued() == 0);
    CHECK(s.w.bytes["bases"][":MEDIA/m"] == s.next);
    CHECK_FALSE(s.w.bytes["payloads"].count("000000000002:body"));
}

TEST_CASE("without an encoder, without a gain, and with deltas off a blob goes whole") {
    const auto goes_whole = [](const std::function<void(Scene&)>& prepare) {
        Scene s;
        s.edit(s.next);
        prepare(s);
        s.w.run(kSync);
        CHECK(s.last()["method"] == "PUT");
        CHECK(s.last()["type"] == "image/png");
        CHECK(s.server.blob == s.next);
        CHECK(s.w.queued() == 0);
    };
    goes_whole([](Scene& s) { s.w.bytes["payloads"].erase("000000000002:delta::MEDIA/m"); });
    goes_whole([](Scene& s) { s.w.bytes["payloads"]["000000000002:delta::MEDIA/m"] = std::string(s.next.size(), 'x'); });
    goes_whole([](Scene& s) { s.w.command({{"type", "settings"}, {"value", {{"delta", false}}}}); });
}

TEST_CASE("a delta without an answer is repeated byte for byte under its key, by another worker with another encoder") {
    Scene s;
    s.edit(s.next);
    s.server.drop_answer = true;
    s.w.run(kSync, 6);
    REQUIRE(s.server.effects == 2);
    s.server.drop_answer = false;
    s.w.bytes["payloads"]["000000000002:delta::MEDIA/m"] = encode_delta(s.base, s.next, {.checksum = false}).value();   // another code would make other bytes
    s.w.now += 600000;
    s.w.restart();
    s.w.run(kSync);
    CHECK(s.w.queued() == 0);
    CHECK(s.server.effects == 2);
    REQUIRE(s.server.seen.size() == 3);
    CHECK(s.server.seen[1]["key"] == s.server.seen[2]["key"]);
    CHECK(s.server.blob == s.next);
}

TEST_CASE("a server that takes no deltas gets the blob whole under a new key, is not asked again, and is still sent patches of documents") {
    Scene s;
    s.server.takes_deltas = false;
    s.edit(s.next);
    s.w.run(kSync);
    REQUIRE(s.server.seen.size() == 3);
    CHECK(s.server.seen[1]["method"] == "PATCH");
    CHECK(s.last()["method"] == "PUT");
    CHECK(s.last()["key"] == "\"op-2.2\"");
    CHECK(s.server.blob == s.next);
    CHECK(s.w.queued() == 0);
    s.w.restart();
    s.edit(s.base);
    s.w.run(kSync);
    CHECK(s.last()["method"] == "PUT");
    s.w.network = nullptr;
    const std::string pad(2000, 'x');
    s.w.accept("FORM", "f", "create", "{\"n\":0,\"pad\":\"" + pad + "\"}");
    s.w.run(kSync);
    s.w.accept("FORM", "f", "update", "{\"n\":1,\"pad\":\"" + pad + "\"}");
    s.w.run(kSync);
    CHECK(s.w.server.requests.back().size() < 500);
    CHECK((s.w.doc("FORM", "f") == "{\"n\":1,\"pad\":\"" + pad + "\"}"));
}

TEST_CASE("a blob whose type the server does not take is a dead letter, not sent for ever") {
    Scene s;
    s.server.refuse_all = 415;
    s.save("update", s.next);
    s.w.run(kSync, 100);
    CHECK(s.w.row(2)["state"] == "dead");
    CHECK(s.server.seen.size() == 2);
}

TEST_CASE("a blob that somebody else changed: ours goes whole over the version that the 412 named") {
    Scene s;
    s.edit(s.next);
    s.server.blob = "theirs";
    ++s.server.version;
    s.w.run(kSync);
    REQUIRE(s.server.seen.size() == 3);
    CHECK(s.server.seen[1]["method"] == "PATCH");
    CHECK(s.last()["method"] == "PUT");
    CHECK(s.last()["ifMatch"] == "\"2\"");
    CHECK(s.last()["key"] == "\"op-2.2\"");
    CHECK(s.server.blob == s.next);
    CHECK(s.w.queued() == 0);
}

TEST_CASE("a blob that somebody else changed is deleted all the same: what a GET answers is no document, and the delete goes over it") {
    World w;
    w.network = [](const Json& effect) -> Json { return effect["method"] == "PUT" ? Json{{"status", 201}, {"headers", {{"etag", "\"1\""}}}} : Json(); };
    w.accept("MEDIA", "m", "create", "bytes", {{"contentType", "image/png"}});
    w.run(kSync);
    REQUIRE(w.queued() == 0);
    const std::string id = w.accept("MEDIA", "m", "delete", "");
    int batches = 0, gets = 0;
    w.network = [&](const Json& effect) -> Json {
        if (effect["method"] == "GET") return ++gets, Json{{"status", 200}, {"headers", {{"etag", "\"2\""}}}, {"body", "\x89PNG"}};
        const std::string result = ++batches == 1 ? R"("status":412,"etag":"\"2\"")" : R"("status":204,"etag":"\"3\"")";
        return {{"status", 200}, {"body", "{\"protocol\":1,\"results\":1}\n{\"id\":\"" + id + "\"," + result + "}\n"}};
    };
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(batches == 2);
    CHECK(gets == 1);
}

TEST_CASE("a blob of ours gave way to theirs, of which the version alone is known: the next pull brings it, once") {
    World w;
    int fetched = 0;
    const auto one_request_an_op = [&](const Json& send) -> Json { return fetched += send["method"] == "GET" && send["url"] == "entities/PHOTO/p", nullptr; };
    w.network = one_request_an_op;
    w.server.edit("PHOTO/p", "one", "image/png");
    w.pull();
    REQUIRE(w.shown("PHOTO/p") == "one");
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
    w.server.edit("PHOTO/p", "theirs", "image/png");
    w.accept("PHOTO", "p", "update", "two", {{"contentType", "image/png"}});
    w.network = [&](const Json& send) -> Json {
        if (send["method"] == "GET") return nullptr;
        return {{"status", 412}, {"headers", {{"etag", Server::tag(w.server.docs["PHOTO/p"].version)}}}};
    };
    w.run(kSync);
    CHECK(w.queued() == 0);
    CHECK(w.shown("PHOTO/p") != "theirs");
    CHECK(w.values["bases"][":PHOTO/p"]["unseen"] == true);
    w.network = one_request_an_op;
    fetched = 0;
    w.restart();
    w.now += 60000;
    w.pull();
    CHECK(w.shown("PHOTO/p") == "theirs");
    CHECK_FALSE(w.values["bases"][":PHOTO/p"].contains("unseen"));
    w.now += 60000;
    w.pull();
    CHECK(fetched == 1);
}

TEST_CASE("the page of a captive portal is not theirs: a blob in conflict waits, and is compared with what the server has") {
    World w;
    w.command({{"type", "settings"}, {"value", {{"conflictStrategy", "server-wins"}}}});
    w.network = [](const Json& effect) -> Json { return effect["method"] == "PUT" ? Json{{"status", 201}, {"headers", {{"etag", "\"1\""}}}} : Json(); };
    w.accept("MEDIA", "m", "create", "bytes", {{"contentType", "image/png"}});
    w.run(kSync);
    REQUIRE(w.queued() == 0);
    w.accept("MEDIA", "m", "update", "other bytes", {{"contentType", "image/png"}});
    Json theirs = {{"status", 200}, {"headers", {{"content-type", "text/html"}, {"etag", "\"portal\""}}}, {"body", "<p>Sign in</p>"}};
    int gets = 0;
    w.network = [&](const Json& effect) -> Json {
        if (effect["method"] == "GET") return ++gets, theirs;
        return {{"status", 412}, {"headers", Json::object()}, {"body", ""}};   // by a server that does not say which version it has
    };
    w.run(kSync);
    CHECK(gets == 1);
    CHECK(w.values["bases"][":MEDIA/m"]["etag"] == "\"1\"");
    CHECK(w.queued() == 1);
    CHECK(w.shown("MEDIA/m") == "other bytes");
    theirs = {{"status", 200}, {"headers", {{"content-type", "image/png"}, {"etag", "\"2\""}}}, {"body", "theirs"}};
    w.now += 3600000;
    w.run(kSync);
    CHECK(gets == 2);
    CHECK(w.queued() == 0);
    CHECK(w.values["bases"][":MEDIA/m"]["etag"] == "\"2\"");
    CHECK(w.shown("MEDIA/m") == "theirs");
}
