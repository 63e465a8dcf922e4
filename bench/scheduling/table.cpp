// The scheduling table: the planner in a window that is too short, beside the best that can be done (instance.h).
#include <algorithm>
#include <limits>

#include "device.h"
#include "instance.h"
#include "parts.h"

namespace bench {
namespace {

using tidegate::Json;

constexpr double kGoodput = 20e3;   // bytes per second
constexpr const char* kBands[] = {"low", "normal", "high", "critical"};

// What the app told: its weight counts kWeightPoints a step. And what the link taught: how fast it is, how long its windows last. One just opened.
Json what_it_knows() {
    Json rules = Json::array();
    for (int weight = 1; weight <= kMaxWeight; ++weight)
        rules.push_back({{"name", "weight " + std::to_string(weight)}, {"points", kWeightPoints}, {"when", {{"field", "weight"}, {"op", ">="}, {"value", weight}}}});
    const Json link = {{"goodputFast", kGoodput}, {"goodputSlow", kGoodput}, {"goodputDeviation", 0}, {"goodputAtMs", kStartMs - 1000}, {"srttMs", 100}, {"rttvarMs", 10},
                       {"samples", 100}, {"lastConnectedMs", kStartMs - 1000}, {"upSinceMs", kStartMs}, {"windowMs", kWindowBytes / kGoodput * 1000}};
    return {{"rules", rules}, {"settings", {{"compression", false}, {"maximumConcurrentOperations", 1}}}, {"core", {{"version", 1}, {"link", link}}}};
}

// What the planner's requests have carried when each op was there. A batch counts when it is complete.
std::vector<double> carried_by_planner(const Instance& instance) {
    Device device([](double now_ms, double bytes, double) { return Answer{now_ms + bytes / kGoodput * 1000, 200, 0}; }, what_it_knows(), 1);
    for (const Work& op : instance) {
        Json row = {{"priority", kBands[op.band]}, {"fields", {{"weight", op.weight}}}, {"dependsOn", Json::array()}};
        for (const std::size_t parent : op.needs) row["dependsOn"].push_back(Device::id_of(parent));
        device.save(kStartMs - op.waited_ms, op.body_bytes, row);
    }
    device.event(kStartMs, {{"type", "online"}});
    for (double next; (next = device.next_ms()) < std::numeric_limits<double>::infinity();) device.go_on(next);
    std::vector<double> carried(instance.size(), std::numeric_limits<double>::infinity());
    double bytes = 0;
    for (const Request& request : device.requests()) {
        for (const std::size_t op : request.ops) bytes += instance[op].bytes();
        for (const std::size_t op : request.ops) carried[op] = bytes;
    }
    return carried;
}

}  // namespace

Json scheduling_table(int instances) {
    std::vector<double> of_order, of_clairvoyant, fifo, fixed;
    for (int seed = 1; seed <= instances; ++seed) {
        const Instance instance = make_instance(static_cast<std::uint64_t>(seed));
        const Best best = solve(instance);
        const double ours = worth_of(instance, carried_by_planner(instance));
        of_order.push_back(ours / best.order);
        of_clairvoyant.push_back(ours / best.clairvoyant);
        fifo.push_back(worth_of(instance, carried_in_order(instance, false)) / best.clairvoyant);
        fixed.push_back(worth_of(instance, carried_in_order(instance, true)) / best.clairvoyant);
    }
    return {{"ofOrder", of_order}, {"ofClairvoyant", of_clairvoyant}, {"fifo", fifo}, {"fixedPriority", fixed}};
}

}  // namespace bench
