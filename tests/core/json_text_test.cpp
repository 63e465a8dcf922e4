#include "tidegate/json_text.h"

#include <doctest/doctest.h>

#include "delta_support.h"
#include "tidegate/json_value.h"
#include "tidegate/random.h"
#include "tidegate/simd.h"

using namespace tidegate;
using namespace tidegate::delta_test;

TEST_SUITE("json text") {
    TEST_CASE("every y_ file of JSONTestSuite is taken and every n_ file is refused") {
        const Json files = read_fixture_json("json-test-suite.json");
        int taken = 0, refused = 0;
        for (const auto& file : files.items()) {
            const std::string text = from_base64(file.value().get<std::string>());
            CAPTURE(file.key());
            const bool valid = validate_json(text).ok();
            if (file.key()[0] == 'y') {
                CHECK(valid);
                ++taken;
            } else if (file.key()[0] == 'n') {
                CHECK_FALSE(valid);
                ++refused;
            }
        }
        CHECK(taken == 95);
        std::string brackets(100000, '['), mixed;
        for (int i = 0; i < 50000; ++i) mixed += "[{\"\":";
        CHECK(validate_json(brackets).error().code == "json-depth");
        CHECK(validate_json(mixed + "\n").error().code == "json-depth");
        CHECK(refused + 2 == 188);
    }

    TEST_CASE("what is looked for many bytes at a time is found where it is, byte by byte, whatever lies beside it") {
        Random random(5);
        for (int round = 0; round < 2000; ++round) {
            char text[simd::kBlock];
            for (char& c : text) c = static_cast<char>(round < 256 ? round + static_cast<int>(random.next() % 3) - 1 : static_cast<int>(random.next() % 256));
            const simd::Block block = simd::load(text);
            const auto of_block = [&](auto is) {
                std::uint64_t found = 0;
                for (std::size_t i = 0; i < simd::kBlock; ++i) found |= static_cast<std::uint64_t>(is(static_cast<unsigned char>(text[i])) ? 1 : 0) << i;
                return found;
            };
            const auto one_of = [&](std::string_view set) { return of_block([set](unsigned char c) { return set.find(static_cast<char>(c)) != set.npos; }); };
            const simd::Brackets kinds = simd::brackets_by_kind(block);
            CHECK(kinds.open == one_of("{["));
            CHECK(kinds.close == one_of("}]"));
            CHECK(simd::brackets(block) == one_of("{[}]Yy_\x7f"));
            CHECK(simd::spaces(block) == one_of(" \n\r\t"));
            CHECK(simd::structure(block) == one_of("{[}],:"));
            CHECK(simd::controls(block) == of_block([](unsigned char c) { return c < 0x20; }));
            CHECK(simd::non_ascii(block) == of_block([](unsigned char c) { return c >= 0x80; }));
            CHECK(simd::contains(block, '"') == (one_of("\"") != 0));
            for (const char c : {'"', '\\', ',', '\0', '\xff', text[7]}) {
                CHECK(simd::where(block, c) == one_of(std::string_view(&c, 1)));
                CHECK(simd::where16(text, c) == (one_of(std::string_view(&c, 1)) & 0xffff));
            }
            CHECK(simd::string_ends16(text) == (one_of("\"\\") & 0xffff));
            CHECK(simd::specials16(text) == (of_block([](unsigned char c) { return c < 0x20 || c >= 0x80 || c == '"' || c == '\\'; }) & 0xffff));
        }
    }

    TEST_CASE("lone surrogate escapes and numbers of any size are text and taken") {
        CHECK(validate_json(R"("\ud800")").ok());
        CHECK(validate_json(R"(["\udc00\ud800x"])").ok());
        CHECK(validate_json("[1e400,-1e-400,123456789012345678901234567890]").ok());
    }

    TEST_CASE("ill-formed UTF-8 is refused wherever it lies in a string") {
        const std::string bad[] = {"\x80", "\xc0\x80", "\xc2", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xff", "\xe2\x82"};
        for (std::size_t before = 0; before < 40; ++before)
            for (const std::string& bytes : bad) {
                const Result<std::string_view> result = validate_json("\"" + std::string(before, 'x') + bytes + "\"");
                REQUIRE_FALSE(result.ok());
                CHECK(result.error().message.find("at byte " + std::to_string(before + 1) + " ") != std::string::npos);
            }
        CHECK(validate_json("\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"").ok());
    }

    TEST_CASE("the error names the text, the byte and what was expected") {
        const Result<std::string_view> result = validate_json(R"({"a":1,})", kMaxTextDepth, "patch");
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().code == "json-syntax");
        CHECK(result.error().message == "patch is not taken: at byte 7 expected a key in double quotes");
    }

    TEST_CASE("nesting is counted exactly and never taken above the cap") {
        const auto nested = [](int n) { return std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']'); };
        CHECK(validate_json(nested(256)).ok());
        CHECK(validate_json(nested(257)).error().code == "json-depth");
        CHECK(validate_json(nested(300), 1000).error().code == "json-depth");
        CHECK(validate_json(nested(3), 3).ok());
        CHECK(validate_json(nested(4), 3).error().code == "json-depth");
        CHECK(validate_json("{\"a\":[{}]}", 3).ok());
        CHECK(validate_json("1", 0).ok());
    }

    TEST_CASE("validity agrees with nlohmann on damaged texts") {
        int valid = 0;
        for (std::uint64_t seed = 0; seed < 20000; ++seed) {
            TextGenerator generate(seed);
            std::string text = generate.value(4);
            static const char kBytes[] = "{}[]\",:012+-.\\ utrfalsn\n\x01\x80";  // no exponent: nlohmann refuses what overflows a double
            for (std::uint64_t i = generate.below(3); i > 0; --i) {
                const std::size_t at = generate.below(text.size());
                const char c = kBytes[generate.below(sizeof kBytes - 1)];
                if (generate.below(3) == 0) text.insert(at, 1, c);
                else if (generate.below(2) == 0) text.erase(at, 1);
                else text[at] = c;
                if (text.empty()) text = "0";
            }
            const bool expected = Json::accept(text);
            CAPTURE(text);
            CHECK(validate_json(text).ok() == expected);
            valid += expected;
        }
        CHECK(valid > 5000);
        CHECK(valid < 15000);
    }

    TEST_CASE("split finds the same children as a parser, at every offset of a 64 byte block") {
        for (std::size_t shift = 0; shift < 130; ++shift) {
            const std::string text = "[\"" + std::string(shift, 'x') + R"(,\"]","\\", {"a":[1,2],"b}":"{,"} ,3,[[]]   , -1.5e3])";
            std::vector<Child> children;
            REQUIRE(split(text, 0, children) == text.size() - 1);
            REQUIRE(children.size() == 6);
            CHECK(value_of(text, children[1]) == R"("\\")");
            CHECK(value_of(text, children[2]) == R"({"a":[1,2],"b}":"{,"})");
            CHECK(value_of(text, children[4]) == "[[]]");
            CHECK(value_of(text, children[5]) == "-1.5e3");
            for (const Child& c : children) CHECK(value_end(text, c.value) == c.value_end);
        }
    }

    TEST_CASE("split of an object gives keys and values, and refuses what is not one") {
        const std::string text = R"({ "a" : 1 , "\"" :[ ] })";
        std::vector<Child> children;
        REQUIRE(split(text, 0, children) == text.size() - 1);
        REQUIRE(children.size() == 2);
        CHECK(key_of(text, children[1]) == "\\\"");
        CHECK(value_of(text, children[1]) == "[ ]");
        for (const char* bad : {"{1:2}", "{\"a\"}", "{\"a\":}", "{,}", "{\"a\":1", "[1,,2]", "[1}", "[\"]"}) {
            children.clear();
            CHECK(split(bad, 0, children) == kNoOffset);
        }
    }

    TEST_CASE("duplicate keys are found and the last one is kept") {
        CHECK(has_duplicate_keys(R"({"a":1,"b":{"c":1,"\u0063":2}})"));
        CHECK_FALSE(has_duplicate_keys(R"({"a":1,"b":{"a":1},"c":["a","a",{"a":2}]})"));
        CHECK(drop_duplicate_keys(R"( {"a":1, "b":[{"c":1,"\u0063":2}],"a":3} )") == R"({"b":[{"\u0063":2}],"a":3})");
    }

    TEST_CASE("escapes survive the way to characters and back") {
        std::string characters, inside;
        append_unescaped(characters, R"(\u0041\n\/\ud83d\ude00\ud800x\udc00\u001f\"\\)");
        append_escaped(inside, characters);
        CHECK(inside == "A\\n/\xf0\x9f\x98\x80\\ud800x\\udc00\\u001f\\\"\\\\");
        std::string token;
        append_pointer_token(token, R"(a/b~c\u002fd\"e)");
        CHECK(token == R"(a~1b~0c~1d\"e)");
        std::string compact;
        append_compact(compact, "{ \"a b\" : [ 1 ,\n \" \\\" \" ] }");
        CHECK(compact == R"({"a b":[1," \" "]})");
    }
}

