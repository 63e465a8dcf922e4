// json.h, json_number.cpp: reading control messages. The C library's strtod is the other reader of numbers.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "tidegate/json.h"
#include "tidegate/json_value.h"
#include "tidegate/random.h"

using namespace tidegate;

namespace {

std::uint64_t bits_of(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

bool reads_like_strtod(const std::string& number) {
    return bits_of(nearest_double(read_decimal(number))) == bits_of(std::strtod(number.c_str(), nullptr));
}

std::string printed(const char* format, int precision, double value) {
    char buffer[1100];
    return std::string(buffer, static_cast<std::size_t>(std::snprintf(buffer, sizeof buffer, format, precision, value)));
}

}  // namespace

TEST_CASE("a tree written and read again is the same tree") {
    const std::string text = R"({"a":[1,-2,3.5,true,false,null,"x\n\"\\",{"":[]},{}],"b":"äöü 😀","c":18446744073709551615,"d":-9223372036854775808})";
    const auto tree = parse_json(text);
    REQUIRE(tree.ok());
    CHECK(tree.value()["a"][6] == "x\n\"\\");
    CHECK(tree.value()["c"].get<std::uint64_t>() == 18446744073709551615ull);
    CHECK(tree.value()["d"].get<std::int64_t>() == INT64_MIN);
    const auto again = parse_json(dump_json(tree.value()));
    REQUIRE(again.ok());
    CHECK(again.value() == tree.value());
}

TEST_CASE("whitespace between tokens, escapes and equal keys are read as RFC 8259 means them") {
    const auto tree = parse_json(" { \"k\" : [ 1 , { } , [ ] ] ,\n\t\"\\u006b\\ud83d\\ude00\" : \"\\/\\u00e4\" , \"twice\" : 1 , \"twice\" : [2] } ");
    REQUIRE(tree.ok());
    CHECK(tree.value()["k"] == Json::parse("[1,{},[]]"));
    CHECK(tree.value()["k\xf0\x9f\x98\x80"] == "/\xc3\xa4");
    CHECK(tree.value()["twice"] == Json::parse("[2]"));
}

TEST_CASE("a scalar is a text of its own") {
    CHECK(parse_json("7").value() == Json(7u));
    CHECK(parse_json(" null ").value().is_null());
    CHECK(parse_json("\"\"").value() == "");
}

TEST_CASE("what is not JSON, or holds what a tree cannot, is refused") {
    for (const char* bad : {"", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", ".5", "+1", "tru", "\"\t\"", "\"\xff\"", "[1]]", "\"\\ud800\"", "{\"\\udc00\":1}",
                            "1e400", "-1e400", "1e99999999999999999999", "\xef\xbb\xbf{}"}) {
        CAPTURE(bad);
        const auto refused = parse_json(bad);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().code == "json-syntax");
        CHECK_FALSE(refused.error().message.empty());
    }
}

TEST_CASE("integers are exact as long as 64 bits hold them, then the nearest double") {
    CHECK(parse_json("9007199254740993").value().get<std::uint64_t>() == 9007199254740993ull);
    CHECK(parse_json("-0").value() == Json(0));
    CHECK(parse_json("18446744073709551616").value().is_number_float());
    CHECK(parse_json("18446744073709551616").value() == Json(18446744073709551616.0));
    CHECK(parse_json("-9223372036854775809").value().is_number_float());
    CHECK(parse_json("1e3").value() == Json(1000.0));
}

