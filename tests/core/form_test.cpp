#include "tidegate/form.h"

#include <doctest/doctest.h>

#include <string>

#include "tidegate/json_value.h"
#include "tidegate/patch.h"

using namespace tidegate;

TEST_SUITE("form") {
    TEST_CASE("of full, JSON Patch and merge patch the smallest is taken, and it makes the next document") {
        const std::string pad(200, 'x');
        const auto chosen = [](const std::string& base, const std::string& next) {
            Result<Form> form = choose_form(base, next);
            REQUIRE(form.ok());
            CHECK(form.value().body.size() < next.size());
            if (form.value().codec == Codec::full) CHECK(form.value().body.empty());
            if (form.value().codec == Codec::json_patch) CHECK(same_value(apply_json_patch(base, form.value().body).value(), next));
            if (form.value().codec == Codec::merge_patch) CHECK(same_value(apply_merge_patch(base, form.value().body).value(), next));
            return form.value().codec;
        };
        CHECK(chosen(R"({"a":1,"b":")" + pad + R"("})", R"({"a":2,"b":")" + pad + R"("})") == Codec::merge_patch);
        CHECK(chosen(R"({"list":[1,2,3,")" + pad + R"("]})", R"({"list":[1,3,")" + pad + R"("]})") == Codec::json_patch);
        CHECK(chosen(R"({"a":1})", R"({"b":2})") == Codec::full);
        CHECK(choose_form(std::nullopt, R"({"a":1})").value().codec == Codec::full);
    }

    TEST_CASE("a base that is no JSON costs the delta, a next document that is none is refused") {
        CHECK(choose_form("{\"a\":", R"({"a":1})").value().codec == Codec::full);
        CHECK(choose_form("{}", "{\"a\":").error().code == "json-syntax");
    }

    TEST_CASE("a blob goes as a delta only where there is one and it is smaller") {
        CHECK_FALSE(delta_pays(0, 1000));
        CHECK(delta_pays(999, 1000));
        CHECK_FALSE(delta_pays(1000, 1000));
        CHECK_FALSE(delta_pays(0, 0));
    }

    TEST_CASE("compressing is worth its time: never for little, always where bytes alone count, not on a link that outruns it") {
        CHECK_FALSE(worth_compressing(859, 0));
        CHECK(worth_compressing(860, 0));
        CHECK(worth_compressing(16e6, 0));
        CHECK(worth_compressing(6500, 1e6));          // one document, 2.4 ms, at 8 Mbit/s
        CHECK_FALSE(worth_compressing(6500, 3e6));    // at 24 Mbit/s
        CHECK(worth_compressing(500e3, 3e6));         // a batch, 33 ms
        CHECK_FALSE(worth_compressing(500e3, 12e6));  // at 96 Mbit/s
    }
}
