#include <doctest/doctest.h>

#include <string>

#include "tidegate/priority.h"
#include "tidegate/random.h"

using namespace tidegate;

namespace {

Json json(std::string_view text) {
    auto parsed = parse_json(text);
    REQUIRE_MESSAGE(parsed.ok(), std::string(text));
    return parsed.value();
}

RuleSet rules(std::string_view text) {
    auto parsed = RuleSet::parse(json(text));
    REQUIRE_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.error().path + ": " + parsed.error().message));
    return parsed.value();
}

// Does {field "f" op value} hold for the fields?
bool holds(const std::string& op, const std::string& value, const std::string& fields) {
    return rules(R"([{"name":"n","points":1,"when":{"field":"f","op":")" + op + R"(","value":)" + value + "}}]").points(json(fields)) == 1;
}

Error refused(std::string_view text) {
    auto parsed = RuleSet::parse(json(text), "/rules");
    REQUIRE_MESSAGE(!parsed.ok(), std::string(text));
    return parsed.error();
}

std::string rule_when(const std::string& when) { return R"([{"name":"n","points":1,"when":)" + when + "}]"; }

}  // namespace

TEST_CASE("every operator against every kind of field") {
    struct Row {
        const char *op, *value, *fields;
        bool expected;
    };
    const Row rows[] = {
        {"==", "4", R"({"f":4})", true}, {"==", "4", R"({"f":4.0})", true}, {"==", "4", R"({"f":"4"})", false}, {"==", "4", "{}", false},
        {"==", "null", R"({"f":null})", true}, {"==", "null", "{}", false}, {"==", "true", R"({"f":true})", true}, {"==", "true", R"({"f":1})", false},
        {"==", "\"a\"", R"({"f":"a"})", true}, {"==", "\"a\"", R"({"f":["a"]})", false},
        {"!=", "4", R"({"f":5})", true}, {"!=", "4", R"({"f":4})", false}, {"!=", "4", R"({"f":"4"})", true}, {"!=", "4", "{}", true},
        {"<", "4", R"({"f":3.9})", true}, {"<", "4", R"({"f":4})", false}, {"<", "4", R"({"f":"3"})", false}, {"<", "4", "{}", false},
        {"<=", "4", R"({"f":4})", true}, {"<=", "4", R"({"f":4.1})", false}, {">", "-1", R"({"f":0})", true}, {">", "-1", R"({"f":-1})", false},
        {">=", "4", R"({"f":4})", true}, {">=", "4", R"({"f":3})", false}, {">=", "4", R"({"f":null})", false}, {">=", "4", R"({"f":true})", false},
        {"<", "\"2026-02\"", R"({"f":"2026-01-31"})", true}, {">", "\"2026-02\"", R"({"f":"2026-01-31"})", false},
        {"in", "[1,\"a\",null]", R"({"f":"a"})", true}, {"in", "[1,\"a\",null]", R"({"f":1.0})", true}, {"in", "[1,\"a\",null]", R"({"f":null})", true},
        {"in", "[1,\"a\",null]", R"({"f":2})", false}, {"in", "[1,\"a\",null]", "{}", false}, {"in", "[]", R"({"f":1})", false},
        {"contains", "\"ell\"", R"({"f":"hello"})", true}, {"contains", "\"x\"", R"({"f":"hello"})", false}, {"contains", "1", R"({"f":"1"})", false},
        {"contains", "1", R"({"f":[3,1.0]})", true}, {"contains", "\"a\"", R"({"f":["b"]})", false}, {"contains", "1", R"({"f":{"1":1}})", false},
        {"exists", "true", R"({"f":null})", true}, {"exists", "true", "{}", false}, {"exists", "false", "{}", true}, {"exists", "false", R"({"f":0})", false},
        {"starts-with", "\"he\"", R"({"f":"hello"})", true}, {"starts-with", "\"hello!\"", R"({"f":"hello"})", false}, {"starts-with", "\"h\"", R"({"f":["h"]})", false},
        {"starts-with", "\"\"", R"({"f":""})", true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.op);
        CAPTURE(row.value);
        CAPTURE(row.fields);
        CHECK(holds(row.op, row.value, row.fields) == row.expected);
    }
}

