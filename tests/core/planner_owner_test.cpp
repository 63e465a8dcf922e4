// Who is signed in: nothing leaves but for him, nothing of anybody else is told, and what was under way for another is still settled.
#include <doctest/doctest.h>

#include "world.h"

using namespace tidegate;
using tidegate::test::World;

namespace {

const Json kManual = {{"event", {{"type", "manual"}}}};
const Json kPush = {{"event", {{"type", "push"}}}};

std::string accept(World& w, const std::string& owner, const std::string& id, const std::string& text = "{\"n\":1}") {
    return w.accept("FORM", id, "create", text, {{"owner", owner}, {"lane", owner + ":FORM/" + id}});
}
Json sign(World& w, const char* what, const std::string& owner) { return w.command({{"type", what}, {"value", {{"owner", owner}}}}); }

// The owner of every request that leaves.
std::vector<std::string>& watch(World& w) {
    static std::vector<std::string> owners;
    owners.clear();
    w.network = [](const Json& send) -> Json {
        owners.push_back(send.value("owner", ""));
        return nullptr;
    };
    return owners;
}

bool told_of(const World& w, const std::string& owner) {
    for (const Json& event : w.events)
        if (event["detail"].value("owner", "") == owner) return true;
    return false;
}

}  // namespace

TEST_CASE("until somebody says who is signed in, everybody's ops go, each under his own name") {
    World w;
    auto& owners = watch(w);
    accept(w, "ann", "a");
    accept(w, "bob", "b");
    w.run(kPush);
    CHECK(owners == std::vector<std::string>{"ann", "bob"});
    CHECK(w.queued() == 0);
}

TEST_CASE("only his ops go who is signed in; the others wait, by name, and no attempt is counted") {
    World w;
    auto& owners = watch(w);
    const std::string of_ann = accept(w, "ann", "a");
    CHECK(sign(w, "signIn", "bob")["ok"] == true);
    accept(w, "bob", "b");
    w.run(kManual);
    CHECK(owners == std::vector<std::string>{"bob"});
    CHECK(w.row(1).value("sends", 0) == 0);
    CHECK(w.row(1).value("attempts", 0) == 0);
    CHECK(w.row(1)["state"] == "queued");
    CHECK(w.last_idle);
    CHECK(!w.last_reject);   // nothing is left that time could help
    CHECK(!w.wake);
    const Json why = w.planner.explain(of_ann).value();
    CHECK(why["reason"] == "signed-out");
    CHECK(!why.contains("untilMs"));
    CHECK(sign(w, "signIn", "ann")["ok"] == true);
    w.run(kPush);
    CHECK(owners == std::vector<std::string>{"bob", "ann"});
    CHECK(w.queued() == 0);
}

TEST_CASE("who came later stays, whoever is heard last: what is said under an older ticket changes nothing, across a restart") {
    World w;
    w.now = 1'795'328'740'000;
    auto& owners = watch(w);
    const auto said = [&w](const char* what, const std::string& owner, const Json& ticket) {
        return w.command({{"type", what}, {"value", {{"owner", owner}, {"ticket", ticket}}}});
    };
    CHECK(said("signIn", "bob", 1795328737000.0) == Json{{"ok", true}});
    CHECK(said("signIn", "ann", 1795328736999.0) == Json{{"ok", true}, {"value", {{"signedIn", "bob"}}}});   // her page is going away
    CHECK(w.values["state"]["core"]["owner"] == "bob");
    w.restart();
    said("signOut", "bob", 1795328736999.0);
    said("signIn", "ann", 1795328736999.0);
    accept(w, "ann", "a");
    accept(w, "bob", "b");
    w.run(kManual);
    CHECK(owners == std::vector<std::string>{"bob"});
    said("signIn", "bob", 1795328738000.0);   // signed in already, and later than that
    w.restart();
    said("signIn", "ann", 1795328737500.0);
    CHECK(w.values["state"]["core"]["owner"] == "bob");
    said("signOut", "bob", 1795328739000.0);
    said("signIn", "bob", 1795328738000.0);   // another page of his, not heard until now
    CHECK(w.values["state"]["core"]["owner"].is_null());
    CHECK(said("signIn", "ann", 1795328739000.0) == Json{{"ok", true}});
    CHECK(w.values["state"]["core"]["owner"] == "ann");
    for (const Json& none : {Json(), Json("7"), Json(-1), Json(1e300)}) {   // a page of an older version: who is heard last is the last
        said("signIn", "bob", none);
        CHECK(w.values["state"]["core"]["owner"] == "bob");
        sign(w, "signIn", "ann");
        CHECK(w.values["state"]["core"]["owner"] == "ann");
    }
}

