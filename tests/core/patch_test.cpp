#include "tidegate/patch.h"

#include <doctest/doctest.h>

#include "delta_support.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"

using namespace tidegate;
using namespace tidegate::delta_test;

namespace {

// A pointer to some place of the value, or to one that is not there.
std::string random_pointer(TextGenerator& generate, const Json& value) {
    std::string path;
    const Json* at = &value;
    while (at->is_structured() && generate.below(5)) {
        const std::size_t n = generate.below(at->size() + 1);
        if (at->is_array()) {
            path += "/" + (generate.below(6) ? std::to_string(n) : std::string("-"));
            if (n >= at->size()) break;
            at = &(*at)[n];
        } else {
            auto it = at->begin();
            std::advance(it, static_cast<std::ptrdiff_t>(n));
            if (it == at->end()) return path + "/new";
            std::string key;
            for (const char c : it.key()) key += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
            path += "/" + key;
            at = &*it;
        }
    }
    return path;
}

Json random_patch(TextGenerator& generate, const Json& value, std::uint64_t ops) {
    static const char* const kOps[] = {"add", "replace", "remove", "move", "copy", "test"};
    Json patch = Json::array();
    for (; ops > 0; --ops)
        patch.push_back({{"op", kOps[generate.below(6)]}, {"path", random_pointer(generate, value)}, {"from", random_pointer(generate, value)}, {"value", generate.below(9)}});
    return patch;
}

// A trusted document is patched in one pass over its text, any other through the tree: the answer must be the same, refusals to the letter.
bool same_both_ways(const std::string& document, const std::string& patch) {
    const Result<std::string> tree = apply_json_patch(document, patch), pass = apply_json_patch(document, patch, PatchOptions{kMaxPatchedBytes, true});
    if (tree.ok() != pass.ok()) return false;
    return tree.ok() ? same_value(tree.value(), trim_space(pass.value())) : tree.error() == pass.error();
}

}  // namespace