TEST_CASE("numbers are compared as written, not through double") {
    const char* const ascending[] = {"-1e300", "-9223372036854775808", "-9007199254740993", "-9007199254740992", "-1.5", "-1", "-0.5", "0", "0.5", "1", "1.5",
                                     "9007199254740992", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e300"};
    for (int a = 0; a < 17; ++a)
        for (int b = 0; b < 17; ++b) {
            const std::string field = std::string("{\"f\":") + ascending[a] + "}";
            CAPTURE(ascending[a]);
            CAPTURE(ascending[b]);
            CHECK(holds("<", ascending[b], field) == (a < b));
            CHECK(holds("==", ascending[b], field) == (a == b));
            CHECK(holds(">", ascending[b], field) == (a > b));
        }
    CHECK(holds("==", "0", R"({"f":-0.0})"));
    CHECK(holds("==", "9007199254740992.0", R"({"f":9007199254740992})"));
    CHECK(!holds("==", "9007199254740992.0", R"({"f":9007199254740993})"));
    CHECK(holds(">", "-9223372036854775809.0", R"({"f":-9223372036854775807})"));
}

TEST_CASE("all, any and not combine; an empty all holds, an empty any does not") {
    const std::string yes = R"({"field":"f","op":"exists"})", no = R"({"field":"g","op":"exists"})";
    const Json fields = json(R"({"f":1})");
    const auto points = [&](const std::string& when) { return rules(rule_when(when)).points(fields); };
    CHECK(points(R"({"all":[)" + yes + "," + yes + "]}") == 1);
    CHECK(points(R"({"all":[)" + yes + "," + no + "]}") == 0);
    CHECK(points(R"({"any":[)" + no + "," + yes + "]}") == 1);
    CHECK(points(R"({"any":[)" + no + "," + no + "]}") == 0);
    CHECK(points(R"({"not":)" + no + "}") == 1);
    CHECK(points(R"({"not":{"all":[)" + yes + R"(,{"any":[)" + no + "]}]}}") == 1);
    CHECK(points(R"({"all":[]})") == 1);
    CHECK(points(R"({"any":[]})") == 0);
}

TEST_CASE("fields are found by flat key first, by dotted path, by JSON Pointer and by index") {
    const Json fields = json(R"({"a":{"b":[10,{"c.d":5}],"x/y":6,"~":7},"a.b":"flat","":{"":8}})");
    const auto found = [&](const std::string& field, const std::string& value) {
        return rules(R"([{"name":"n","points":1,"when":{"field":")" + field + R"(","op":"==","value":)" + value + "}}]").points(fields) == 1;
    };
    CHECK(found("a.b", "\"flat\""));
    CHECK(found("/a/b/0", "10"));
    CHECK(found("a.b.0", "10"));
    CHECK(found("/a/b/1/c.d", "5"));
    CHECK(found("/a/x~1y", "6"));
    CHECK(found("/a/~0", "7"));
    CHECK(found("//", "8"));
    CHECK(!found("/a/b/00", "10"));
    CHECK(!found("/a/b/2", "10"));
    CHECK(!found("/a/b/-", "10"));
    CHECK(!found("a.b.0.z", "10"));
    CHECK(!found("a.b.99999999999999999999", "10"));
}

TEST_CASE("points of all rules that hold are summed, disabled ones are not") {
    const RuleSet set = rules(R"([
        {"name":"one","points":25,"when":{"field":"severity","op":">=","value":4}},
        {"name":"two","points":-5.5,"when":{"field":"severity","op":"exists"}},
        {"name":"three","enabled":false,"points":100,"when":{"all":[]}}])");
    CHECK(set.points(json(R"({"severity":4})")) == 19.5);
    CHECK(set.points(json(R"({"severity":1})")) == -5.5);
    CHECK(set.points(Json()) == 0);
    CHECK(set.points(Json("text")) == 0);
    CHECK(RuleSet().points(json("{}")) == 0);
    CHECK(set.size() == 3);
}

TEST_CASE("the fields to copy at accept are named once each, sorted") {
    const RuleSet set = rules(R"([
        {"name":"one","points":1,"when":{"any":[{"field":"z","op":"exists"},{"not":{"field":"a.b","op":"==","value":1}}]}},
        {"name":"two","enabled":false,"points":1,"when":{"field":"z","op":"exists"}}])");
    CHECK(set.fields() == std::vector<std::string>{"a.b", "z"});
}

