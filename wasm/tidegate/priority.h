// Which operation goes first: bands, rule points, linear aging, cost of delay.
//
// Rule: aging linear in waiting time. With effective(t) = score + (t - created) / ms_per_point the difference between two ops does not
// depend on t, so one key per op, computed once, orders the queue for ever (Kleinrock's delay-dependent priority discipline, 1964, with
// one common slope). Nothing is rescored when the clock moves.
//
// Scores: base points low 25, normal 50, high 75, critical 100, plus rule points, clamped to [0, kMaxScore].
// Critical is a band of its own above all others until the aging bound.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json.h"
#include "tidegate/result.h"
#include "tidegate/time.h"
#include "tidegate/words.h"

namespace tidegate {

inline constexpr double kMaxScore = 200.0;
inline constexpr double kMaxRulePoints = 100.0;        // one rule adds between -100 and +100
inline constexpr std::size_t kMaxRules = 64;
inline constexpr std::size_t kMaxRuleConditions = 64;  // nodes of one rule's `when`
inline constexpr int kMaxRuleDepth = 8;                // nesting of all/any/not
inline constexpr std::size_t kMaxRuleValues = 64;      // members of an `in` list
inline constexpr std::size_t kMaxRuleTextBytes = 256;  // a name, a field or a string value

// Points a band starts with: 25, 50, 75, 100.
double base_points(Band band);

// Base points plus rule points within [0, kMaxScore]; points that are no number count 0.
double score(Band band, double rule_points);

// What the op shows and what thresholds compare with: a declared critical is critical; else a score >= 75 is high, >= 50 normal, below low.
Band effective_band(Band declared, double score);

struct AgingOptions {
    double ms_per_point = 3.0 * kMinuteMs;      // one point per 3 minutes: low reaches the start of high after 2.5 hours
    double critical_lead_ms = 4.0 * kHourMs;    // a critical op goes before every other op that has waited less than this
};
inline constexpr double kMaxAgingMs = 30.0 * kDayMs;  // ceiling of both options; other values are clamped, no number means the default

// The place in the queue: the smaller key goes first; equal keys go by accept sequence. Finite for every input.
//   others:    created_ms - score * ms_per_point
//   critical:  created_ms - score * ms_per_point - (critical_lead_ms + kMaxScore * ms_per_point)
// PROMISES, for ops a and b:
//   (1) score(a) >= score(b), same band, accepted no later: a goes first. Equal scores: FIFO. ("priority, then FIFO")
//   (2) a critical, b not, and b accepted less than critical_lead_ms before a, or later: a goes first.
//   (3) b accepted more than wait_bound_ms() after a: a goes first, whatever both are.
// (3) is the wait bound: only what was accepted until wait_bound_ms after an op can be sent before it, so on a link that sends at all its wait is
// at most wait_bound_ms plus the time the link needs for that finite work. The proof stands in priority.cpp, the test enumerates it.
// created_ms is to be an instant of the past (time.h: clamp_past); score as score() gives it, other values are clamped.
double order_key(Band band, double score, double created_ms, const AgingOptions& aging);

// critical_lead_ms + 2 * kMaxScore * ms_per_point: 24 hours by default. Among ops that are not critical: kMaxScore * ms_per_point, 10 hours.
double wait_bound_ms(const AgingOptions& aging);

// What a unit of delay of an op costs, in points, by its place in the queue: its own order key, or the better one of what waits for it; the caller of batch.h
// passes it as Candidate::value. It is the score with what waiting has added; kCriticalCost more where the place is a critical op's, or waiting made it as good
// as one's: such an op outweighs any number of others of its size. Finite for every input.
inline constexpr double kCriticalCost = 1e9;
double cost_of_delay(double place, double now_ms, const AgingOptions& aging);

// The cost of delay per byte: Smith's rule (1956), weighted shortest job first, is optimal for a total weighted delay on one link.
// overhead_bytes is what an op costs on the wire besides its body.
inline constexpr double kOpOverheadBytes = 160.0;
double density(double cost, double bytes, double overhead_bytes = kOpOverheadBytes);

// Rules: JSON written by the app. An array of
//   {"name": "…", "enabled": true, "points": 25, "when": <condition>}        `enabled` may be absent (true)
//   <condition> = {"all": [<condition>…]} | {"any": [<condition>…]} | {"not": <condition>} | {"field": "…", "op": "…", "value": …}
// `field` is a JSON Pointer (RFC 6901) when it starts with "/", otherwise a dotted path ("address.city", "tags.0"). An object that has
// the whole field text as a key (the flat copy kept in an op row) is asked first.
// ops: == != < <= > >= in contains exists starts-with
//   ==, !=        any scalar; numbers by their value, exactly (2^53 + 1 is not 2^53; 1 == 1.0). != is the negation of ==, so a missing field is !=
//   < <= > >=     number with number, string with string (by bytes; ISO dates work); anything else is false
//   in            value is a list of scalars, == to one of them
//   contains      string field: substring; list field: an element == value
//   starts-with   string field
//   exists        value true (or absent): the field is there, null included; false: it is not
// A missing field makes every op false except != and exists:false. An empty all is true, an empty any is false.
class RuleSet {
public:
    // No rules.
    RuleSet() = default;

    // Reads and checks all rules, or says what is wrong with the first bad one; error paths start with base_path.
    // Error codes: "wrong-type", "missing-field", "unknown-field", "unknown-operator", "out-of-range", "limit", "duplicate".
    static Result<RuleSet> parse(const Json& rules, std::string_view base_path = "");

    // The sum of the points of every enabled rule whose condition holds. `fields` is the op's rule fields; no object means no fields.
    double points(const Json& fields) const;

    // The fields that rules name, each once, sorted: what accept has to copy into the row. Disabled rules count too.
    std::vector<std::string> fields() const;

    // The rules as they were given to parse.
    const Json& source() const { return source_; }
    std::size_t size() const { return rules_.size(); }

private:
    enum class Kind { all, any, negate, test };
    enum class Op { equal, not_equal, less, less_equal, greater, greater_equal, in, contains, exists, starts_with };
    struct Node {
        Kind kind = Kind::test;
        std::vector<std::size_t> children;  // indexes into nodes_
        Op op = Op::exists;
        std::string field;
        std::vector<std::string> path;
        Json value;
    };
    struct Rule {
        bool enabled = true;
        double points = 0;
        std::size_t root = 0;
    };
    struct Parser;

    static bool test(const Node& node, const Json& fields);
    bool holds(std::size_t node, const Json& fields) const;

    Json source_ = Json::array();
    std::vector<Rule> rules_;
    std::vector<Node> nodes_;
};

// The two shipped samples: "Health Emergency Priority" (+25: severity >= 4, or type "health-emergency") and
// "High Population Impact" (+20: affectedPopulation >= 1000).
Json sample_rules();

}  // namespace tidegate
