// A queue alone, as Wasm, for bench/queue.mjs; not part of the package. Order keys, sorting and choice are the core's sources (priority.cpp, sort.h, batch.cpp).
// Own is what the planner does otherwise: its rules read an op's JSON once, when it is accepted, and an index keeps the best ops apart; here five rules over
// columns are evaluated for all ops and the best keys are found anew with every call. All ops are lanes of their own.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tidegate/batch.h"
#include "tidegate/priority.h"
#include "tidegate/sort.h"

namespace {

using namespace tidegate;

constexpr std::size_t kBlock = 2048;   // as many keys are gathered before all but the best are dropped

struct Columns {
    std::uint32_t count = 0;
    double* created = nullptr;
    std::uint32_t *bytes = nullptr, *people = nullptr;
    std::uint8_t *band = nullptr, *severity = nullptr, *kind = nullptr, *photos = nullptr, *urgent = nullptr;
};
Columns columns;
struct Keyed {
    double key;
    std::uint32_t op;
    friend bool operator<(const Keyed& a, const Keyed& b) { return a.key < b.key || (a.key == b.key && a.op < b.op); }
};
std::vector<Keyed> keyed;
std::vector<std::uint32_t> result;

double points(std::uint32_t i) {
    const Columns& c = columns;
    return (c.severity[i] >= 4 ? 25 : 0) + (c.people[i] >= 1000 ? 20 : 0) + (c.kind[i] == 3 ? 15 : 0) + (c.photos[i] > 8 ? -10 : 0) + (c.urgent[i] ? 30 : 0);
}

double key_of(std::uint32_t i) {
    const Band band = static_cast<Band>(columns.band[i]);
    return order_key(band, score(band, points(i)), columns.created[i], AgingOptions{});
}

// The `count` best, in order. REQUIRES: count < kBlock.
void find_best(std::size_t count) {
    keyed.clear();
    double limit = std::numeric_limits<double>::infinity();
    const auto keep = [&] {
        std::nth_element(keyed.begin(), keyed.begin() + static_cast<std::ptrdiff_t>(count) - 1, keyed.end());
        keyed.resize(count);
        limit = keyed.back().key;
    };
    for (std::uint32_t i = 0; i < columns.count; ++i) {
        const double key = key_of(i);
        if (!(key < limit)) continue;
        keyed.push_back({key, i});
        if (keyed.size() == kBlock) keep();
    }
    if (keyed.size() > count) keep();
    sort_all(keyed.begin(), keyed.end());
}

}  // namespace

extern "C" {

// Columns for so many ops, one after the other; `column` says where the n-th begins.
__attribute__((export_name("room"))) void room(std::uint32_t count) {
    columns.count = count;
    columns.created = static_cast<double*>(std::malloc(count * 8));
    for (std::uint32_t** column : {&columns.bytes, &columns.people}) *column = static_cast<std::uint32_t*>(std::malloc(count * 4));
    for (std::uint8_t** column : {&columns.band, &columns.severity, &columns.kind, &columns.photos, &columns.urgent}) *column = static_cast<std::uint8_t*>(std::malloc(count));
}
__attribute__((export_name("column"))) void* column(int n) {
    void* const all[] = {columns.created, columns.bytes, columns.people, columns.band, columns.severity, columns.kind, columns.photos, columns.urgent};
    return all[n];
}

// Where choose and order put the numbers of ops.
__attribute__((export_name("result"))) std::uint32_t* result_at() { return result.data(); }

// The ops of the best batch, how many. No op beyond the first max_ops + kMaxPassedOver + 1 can be in it.
__attribute__((export_name("choose"))) std::uint32_t choose(std::uint32_t max_ops, double max_bytes) {
    find_best(max_ops + kMaxPassedOver + 1);
    std::vector<Candidate> candidates(keyed.size());
    for (std::size_t i = 0; i < keyed.size(); ++i) {
        candidates[i].order_key = keyed[i].key;
        candidates[i].bytes = columns.bytes[keyed[i].op];
        candidates[i].lane = static_cast<std::uint32_t>(i);
    }
    BatchBudget budget;
    budget.max_ops = max_ops;
    budget.max_bytes = max_bytes;
    result.clear();
    for (const std::size_t index : choose_batch(candidates, budget)) result.push_back(keyed[index].op);
    return static_cast<std::uint32_t>(result.size());
}

// All ops, best first.
__attribute__((export_name("order"))) void order() {
    keyed.resize(columns.count);
    for (std::uint32_t i = 0; i < columns.count; ++i) keyed[i] = {key_of(i), i};
    sort_all(keyed.begin(), keyed.end());
    result.resize(columns.count);
    for (std::uint32_t i = 0; i < columns.count; ++i) result[i] = keyed[i].op;
}
}