TEST_SUITE("json values") {
    TEST_CASE("numbers are compared as exact decimals") {
        CHECK(same_number("1", "1.0"));
        CHECK(same_number("10e-1", "1"));
        CHECK(same_number("-0", "0.000e7"));
        CHECK(same_number("1e400", "10e399"));
        CHECK(same_number("0.00120", "12E-4"));
        CHECK_FALSE(same_number("9007199254740993", "9007199254740992"));
        CHECK_FALSE(same_number("0.1", "0.1000000000000000055511151231257827"));
        CHECK_FALSE(same_number("1", "-1"));
        CHECK_FALSE(same_number("1e99999999999999999999", "1e99999999999999999998"));
    }

    TEST_CASE("order of keys, whitespace, escapes and notation do not count; order of elements does") {
        CHECK(same_value(R"({"a":[1,{"x":"A"}],"b":null})", R"({ "b": null, "a": [1.0, {"x":"\u0041"}] })"));
        CHECK_FALSE(same_value("[1,2]", "[2,1]"));
        CHECK_FALSE(same_value("[1]", "[1,1]"));
        CHECK_FALSE(same_value(R"({"a":1})", R"({"a":1,"b":1})"));
        CHECK_FALSE(same_value("null", "false"));
        CHECK(same_value(R"({"a":1,"a":2})", R"({"a":2})"));
    }

    TEST_CASE("what is the same has the same hash") {
        for (std::uint64_t seed = 0; seed < 3000; ++seed) {
            TextGenerator generate(seed);
            const std::string text = generate.value(4);
            const Json parsed = Json::parse(text, nullptr, false);
            std::string once = drop_duplicate_keys(text);
            CAPTURE(text);
            REQUIRE(same_value(once, text));
            std::string compact;
            append_compact(compact, once);
            CHECK(value_hash(once) == value_hash(compact));
            CHECK(value_hash(once) == value_hash(dump_json(Json::parse(once, nullptr, false))) );
        }
        CHECK(value_hash("[1,2]") != value_hash("[2,1]"));
        CHECK(value_hash(R"({"a":1,"b":2})") != value_hash(R"({"a":2,"b":1})"));
        CHECK(value_hash("[[],1]") != value_hash("[[1]]"));
    }
}

