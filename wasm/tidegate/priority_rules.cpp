// The rules of priority.h: compiled once into a list of nodes, children before parents, then evaluated per op without allocation.
// Test: tests/core/priority_rules_test.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "tidegate/say.h"

#include "tidegate/priority.h"

namespace tidegate {

// --- Rules: parsing ---------------------------------------------------------------------------------------------------------

namespace {

struct OpName {
    std::string_view text;
    bool wants_list, wants_string, wants_bool;  // what `value` has to be; none: any scalar
};
constexpr OpName kOps[] = {
    {"==", false, false, false},      {"!=", false, false, false},     {"<", false, false, false},  {"<=", false, false, false},
    {">", false, false, false},       {">=", false, false, false},     {"in", true, false, false},  {"contains", false, false, false},
    {"exists", false, false, true},   {"starts-with", false, true, false},
};

bool is_scalar(const Json& value) { return !value.is_array() && !value.is_object(); }

// A JSON Pointer when it starts with "/", else a dotted path.
std::vector<std::string> split_path(const std::string& field) {
    const bool pointer = field[0] == '/';
    std::vector<std::string> path(1);
    for (std::size_t i = pointer ? 1 : 0; i < field.size(); ++i) {
        const char c = field[i];
        const char next = i + 1 < field.size() ? field[i + 1] : '\0';
        if (c == (pointer ? '/' : '.')) path.emplace_back();
        else if (pointer && c == '~' && (next == '0' || next == '1')) path.back().push_back(field[++i] == '0' ? '~' : '/');
        else path.back().push_back(c);
    }
    return path;
}

}  // namespace

// Checks and compiles one array of rules; stops at the first fault, which is kept in error_.
struct RuleSet::Parser {
    RuleSet out;
    std::optional<Error> error;
    std::set<std::string> names;
    std::size_t conditions = 0;  // of the present rule

    bool fail(const char* code, const std::string& path, std::string message) {
        error = Error{code, path, std::move(message)};
        return false;
    }

    // Refuses members that are not in `allowed`: a misspelt one would silently mean nothing.
    bool only(const Json& object, const std::string& path, std::initializer_list<std::string_view> allowed) {
        for (auto it = object.begin(); it != object.end(); ++it)
            if (std::find(allowed.begin(), allowed.end(), std::string_view(it.key())) == allowed.end())
                return fail("unknown-field", say(path, "/", it.key()), say("a rule has no field \"", it.key(), "\""));
        return true;
    }

    // A non-empty string member of at most kMaxRuleTextBytes.
    bool text(const Json& object, const std::string& path, const char* key, std::string& into) {
        const auto it = object.find(key);
        if (it == object.end()) return fail("missing-field", say(path, "/", key), say(key, " is missing, expected a string"));
        if (!it->is_string())
            return fail("wrong-type", say(path, "/", key), say(key, " is ", quote_value(*it), ", expected a string"));
        into = *it->get_ptr<const std::string*>();
        if (into.empty() || into.size() > kMaxRuleTextBytes)
            return fail("limit", say(path, "/", key),
                        say(key, " has ", into.size(), " bytes, expected 1 to ", kMaxRuleTextBytes));
        return true;
    }

    bool scalar(const Json& value, const std::string& path) {
        if (!is_scalar(value)) return fail("wrong-type", path, say("value is ", quote_value(value), ", expected a string, number, boolean or null"));
        if (value.is_string() && value.get_ptr<const std::string*>()->size() > kMaxRuleTextBytes)
            return fail("limit", path, say("a string to compare with has more than ", kMaxRuleTextBytes, " bytes"));
        return true;
    }

