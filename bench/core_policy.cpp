// What the scheduling policies cost by themselves, without the boundary: keys, rules, and the choice of a batch from scratch.
#include <benchmark/benchmark.h>

#include <vector>

#include "tidegate/batch.h"
#include "tidegate/priority.h"
#include "tidegate/random.h"

using namespace tidegate;

namespace {

constexpr double kNow = 1795262400000.0;

// A queue as it grows in the field: mixed bands and ages over a week, bodies of 200 B to 8 kB. `chain` ops follow each other in a lane.
std::vector<Candidate> queue(std::size_t n, std::uint32_t chain) {
    Random random(42);
    std::vector<Candidate> all(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double what = random.unit();
        const Band band = what < 0.02 ? Band::critical : what < 0.2 ? Band::high : what < 0.7 ? Band::normal : Band::low;
        const double points = random.unit() < 0.3 ? 25 : 0;
        Candidate& c = all[i];
        c.order_key = order_key(band, score(band, points), kNow - random.between(0, 7 * kDayMs), AgingOptions{});
        c.value = cost_of_delay(c.order_key, kNow, AgingOptions{});
        c.bytes = static_cast<std::uint32_t>(random.between(200, 8000));
        c.lane = static_cast<std::uint32_t>(i) / chain;
        c.chain = static_cast<std::uint32_t>(i) % chain;
    }
    return all;
}

BatchBudget fifty(bool short_window) {
    BatchBudget budget;
    budget.max_bytes = 128 * 1024;
    budget.max_ops = 50;
    budget.short_window = short_window;
    return budget;
}

void per_op(benchmark::State& state) {
    state.counters["per_op"] =
        benchmark::Counter(static_cast<double>(state.range(0)), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void choose_50(benchmark::State& state, std::uint32_t chain, bool short_window) {
    const auto all = queue(static_cast<std::size_t>(state.range(0)), chain);
    for (auto _ : state) benchmark::DoNotOptimize(choose_batch(all, fifty(short_window)));
    per_op(state);
}

void order_keys(benchmark::State& state) {
    Random random(1);
    const auto n = static_cast<std::size_t>(state.range(0));
    std::vector<double> scores(n), created(n), keys(n);
    for (std::size_t i = 0; i < n; ++i) scores[i] = random.between(0, 150), created[i] = kNow - random.between(0, kDayMs);
    for (auto _ : state) {
        for (std::size_t i = 0; i < n; ++i) keys[i] = order_key(i % 50 ? Band::normal : Band::critical, scores[i], created[i], AgingOptions{});
        benchmark::DoNotOptimize(keys.data());
    }
    per_op(state);
}

void rule_points(benchmark::State& state) {
    const auto rules = RuleSet::parse(sample_rules());
    std::vector<Json> fields;
    Random random(3);
    for (std::int64_t i = 0; i < state.range(0); ++i)
        fields.push_back({{"severity", static_cast<int>(random.between(0, 6))}, {"affectedPopulation", static_cast<int>(random.between(0, 3000))}, {"type", "survey"}});
    for (auto _ : state) {
        double sum = 0;
        for (const Json& f : fields) sum += rules.value().points(f);
        benchmark::DoNotOptimize(sum);
    }
    per_op(state);
}

}  // namespace

BENCHMARK_CAPTURE(choose_50, lanes_of_1, 1, false)->RangeMultiplier(10)->Range(1000, 1000000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(choose_50, lanes_of_4, 4, false)->RangeMultiplier(10)->Range(1000, 1000000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(choose_50, short_window_lanes_of_4, 4, true)->RangeMultiplier(10)->Range(1000, 1000000)->Unit(benchmark::kMicrosecond);
BENCHMARK(order_keys)->RangeMultiplier(10)->Range(1000, 1000000)->Unit(benchmark::kMicrosecond);
BENCHMARK(rule_points)->RangeMultiplier(10)->Range(1000, 100000)->Unit(benchmark::kMicrosecond);