TEST_CASE("hard decimals read as the nearest double, ties to even") {
    for (const char* number : {"9007199254740993.0", "9007199254740992.5", "0.1", "0.3", "1e23", "8.5e22", "1e22", "123456789012345678901234567890.0",
                               "1.7976931348623157e308", "1.7976931348623158e308", "2.2250738585072014e-308", "2.2250738585072011e-308", "2.2250738585072012e-308",
                               "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.4703282292062327208e-324", "7.4109846876186981e-324",
                               "8.44291197326099e-309", "3.0e-324", "1e-323", "5e-325", "6.631236846766476e-316", "1.00000000000000011102230246251565404236316680908203125",
                               "1.00000000000000011102230246251565404236316680908203124", "1.00000000000000011102230246251565404236316680908203126",
                               "1.00000000000000033306690738754696212708950042724609375", "0.000000000000000000000000000000000000000000001e45", "-1.5", "1e-400"}) {
        CAPTURE(number);
        CHECK(reads_like_strtod(number));
    }
    CHECK(std::isinf(nearest_double(read_decimal("1.7976931348623159e308"))));
    CHECK(nearest_double(read_decimal("1e-9999")) == 0);
    // One zero: written and read again it is the same text. (Found by tests/fuzz/protocol.cpp.)
    for (const char* number : {"-1e-9999", "-1e-325", "-0.0", "-0e5"}) {
        CAPTURE(number);
        CHECK(bits_of(nearest_double(read_decimal(number))) == bits_of(0.0));
    }
}

TEST_CASE("a digit beyond the eight hundredth decides a tie") {
    const std::string half = "1.00000000000000011102230246251565404236316680908203125";
    CHECK(nearest_double(read_decimal(half)) == 1.0);
    CHECK(nearest_double(read_decimal(half + std::string(2000, '0') + "1")) > 1.0);
}

TEST_CASE("any double, printed with any precision, reads as strtod reads it") {
    Random random(20);
    for (int i = 0; i < 100'000; ++i) {
        const std::uint64_t bits = random.next();
        double value;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) continue;
        const std::string text = printed("%.*e", static_cast<int>(random.next() % 25), value);
        CAPTURE(text);
        REQUIRE(reads_like_strtod(text));
    }
}

TEST_CASE("an integer half way between two doubles goes to the even one, and the least digit after it decides") {
    Random random(21);
    for (int i = 0; i < 20'000; ++i) {
        const int shift = 1 + static_cast<int>(random.next() % 11);
        const std::uint64_t half = ((random.next() >> 11 | std::uint64_t{1} << 52) << shift) + (std::uint64_t{1} << (shift - 1));
        for (const char* rest : {".0", ".00000000000000000000000000000000000000001", "e0", "e3", "e-30"}) REQUIRE(reads_like_strtod(std::to_string(half) + rest));
        REQUIRE(reads_like_strtod(std::to_string(half - 1) + ".99999999999999999999999999999"));
    }
}

TEST_CASE("a double is written so that the same double is read back, and no longer than it must be") {
    const auto written = [](double value) {
        std::string out;
        append_double(out, value);
        return out;
    };
    const std::pair<double, const char*> known[] = {{0, "0.0"}, {-0.0, "-0.0"}, {1, "1.0"}, {-2.5, "-2.5"}, {0.1, "0.1"}, {0.1 + 0.2, "0.30000000000000004"}, {1e15, "1e+15"},
        {123456789012345, "123456789012345.0"}, {1e-4, "0.0001"}, {1e-5, "1e-05"}, {0.00123, "0.00123"}, {9.999999999999999e22, "1e+23"}, {1e22, "1e+22"}, {0.5, "0.5"},
        {99999999999999.99, "99999999999999.98"}, {1.7976931348623157e308, "1.7976931348623157e+308"}, {1762000000123.25, "1762000000123.25"}};
    for (const auto& [value, text] : known) CHECK(written(value) == text);
    Random random(20261122);
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t bits = random.next();
        double value;
        std::memcpy(&value, &bits, sizeof value);
        if (!std::isfinite(value)) continue;
        if (i % 2) value = std::ldexp(static_cast<double>(bits % 1000000007), -(i % 40));
        const std::string text = written(value);
        CAPTURE(text);
        REQUIRE(bits_of(std::strtod(text.c_str(), nullptr)) == bits_of(value));
        if (std::fabs(value) < 1e-290) continue;   // with fewer bits than 53, 15 digits are not the shortest
        int places = 1;   // the fewest with which printf gives the same double
        while (bits_of(std::strtod(printed("%.*e", places - 1, value).c_str(), nullptr)) != bits_of(value)) ++places;
        std::size_t digits = 0;
        for (const char c : text.substr(0, text.find('e'))) digits += c >= '0' && c <= '9';
        if (text.find('e') != std::string::npos) CHECK(digits == static_cast<std::size_t>(places));
    }
}