    bool value_of(const Json& when, const std::string& path, Node& node) {
        const OpName& op = kOps[static_cast<std::size_t>(node.op)];
        const auto it = when.find("value");
        if (it == when.end()) {
            if (!op.wants_bool) return fail("missing-field", say(path, "/value"), say("value is missing, operator \"", op.text, "\" needs one"));
            node.value = true;
            return true;
        }
        node.value = *it;
        const std::string at = say(path, "/value");
        if (op.wants_bool && !it->is_boolean()) return fail("wrong-type", at, say("value is ", quote_value(*it), ", expected true or false"));
        if (op.wants_string && !it->is_string()) return fail("wrong-type", at, say("value is ", quote_value(*it), ", expected a string"));
        if (!op.wants_list) return scalar(*it, at);
        if (!it->is_array()) return fail("wrong-type", at, say("value is ", quote_value(*it), ", expected a list"));
        if (it->size() > kMaxRuleValues)
            return fail("limit", at, say("the list has ", it->size(), " values, at most ", kMaxRuleValues, " are taken"));
        for (std::size_t i = 0; i < it->size(); ++i)
            if (!scalar((*it)[i], say(at, "/", i))) return false;
        return true;
    }

    bool leaf(const Json& when, const std::string& path, Node& node) {
        std::string op;
        if (!only(when, path, {"field", "op", "value"}) || !text(when, path, "field", node.field) || !text(when, path, "op", op)) return false;
        const OpName* const known = std::find_if(std::begin(kOps), std::end(kOps), [&](const OpName& o) { return o.text == op; });
        if (known == std::end(kOps))
            return fail("unknown-operator", say(path, "/op"),
                        say("op is ", quote_value(op), ", expected one of == != < <= > >= in contains exists starts-with"));
        node.kind = Kind::test;
        node.op = static_cast<Op>(known - std::begin(kOps));
        node.path = split_path(node.field);
        return value_of(when, path, node);
    }

    // Compiles one condition; its index in nodes_ goes into `index`.
    bool condition(const Json& when, const std::string& path, int depth, std::size_t& index) {
        if (depth > kMaxRuleDepth) return fail("limit", path, say("conditions are nested deeper than ", kMaxRuleDepth, " levels"));
        if (++conditions > kMaxRuleConditions)
            return fail("limit", path, say("the rule has more than ", kMaxRuleConditions, " conditions"));
        if (!when.is_object()) return fail("wrong-type", path, say("the condition is ", quote_value(when), ", expected an object"));
        Node node;
        const char* key = nullptr;
        for (const char* candidate : {"all", "any", "not"})
            if (when.contains(candidate)) key = candidate;
        if (!key) {
            if (!leaf(when, path, node)) return false;
        } else {
            const std::string at = say(path, "/", key);
            const Json& inner = when[key];
            if (!only(when, path, {key})) return false;
            node.kind = key[0] == 'n' ? Kind::negate : key[1] == 'l' ? Kind::all : Kind::any;
            if (node.kind == Kind::negate) {
                node.children.push_back(0);
                if (!condition(inner, at, depth + 1, node.children[0])) return false;
            } else if (!inner.is_array()) {
                return fail("wrong-type", at, say(key, " is ", quote_value(inner), ", expected a list of conditions"));
            } else if (inner.size() > kMaxRuleConditions) {
                return fail("limit", at, say("the rule has more than ", kMaxRuleConditions, " conditions"));
            } else {
                node.children.resize(inner.size());
                for (std::size_t i = 0; i < inner.size(); ++i)
                    if (!condition(inner[i], say(at, "/", i), depth + 1, node.children[i])) return false;
            }
        }
        index = out.nodes_.size();
        out.nodes_.push_back(std::move(node));
        return true;
    }