TEST_CASE("a ticket from the future keeps nobody out: a clock was years ahead, or somebody made it up, and the next who says so is signed in") {
    World w;
    const auto said = [&w](const char* what, const std::string& owner, double ticket) {
        w.events.clear();
        return w.command({{"type", what}, {"value", {{"owner", owner}, {"ticket", ticket}}}});
    };
    const auto told = [&w] {
        for (const Json& event : w.events)
            if (event["event"] == "sync.owner") return event["detail"]["ticket"].get<double>();
        return -1.0;
    };
    const double day = 86'400'000;
    said("signIn", "bob", w.now + 1000 * day);
    CHECK(told() == w.now + 1000 * day);
    CHECK(said("signIn", "ann", w.now) == Json{{"ok", true}});
    CHECK(w.values["state"]["core"]["owner"] == "ann");
    CHECK(told() == 0);   // bob's page, too, which holds that ticket, is meant
    CHECK(said("signIn", "bob", w.now - 1)["value"]["signedIn"] == "ann");   // in order again
    said("signIn", "bob", w.now + day);   // clocks differ; by less than that, order is kept
    CHECK(said("signIn", "ann", w.now + day - 1)["value"]["signedIn"] == "bob");
    w.restart();
    CHECK(said("signIn", "ann", w.now + day - 1)["value"]["signedIn"] == "bob");
    w.now -= 1000;   // set back by a second
    CHECK(said("signIn", "ann", w.now) == Json{{"ok", true}});
    CHECK(w.values["state"]["core"]["owner"] == "ann");
}

TEST_CASE("signed out, nobody's ops go, across a restart; only he who is signed in can sign out") {
    World w;
    auto& owners = watch(w);
    sign(w, "signIn", "ann");
    sign(w, "signOut", "bob");   // a tab that was left open
    CHECK(w.values["state"]["core"]["owner"] == "ann");
    sign(w, "signOut", "ann");
    CHECK(w.values["state"]["core"]["owner"].is_null());
    accept(w, "ann", "a");
    accept(w, "bob", "b");
    accept(w, "", "c");
    w.run(kManual);
    w.restart();
    w.run(kManual);
    CHECK(owners.empty());
    CHECK(w.queued() == 3);
    sign(w, "signIn", "");
    w.run(kPush);
    w.restart();
    w.run(kManual);
    CHECK(owners == std::vector<std::string>{""});
    CHECK(w.queued() == 2);
}

TEST_CASE("a snapshot brings the ops of others back as they were: held") {
    World w;
    sign(w, "signIn", "bob");
    for (int i = 0; i < 300; ++i) accept(w, "ann", "a" + std::to_string(i));
    w.run(kPush);
    REQUIRE(w.bytes["state"].count("snapshot") == 1);
    w.restart();
    auto& owners = watch(w);
    w.run(kManual);
    CHECK(owners.empty());
    REQUIRE(w.status);
    CHECK((*w.status)["queueSize"] == 0);
}

