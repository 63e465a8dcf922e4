// Links as they were measured, and what a radio takes from the battery. Nothing here comes from the core.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

// kbit/s, one for each second; begins anew when it ends.
struct Trace {
    std::string name;
    std::vector<double> kbps;

    // When bytes that begin to flow then have flowed, seconds from the trace's beginning.
    double carried_at(double start_s, double bytes) const;
    double bytes_within(double start_s, double span_s) const;
};

// All files `network-*/*.csv` ("t_s,kbps") of a folder, sorted by name.
std::vector<Trace> read_traces(const std::string& folder);

// A radio as Huang et al. measured it, "A Close Examination of Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012, tables 3 and 4:
// it is promoted, sends with a power that grows with the rate, and stays awake for a tail after the last byte.
struct Radio {
    const char* name;
    double promotion_s, promotion_w, tail_s, tail_w, base_w, watt_per_mbps_up;
};
inline constexpr Radio kLte = {"LTE", 0.2601, 1.2107, 11.576, 1.0600, 1.28804, 0.43839};
inline constexpr Radio kUmts = {"3G", 0.5821, 0.6594, 8.0882, 0.6013, 0.81788, 0.86898};
// A typical phone: 4 000 mAh at 3.85 V.
inline constexpr double kBatteryJ = 4.0 * 3.85 * 3600;

struct Burst {
    double start_s = 0, end_s = 0, bytes = 0;
};
// What the bursts cost. Those that overlap or meet in a tail share its time.
double energy_j(const Radio& radio, std::vector<Burst> bursts);

// One device's way to its server over a trace: requests share the link one after the other and take a round trip each. One that is not through by its
// timeout ends without an answer.
class TraceLink {
public:
    TraceLink(const Trace& trace, double offset_s) : trace_(trace), offset_s_(offset_s) {}

    struct End {
        double at_s = 0;
        bool answered = false;
    };
    // REQUIRES: start_s does not go back.
    End request(double start_s, double bytes, double timeout_s);

private:
    const Trace& trace_;
    double offset_s_;
    double free_s_ = 0;   // when the requests before are through
};
inline constexpr double kRoundTripS = 0.1;

}  // namespace bench
