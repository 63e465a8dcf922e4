#include "tidegate/words.h"

#include <doctest/doctest.h>

#include <string>

#include "tidegate/fields.h"

using namespace tidegate;

TEST_CASE("a band is read in either letter case, the other scales as they are written") {
    for (const Band band : {Band::low, Band::normal, Band::high, Band::critical}) {
        std::string upper;
        for (const char c : name(band)) upper.push_back(static_cast<char>(c - 'a' + 'A'));
        CHECK(parse_band(name(band)) == band);
        CHECK(parse_band(upper) == band);
    }
    for (const Quality quality : {Quality::offline, Quality::poor, Quality::good, Quality::excellent}) CHECK(parse_quality(name(quality)) == quality);
    for (const RetryStrategy s : {RetryStrategy::linear, RetryStrategy::exponential, RetryStrategy::adaptive}) CHECK(parse_retry_strategy(name(s)) == s);
    for (const char* bad : {"", "urgent", "hig", "highh", " high", "h\xc3\xafgh"}) {
        CHECK(!parse_band(bad));
        CHECK(!parse_quality(bad));
        CHECK(!parse_retry_strategy(bad));
    }
    CHECK(!parse_quality("GOOD"));
}

TEST_CASE("a persisted field that is missing, of the wrong type or out of range takes its fallback") {
    const Json json = parse_json(R"({"n": 5, "big": 1e300, "text": "5", "half": 2.5, "yes": true, "null": null})").value();
    CHECK(number_field(json, "n", 0, 10, 7) == 5);
    CHECK(number_field(json, "n", 6, 10, 7) == 7);
    CHECK(number_field(json, "big", 0, 10, 7) == 7);
    CHECK(number_field(json, "text", 0, 10, 7) == 7);
    CHECK(number_field(json, "null", 0, 10, 7) == 7);
    CHECK(number_field(json, "missing", 0, 10, 7) == 7);
    CHECK(number_field(Json::array(), "n", 0, 10, 7) == 7);
    CHECK(int_field(json, "n", 0, 10, 7) == 5);
    CHECK(int_field(json, "half", 0, 10, 7) == 7);
    CHECK(bool_field(json, "yes", false));
    CHECK(bool_field(json, "n", true));
    CHECK(!bool_field(Json(), "yes", false));
}
