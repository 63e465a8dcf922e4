#include "instance.h"

#include <algorithm>
#include <limits>

#include "chance.h"

namespace bench {
namespace {

double window_bytes(int i) { return kWindowBytes * (kShortest + (kLongest - kShortest) * i / (kWindows - 1)); }

// The probability that a window carries so much.
double lasts_for(double bytes) {
    int fitting = 0;
    for (int i = 0; i < kWindows; ++i) fitting += window_bytes(i) >= bytes;
    return static_cast<double>(fitting) / kWindows;
}

std::vector<std::uint32_t> needed(const Instance& instance) {
    std::vector<std::uint32_t> masks(instance.size());
    for (std::size_t i = 0; i < instance.size(); ++i)
        for (const std::size_t parent : instance[i].needs) masks[i] |= 1u << parent;
    return masks;
}

Work make_op(Chance& chance, double place) {
    Work op;
    const double what = chance.unit();
    const double photos = 0.3 - 0.25 * place, urgent = 0.02 + 0.16 * place;
    op.band = what < photos ? 0 : what < 1 - urgent ? 1 : what < 1 - urgent / 3 ? 2 : 3;
    op.weight = op.band == 0 ? 0 : std::max(0, chance.whole(-8 + static_cast<int>(6 * place), kMaxWeight));
    const bool small = chance.happens(0.12);
    op.body_bytes = static_cast<std::uint32_t>((small ? chance.between(0.01, 0.2) : chance.between(0.75, 0.995)) * kLargestOp);
    op.waited_ms = (1 - place) * chance.between(20, 40) * 60e3;
    return op;
}

}  // namespace

double Work::worth() const {
    const double points = 25.0 * (band + 1) + kWeightPoints * weight + waited_ms / 180e3;
    return band == 3 ? points * kCriticalWorth : points;
}

Instance make_ops(Chance& chance, std::size_t count) {
    Instance ops(count);
    for (std::size_t i = 0; i < count; ++i) ops[i] = make_op(chance, static_cast<double>(i) / static_cast<double>(count - 1));
    return ops;
}

Instance make_instance(std::uint64_t seed) {
    Chance chance(seed);
    Instance instance = make_ops(chance, static_cast<std::size_t>(chance.whole(12, 18)));
    for (std::size_t i = 1; i < instance.size() && seed % 2 == 0; ++i)
        for (int edges = chance.happens(0.4) ? chance.whole(1, 2) : 0; edges > 0; --edges) {
            const std::size_t parent = static_cast<std::size_t>(chance.whole(0, static_cast<int>(i) - 1));
            if (std::find(instance[i].needs.begin(), instance[i].needs.end(), parent) == instance[i].needs.end()) instance[i].needs.push_back(parent);
        }
    return instance;
}

// Over all sets of ops that contain what their members need: an order is a path through them (Held and Karp 1962).
Best solve(const Instance& instance) {
    const std::size_t n = instance.size(), sets = std::size_t{1} << n;
    const std::vector<std::uint32_t> needs = needed(instance);
    std::vector<std::uint32_t> needed_by(n);
    for (std::size_t i = 0; i < n; ++i)
        for (const std::size_t parent : instance[i].needs) needed_by[parent] |= 1u << i;
    std::vector<double> bytes(sets), worth(sets), best(sets, -1);
    std::vector<double> choice(kWindows);
    best[0] = 0;
    for (std::uint32_t set = 1; set < sets; ++set) {
        const std::size_t one = static_cast<std::size_t>(__builtin_ctz(set));
        bytes[set] = bytes[set & (set - 1)] + instance[one].bytes();
        worth[set] = worth[set & (set - 1)] + instance[one].worth();
        const double chance = lasts_for(bytes[set]);
        for (std::size_t last = 0; last < n; ++last) {
            const std::uint32_t before = set & ~(1u << last);
            if (before == set || best[before] < 0 || (needs[last] & ~before) || (needed_by[last] & before)) continue;
            best[set] = std::max(best[set], best[before] + chance * instance[last].worth());
        }
        if (best[set] < 0) continue;   // lacks what a member needs
        for (int i = kWindows - 1; i >= 0 && window_bytes(i) >= bytes[set]; --i) choice[static_cast<std::size_t>(i)] = std::max(choice[static_cast<std::size_t>(i)], worth[set]);
    }
    Best result;
    result.order = best[sets - 1];
    for (const double value : choice) result.clairvoyant += value / kWindows;
    return result;
}

double worth_of(const Instance& instance, const std::vector<double>& carried) {
    double sum = 0;
    for (std::size_t i = 0; i < instance.size(); ++i) sum += instance[i].worth() * lasts_for(carried[i]);
    return sum;
}

std::vector<double> carried_in_order(const Instance& instance, bool by_band) {
    const std::vector<std::uint32_t> needs = needed(instance);
    std::vector<double> carried(instance.size(), std::numeric_limits<double>::infinity());
    double bytes = 0;
    std::uint32_t gone = 0;
    for (std::size_t turn = 0; turn < instance.size(); ++turn) {
        std::size_t next = instance.size();
        for (std::size_t i = 0; i < instance.size(); ++i) {
            if (gone >> i & 1 || (needs[i] & ~gone)) continue;
            if (next == instance.size() || (by_band && instance[i].band > instance[next].band)) next = i;
        }
        bytes += instance[next].bytes();
        carried[next] = bytes;
        gone |= 1u << next;
    }
    return carried;
}

}  // namespace bench