TEST_CASE("the switch is stored before anything leaves under it: a store that refuses it keeps everything here") {
    World w;
    auto& owners = watch(w);
    sign(w, "signIn", "ann");
    accept(w, "bob", "b");
    bool full = true;
    w.on_commit = [&](const Json&) { return full ? "error" : ""; };
    w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "signIn"}, {"value", {{"owner", "bob"}}}}})}}, 4);
    CHECK(owners.empty());
    CHECK(w.values["state"]["core"]["owner"] == "ann");
    full = false;
    w.now += 5000;
    w.run(kPush);
    CHECK(owners == std::vector<std::string>{"bob"});
}

TEST_CASE("killed at any step of a switch, no request is another's than the store says") {
    for (int kill = 1; kill < 14; ++kill) {
        World w;
        w.network = [&w](const Json& send) -> Json {
            const Json stored = w.values["state"]["core"];
            CHECK(stored.value("owner", "") == send.value("owner", ""));
            return nullptr;
        };
        sign(w, "signIn", "ann");
        for (int i = 0; i < 3; ++i) {
            accept(w, "ann", "a" + std::to_string(i));
            accept(w, "bob", "b" + std::to_string(i));
        }
        w.command({{"type", "settings"}, {"value", {{"maxBatchOps", 1}}}});
        w.run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "signIn"}, {"value", {{"owner", "bob"}}}}})}}, kill);
        w.restart();
        for (const char* owner : {"bob", "ann"}) {
            sign(w, "signIn", owner);
            w.run(kManual);
        }
        CHECK(w.queued() == 0);
        CHECK(w.server.effects.size() == 6);
    }
}

TEST_CASE("what was on the wire for another is settled for its own ops, and told to nobody") {
    World w;
    for (const int answer : {200, 422, 500}) {
        CAPTURE(answer);
        const std::string id = accept(w, "ann", "late" + std::to_string(answer), "{\"secret\":1}");
        sign(w, "signIn", "ann");
        w.run(kManual);
        CHECK(w.queued() == 0);
        w.accept("FORM", "late" + std::to_string(answer), "update", "{\"secret\":2}", {{"owner", "ann"}, {"lane", "ann:FORM/late" + std::to_string(answer)}});
        w.network = [&](const Json& send) -> Json {
            CHECK(send["owner"] == "ann");
            w.network = nullptr;
            if (answer == 422) w.server.refuse = [](const Json&) { return 422; };
            const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
            w.server.refuse = nullptr;
            if (answer == 500) return {{"delay", 2}, {"status", 500}, {"headers", Json::object()}};
            return {{"delay", 2}, {"status", status}, {"body", text}, {"headers", {{"content-type", "application/x-ndjson"}}}};
        };
        w.run(kManual, 2);   // it has left
        w.events.clear();
        sign(w, "signIn", "bob");
        CHECK(!told_of(w, "ann"));
        REQUIRE(w.status);
        CHECK(!(*w.status)["currentProgress"].contains("currentOperation"));
        CHECK((*w.status)["queueSize"] == 0);
        CHECK((*w.status)["deadLetters"] == 0);
        CHECK(!w.status->contains("lastError"));
        const std::string state = w.row(w.seq).is_null() ? "gone" : w.row(w.seq)["state"].get<std::string>();
        CHECK(state == (answer == 200 ? "gone" : answer == 422 ? "dead" : "unknown"));
        for (const auto& [key, value] : w.values["history"])
            if (key.rfind("session/", 0) == 0 && value.value("owner", "") == "bob") CHECK(value["errors"].empty());
        sign(w, "signIn", "ann");
        const auto left = w.values["ops"];
        for (const auto& [seq, op] : left) w.command({{"type", "drop"}, {"id", op["id"]}});
        w.now += 600000;
        w.run(kManual);
        CHECK(w.queued() == 0);
    }
}

