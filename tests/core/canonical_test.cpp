#include "tidegate/canonical.h"

#include <doctest/doctest.h>

#include "delta_support.h"

using namespace tidegate;
using namespace tidegate::delta_test;

TEST_SUITE("canonical") {
    TEST_CASE("the vectors of RFC 8785 come out byte for byte") {
        const Json vectors = read_fixture_json("json-canonicalization.json");
        CHECK(vectors.size() == 6);
        for (const auto& vector : vectors.items()) {
            const Result<std::string> result = canonicalize(from_base64(vector.value()["input"].get<std::string>()));
            CAPTURE(vector.key());
            REQUIRE(result.ok());
            CHECK(result.value() == from_base64(vector.value()["output"].get<std::string>()));
        }
    }

    TEST_CASE("the numbers of RFC 8785 Appendix B") {
        const std::pair<const char*, const char*> numbers[] = {
            {"-0", "0"}, {"5e-324", "5e-324"}, {"-5e-324", "-5e-324"}, {"1.7976931348623157e308", "1.7976931348623157e+308"},
            {"9007199254740992", "9007199254740992"}, {"-9007199254740992", "-9007199254740992"},
            {"295147905179352830000", "295147905179352830000"}, {"9.999999999999997e22", "9.999999999999997e+22"},
            {"1e23", "1e+23"}, {"1.0000000000000001e23", "1.0000000000000001e+23"}, {"999999999999999700000", "999999999999999700000"},
            {"999999999999999900000", "999999999999999900000"}, {"1e21", "1e+21"}, {"9.999999999999997e-7", "9.999999999999997e-7"},
            {"0.000001", "0.000001"}, {"333333333.3333332", "333333333.3333332"}, {"333333333.33333325", "333333333.33333325"},
            {"1424953923781206.2", "1424953923781206.2"}, {"9007199254740993", "9007199254740992"}, {"1e-7", "1e-7"}, {"123e-20", "1.23e-18"}};
        for (const auto& [text, expected] : numbers) CHECK(canonicalize(text).value() == expected);
        CHECK(canonicalize("1e400").error().code == "json-number");
        CHECK(canonicalize(R"({"a":"\ud800"})").error().code == "json-surrogate");
        CHECK(canonicalize("[1,]").error().code == "json-syntax");
    }

    TEST_CASE("the hash sees every digit, and nothing that does not count") {
        const auto hash = [](std::string_view text) { return canonical_hash(text).value(); };
        CHECK(hash("9007199254740993") != hash("9007199254740992"));
        CHECK(hash("1e400") != hash("1e401"));
        CHECK(hash("1") == hash("1.0"));
        CHECK(hash(R"({"b":1,"a":[true,"\u0041"]})") == hash("{ \"a\": [true, \"A\"],\n\"b\": 10e-1 }"));
        CHECK(hash(R"({"a":1,"a":2})") == hash(R"({"a":2})"));
        CHECK(hash(R"("\ud800")") != hash(R"("\ud801")"));
        CHECK_FALSE(canonical_hash("{").ok());
    }

    TEST_CASE("where RFC 8785 loses nothing the hash is that of its form") {
        for (std::uint64_t seed = 0; seed < 2000; ++seed) {
            TextGenerator generate(seed);
            std::string text = generate.value(4);
            for (std::size_t at; (at = text.find("9007199254740993")) != std::string::npos;) text.replace(at, 16, "9007199254740991");
            const Result<std::string> form = canonicalize(text);
            REQUIRE(form.ok());
            CHECK(canonicalize(form.value()).value() == form.value());
            CHECK(canonical_hash(text).value() == canonical_hash(form.value()).value());
        }
    }

    TEST_CASE("keys are ordered by UTF-16 code units") {
        // U+FFFD sorts behind U+1F600, whose first unit is 0xd83d.
        CHECK(canonicalize("{\"\xef\xbf\xbd\":1,\"\xf0\x9f\x98\x80\":2,\"\xed\x9f\xbf\":3}").value() ==
              "{\"\xed\x9f\xbf\":3,\"\xf0\x9f\x98\x80\":2,\"\xef\xbf\xbd\":1}");
    }
}
