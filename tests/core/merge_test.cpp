#include "tidegate/merge.h"

#include <doctest/doctest.h>

#include "delta_support.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"

using namespace tidegate;
using namespace tidegate::delta_test;

namespace {

MergeResult merged(std::string_view base, std::string_view ours, std::string_view theirs, Side prefer = Side::ours) {
    MergeOptions options;
    options.prefer = prefer;
    const Result<MergeResult> result = merge3(base, ours, theirs, options);
    REQUIRE(result.ok());
    CHECK(validate_json(result.value().document).ok());
    return result.value();
}

}  // namespace

TEST_SUITE("merge") {
    TEST_CASE("changes of different members are both kept") {
        const MergeResult result = merged(R"({"a":1,"b":2,"c":{"d":3,"e":4}})", R"({"a":9,"b":2,"c":{"d":3,"e":5}})", R"({"a":1,"c":{"d":8,"e":4},"n":1})");
        CHECK(result.clashes.empty());
        CHECK(result.document == R"({"a":9,"c":{"d":8,"e":5},"n":1})");
    }

    TEST_CASE("a member that both changed differently is a clash with all three values, and the preferred side wins") {
        for (const Side prefer : {Side::ours, Side::theirs}) {
            const MergeResult result = merged(R"({"a/b":{"x":1}})", R"({"a/b":{"x":2}})", R"({"a/b":{"x":3}})", prefer);
            REQUIRE(result.clashes.size() == 1);
            CHECK(result.clashes[0] == Clash{"/a~1b/x", "1", "2", "3", prefer});
            CHECK(result.document == (prefer == Side::ours ? R"({"a/b":{"x":2}})" : R"({"a/b":{"x":3}})"));
        }
    }

    TEST_CASE("both sides doing the same is no clash, however it is written") {
        CHECK(merged(R"({"a":1})", R"({"a":2.0})", R"({ "a": 2 })").clashes.empty());
        CHECK(merged("[1]", "[1,2]", "[1, 2]").document == "[1,2]");
        CHECK(merged(R"({"a":1})", "{}", "{}").document == "{}");
    }

    TEST_CASE("a member removed by one side and changed by the other is a clash; unchanged, it is removed") {
        CHECK(merged(R"({"a":1,"b":1})", R"({"b":1})", R"({"a":1,"b":2})").document == R"({"b":2})");
        const MergeResult ours = merged(R"({"a":1})", "{}", R"({"a":2})");
        CHECK(ours.document == "{}");
        CHECK(ours.clashes == std::vector<Clash>{{"/a", "1", "", "2", Side::ours}});
        CHECK(merged(R"({"a":1})", "{}", R"({"a":2})", Side::theirs).document == R"({"a":2})");
    }

    TEST_CASE("elements with an id merge as themselves, whatever their places") {
        const MergeResult result = merged(R"([{"id":1,"v":1},{"id":2,"v":2},{"id":3,"v":3}])", R"([{"id":3,"v":3},{"id":1,"v":1},{"id":2,"v":9}])",
                                          R"([{"id":1,"v":7},{"id":2,"v":2},{"id":4,"v":4},{"id":3,"v":3}])");
        CHECK(result.clashes.empty());
        CHECK(result.document == R"([{"id":3,"v":3},{"id":1,"v":7},{"id":2,"v":9},{"id":4,"v":4}])");
    }

    TEST_CASE("an element removed by one side and changed by the other is a clash that can be undone") {
        const std::string base = R"([{"id":1,"v":1},{"id":2,"v":2}])";
        const MergeResult lost = merged(base, R"([{"id":2,"v":2}])", R"([{"id":1,"v":5},{"id":2,"v":2}])");
        CHECK(lost.document == R"([{"id":2,"v":2}])");
        CHECK(lost.clashes == std::vector<Clash>{{"/-", R"({"id":1,"v":1})", "", R"({"id":1,"v":5})", Side::ours}});
        const MergeResult kept = merged(base, R"([{"id":2,"v":2}])", R"([{"id":1,"v":5},{"id":2,"v":2}])", Side::theirs);
        CHECK(kept.document == R"([{"id":1,"v":5},{"id":2,"v":2}])");
        CHECK(kept.clashes[0].path == "/0");
    }

    TEST_CASE("lists without ids are ordered sets: additions and removals of both sides hold") {
        CHECK(merged(R"(["a","b","c"])", R"(["a","x","b","c"])", R"(["a","b","y"])").document == R"(["a","x","b","y"])");
        CHECK(merged(R"(["a","b"])", R"(["a","b","n"])", R"(["a","b","n"])").document == R"(["a","b","n"])");
        CHECK(merged(R"(["b","d"])", R"(["b","c","d"])", R"(["a","b","d"])").document == R"(["a","b","c","d"])");
    }

    TEST_CASE("one element replaced differently by both sides is a clash, not two elements") {
        const MergeResult result = merged(R"(["a","b","c"])", R"(["a","x","c"])", R"(["a","y","c"])");
        CHECK(result.document == R"(["a","x","c"])");
        CHECK(result.clashes == std::vector<Clash>{{"/1", "\"b\"", "\"x\"", "\"y\"", Side::ours}});
    }

    TEST_CASE("two arrays without a common base are a clash") {
        const MergeResult result = merged("{}", R"({"a":[1]})", R"({"a":[2]})");
        CHECK(result.clashes == std::vector<Clash>{{"/a", "", "[1]", "[2]", Side::ours}});
        CHECK(merged("{}", R"({"a":{"x":1}})", R"({"a":{"y":2}})").document == R"({"a":{"x":1,"y":2}})");
    }

    TEST_CASE("invalid texts are refused by name") {
        CHECK(merge3("{", "1", "1").error().message.rfind("base", 0) == 0);
        CHECK(merge3("1", "[", "1").error().message.rfind("ours", 0) == 0);
        CHECK(merge3("1", "1", "").error().message.rfind("theirs", 0) == 0);
    }

    TEST_CASE("one side unchanged gives the other; both the same give that; for 20 000 generated pairs") {
        for (std::uint64_t seed = 0; seed < 20000; ++seed) {
            TextGenerator generate(seed);
            const std::string a = generate.value(4);
            const std::string b = dump_json(generate.edited(Json::parse(a, nullptr, false)));
            CAPTURE(a);
            CAPTURE(b);
            for (const MergeResult& result : {merged(a, b, a), merged(a, a, b), merged(a, b, b)}) {
                REQUIRE(result.clashes.empty());
                REQUIRE(same_value(result.document, b));
            }
        }
    }

    TEST_CASE("edits of different top members always merge cleanly into both") {
        for (std::uint64_t seed = 0; seed < 5000; ++seed) {
            TextGenerator generate(seed);
            const std::string x = generate.value(3), y = generate.value(3), x2 = generate.value(3), y2 = generate.value(3);
            const auto pair = [](const std::string& l, const std::string& r) { return "{\"l\":" + l + ",\"r\":" + r + "}"; };
            const MergeResult result = merged(pair(x, y), pair(x2, y), pair(x, y2));
            REQUIRE(result.clashes.empty());
            REQUIRE(same_value(result.document, pair(x2, y2)));
        }
    }

    TEST_CASE("swapping the sides keeps what is in the document") {
        for (std::uint64_t seed = 0; seed < 5000; ++seed) {
            TextGenerator generate(seed);
            const std::string a = drop_duplicate_keys(generate.value(4));
            const Json parsed = Json::parse(a, nullptr, false);
            const std::string b = dump_json(generate.edited(parsed)), c = dump_json(generate.edited(parsed));
            const MergeResult one = merged(a, b, c, Side::ours), two = merged(a, c, b, Side::theirs);
            REQUIRE(one.clashes.size() == two.clashes.size());
        }
    }
}
