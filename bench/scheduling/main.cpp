// scheduling <part> …: prints the figures of one part as JSON.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "parts.h"

namespace {

int usage() {
    std::fputs("scheduling table INSTANCES | traces FOLDER | herd DOWN_STATUS FULL_STATUS RETRY_AFTER SEED | energy WAIT_S INSTANCES | hour FOLDER GAP_S MIN_INTERVAL_S\n", stderr);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string part = argc > 1 ? argv[1] : "";
    tidegate::Json figures;
    if (part == "table" && argc == 3) figures = bench::scheduling_table(std::atoi(argv[2]));
    else if (part == "traces" && argc == 3) figures = bench::on_traces(argv[2]);
    else if (part == "herd" && argc == 6) figures = bench::herd({std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])}, std::strtoull(argv[5], nullptr, 10));
    else if (part == "energy" && argc == 4) figures = bench::small_energy(std::atof(argv[2]), std::atoi(argv[3]));
    else if (part == "hour" && argc == 5) figures = bench::hour_on_traces(argv[2], std::atof(argv[3]), std::atof(argv[4]));
    else return usage();
    std::puts(tidegate::dump_json(figures).c_str());
}