    bool rule(const Json& json, const std::string& path) {
        if (!json.is_object()) return fail("wrong-type", path, say("the rule is ", quote_value(json), ", expected an object"));
        std::string rule_name;
        if (!only(json, path, {"name", "enabled", "points", "when"}) || !text(json, path, "name", rule_name)) return false;
        if (!names.insert(rule_name).second) return fail("duplicate", say(path, "/name"), say("two rules are named ", quote_value(rule_name)));
        Rule r;
        if (const auto it = json.find("enabled"); it != json.end()) {
            if (!it->is_boolean()) return fail("wrong-type", say(path, "/enabled"), say("enabled is ", quote_value(*it), ", expected true or false"));
            r.enabled = it->get<bool>();
        }
        const auto points = json.find("points");
        if (points == json.end()) return fail("missing-field", say(path, "/points"), "points is missing, expected a number");
        if (!points->is_number()) return fail("wrong-type", say(path, "/points"), say("points is ", quote_value(*points), ", expected a number"));
        r.points = points->get<double>();
        if (!(std::fabs(r.points) <= kMaxRulePoints))
            return fail("out-of-range", say(path, "/points"), say("points is ", quote_value(*points), ", expected -100 to 100"));
        const auto when = json.find("when");
        if (when == json.end()) return fail("missing-field", say(path, "/when"), "when is missing, expected a condition");
        conditions = 0;
        if (!condition(*when, say(path, "/when"), 1, r.root)) return false;
        out.rules_.push_back(r);
        return true;
    }
};

Result<RuleSet> RuleSet::parse(const Json& rules, std::string_view base_path) {
    const std::string base(base_path);
    if (!rules.is_array()) return Error{"wrong-type", base, say("rules is ", quote_value(rules), ", expected a list of rules")};
    if (rules.size() > kMaxRules)
        return Error{"limit", base, say("there are ", rules.size(), " rules, at most ", kMaxRules, " are taken")};
    Parser parser;
    for (std::size_t i = 0; i < rules.size(); ++i)
        if (!parser.rule(rules[i], say(base, "/", i))) return *parser.error;
    parser.out.source_ = rules;
    return std::move(parser.out);
}

// --- Rules: evaluation ------------------------------------------------------------------------------------------------------

namespace {

// The order of an integer and a double, exactly: 2^53 + 1 is not 2^53. -1, 0, 1; nullopt for a NaN.
std::optional<int> compare_integer_double(const Json& integer, double d) {
    if (std::isnan(d)) return std::nullopt;
    const bool is_unsigned = integer.is_number_unsigned();
    if (d >= 18446744073709551616.0) return -1;
    if (d < -9223372036854775808.0) return 1;
    const double whole = std::trunc(d);
    const double fraction = d - whole;
    int order = 0;
    if (whole < 0 || d < 0) {
        if (is_unsigned) return 1;
        const std::int64_t i = integer.get<std::int64_t>(), w = static_cast<std::int64_t>(whole);
        order = i < w ? -1 : i > w ? 1 : 0;
    } else {
        if (!is_unsigned && integer.get<std::int64_t>() < 0) return -1;
        const std::uint64_t i = integer.get<std::uint64_t>(), w = static_cast<std::uint64_t>(whole);
        order = i < w ? -1 : i > w ? 1 : 0;
    }
    if (order != 0 || fraction == 0) return order;
    return fraction > 0 ? -1 : 1;
}

std::optional<int> compare_numbers(const Json& a, const Json& b) {
    if (a.is_number_float() && b.is_number_float()) {
        const double x = a.get<double>(), y = b.get<double>();
        if (std::isnan(x) || std::isnan(y)) return std::nullopt;
        return x < y ? -1 : x > y ? 1 : 0;
    }
    if (b.is_number_float()) return compare_integer_double(a, b.get<double>());
    if (a.is_number_float()) {
        const std::optional<int> order = compare_integer_double(b, a.get<double>());
        if (!order) return std::nullopt;
        return -*order;
    }
    const bool a_negative = !a.is_number_unsigned() && a.get<std::int64_t>() < 0;
    const bool b_negative = !b.is_number_unsigned() && b.get<std::int64_t>() < 0;
    if (a_negative != b_negative) return a_negative ? -1 : 1;
    if (a_negative) {
        const std::int64_t x = a.get<std::int64_t>(), y = b.get<std::int64_t>();
        return x < y ? -1 : x > y ? 1 : 0;
    }
    const std::uint64_t x = a.get<std::uint64_t>(), y = b.get<std::uint64_t>();
    return x < y ? -1 : x > y ? 1 : 0;
}

// The order of two comparable values: numbers, or strings by bytes.
std::optional<int> compare(const Json& a, const Json& b) {
    if (a.is_number() && b.is_number()) return compare_numbers(a, b);
    if (!a.is_string() || !b.is_string()) return std::nullopt;
    const int order = a.get_ptr<const std::string*>()->compare(*b.get_ptr<const std::string*>());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
}

bool equal(const Json& a, const Json& b) {
    if (a.is_boolean() && b.is_boolean()) return a.get<bool>() == b.get<bool>();
    if (a.is_null() && b.is_null()) return true;
    return compare(a, b) == 0;
}

bool contains(const Json& field, const Json& value) {
    if (field.is_string())
        return value.is_string() && field.get_ptr<const std::string*>()->find(*value.get_ptr<const std::string*>()) != std::string::npos;
    return field.is_array() && std::any_of(field.begin(), field.end(), [&](const Json& element) { return equal(element, value); });
}

bool starts_with(const Json& field, const Json& value) {
    if (!field.is_string()) return false;
    const std::string& prefix = *value.get_ptr<const std::string*>();
    return field.get_ptr<const std::string*>()->compare(0, prefix.size(), prefix) == 0;
}

// The element a path segment names in an array: digits without leading zeros.
std::optional<std::size_t> index_of(const std::string& segment) {
    if (segment.empty() || segment.size() > 9 || (segment.size() > 1 && segment[0] == '0')) return std::nullopt;
    std::size_t index = 0;
    for (const char c : segment) {
        if (c < '0' || c > '9') return std::nullopt;
        index = index * 10 + static_cast<std::size_t>(c - '0');
    }
    return index;
}

const Json* lookup(const Json& fields, const std::string& field, const std::vector<std::string>& path) {
    if (!fields.is_object()) return nullptr;
    if (const auto it = fields.find(field); it != fields.end()) return &*it;
    const Json* at = &fields;
    for (const std::string& segment : path) {
        if (at->is_object()) {
            const auto it = at->find(segment);
            if (it == at->end()) return nullptr;
            at = &*it;
        } else if (at->is_array()) {
            const std::optional<std::size_t> index = index_of(segment);
            if (!index || *index >= at->size()) return nullptr;
            at = &(*at)[*index];
        } else {
            return nullptr;
        }
    }
    return at;
}

}  // namespace

bool RuleSet::test(const Node& node, const Json& fields) {
    const Json* field = lookup(fields, node.field, node.path);
    if (node.op == Op::exists) return (field != nullptr) == node.value.get<bool>();
    if (!field) return node.op == Op::not_equal;
    switch (node.op) {
        case Op::equal: return equal(*field, node.value);
        case Op::not_equal: return !equal(*field, node.value);
        case Op::in: return std::any_of(node.value.begin(), node.value.end(), [&](const Json& value) { return equal(*field, value); });
        case Op::contains: return contains(*field, node.value);
        case Op::starts_with: return starts_with(*field, node.value);
        default: break;
    }
    const std::optional<int> order = compare(*field, node.value);
    if (!order) return false;
    switch (node.op) {
        case Op::less: return *order < 0;
        case Op::less_equal: return *order <= 0;
        case Op::greater: return *order > 0;
        default: return *order >= 0;
    }
}

bool RuleSet::holds(std::size_t index, const Json& fields) const {
    const Node& node = nodes_[index];
    const auto child = [&](std::size_t at) { return holds(at, fields); };
    switch (node.kind) {
        case Kind::all: return std::all_of(node.children.begin(), node.children.end(), child);
        case Kind::any: return std::any_of(node.children.begin(), node.children.end(), child);
        case Kind::negate: return !child(node.children[0]);
        case Kind::test: break;
    }
    return test(node, fields);
}

double RuleSet::points(const Json& fields) const {
    double sum = 0;
    for (const Rule& rule : rules_)
        if (rule.enabled && holds(rule.root, fields)) sum += rule.points;
    return sum;
}

std::vector<std::string> RuleSet::fields() const {
    std::set<std::string> names;
    for (const Node& node : nodes_)
        if (node.kind == Kind::test) names.insert(node.field);
    return {names.begin(), names.end()};
}

Json sample_rules() {
    const Json emergency = {{"any",
                             {{{"field", "severity"}, {"op", ">="}, {"value", 4}},
                              {{"field", "type"}, {"op", "=="}, {"value", "health-emergency"}}}}};
    const Json impact = {{"field", "affectedPopulation"}, {"op", ">="}, {"value", 1000}};
    return Json::array({{{"name", "Health Emergency Priority"}, {"enabled", true}, {"points", 25}, {"when", emergency}},
                        {{"name", "High Population Impact"}, {"enabled", true}, {"points", 20}, {"when", impact}}});
}

}  // namespace tidegate
