#include "tidegate/protocol.h"

#include <doctest/doctest.h>

#include "tidegate/connectivity.h"

using namespace tidegate;

TEST_CASE("decode names the field, the value and what was expected") {
    const auto error_of = [](const char* text) { return decode<Input>(parse_json(text).value()).error(); };
    CHECK(error_of("[]").path == "");
    CHECK(error_of("{\"seed\":1}").path == "/nowMs");
    CHECK(error_of("{\"nowMs\":1,\"seed\":-1}").path == "/seed");
    CHECK(error_of("{\"nowMs\":1,\"seed\":1.5}").message.find("1.5") != std::string::npos);
    CHECK(error_of("{\"nowMs\":1,\"seed\":1,\"outcomes\":[{\"id\":1},{\"id\":\"x\"}]}").path == "/outcomes/1/id");
    CHECK(error_of("{\"nowMs\":1,\"seed\":1,\"readings\":{\"online\":\"yes\"}}").message.find("true or false") != std::string::npos);
    CHECK(error_of("{\"nowMs\":1,\"seed\":9007199254740993}").code == "out-of-range");
}

TEST_CASE("absent, null and unknown fields are harmless") {
    const auto input = decode<Input>(parse_json("{\"nowMs\":1,\"seed\":2,\"event\":null,\"__proto__\":{\"x\":1},\"later\":[1]}").value());
    REQUIRE(input.ok());
    CHECK_FALSE(input.value().event);
}

TEST_CASE("a row keeps what only a newer release knows, and nothing that is known here, whatever it says") {
    const Json row = parse_json(R"({"seq":1,"id":"a","lane":":E/a","entity":"E","entityId":"a","action":"create","createdAt":1,
        "attempts":0,"reason":"","fields":null,"refs":null,"score":null,"error":{"class":"network","message":"m","status":null,"later":1},"state":"queued"})").value();
    CHECK(row_from_json(row).value().others.empty());
    Json newer = row;
    newer["futureThing"] = {{"since", "N"}, {"more", {1, nullptr}}};
    newer["aPlain"] = nullptr;
    auto read = row_from_json(newer);
    CHECK(read.value().others == R"({"aPlain":null,"futureThing":{"more":[1,null],"since":"N"}})");
    read.value().attempts = 2;
    const Json back = parse_json(row_to_text(read.value())).value();
    CHECK(back["futureThing"] == newer["futureThing"]);
    CHECK(back.contains("aPlain"));
    CHECK(back["attempts"] == 2);
    CHECK(row_from_json(back).value().others == read.value().others);
    newer["createdAt"] = "today";
    CHECK(row_from_json(newer).error().path == "/createdAt");
}

TEST_CASE("settings: defaults are those of the documentation") {
    const Json s = settings_to_json(Settings{});
    CHECK(s["minimumBatteryLevel"] == 20);
    CHECK(s["maxRetryAttempts"] == 5);
    CHECK(s["baseDelay"] == 1000);
    CHECK(s["maxDelay"] == 300000);
    CHECK(s["syncIntervalSeconds"] == 30);
    CHECK(s["syncIntervalMinutes"] == 5);
    CHECK(s["maximumConcurrentOperations"] == 3);
    CHECK(s["retryStrategy"] == "exponential");
    CHECK(s["jitter"] == "full");
    CHECK(s["respectSaveData"] == true);
}

TEST_CASE("settings: every wrong type and range is refused by path, and nothing changes") {
    const Json base = settings_to_json(Settings{});
    for (const auto& item : base.items()) {
        const std::string& key = item.key();   // a binding cannot be captured by CAPTURE
        const Json& value = item.value();
        std::vector<std::string> unknown;
        const Json wrong = value.is_boolean() ? Json("no") : value.is_number() ? Json(true) : Json(7);
        const auto refused = patch_settings(Settings{}, Json{{key, wrong}}, unknown);
        CAPTURE(key);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().path.rfind("/" + key, 0) == 0);
    }
    std::vector<std::string> unknown;
    CHECK_FALSE(patch_settings(Settings{}, Json{{"maxDelay", 10}}, unknown).ok());
    CHECK_FALSE(patch_settings(Settings{}, Json{{"baseDelay", -1}}, unknown).ok());
    CHECK_FALSE(patch_settings(Settings{}, Json{{"quietHours", {{"fromMinute", 0}, {"toMinute", 2000}}}}, unknown).ok());
    CHECK_FALSE(patch_settings(Settings{}, Json{{"conflictStrategies", {{"E", "coin-toss"}}}}, unknown).ok());
    CHECK(unknown.empty());
}

TEST_CASE("settings: what would have no effect is refused with its range when it is set, and comes as near as this release goes when it was stored") {
    const Json most = {{"maximumConcurrentOperations", kConcurrencyCeiling}, {"maxBatchOps", kMaxBatchOps}, {"maxBatchBytes", kMaxBatchBytes}};
    std::vector<std::string> unknown;
    CHECK(patch_settings(Settings{}, most, unknown).ok());
    Json beyond = {{"jitter", "none"}, {"maxRetryAttempts", 0}};
    for (const auto& item : most.items()) {
        const std::string& key = item.key();
        CAPTURE(key);
        beyond[key] = item.value().get<double>() + 1;
        const auto refused = patch_settings(Settings{}, Json{{key, beyond[key]}}, unknown);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().path == "/" + key);
        CHECK(refused.error().message.find(" to " + dump_json(item.value())) != std::string::npos);
    }
    const auto stored = stored_settings(beyond, unknown);
    REQUIRE(stored.ok());
    Json read = settings_to_json(stored.value());
    for (const auto& item : most.items()) CHECK(read[item.key()] == item.value());
    CHECK(read["jitter"] == "none");
    CHECK(read["maxRetryAttempts"] == 1);
    CHECK(unknown.empty());
    CHECK_FALSE(stored_settings(Json(7), unknown).ok());
    CHECK_FALSE(stored_settings(Json{{"maxBatchOps", "many"}}, unknown).ok());
}

TEST_CASE("settings: aliases and letter case are understood") {
    std::vector<std::string> unknown;
    const auto s = patch_settings(Settings{}, Json{{"syncOnlyWhenCharging", true}, {"requiresBatteryNotLow", false}, {"priorityThreshold", "HIGH"}}, unknown);
    REQUIRE(s.ok());
    CHECK(s.value().requires_charging);
    CHECK(s.value().minimum_battery_level == 0);
    CHECK(s.value().priority_threshold == "high");
    CHECK(unknown.empty());
}

TEST_CASE("JSON deeper than the cap is refused before a tree exists") {
    const std::string deep(100000, '[');
    CHECK(parse_json(deep).error().code == "json-depth");
    CHECK(parse_json("{\"a\":\"[[[[[[\"}", 2).ok());
    CHECK(parse_json("1e400").ok() == false);
}
