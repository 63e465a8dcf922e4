#include "tidegate/diff.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "delta_support.h"
#include "tidegate/canonical.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/patch.h"

using namespace tidegate;
using namespace tidegate::delta_test;

namespace {

std::string patch_of(std::string_view base, std::string_view next) {
    const Result<std::string> result = diff_json_patch(base, next);
    REQUIRE(result.ok());
    return result.value();
}

// The patch, after checking that it makes next of base.
std::string checked_patch(std::string_view base, std::string_view next) {
    const std::string patch = patch_of(base, next);
    const Result<std::string> applied = apply_json_patch(base, patch);
    CAPTURE(base);
    CAPTURE(next);
    CAPTURE(patch);
    REQUIRE(applied.ok());
    CHECK(same_value(applied.value(), trim_space(next)));
    return patch;
}

std::string big_array(int n, const char* shape, int skip = -1) {
    std::string out = "[";
    for (int i = 0; i < n; ++i) {
        if (i == skip) continue;
        char item[96];
        std::snprintf(item, sizeof item, shape, i, i * 7);
        out += (out.size() > 1 ? "," : "") + std::string(item);
    }
    return out + "]";
}

}  // namespace

TEST_SUITE("diff") {
    TEST_CASE("one changed member is one op") {
        CHECK(checked_patch(R"({"a":1,"b":{"c":"x","d":[1,2]}})", R"({"a":1,"b":{"c":"y","d":[1,2]}})") ==
              R"([{"op":"add","path":"/b/c","value":"y"}])");
        CHECK(checked_patch("1", "2") == R"([{"op":"replace","path":"","value":2}])");
        CHECK(checked_patch(R"({"a/b":{"m~n":1,"pad":"0123456789012345678901234567890123456789"}})", R"({"a/b":{"m~n":2,"pad":"0123456789012345678901234567890123456789"}})") ==
              R"([{"op":"add","path":"/a~1b/m~0n","value":2}])");
    }

    TEST_CASE("what means the same is no change") {
        for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
                 {R"({"a":1,"b":[1,2]})", "{ \"a\" : 1 ,\n\"b\":[ 1,2 ] }"}, {R"({"a":1,"b":2})", R"({"b":2,"a":1})"},
                 {R"({"a":"A"})", R"({"a":"\u0041"})"}, {R"({"\u0061":"x"})", R"({"a":"x"})"}, {"[1,1.0,1e0]", "[1e0,1,1.0]"},
                 {"{}", "{ }"}, {"[[]]", "[ [ ] ]"}, {" 1 ", "1"}, {R"({"a":1,"a":2})", R"({"a":2})"}})
            CHECK(patch_of(a, b) == "[]");
    }

    TEST_CASE("numbers that differ in the last digit differ") {
        CHECK(checked_patch("[9007199254740992]", "[9007199254740993]") != "[]");
        CHECK(checked_patch("{\"n\":1e400}", "{\"n\":1e401}") != "[]");
    }

    TEST_CASE("elements with an id are moved, added, removed and changed as themselves") {
        const std::string pad = R"(,"pad":"0123456789012345678901234567890123456789")";
        const auto item = [&](int id, const char* v) { return "{\"id\":" + std::to_string(id) + ",\"v\":\"" + v + "\"" + pad + "}"; };
        const std::string a = "[" + item(1, "a") + "," + item(2, "b") + "," + item(3, "c") + "," + item(4, "d") + "]";
        CHECK(checked_patch(a, "[" + item(4, "d") + "," + item(1, "a") + "," + item(2, "b") + "," + item(3, "c") + "]") ==
              R"([{"op":"move","from":"/3","path":"/0"}])");
        CHECK(checked_patch(a, "[" + item(1, "a") + "," + item(3, "x") + "," + item(4, "d") + "]") ==
              R"([{"op":"remove","path":"/1"},{"op":"add","path":"/1/v","value":"x"}])");
        CHECK(checked_patch(a, "[" + item(1, "a") + "," + item(9, "n") + "," + item(2, "b") + "," + item(3, "c") + "," + item(4, "d") + "]") ==
              R"([{"op":"add","path":"/1","value":)" + item(9, "n") + "}]");
    }

    TEST_CASE("an id behind the change is found too") {
        const std::string a = R"([{"v":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","id":1},{"v":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","id":2}])";
        const std::string b = R"([{"v":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","id":2}])";
        CHECK(checked_patch(a, b) == R"([{"op":"remove","path":"/0"}])");
    }

    TEST_CASE("an element without id inserted in front shifts nothing else") {
        const std::string a = big_array(200, R"({"name":"item %d","value":%d})");
        const std::string b = "[{\"name\":\"new\",\"value\":0}," + a.substr(1);
        CHECK(checked_patch(a, b) == R"([{"op":"add","path":"/0","value":{"name":"new","value":0}}])");
        CHECK(checked_patch(b, a) == R"([{"op":"remove","path":"/0"}])");
        CHECK(checked_patch(big_array(50, "[%d,%d]"), big_array(50, "[%d,%d]", 20)) == R"([{"op":"remove","path":"/20"}])");
    }

    TEST_CASE("a renamed member is moved") {
        CHECK(checked_patch(R"({"old":"a value that is long enough to be worth it","x":1})", R"({"new":"a value that is long enough to be worth it","x":1})") ==
              R"([{"op":"move","from":"/old","path":"/new"}])");
    }

    TEST_CASE("tests are written before what they protect, and they hold") {
        DiffOptions options;
        options.tests = true;
        const std::string pad = R"("pad":"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")";
        const std::string a = "{\"a\":1,\"b\":2," + pad + "}", b = "{\"a\":3," + pad + "}";
        const Result<std::string> patch = diff_json_patch(a, b, options);
        REQUIRE(patch.ok());
        CHECK(patch.value().find(R"({"op":"test","path":"/a","value":1},{"op":"replace","path":"/a","value":3})") != std::string::npos);
        CHECK(patch.value().find(R"({"op":"test","path":"/b","value":2},{"op":"remove","path":"/b"})") != std::string::npos);
        CHECK(apply_json_patch(a, patch.value()).ok());
        CHECK(apply_json_patch("{\"a\":9,\"b\":2," + pad + "}", patch.value()).error().code == "patch-test");
    }

    TEST_CASE("a patch is never larger than replacing the document") {
        for (std::uint64_t seed = 0; seed < 500; ++seed) {
            TextGenerator generate(seed);
            const std::string a = generate.value(4), b = generate.value(4);
            std::string compact;
            append_compact(compact, trim_space(b));
            CHECK(patch_of(a, b).size() <= b.size() + std::string_view(R"([{"op":"replace","path":"","value":}])").size());
        }
    }

    // TIDEGATE_PAIRS=1000000 makes it the soak run, TIDEGATE_PAIRS_FROM a part of it (scripts/soak.mjs).
    TEST_CASE("apply(diff(a, b), a) is b for 20 000 generated pairs, with two appliers") {
        const char* pairs = std::getenv("TIDEGATE_PAIRS");
        const char* start = std::getenv("TIDEGATE_PAIRS_FROM");
        const std::uint64_t from = start ? std::strtoull(start, nullptr, 10) : 0, count = pairs ? std::strtoull(pairs, nullptr, 10) : 20000;
        for (std::uint64_t seed = from; seed < from + count; ++seed) {
            TextGenerator generate(seed);
            const std::string a = generate.value(4);
            const Json parsed = Json::parse(a, nullptr, false);
            const std::string b = generate.below(4) == 0 ? generate.value(4) : dump_json(generate.edited(parsed));
            DiffOptions options;
            options.tests = generate.below(4) == 0;
            CAPTURE(seed);
            const Result<std::string> patch = diff_json_patch(a, b, options);
            REQUIRE(patch.ok());
            const Result<std::string> applied = apply_json_patch(a, patch.value());
            REQUIRE(applied.ok());
            const std::uint64_t expected = canonical_hash(b).value();
            REQUIRE(canonical_hash(applied.value()).value() == expected);
            REQUIRE(canonical_hash(dump_json(parsed.patch(Json::parse(patch.value(), nullptr, false)))).value() == expected);
            const Result<std::optional<std::string>> merge = diff_merge_patch(a, b);
            REQUIRE(merge.ok());
            if (merge.value()) REQUIRE(same_value(apply_merge_patch(a, *merge.value()).value(), b));
        }
    }

    TEST_CASE("with a trusted base a damaged next is still refused exactly when it is not valid") {
        int damaged = 0, fine = 0;
        for (std::uint64_t seed = 0; seed < 30000; ++seed) {
            TextGenerator generate(seed);
            const std::string a = drop_duplicate_keys(generate.value(4));
            std::string b = generate.below(3) ? a : generate.value(4);
            static const char kBytes[] = "{}[]\",:01e+-.\\ utrn\n\x01\x80";
            for (std::uint64_t i = 1 + generate.below(2); i > 0; --i) {
                const std::size_t at = generate.below(b.size());
                const char c = kBytes[generate.below(sizeof kBytes - 1)];
                if (generate.below(3) == 0) b.insert(at, 1, c);
                else if (generate.below(2) == 0 && b.size() > 1) b.erase(at, 1 + generate.below(b.size() - at > 4 ? 4 : b.size() - at));
                else b[at] = c;
                if (b.empty()) b = "0";
            }
            DiffOptions options;
            options.trusted_base = true;
            const bool valid = validate_json(b).ok();
            CAPTURE(a);
            CAPTURE(b);
            const Result<std::string> patch = diff_json_patch(a, b, options);
            REQUIRE(patch.ok() == valid);
            if (valid) REQUIRE(same_value(apply_json_patch(a, patch.value()).value(), trim_space(b)));
            ++(valid ? fine : damaged);
        }
        CHECK(damaged > 5000);
        CHECK(fine > 2000);
    }

    TEST_CASE("a base that is trusted and should not be gives an error or a patch, never more") {
        for (std::uint64_t seed = 0; seed < 20000; ++seed) {
            TextGenerator generate(seed);
            std::string a = generate.value(4);
            const std::string b = generate.below(2) ? a : generate.value(4);
            for (std::uint64_t i = 1 + generate.below(4); i > 0; --i) a[generate.below(a.size())] = "{}[]\",:0 \\"[generate.below(10)];
            DiffOptions options;
            options.trusted_base = true;
            const Result<std::string> patch = diff_json_patch(a, b, options);
            if (patch.ok()) CHECK(patch.value().size() <= 2 * (a.size() + b.size()) + 4096);
        }
    }

    TEST_CASE("invalid texts are refused by name") {
        CHECK(diff_json_patch("{", "{}").error().message.rfind("base is not taken", 0) == 0);
        CHECK(diff_json_patch("{}", "{").error().message.rfind("next is not taken", 0) == 0);
        CHECK(diff_json_patch("[1]", "[1,]").error().code == "json-syntax");
        CHECK(diff_json_patch(R"({"a":1,"b":2})", R"({"a":1,})").error().code == "json-syntax");
        CHECK(diff_json_patch("[1,2]", "[1 2]").error().code == "json-syntax");
        CHECK(diff_json_patch("[true]", "[tru e]").error().code == "json-syntax");
        const std::string deep = std::string(300, '[') + std::string(300, ']');
        CHECK(diff_json_patch("[]", deep).error().code == "json-depth");
        CHECK(diff_json_patch(deep, "[]").error().code == "json-depth");
        CHECK(diff_json_patch("", "1").error().code == "json-syntax");
        CHECK(diff_merge_patch("1", "").error().message.rfind("next", 0) == 0);
    }

    TEST_CASE("what a merge patch cannot say has none") {
        CHECK(*diff_merge_patch(R"({"a":1,"b":{"c":1,"d":2}})", R"({"b":{"c":3}})").value() == R"({"a":null,"b":{"c":3,"d":null}})");
        CHECK_FALSE(diff_merge_patch("{}", R"({"a":null})").value().has_value());
        CHECK_FALSE(diff_merge_patch(R"({"a":1})", R"({"a":{"b":null}})").value().has_value());
        CHECK(diff_merge_patch(R"({"a":null})", R"({"a":null,"b":1})").value().has_value());
        CHECK(*diff_merge_patch("{}", R"({"a":[null]})").value() == R"({"a":[null]})");
        CHECK(*diff_merge_patch(R"({"a":{"b":1}})", R"({ "a": {"b":1} })").value() == "{}");
        CHECK(*diff_merge_patch("[1]", "null").value() == "null");
    }

    TEST_CASE("hostile shapes stay correct") {
        // Nested arrays without ids, reversals, many equal elements, everything changed.
        std::string nest_a, nest_b;
        for (int i = 0; i < 250; ++i) nest_a += "[0,", nest_b += "[1,";
        nest_a += "1" + std::string(250, ']');
        nest_b += "2" + std::string(250, ']');
        checked_patch(nest_a, nest_b);
        std::string up = "[", down = "[", same = "[", fewer = "[";
        for (int i = 0; i < 3000; ++i) {
            up += std::to_string(i) + ",", down += std::to_string(3000 - i) + ",";
            same += "7,";
            if (i % 3) fewer += "7,";
        }
        checked_patch(up + "0]", down + "0]");
        checked_patch(same + "0]", fewer + "0]");
        checked_patch(big_array(500, R"({"id":%d,"v":%d})"), big_array(500, R"({"id":%d,"w":%d})"));
    }
}