TEST_CASE("the shipped samples are accepted by their own rules and give 25 and 20") {
    auto set = RuleSet::parse(sample_rules());
    REQUIRE(set.ok());
    CHECK(set.value().points(json(R"({"severity":4})")) == 25);
    CHECK(set.value().points(json(R"({"type":"health-emergency"})")) == 25);
    CHECK(set.value().points(json(R"({"affectedPopulation":1000})")) == 20);
    CHECK(set.value().points(json(R"({"severity":5,"affectedPopulation":20000})")) == 45);
    CHECK(set.value().points(json(R"({"severity":3,"affectedPopulation":999})")) == 0);
    CHECK(set.value().source() == sample_rules());
    CHECK(score(Band::normal, 25) == 75);  // so an emergency of normal priority shows as high
}

TEST_CASE("bad rules are refused with the place and the value") {
    struct Row {
        std::string text;
        const char *code, *path;
    };
    const std::string ok = R"({"field":"f","op":"exists"})";
    const Row rows[] = {
        {"{}", "wrong-type", "/rules"},
        {"[5]", "wrong-type", "/rules/0"},
        {R"([{"points":1,"when":{"all":[]}}])", "missing-field", "/rules/0/name"},
        {R"([{"name":"","points":1,"when":{"all":[]}}])", "limit", "/rules/0/name"},
        {R"([{"name":7,"points":1,"when":{"all":[]}}])", "wrong-type", "/rules/0/name"},
        {R"([{"name":"n","when":{"all":[]}}])", "missing-field", "/rules/0/points"},
        {R"([{"name":"n","points":"25","when":{"all":[]}}])", "wrong-type", "/rules/0/points"},
        {R"([{"name":"n","points":100.5,"when":{"all":[]}}])", "out-of-range", "/rules/0/points"},
        {R"([{"name":"n","points":-101,"when":{"all":[]}}])", "out-of-range", "/rules/0/points"},
        {R"([{"name":"n","points":1}])", "missing-field", "/rules/0/when"},
        {R"([{"name":"n","points":1,"enabled":1,"when":{"all":[]}}])", "wrong-type", "/rules/0/enabled"},
        {R"([{"name":"n","points":1,"wen":{},"when":{"all":[]}}])", "unknown-field", "/rules/0/wen"},
        {R"([{"name":"n","points":1,"when":{"all":[]}},{"name":"n","points":1,"when":{"all":[]}}])", "duplicate", "/rules/1/name"},
        {rule_when("[]"), "wrong-type", "/rules/0/when"},
        {rule_when("{}"), "missing-field", "/rules/0/when/field"},
        {rule_when(R"({"all":{}})"), "wrong-type", "/rules/0/when/all"},
        {rule_when(R"({"all":[],"any":[]})"), "unknown-field", "/rules/0/when/all"},
        {rule_when(R"({"not":[]})"), "wrong-type", "/rules/0/when/not"},
        {rule_when(R"({"any":[)" + ok + R"(,{"field":"f","op":"=>","value":1}]})"), "unknown-operator", "/rules/0/when/any/1/op"},
        {rule_when(R"({"field":"f","op":"=="})"), "missing-field", "/rules/0/when/value"},
        {rule_when(R"({"field":"f","op":"==","value":{}})"), "wrong-type", "/rules/0/when/value"},
        {rule_when(R"({"field":"f","op":"in","value":3})"), "wrong-type", "/rules/0/when/value"},
        {rule_when(R"({"field":"f","op":"in","value":[1,[]]})"), "wrong-type", "/rules/0/when/value/1"},
        {rule_when(R"({"field":"f","op":"exists","value":1})"), "wrong-type", "/rules/0/when/value"},
        {rule_when(R"({"field":"f","op":"starts-with","value":1})"), "wrong-type", "/rules/0/when/value"},
        {rule_when(R"({"field":"","op":"exists"})"), "limit", "/rules/0/when/field"},
        {rule_when(R"({"field":"f","op":"exists","points":1})"), "unknown-field", "/rules/0/when/points"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const Error error = refused(row.text);
        CHECK(error.code == row.code);
        CHECK(error.path == row.path);
        CHECK(!error.message.empty());
    }
    CHECK(refused(rule_when(R"({"field":"f","op":"=>","value":1})")).message.find("\"=>\"") != std::string::npos);
}

TEST_CASE("every limit is a refusal just above it and an acceptance at it") {
    const auto nested = [](int levels) {
        std::string text = R"({"all":[]})";
        for (int i = 1; i < levels; ++i) text = R"({"not":)" + text + "}";
        return rule_when(text);
    };
    CHECK(RuleSet::parse(json(nested(kMaxRuleDepth))).ok());
    CHECK(refused(nested(kMaxRuleDepth + 1)).code == "limit");
    const auto wide = [](std::size_t conditions) {
        std::string text = R"({"all":[)";
        for (std::size_t i = 1; i < conditions; ++i) text += std::string(i > 1 ? "," : "") + R"({"field":"f","op":"exists"})";
        return rule_when(text + "]}");
    };
    CHECK(RuleSet::parse(json(wide(kMaxRuleConditions))).ok());
    CHECK(refused(wide(kMaxRuleConditions + 1)).code == "limit");
    const auto many = [](std::size_t count) {
        std::string text = "[";
        for (std::size_t i = 0; i < count; ++i) text += (i ? "," : "") + std::string(R"({"name":"n)") + std::to_string(i) + R"(","points":1,"when":{"all":[]}})";
        return text + "]";
    };
    CHECK(RuleSet::parse(json(many(kMaxRules))).ok());
    CHECK(refused(many(kMaxRules + 1)).code == "limit");
    const auto list = [](std::size_t count) {
        std::string text;
        for (std::size_t i = 0; i < count; ++i) text += (i ? "," : "") + std::to_string(i);
        return rule_when(R"({"field":"f","op":"in","value":[)" + text + "]}");
    };
    CHECK(RuleSet::parse(json(list(kMaxRuleValues))).ok());
    CHECK(refused(list(kMaxRuleValues + 1)).code == "limit");
    const auto text = [](std::size_t bytes) { return rule_when(R"({"field":"f","op":"==","value":")" + std::string(bytes, 'a') + "\"}"); };
    CHECK(RuleSet::parse(json(text(kMaxRuleTextBytes))).ok());
    CHECK(refused(text(kMaxRuleTextBytes + 1)).code == "limit");
    CHECK(refused(rule_when(R"({"field":")" + std::string(kMaxRuleTextBytes + 1, 'a') + R"(","op":"exists"})")).code == "limit");
}

TEST_CASE("parsing arbitrary JSON never crashes, and what is accepted evaluates") {
    // Random trees over the words of the rule language: most are refused, all survive.
    Random random(11);
    const char* const words[] = {"all", "any", "not", "field", "op", "value", "name", "points", "when", "enabled", "==", "in", "contains", "exists", "f", "a.b"};
    const auto pick = [&](int n) { return static_cast<std::size_t>(random.between(0, n)); };
    struct Maker {
        Random& random;
        const char* const* words;
        // Often a right condition, sometimes one with a wrong value.
        Json leaf() {
            const char* const ops[] = {"==", "!=", "<", "<=", ">", ">=", "in", "contains", "exists", "starts-with"};
            Json value = random.unit() < 0.5 ? Json(random.between(-5, 5)) : random.unit() < 0.5 ? Json("f") : Json::array({1, "f"});
            return Json{{"field", words[14 + static_cast<std::size_t>(random.between(0, 2))]}, {"op", ops[static_cast<std::size_t>(random.between(0, 10))]}, {"value", value}};
        }
        Json make(int depth) {
            const int kind = static_cast<int>(random.between(0, depth > 6 ? 5 : 8));
            const std::string word = words[static_cast<std::size_t>(random.between(0, 16))];
            if (kind == 0) return Json();
            if (kind == 1) return random.unit() < 0.5;
            if (kind == 2) return random.between(-200, 200);
            if (kind < 4) return word;
            if (kind < 5 && depth < 7) return Json{{"all", Json::array({make(depth + 1), leaf()})}};
            if (kind < 6) return leaf();
            Json made = kind == 6 ? Json::array() : Json::object();
            for (int i = static_cast<int>(random.between(0, 4)); i > 0; --i) {
                if (kind == 6) made.push_back(make(depth + 1));
                else made[words[static_cast<std::size_t>(random.between(0, 16))]] = make(depth + 1);
            }
            return made;
        }
    } maker{random, words};
    int accepted = 0, refusals = 0;
    for (int i = 0; i < 20000; ++i) {
        Json rule = {{"name", "n"}, {"points", 1}, {"when", maker.make(0)}};
        if (pick(10) == 0) rule = maker.make(0);
        auto set = RuleSet::parse(Json::array({rule}));
        if (set.ok()) {
            ++accepted;
            const double points = set.value().points(maker.make(0));
            REQUIRE((points == 0 || points == 1));
        } else {
            ++refusals;
            REQUIRE(!set.error().message.empty());
        }
    }
    CHECK(accepted > 50);
    CHECK(refusals > 1000);
}