TEST_CASE("a conflict of one who signed out waits for him: theirs is not fetched, the app is not asked") {
    for (const char* strategy : {"merge", "custom", "last-write-wins"}) {
        CAPTURE(strategy);
        World w;
        bool asked = false;
        w.on_ask = [&](const Json&) { asked = true; return ""; };
        w.command({{"type", "settings"}, {"value", {{"conflictStrategy", strategy}}}});
        w.server.edit("FORM/a", "{\"theirs\":1}");
        sign(w, "signIn", "ann");
        accept(w, "ann", "a", "{\"ours\":1}");
        std::vector<std::string> methods;
        w.network = [&](const Json& send) -> Json {
            methods.push_back(send["method"]);
            if (send["method"] != "POST") return nullptr;
            const auto [status, text] = w.server.batch(*w.planner.bytes(send["slot"]));
            return {{"delay", 2}, {"status", status}, {"body", text}, {"headers", {{"content-type", "application/x-ndjson"}}}};
        };
        w.run(kManual, 2);
        sign(w, "signIn", "bob");
        CHECK(methods == std::vector<std::string>{"POST"});
        CHECK(!asked);
        CHECK(w.last_idle);
        CHECK(w.doc("FORM", "a") == "{\"theirs\":1}");
        sign(w, "signIn", "ann");
        w.now += 600000;
        w.run(kManual);
        CHECK(w.queued() == 0);
        CHECK(asked == (std::string(strategy) == "custom"));
    }
}

TEST_CASE("bytes that were asked for before the switch do not leave after it") {
    World w;
    sign(w, "signIn", "ann");
    const Json row = {{"seq", 1}, {"id", "op-1"}, {"lane", "ann:FORM/a"}, {"owner", "ann"}, {"entity", "FORM"}, {"entityId", "a"}, {"action", "create"}, {"createdAt", w.now}, {"sizeBytes", 2}, {"state", "queued"}};
    const auto step = [&](const char* what, Json value) {
        auto plan = w.planner.step({{"nowMs", w.now}, {"seed", 1}, {what, Json::array({std::move(value)})}});
        REQUIRE(plan.ok());
        return encode(plan.value())["effects"];
    };
    const auto first = [](const Json& effects, const char* type) {
        for (const Json& effect : effects)
            if (effect["type"] == type) return effect;
        return Json();
    };
    const Json load = first(step("rows", row), "load");
    REQUIRE(load.is_object());
    const Json stored = first(step("commands", {{"type", "signIn"}, {"value", {{"owner", "bob"}}}}), "commit");
    REQUIRE(stored.is_object());
    w.planner.put(load["items"][0]["slot"], "{}");
    step("outcomes", {{"id", stored["id"]}, {"commit", "ok"}});
    CHECK(first(step("outcomes", {{"id", load["id"]}, {"missing", Json::array()}, {"metas", Json::array()}}), "send").is_null());
}

