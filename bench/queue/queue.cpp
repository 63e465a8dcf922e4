// A queue alone, as Wasm, for bench/queue.mjs; not part of the package. Order keys, sorting and choice are the core's sources (priority.cpp, sort.h, batch.cpp).
// Own is what the planner does otherwise: its rules read an op's JSON once, when it is accepted, and an index keeps the best ops apart; here five rules over
// columns are evaluated for all ops and the best keys are found anew with every call. All ops are lanes of their own.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tidegate/batch.h"
#include "tidegate/priority.h"
#include "tidegate/sort.h"

namespace {

using namespace tidegate;

constexpr std::uint32_t kSideBySide = 256;
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
std::vector<double> keys;
std::vector<std::uint32_t> result;

// A key is when an op was made less a head start, and that is a matter of its band and its points alone.
constexpr int kLeast = -10, kMost = 90;
const auto head_start = [] {
    std::array<std::array<double, kMost - kLeast + 1>, 4> all{};
    for (std::size_t band = 0; band < all.size(); ++band)
        for (int points = kLeast; points <= kMost; ++points)
            all[band][static_cast<std::size_t>(points - kLeast)] = -order_key(static_cast<Band>(band), score(static_cast<Band>(band), points), 0, AgingOptions{});
    return all;
}();

// The keys of ops side by side; the rules in a loop that the compiler makes SIMD of.
void keys_of(std::uint32_t first, std::uint32_t count, double* keys) {
    const Columns c = columns;
    std::uint8_t points[kSideBySide];
    for (std::uint32_t i = 0; i < count; ++i) points[i] = c.people[first + i] >= 1000 ? 20 : 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t op = first + i;
        const auto if_so = [](bool so, int more) { return static_cast<std::uint8_t>(so ? more : 0); };
        points[i] = static_cast<std::uint8_t>(points[i] + if_so(c.severity[op] >= 4, 25) + if_so(c.kind[op] == 3, 15) + if_so(c.photos[op] <= 8, 10) + if_so(c.urgent[op] != 0, 30));
    }
    for (std::uint32_t i = 0; i < count; ++i) keys[i] = c.created[first + i] - head_start[c.band[first + i]][points[i]];
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
    double some[kSideBySide];
    for (std::uint32_t first = 0; first < columns.count; first += kSideBySide) {
        const std::uint32_t side = std::min(kSideBySide, columns.count - first);
        keys_of(first, side, some);
        for (std::uint32_t i = 0; i < side; ++i) {
            if (!(some[i] < limit)) continue;
            keyed.push_back({some[i], first + i});
            if (keyed.size() == kBlock) keep();
        }
    }
    if (keyed.size() > count) keep();
    sort_all(keyed.begin(), keyed.end());
}

}  // namespace

extern "C" {

// Columns for so many ops, one after the other; `column` says where the n-th begins.
__attribute__((export_name("room"))) void room(std::uint32_t count) {
    if (columns.count == count) return;
    for (void* column : {static_cast<void*>(columns.created), static_cast<void*>(columns.bytes), static_cast<void*>(columns.people), static_cast<void*>(columns.band),
                         static_cast<void*>(columns.severity), static_cast<void*>(columns.kind), static_cast<void*>(columns.photos), static_cast<void*>(columns.urgent)})
        std::free(column);
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
    keys.resize(columns.count);
    for (std::uint32_t first = 0; first < columns.count; first += kSideBySide) keys_of(first, std::min(kSideBySide, columns.count - first), &keys[first]);
    result = order_of(keys);
}
}