TEST_SUITE("simd") {
    TEST_CASE("the bit masks agree with a loop over the bytes") {
        Random random(1);
        for (int round = 0; round < 2000; ++round) {
            char bytes[64], others[64];
            for (int i = 0; i < 64; ++i) {
                bytes[i] = static_cast<char>(random.next() >> (round % 2 ? 56 : 57));
                others[i] = random.next() % 4 ? bytes[i] : static_cast<char>(random.next());
            }
            const simd::Block x = simd::load(bytes), y = simd::load(others);
            std::uint64_t commas = 0, brackets = 0, controls = 0, high = 0, same = 0;
            for (int i = 0; i < 64; ++i) {
                const unsigned char c = static_cast<unsigned char>(bytes[i]);
                const std::uint64_t bit = 1ull << i;
                if (c == ',') commas |= bit;
                if ((c | 0x26) == 0x7f) brackets |= bit;
                if (c < 0x20) controls |= bit;
                if (c >= 0x80) high |= bit;
                if (bytes[i] == others[i]) same |= bit;
            }
            CHECK(simd::where(x, ',') == commas);
            CHECK(simd::brackets(x) == brackets);
            CHECK(simd::controls(x) == controls);
            CHECK(simd::non_ascii(x) == high);
            CHECK(simd::same(x, y) == same);
            CHECK(simd::all_same(x, y) == (same == ~0ull));
            CHECK(simd::contains(x, ',') == (commas != 0));
        }
    }
}