TEST_CASE("nobody pulls but he who is signed in, and an answer that comes after he left changes nothing") {
    World w;
    w.server.edit("FORM/a", "{\"n\":1}");
    sign(w, "signIn", "ann");
    w.network = [&](const Json& send) -> Json {
        w.network = nullptr;
        const auto [status, text] = w.server.changes(send["url"]);
        return {{"delay", 2}, {"status", status}, {"body", text}, {"headers", {{"content-type", "application/x-ndjson"}}}};
    };
    const Json pull = {{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", {{"direction", "pull"}, {"owner", "ann"}}}}})}};
    w.run(pull, 1);
    sign(w, "signIn", "bob");
    CHECK(w.last_idle);
    CHECK(w.bytes["docs"].count("ann:FORM/a") == 0);
    CHECK(w.values["bases"].count("ann:FORM/a") == 0);
    CHECK(w.values["state"]["core"]["pulls"]["ann"]["cursor"] == "");
    CHECK(!told_of(w, "ann"));
    const std::size_t before = w.server.pulls.size();
    w.now += 60000;
    w.run(pull);
    CHECK(w.server.pulls.size() == before);
    CHECK(!w.wake);
    sign(w, "signIn", "ann");
    w.now += 60000;
    w.run(kPush);
    CHECK(w.bytes["docs"]["ann:FORM/a"] == "{\"n\":1}");
}

TEST_CASE("status and metrics count for him who is signed in; sessions and the audit trail name their owner") {
    World w;
    accept(w, "ann", "a", "{\"n\":1}");
    w.server.refuse = [](const Json&) { return 403; };
    w.run(kManual);
    w.server.refuse = nullptr;
    CHECK((*w.status)["deadLetters"] == 1);
    CHECK(w.status->contains("lastError"));
    sign(w, "signIn", "bob");
    CHECK((*w.status)["deadLetters"] == 0);
    CHECK(!w.status->contains("lastError"));
    const std::string id = accept(w, "bob", "b");
    w.run(Json{{"event", {{"type", "page"}}}, {"readings", {{"online", false}}}}, 1);
    CHECK(w.command({{"type", "status"}})["value"]["currentProgress"]["totalItems"] == 1);
    w.command({{"type", "cancel"}, {"id", id}});
    w.run(kManual);
    int of_bob = 0;
    for (const auto& [key, value] : w.values["history"]) {
        if (key.rfind("audit/", 0) == 0) CHECK(value["owner"] == "bob");
        if (key.rfind("session/", 0) == 0) of_bob += value.value("owner", "") == "bob";
    }
    CHECK(of_bob > 0);
}

TEST_CASE("consent withdrawn and granted, and each sign-out, stand in the audit trail once, in the commit that stores them, without anything else of the owner") {
    World w;
    const double began = w.now;
    std::vector<std::string> stored;   // with each entry: what else of the state its commit writes
    w.on_commit = [&](const Json& commit) {
        std::string states, audits;
        for (const Json& write : commit["writes"]) {
            if (write["store"] == "state") states += write["key"].get<std::string>() + " ";
            if (write["store"] == "history" && write["key"].get<std::string>().rfind("audit/", 0) == 0) audits += write["value"]["kind"].get<std::string>() + " with ";
        }
        if (!audits.empty()) stored.push_back(audits + states);
        return "";
    };
    const auto consent = [&w](const char* word) { CHECK(w.command({{"type", "settings"}, {"value", {{"consent", word}, {"minimumBatteryLevel", 30}}}})["ok"] == true); };
    consent("withdrawn");   // nobody is signed in yet
    sign(w, "signIn", "ann");
    sign(w, "signIn", "ann");
    accept(w, "ann", "secret", "{\"name\":\"secret\"}");
    consent("granted");
    consent("granted");
    sign(w, "signOut", "bob");   // it is not he
    sign(w, "signIn", "bob");    // which signs ann out
    sign(w, "signOut", "bob");
    sign(w, "signOut", "bob");
    CHECK(w.command({{"type", "settings"}, {"value", {{"consent", "perhaps"}}}}).contains("error"));
    CHECK(stored == std::vector<std::string>{"consent with settings core ", "consent with settings core ", "signed-out with core ", "signed-out with core "});
    std::vector<Json> entries;
    for (auto [key, value] : w.values["history"]) {
        if (key.rfind("audit/", 0) != 0) continue;
        CHECK(value["at"].get<double>() >= began);
        value.erase("at");
        entries.push_back(value);
    }
    CHECK(entries == std::vector<Json>{{{"kind", "consent"}, {"consent", "withdrawn"}},
                                       {{"kind", "consent"}, {"consent", "granted"}, {"owner", "ann"}},
                                       {{"kind", "signed-out"}, {"owner", "ann"}},
                                       {{"kind", "signed-out"}, {"owner", "bob"}}});
}

TEST_CASE("a sign-in without a name is refused, and changes nothing") {
    World w;
    sign(w, "signIn", "ann");
    for (const Json& value : {Json(), Json("bob"), Json::object(), Json{{"owner", 5}}}) {
        const Json answer = w.command({{"type", "signIn"}, {"value", value}});
        CHECK(answer["error"]["path"] == "/owner");
        CHECK(w.values["state"]["core"]["owner"] == "ann");
    }
}
