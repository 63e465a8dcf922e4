// The same policy on measured links: one sync event of three minutes, a queue twice as large as what the link carries in half of it. Beside it a plain queue on
// the same link, in the order of acceptance and by band.
#include <algorithm>
#include <cmath>
#include <limits>

#include "chance.h"
#include "device.h"
#include "instance.h"
#include "link.h"
#include "parts.h"

namespace bench {
namespace {

using tidegate::Json;

constexpr double kHalfS = 90, kEventS = 180;
constexpr std::size_t kOps = 60;
constexpr double kLeastBytes = 64e3;     // of what the link carries in kHalfS: less is no window
constexpr double kPlainBatchBytes = 64e3, kPlainTimeoutS = 30, kLongestWaitS = 300;
constexpr const char* kBands[] = {"low", "normal", "high", "critical"};

// Ops as in the scheduling table, of so many bytes in all.
Instance make_queue(Chance& chance, double bytes) {
    Instance queue = make_ops(chance, kOps);
    double sum = 0;
    for (const Work& op : queue) sum += op.bytes();
    for (Work& op : queue) op.body_bytes = static_cast<std::uint32_t>(std::max(100.0, op.body_bytes * bytes / sum));
    return queue;
}

// The share of the worth that was there after kHalfS.
double share(const Instance& queue, const std::vector<double>& done_s) {
    double there = 0, all = 0;
    for (std::size_t i = 0; i < queue.size(); ++i) {
        all += queue[i].worth();
        if (done_s[i] <= kHalfS) there += queue[i].worth();
    }
    return there / all;
}

std::vector<double> by_planner(const Instance& queue, const Trace& trace, double offset_s) {
    TraceLink link(trace, offset_s);
    const auto network = [&link](double now_ms, double bytes, double timeout_ms) {
        const TraceLink::End end = link.request((now_ms - kStartMs) / 1000, bytes, timeout_ms / 1000);
        return Answer{kStartMs + end.at_s * 1000, end.answered ? 200 : 0, 0};
    };
    Json rules = Json::array();
    for (int weight = 1; weight <= kMaxWeight; ++weight)
        rules.push_back({{"name", "weight " + std::to_string(weight)}, {"points", kWeightPoints}, {"when", {{"field", "weight"}, {"op", ">="}, {"value", weight}}}});
    Device device(network, {{"rules", rules}, {"settings", {{"compression", false}}}}, 1);
    for (const Work& op : queue) device.save(kStartMs - op.waited_ms, op.body_bytes, {{"priority", kBands[op.band]}, {"fields", {{"weight", op.weight}}}});
    device.event(kStartMs, {{"type", "sync"}, {"trigger", "connectivity"}, {"deadlineMs", kStartMs + kEventS * 1000}});
    for (double next; (next = device.next_ms()) < kStartMs + kEventS * 1000;) device.go_on(next);
    std::vector<double> done(queue.size(), std::numeric_limits<double>::infinity());
    for (const Request& request : device.requests())
        for (const std::size_t op : request.ops)
            if (request.status == 200) done[op] = (request.ended_ms - kStartMs) / 1000;
    return done;
}

// Batches in a fixed order; after a failure it waits as the planner does by default, full jitter up to five minutes.
std::vector<double> by_plain_queue(const Instance& queue, const Trace& trace, double offset_s, bool by_band, Chance& chance) {
    std::vector<std::size_t> order(queue.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (by_band) std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return queue[a].band > queue[b].band; });
    TraceLink link(trace, offset_s);
    std::vector<double> done(queue.size(), std::numeric_limits<double>::infinity());
    double now = 0, ceiling = 1;
    for (std::size_t first = 0; first < order.size() && now < kEventS;) {
        double bytes = 0;
        std::size_t end = first;
        while (end < order.size() && (end == first || bytes + queue[order[end]].bytes() <= kPlainBatchBytes)) bytes += queue[order[end++]].bytes();
        const TraceLink::End sent = link.request(now, bytes, kPlainTimeoutS);
        now = sent.at_s;
        if (!sent.answered) {
            now += chance.between(0, ceiling);
            ceiling = std::min(kLongestWaitS, 2 * ceiling);
            continue;
        }
        ceiling = 1;
        for (; first < end; ++first) done[order[first]] = now;
    }
    return done;
}

}  // namespace

Json on_traces(const std::string& folder) {
    std::vector<double> ours, fifo, by_band;
    std::uint64_t seed = 0;
    for (const Trace& trace : read_traces(folder))
        for (int third = 0; third < 3; ++third) {
            Chance chance(++seed);
            const double offset_s = std::floor(static_cast<double>(trace.kbps.size()) * third / 3), bytes = trace.bytes_within(offset_s, kHalfS);
            if (bytes < kLeastBytes) continue;
            const Instance queue = make_queue(chance, 2 * bytes);
            ours.push_back(share(queue, by_planner(queue, trace, offset_s)));
            fifo.push_back(share(queue, by_plain_queue(queue, trace, offset_s, false, chance)));
            by_band.push_back(share(queue, by_plain_queue(queue, trace, offset_s, true, chance)));
        }
    return {{"ours", ours}, {"fifo", fifo}, {"fixedPriority", by_band}};
}

}  // namespace bench