TEST_SUITE("patch") {
    TEST_CASE("json-patch-tests: every enabled case applies, or is refused, as the suite says") {
        int cases = 0;
        for (const char* name : {"json-patch-tests.json", "json-patch-spec-tests.json"}) {
            const Json suite = read_fixture_json(name);
            for (const Json& test : suite) {
                if (!test.contains("patch") || !test.contains("doc") || test.value("disabled", false)) continue;
                const std::string document = dump_json(test["doc"]), patch = dump_json(test["patch"]);
                CAPTURE(document);
                CAPTURE(patch);
                const Result<std::string> result = apply_json_patch(document, patch);
                if (test.contains("error")) {
                    CHECK_FALSE(result.ok());
                } else {
                    REQUIRE(result.ok());
                    if (test.contains("expected")) CHECK(same_value(result.value(), dump_json(test["expected"])));
                }
                ++cases;
            }
        }
        CHECK(cases == 108);
    }

    TEST_CASE("RFC 7396 Appendix A") {
        const Json suite = read_fixture_json("merge-patch-appendix.json");
        CHECK(suite.size() == 15);
        for (const Json& test : suite) {
            const Result<std::string> result = apply_merge_patch(dump_json(test["target"]), dump_json(test["patch"]));
            REQUIRE(result.ok());
            CHECK(same_value(result.value(), dump_json(test["expected"])));
        }
    }

    TEST_CASE("an error names the op and what was wrong") {
        const auto error = [](const char* document, const char* patch) { return apply_json_patch(document, patch).error(); };
        Error e = error(R"({"a":1})", R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/b/c"}])");
        CHECK(e.code == "patch-path");
        CHECK(e.path == "/1");
        CHECK(e.message == "op 1 (remove \"/b/c\"): there is nothing at \"/b\"");
        CHECK(error("[1]", R"([{"op":"add","path":"/3","value":1}])").message == "op 0 (add \"/3\"): the index is not one from 0 to 1");
        CHECK(error("[1]", R"([{"op":"add","path":"/01","value":1}])").code == "patch-path");
        CHECK(error("[1]", R"([{"op":"test","path":"/0","value":2}])").message == "op 0 (test \"/0\"): the value there is 1");
        CHECK(error("{}", R"([{"op":"add","path":"/a"}])").message == "op 0 (add \"/a\"): \"value\" is missing");
        CHECK(error("{}", R"([{"op":"jump","path":"/a"}])").code == "patch-syntax");
        CHECK(error("{}", R"([{"op":"add","path":"a","value":1}])").code == "patch-syntax");
        CHECK(error("{}", R"([{"op":"add","path":"/a~2","value":1}])").code == "patch-syntax");
        CHECK(error("{}", R"({"op":"add"})").message == "a JSON Patch is an array of operations, this is an object");
        CHECK(error("{", "[]").message.rfind("document is not taken", 0) == 0);
        CHECK(error("{}", "[").message.rfind("patch is not taken", 0) == 0);
    }

    TEST_CASE("__proto__ is a key like any other") {
        const Result<std::string> result = apply_json_patch("{}", R"([{"op":"add","path":"/__proto__","value":{"polluted":true}},{"op":"add","path":"/__proto__/x","value":1}])");
        REQUIRE(result.ok());
        CHECK(result.value() == R"({"__proto__":{"polluted":true,"x":1}})");
        CHECK(apply_merge_patch("{}", R"({"__proto__":{"a":1}})").value() == R"({"__proto__":{"a":1}})");
    }

    TEST_CASE("what the patch does not name is copied as it lies") {
        const std::string document = R"({ "n": 9007199254740993 , "s":"\u0041\ud800", "e":1e400,"a":[ 1 , 2 ]})";
        CHECK(apply_json_patch(document, "[]").value() == document);
        CHECK(apply_json_patch(document, R"([{"op":"add","path":"/a/-","value":3}])").value() ==
              R"({"n":9007199254740993,"s":"\u0041\ud800","e":1e400,"a":[1,2,3]})");
    }

    TEST_CASE("keys with escapes, slashes and tildes are found") {
        const std::string document = R"({"a/b":1,"m~n":2,"\u0063":3,"q\"":4,"é":5})";
        const auto applies = [&](const char* patch) { return apply_json_patch(document, patch).ok(); };
        CHECK(applies(R"([{"op":"test","path":"/a~1b","value":1}])"));
        CHECK(applies(R"([{"op":"test","path":"/m~0n","value":2}])"));
        CHECK(applies(R"([{"op":"test","path":"/c","value":3}])"));
        CHECK(applies(R"([{"op":"test","path":"/q\"","value":4}])"));
        CHECK(applies(R"([{"op":"test","path":"/\u00e9","value":5}])"));
        CHECK_FALSE(applies(R"([{"op":"test","path":"/a/b","value":1}])"));
        CHECK(apply_json_patch("{}", R"([{"op":"add","path":"/a~1\"\u0007~0","value":1}])").value() == R"({"a/\"\u0007~":1})");
    }

    TEST_CASE("of equal keys the last is meant, and removing removes all") {
        CHECK(apply_json_patch(R"({"a":1,"a":2})", R"([{"op":"test","path":"/a","value":2},{"op":"remove","path":"/a"}])").value() == "{}");
        CHECK(same_value(apply_merge_patch(R"({"a":1})", R"({"a":{"x":1},"a":{}})").value(), R"({"a":{}})"));
    }

    TEST_CASE("repeated copies cannot grow a document past the cap") {
        std::string patch = "[";
        for (int i = 0; i < 60; ++i) patch += std::string(i ? "," : "") + R"({"op":"copy","from":"","path":"/k)" + std::to_string(i) + R"("})";
        patch += "]";
        const Result<std::string> result = apply_json_patch(R"({"a":[1,2,3]})", patch, 1 << 20);
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().code == "patch-limit");
        CHECK(apply_json_patch("{}", R"([{"op":"add","path":"/a","value":"0123456789"}])", 16).error().code == "patch-limit");
        CHECK(apply_json_patch("{}", R"([{"op":"add","path":"/a","value":"0123456789"}])", 18).ok());
    }

    TEST_CASE("a result is never nested deeper than a document may be") {
        const std::string deep = std::string(200, '[') + std::string(200, ']');
        std::string path;
        for (int i = 0; i < 199; ++i) path += "/0";
        const std::string patch = R"([{"op":"add","path":")" + path + R"(/-","value":)" + deep + "}]";
        CHECK(apply_json_patch(deep, patch).error().code == "patch-limit");
        std::string moves = R"([{"op":"add","path":"/a","value":{}})";
        for (int i = 0; i < 300; ++i) moves += R"(,{"op":"add","path":"/b","value":{}},{"op":"move","from":"/a","path":"/b/a"},{"op":"move","from":"/b","path":"/a"})";
        const Result<std::string> result = apply_json_patch("{}", moves + "]");
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().code == "patch-limit");
    }

    TEST_CASE("more work than about a second is refused") {
        std::string document = "[0", patch = "[";
        for (int i = 0; i < 300000; ++i) document += ",0";
        for (int i = 0; i < 2000; ++i) patch += std::string(i ? "," : "") + R"({"op":"add","path":"/0","value":1})";
        const Result<std::string> result = apply_json_patch(document + "]", patch + "]");
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().code == "patch-limit");
    }

    TEST_CASE("a value cannot be moved into itself, and moving it to where it is changes nothing") {
        CHECK(apply_json_patch(R"({"a":{"b":{}}})", R"([{"op":"move","from":"/a","path":"/a/b/c"}])").error().code == "patch-path");
        CHECK(apply_json_patch(R"({"a":1,"b":2})", R"([{"op":"move","from":"/a","path":"/a"}])").value() == R"({"a":1,"b":2})");
        CHECK(apply_json_patch(R"({"a":1})", R"([{"op":"remove","path":""}])").error().code == "patch-path");
    }

    TEST_CASE("random patches do what nlohmann does") {
        int applied = 0, refused = 0;
        for (std::uint64_t seed = 0; seed < 20000; ++seed) {
            TextGenerator generate(seed);
            const std::string document = drop_duplicate_keys(generate.value(3));
            const Json parsed = Json::parse(document, nullptr, false);
            // nlohmann aborts on a bad patch when exceptions are off: only what we take is given to it.
            const Json patch = random_patch(generate, parsed, 1 + generate.below(3));
            const Result<std::string> result = apply_json_patch(document, dump_json(patch));
            if (!result.ok()) {
                ++refused;
                continue;
            }
            const bool whole_copy = dump_json(patch).find("\"from\":\"\"") != std::string::npos;
            if (whole_copy) continue;
            CAPTURE(document);
            CAPTURE(dump_json(patch));
            CHECK(Json::parse(result.value(), nullptr, false) == parsed.patch(patch));
            ++applied;
        }
        CHECK(applied > 1500);
        CHECK(refused > 2000);
    }

    TEST_CASE("one pass over a trusted document does what the tree does") {
        for (std::uint64_t seed = 0; seed < 20000; ++seed) {
            TextGenerator generate(seed);
            const std::string document = drop_duplicate_keys(generate.value(4));
            const Json parsed = Json::parse(document, nullptr, false);
            Json patch = Json::array();
            // Refusals end a patch early: mostly ops that are taken, so that many meet in one document.
            std::string so_far = document;   // empty once an op was kept that is refused: then all are
            for (std::uint64_t tries = generate.below(24); tries > 0; --tries) {
                const Json one = random_patch(generate, parsed, 1);
                const Result<std::string> next = so_far.empty() ? Result<std::string>(Error{}) : apply_json_patch(so_far, dump_json(one));
                if (generate.below(20) != 0 && !next.ok()) continue;
                patch.push_back(one[0]);
                so_far = next.ok() ? next.value() : "";
            }
            CAPTURE(document);
            CAPTURE(dump_json(patch));
            REQUIRE(same_both_ways(document, dump_json(patch)));
        }
    }

    TEST_CASE("a patch that jumps about in a large trusted document is applied, in about the time of the tree") {
        std::string document = "[0", patch;
        for (int i = 1; i < 20000; ++i) document += "," + std::to_string(i);
        for (int i = 0; i < 2000; ++i) {
            const int at = i % 2 ? i : 19999 - i;
            patch += std::string(i ? "," : "[") + R"({"op":"replace","path":"/)" + std::to_string(at) + R"(","value":"x"})";
        }
        CHECK(same_both_ways(document + "]", patch + "]"));
        CHECK(same_both_ways(R"({"list":)" + document + R"(],"b":{"c":1}})", R"([{"op":"add","path":"/b/c","value":[2]},{"op":"add","path":"/b/c/0","value":3},)"
                             R"({"op":"remove","path":"/list/19999"},{"op":"move","from":"/b/c","path":"/list/0"},{"op":"add","path":"/b","value":{}}])"));
    }

    TEST_CASE("an index beyond 32 bits is no index") {
        CHECK(apply_json_patch("[1]", R"([{"op":"remove","path":"/4294967296"}])").error().code == "patch-path");
        CHECK(apply_json_patch("[1]", R"([{"op":"add","path":"/4294967297","value":1}])").error().code == "patch-path");
    }

    TEST_CASE("naughty strings are keys and values like any other") {
        const Json strings = read_fixture_json("naughty-strings.json");
        std::string document = "{}";
        for (const Json& string : strings) {
            std::string token;
            for (const char c : string.get<std::string>()) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
            const Json patch = Json::array({{{"op", "add"}, {"path", "/" + token}, {"value", string}}});
            const Result<std::string> result = apply_json_patch(document, dump_json(patch));
            REQUIRE(result.ok());
            document = result.value();
        }
        const Json parsed = Json::parse(document, nullptr, false);
        REQUIRE(parsed.is_object());
        for (const Json& string : strings) CHECK(parsed[string.get<std::string>()] == string);
    }
}
