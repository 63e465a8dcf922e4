// What syncing takes from the battery, by the radio models of link.h.
//
// Small instances: ops are saved over half an hour, `minInterval` says how long each may wait. The cheapest times to send that keep this promise are found
// exactly. On traces: an hour of saving, each op sent at once by itself beside the planner, as it is and with a minInterval.
#include <algorithm>
#include <limits>
#include <map>

#include "chance.h"
#include "device.h"
#include "link.h"
#include "parts.h"

namespace bench {
namespace {

using tidegate::Json;

constexpr double kHourS = 3600, kSmallSpanS = 1800, kRateMbps = 1, kAgainS = 5, kTimeoutS = 60;

struct Saved {
    double at_s;
    std::uint32_t bytes;
};
using LinkOf = std::function<TraceLink::End(double start_s, double bytes, double timeout_s)>;

// The planner's requests while ops are saved as told; the device is looked after until all is sent.
std::vector<Request> by_planner(const std::vector<Saved>& saves, double min_interval_s, const LinkOf& link) {
    const auto network = [&link](double now_ms, double bytes, double timeout_ms) {
        const TraceLink::End end = link((now_ms - kStartMs) / 1000, bytes, timeout_ms / 1000);
        return Answer{kStartMs + end.at_s * 1000, end.answered ? 200 : 0, 0};
    };
    Device device(network, {{"settings", {{"compression", false}, {"minInterval", min_interval_s * 1000}}}}, 1);
    const auto live_until = [&device](double ms) {
        for (double next; (next = device.next_ms()) < ms;) device.go_on(next);
    };
    for (const Saved& save : saves) {
        const double now_ms = kStartMs + save.at_s * 1000;
        live_until(now_ms);
        device.save(now_ms, save.bytes);
        device.event(now_ms, {{"type", "accept"}});
    }
    live_until(std::numeric_limits<double>::infinity());
    return device.requests();
}

double seconds(double ms) { return (ms - kStartMs) / 1000; }

std::vector<Burst> bursts_of(const std::vector<Request>& requests) {
    std::vector<Burst> bursts;
    for (const Request& request : requests) bursts.push_back({seconds(request.started_ms), seconds(request.ended_ms), request.status == 200 ? request.bytes : 0});
    return bursts;
}

// Each op a request of its own, at once; again after kAgainS when nothing answered.
std::vector<Burst> at_once(const std::vector<Saved>& saves, const LinkOf& link) {
    std::vector<Burst> bursts;
    double free_s = 0;
    for (const Saved& save : saves) {
        TraceLink::End end;
        for (double start_s = std::max(save.at_s, free_s); !end.answered; start_s = end.at_s + kAgainS) {
            end = link(start_s, save.bytes, kTimeoutS);
            bursts.push_back({start_s, end.at_s, end.answered ? save.bytes : 0.0});
            free_s = end.at_s;
        }
    }
    return bursts;
}

double transfer_s(double bytes) { return kRoundTripS + bytes * 8 / 1e6 / kRateMbps; }

// The least energy that sends every op within wait_s of being saved. Energy is concave in the gaps between bursts, so some best plan sends only at moments
// when an op is saved or may wait no longer; all of those are tried, burst after burst.
double least_energy(const Radio& radio, const std::vector<Saved>& saves, double wait_s) {
    std::vector<double> moments;
    for (const Saved& save : saves) moments.insert(moments.end(), {save.at_s, save.at_s + wait_s});
    std::sort(moments.begin(), moments.end());
    // What is sent when the last burst ended then, and what that has cost without its tail.
    std::vector<std::map<double, double>> plans(saves.size() + 1);
    plans[0][-1e9] = 0;
    for (std::size_t sent = 0; sent < saves.size(); ++sent)
        for (const auto& [ended, cost] : plans[sent]) {
            double bytes = 0;
            for (std::size_t end = sent + 1; end <= saves.size(); ++end) {
                bytes += saves[end - 1].bytes;
                for (const double moment : moments) {
                    if (moment < saves[end - 1].at_s || moment > saves[sent].at_s + wait_s) continue;
                    const double start = std::max(moment, ended), done = start + transfer_s(bytes);
                    const std::vector<Burst> burst = {{start, done, bytes}};
                    double more = energy_j(radio, burst) - radio.tail_w * radio.tail_s;
                    if (ended > -1e9) more += radio.tail_w * std::min(start - ended, radio.tail_s) - (start <= ended + radio.tail_s ? radio.promotion_s * radio.promotion_w : 0);
                    const auto [plan, is_new] = plans[end].try_emplace(done, cost + more);
                    if (!is_new) plan->second = std::min(plan->second, cost + more);
                }
            }
        }
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [ended, cost] : plans[saves.size()]) least = std::min(least, cost + radio.tail_w * radio.tail_s);
    return least;
}

std::vector<Saved> some_saves(Chance& chance, double span_s, double mean_gap_s, std::size_t most) {
    std::vector<Saved> saves;
    for (double at = chance.exponential(mean_gap_s); at < span_s && saves.size() < most; at += chance.exponential(mean_gap_s))
        saves.push_back({at, static_cast<std::uint32_t>(1000 * std::exp(chance.between(0, 3)))});
    return saves;
}

}  // namespace

Json small_energy(double wait_s, int instances) {
    std::vector<double> ratios;
    double late_s = 0;
    for (int seed = 1; seed <= instances; ++seed) {
        Chance chance(static_cast<std::uint64_t>(seed));
        const std::vector<Saved> saves = some_saves(chance, kSmallSpanS, chance.between(20, 400), 9);
        if (saves.empty()) continue;
        const auto link = [](double start_s, double bytes, double) { return TraceLink::End{start_s + transfer_s(bytes), true}; };
        const std::vector<Request> ours = by_planner(saves, wait_s, link);
        for (const Request& request : ours)
            for (const std::size_t op : request.ops) late_s = std::max(late_s, seconds(request.started_ms) - saves[op].at_s - wait_s);
        ratios.push_back(energy_j(kLte, bursts_of(ours)) / least_energy(kLte, saves, wait_s));
    }
    return {{"ratios", ratios}, {"lateS", late_s}};
}

Json hour_on_traces(const std::string& folder, double mean_gap_s, double min_interval_s) {
    Json figures = {{"batteryJ", kBatteryJ}};
    for (const Radio& radio : {kLte, kUmts}) {
        std::vector<double> naive, ours;
        std::uint64_t seed = 0;
        for (const Trace& trace : read_traces(folder)) {
            Chance chance(++seed);
            const std::vector<Saved> saves = some_saves(chance, kHourS, mean_gap_s, 100000);
            TraceLink one(trace, 0), other(trace, 0);
            naive.push_back(energy_j(radio, at_once(saves, [&one](double at, double bytes, double timeout) { return one.request(at, bytes, timeout); })));
            ours.push_back(energy_j(radio, bursts_of(by_planner(saves, min_interval_s, [&other](double at, double bytes, double timeout) { return other.request(at, bytes, timeout); }))));
        }
        figures[radio.name] = {{"naiveJ", naive}, {"oursJ", ours}};
    }
    return figures;
}

}  // namespace bench
