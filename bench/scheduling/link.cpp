#include "link.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

namespace bench {
namespace {

constexpr double kLongest_s = 1e6;   // a trace that carries nothing

double bytes_per_second(const Trace& trace, double second) {
    return trace.kbps[static_cast<std::size_t>(second) % trace.kbps.size()] * 125;
}

Trace read_trace(const std::filesystem::path& file) {
    Trace trace;
    trace.name = file.stem().string();
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);   // t_s,kbps
    while (std::getline(in, line)) trace.kbps.push_back(std::stod(line.substr(line.find(',') + 1)));
    return trace;
}

}  // namespace

double Trace::carried_at(double start_s, double bytes) const {
    double at = start_s;
    while (at < kLongest_s) {
        const double next = std::floor(at) + 1, carried = bytes_per_second(*this, at) * (next - at);
        if (carried >= bytes) return at + (next - at) * (bytes / carried);
        bytes -= carried;
        at = next;
    }
    return kLongest_s;
}

double Trace::bytes_within(double start_s, double span_s) const {
    double bytes = 0;
    for (double at = start_s; at < start_s + span_s;) {
        const double next = std::min(std::floor(at) + 1, start_s + span_s);
        bytes += bytes_per_second(*this, at) * (next - at);
        at = next;
    }
    return bytes;
}

std::vector<Trace> read_traces(const std::string& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        const bool network = entry.path().parent_path().filename().string().rfind("network-", 0) == 0;
        if (network && entry.path().extension() == ".csv") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<Trace> traces;
    for (const auto& file : files) traces.push_back(read_trace(file));
    return traces;
}

double energy_j(const Radio& radio, std::vector<Burst> bursts) {
    std::sort(bursts.begin(), bursts.end(), [](const Burst& a, const Burst& b) { return a.start_s < b.start_s; });
    double energy = 0, end = -1e9;
    for (const Burst& burst : bursts) {
        if (burst.start_s > end + radio.tail_s) energy += radio.promotion_s * radio.promotion_w;
        // The tail of what came before lasts until it is over, or cut short.
        if (end > -1e9) energy += radio.tail_w * std::clamp(burst.start_s - end, 0.0, radio.tail_s);
        energy += radio.base_w * std::max(0.0, burst.end_s - std::max(burst.start_s, end)) + radio.watt_per_mbps_up * burst.bytes * 8 / 1e6;
        end = std::max(end, burst.end_s);
    }
    return bursts.empty() ? 0 : energy + radio.tail_w * radio.tail_s;
}

TraceLink::End TraceLink::request(double start_s, double bytes, double timeout_s) {
    const double flows = std::max(start_s, free_s_) + offset_s_;
    const double at = trace_.carried_at(flows, bytes) - offset_s_ + kRoundTripS;
    if (at - start_s > timeout_s) {
        free_s_ = std::max(free_s_, start_s + timeout_s);
        return {start_s + timeout_s, false};
    }
    free_s_ = at - kRoundTripS;
    return {at, true};
}

}  // namespace bench
