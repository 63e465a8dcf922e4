// Keys and scores; the rules are in priority_rules.cpp. Test: tests/core/priority_test.cpp.
//
// Proof of the promises of order_key, with p = ms_per_point, L = critical_lead_ms, S = kMaxScore, scores in [0, S]:
// key = created - score·p - (critical ? L + S·p : 0).
//   (1) same band: key(a) - key(b) = (created(a) - created(b)) - (score(a) - score(b))·p ≤ 0 when created(a) ≤ created(b) and score(a) ≥ score(b).
//   (2) a critical, b not, created(a) < created(b) + L:
//       key(a) - key(b) = created(a) - created(b) - L - (score(a) - score(b) + S)·p < -(score(a) - score(b) + S)·p ≤ 0, since score(a) - score(b) ≥ -S.
//   (3) created(b) > created(a) + L + 2·S·p: key(a) ≤ created(a) and key(b) ≥ created(b) - S·p - L - S·p > created(a) ≥ key(a).
// Keys do not contain the clock, so none of this changes while ops wait. In doubles a key is below 2^53 ms in size, so sums are exact to well under
// a microsecond; two ops that differ by less than that count as equal and go by accept sequence.
#include "tidegate/priority.h"

#include <algorithm>
#include <cmath>

namespace tidegate {

namespace {

double clamped_score(double score) { return std::isnan(score) ? 0.0 : std::clamp(score, 0.0, kMaxScore); }

double aging_or(double value, double fallback) { return std::isnan(value) ? fallback : std::clamp(value, 0.0, kMaxAgingMs); }

// A slope of 0 would be no aging at all, and no bound.
double ms_per_point_of(const AgingOptions& aging) { return std::max(1.0, aging_or(aging.ms_per_point, AgingOptions{}.ms_per_point)); }
double lead_of(const AgingOptions& aging) { return aging_or(aging.critical_lead_ms, AgingOptions{}.critical_lead_ms); }
// By how much a critical op goes before one of score 0.
double head_start_of(const AgingOptions& aging) { return lead_of(aging) + kMaxScore * ms_per_point_of(aging); }

}  // namespace

double base_points(Band band) { return 25.0 * (static_cast<double>(band) + 1.0); }

double score(Band band, double rule_points) { return clamped_score(base_points(band) + (std::isnan(rule_points) ? 0.0 : rule_points)); }

Band effective_band(Band declared, double score) {
    if (declared == Band::critical) return Band::critical;
    if (score >= base_points(Band::high)) return Band::high;
    return score >= base_points(Band::normal) ? Band::normal : Band::low;
}

double order_key(Band band, double score, double created_ms, const AgingOptions& aging) {
    const double created = std::isnan(created_ms) ? 0.0 : std::clamp(created_ms, 0.0, kMaxInstantMs);
    const double lead = band == Band::critical ? head_start_of(aging) : 0.0;
    return created - clamped_score(score) * ms_per_point_of(aging) - lead;
}

double wait_bound_ms(const AgingOptions& aging) { return lead_of(aging) + 2.0 * kMaxScore * ms_per_point_of(aging); }

double cost_of_delay(double place, double now_ms, const AgingOptions& aging) {
    const double cost = std::clamp((now_ms - place) / ms_per_point_of(aging), 0.0, kMaxInstantMs);
    if (std::isnan(cost)) return 0.0;
    return place <= now_ms - head_start_of(aging) ? cost + kCriticalCost : cost;
}

double density(double cost, double bytes, double overhead_bytes) {
    const double size = std::max(0.0, std::isnan(bytes) ? 0.0 : bytes) + std::max(1.0, std::isnan(overhead_bytes) ? 0.0 : overhead_bytes);
    return (std::isnan(cost) ? 0.0 : std::max(cost, 0.0)) / size;
}

}  // namespace tidegate
