// The parts of `npm run bench -- scheduling`; each answers its figures as JSON (bench/scheduling.mjs prints them).
#pragma once

#include <cstdint>
#include <string>

#include "tidegate/json.h"

namespace bench {

// For each instance what was reached: of the best order, of the clairvoyant's choice, and what first come first served and fixed priorities reach of the latter.
tidegate::Json scheduling_table(int instances);

// For each link the share of the queue's worth that was there after half of the event: the planner, and a plain queue in two orders.
tidegate::Json on_traces(const std::string& folder);

// How the server says that it is down (0: it does not answer at all) and that it is full.
struct HerdKind {
    int down_status = 0, full_status = 503, retry_after = 0;
};
tidegate::Json herd(const HerdKind& kind, std::uint64_t seed);

// What the planner's requests cost against the least that keeps the promise that nothing waits longer than wait_s (`minInterval`).
tidegate::Json small_energy(double wait_s, int instances);

// One hour of saving, an op every mean_gap_s: joules for each link, the planner's and of sending each op at once.
tidegate::Json hour_on_traces(const std::string& folder, double mean_gap_s, double min_interval_s);

}  // namespace bench
