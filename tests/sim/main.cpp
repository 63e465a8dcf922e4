// tg_sim: runs histories and says what was violated.
//
//   tg_sim --from 1 --count 1000          one JSON object on the last line
//   tg_sim --seed 17 [--off loss,crash]   one history; a violation is shrunk to the faults it needs
//   tg_sim --from 1 --count 20 --log      also a hash over the bytes of all plans (determinism); --log-file FILE writes them (natively)
//   tg_sim --crash-equivalence --from 1 --count 20    every history undisturbed, then cut at awaits: the server must end up the same
//   --hunt N                              ends at the first violation of invariant N and says nothing of others (mutants)
//   --trace                               the shrunk history, event by event
//   --stop-at N                           ends after N violations
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "world.h"

namespace sim {
namespace {

constexpr std::uint64_t kNoHash = 14695981039346656037ull;   // of no plan at all

struct Arguments {
    std::uint64_t from = 1, count = 100, stop_at = 10;
    std::uint32_t faults = 0xffffffff;
    int hunt = 0;
    bool trace = false, log = false, crash_equivalence = false, shrink = true;
    std::string log_file;
};

Outcomes run(const Options& options) { return World(options).run(); }

std::string names_of(std::uint32_t classes) {
    std::string out;
    for (int i = 0; i < kFaults; ++i)
        if (classes >> i & 1) out += std::string(out.empty() ? "" : ",") + kFaultNames[static_cast<std::size_t>(i)];
    return out.empty() ? "none" : out;
}

bool still_fails(Options options, int invariant) {
    const Outcomes out = run(options);
    return out.violation && out.violation->invariant == invariant;
}

// Leaves out whole classes of faults, then single ones, as long as the same invariant fails (ddmin, Zeller and Hildebrandt 2002, by halves).
void shrink(Options options, const Outcomes& failed, bool traces) {
    const int invariant = failed.violation->invariant;
    options.faults = failed.classes;
    for (int i = 0; i < kFaults; ++i) {
        Options fewer = options;
        fewer.faults &= ~(1u << i);
        if ((options.faults >> i & 1) && still_fails(fewer, invariant)) options.faults = fewer.faults;
    }
    options.record_faults = true;
    std::vector<FaultId> needed = run(options).faults;
    for (std::size_t size = std::max<std::size_t>(1, needed.size() / 2); !needed.empty(); size /= 2) {
        for (std::size_t at = 0; at < needed.size();) {
            const std::size_t end = std::min(needed.size(), at + size);
            Options fewer = options;
            fewer.skipped.insert(fewer.skipped.end(), needed.begin() + static_cast<std::ptrdiff_t>(at), needed.begin() + static_cast<std::ptrdiff_t>(end));
            if (still_fails(fewer, invariant)) {
                options.skipped = fewer.skipped;
                needed.erase(needed.begin() + static_cast<std::ptrdiff_t>(at), needed.begin() + static_cast<std::ptrdiff_t>(end));
            } else {
                at = end;
            }
        }
        if (size <= 1) break;
    }
    options.trace = traces;
    const Outcomes last = run(options);
    std::printf("  needs classes %s and single faults", names_of(options.faults).c_str());
    for (const FaultId& fault : last.faults) std::printf(" %s#%u", kFaultNames[static_cast<std::size_t>(fault.fault)], fault.n);
    if (last.faults.empty()) std::printf(" (none)");
    std::printf("\n  %s\n", last.violation ? last.violation->text.c_str() : "");
}

void report(const Options& options, const Outcomes& out, bool shrinks, bool traces = false) {
    std::printf("seed %llu: invariant %d: %s (at %.0f s, faults %s)\n", static_cast<unsigned long long>(options.seed), out.violation->invariant,
                out.violation->text.c_str(), (out.violation->at_ms) / 1000, names_of(out.classes).c_str());
    if (shrinks) shrink(options, out, traces);
    std::fflush(stdout);
}

// The same people, no faults, one death at every so many awaits: the server must end up with the same documents (invariant 15).
bool crash_equivalent(std::uint64_t seed, Counts& counts, std::uint64_t& cuts) {
    Options options;
    options.seed = seed;
    options.faults = 1u << static_cast<int>(Fault::ids);   // what people do in them does not depend on when anything is sent
    options.saves_only = true;
    const Outcomes whole = run(options);
    counts.add(whole.counts);
    if (whole.violation) return report(options, whole, false), false;
    const std::int64_t stride = std::max<std::int64_t>(1, 2 * whole.awaits / 40);
    for (std::int64_t cut = static_cast<std::int64_t>(seed) % stride; cut < 2 * whole.awaits; cut += stride) {
        options.cut_at = cut;
        Outcomes out = run(options);
        ++cuts;
        counts.add(out.counts);
        if (!out.violation && out.server_state != whole.server_state)
            out.violation = Violation{15, "killed at await " + std::to_string(cut / 2) + " the server ends up with\n" + out.server_state + "instead of\n" + whole.server_state, 0};
        if (out.violation) {
            std::printf("cut at %lld: ", static_cast<long long>(cut));
            return report(options, out, false), false;
        }
    }
    return true;
}

// The same history twice makes the same plans (invariant 16).
bool repeats(Options options, const Outcomes& first) {
    options.log = true;
    options.log_text = nullptr;
    Outcomes one = first;
    if (one.hash == kNoHash) one = run(options);
    const Outcomes two = run(options);
    if (one.hash == two.hash && one.log_bytes == two.log_bytes) return true;
    std::printf("seed %llu: invariant 16: the same history made other plans the second time\n{\"violations\":1,\"byInvariant\":{\"16\":1}}\n",
                static_cast<unsigned long long>(options.seed));
    return false;
}

Json events_of(const Counts& c) {
    return {{"crashes", c.crashes},     {"lostAnswers", c.lost_answers}, {"browserResends", c.resends}, {"quotaAborts", c.quota_aborts},
            {"conflicts", c.conflicts}, {"rebases", c.rebases},          {"folds", c.folds},            {"cancels", c.cancels},
            {"tooLarge", c.too_large},  {"auth", c.auth},                {"pulls", c.pulls},            {"leaseTakeovers", c.takeovers},
            {"requests", c.requests},   {"steps", c.steps},              {"dead", c.dead},              {"done", c.done},
            {"groups", c.groups},       {"stale", c.stale},              {"fenced", c.fenced},          {"late", c.late},
            {"refusals", c.refusals},   {"syncs", c.syncs},              {"virtualSeconds", c.seconds},
            {"taskRuns", c.task_runs},  {"refreshes", c.refreshes},    {"updates", c.updates},
            {"migrations", c.migrations},  {"uploads", c.uploads},        {"chunks", c.chunks},
            {"abandoned", c.abandoned},    {"idsGiven", c.ids_given},      {"idsAgain", c.ids_again},
            {"refsBound", c.refs_bound},   {"orphans", c.orphans}};
}

int main_of(const Arguments& arguments) {
    const auto started = std::chrono::steady_clock::now();
    Counts counts;
    std::uint64_t violations = 0, seeds = 0, hash = 14695981039346656037ull, log_bytes = 0, cuts = 0;
    Json by_invariant = Json::object();
    std::FILE* log = arguments.log_file.empty() ? nullptr : std::fopen(arguments.log_file.c_str(), "wb");
    for (std::uint64_t seed = arguments.from; seed < arguments.from + arguments.count; ++seed) {
        ++seeds;
        if (arguments.crash_equivalence) {
            if (!crash_equivalent(seed, counts, cuts)) by_invariant["15"] = by_invariant.value("15", 0) + 1, ++violations;
            if (violations >= arguments.stop_at) break;
            continue;
        }
        Options options;
        options.seed = seed;
        options.faults = arguments.faults;
        const bool again = seed % 32 == 0 && !arguments.hunt;   // run once more, and then the plans are compared
        options.log = arguments.log || log || again;
        std::string text;
        if (log) options.log_text = &text;
        const Outcomes out = run(options);
        if (log) std::fwrite(text.data(), 1, text.size(), log);
        counts.add(out.counts);
        hash = (hash ^ out.hash) * 1099511628211ull;
        log_bytes += out.log_bytes;
        if (!out.violation && again && !repeats(options, out)) return 1;
        if (arguments.hunt == 16 && !repeats(options, out)) return 1;
        if (!out.violation || (arguments.hunt && out.violation->invariant != arguments.hunt)) continue;
        ++violations;
        const std::string key = std::to_string(out.violation->invariant);
        by_invariant[key] = by_invariant.value(key, 0) + 1;
        options.log = false;
        options.log_text = nullptr;
        report(options, out, arguments.shrink && !arguments.hunt && violations <= 5, arguments.trace);
        if (arguments.hunt || violations >= arguments.stop_at) break;
    }
    if (log) std::fclose(log);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    Json out = {{"seeds", seeds}, {"accepted", counts.accepted}, {"attempts", counts.attempts}, {"violations", violations}, {"byInvariant", by_invariant},
                {"seconds", seconds}, {"events", events_of(counts)}};
    if (arguments.log || log) {
        char text[32];
        std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
        out["hash"] = text;
        out["logBytes"] = log_bytes;
    }
    if (arguments.crash_equivalence) out["cuts"] = cuts;
    std::printf("%s\n", dump(out).c_str());
    return violations > 0 ? 1 : 0;
}

bool read_classes(const char* names, std::uint32_t& mask, bool on) {
    std::string rest = names;
    if (on) mask = 0;
    while (!rest.empty()) {
        const std::string name = rest.substr(0, rest.find(','));
        rest = rest.size() > name.size() ? rest.substr(name.size() + 1) : "";
        int found = -1;
        for (int i = 0; i < kFaults; ++i)
            if (name == kFaultNames[static_cast<std::size_t>(i)]) found = i;
        if (found < 0 && name != "all" && name != "none") return false;
        const std::uint32_t bits = found < 0 ? 0xffffffffu : 1u << found;
        if (name != "none") mask = on ? mask | bits : mask & ~bits;
    }
    return true;
}

}  // namespace
}  // namespace sim

int main(int argc, char** argv) {
    sim::Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        const auto number = [&] { ++i; return static_cast<std::uint64_t>(std::strtoull(value, nullptr, 10)); };
        bool good = true;
        if (name == "--from") arguments.from = number();
        else if (name == "--count") arguments.count = number();
        else if (name == "--seed") arguments.from = number(), arguments.count = 1;
        else if (name == "--stop-at") arguments.stop_at = number();
        else if (name == "--hunt") arguments.hunt = static_cast<int>(number());
        else if (name == "--log") arguments.log = true;
        else if (name == "--log-file") arguments.log_file = value, ++i;
        else if (name == "--trace") arguments.trace = true;
        else if (name == "--no-shrink") arguments.shrink = false;
        else if (name == "--crash-equivalence") arguments.crash_equivalence = true;
        else if (name == "--off") good = sim::read_classes(value, arguments.faults, false), ++i;
        else if (name == "--only") good = sim::read_classes(value, arguments.faults, true), ++i;
        else good = false;
        if (!good) {
            std::fprintf(stderr, "tg_sim: unknown argument or value: %s %s\n", name.c_str(), value);
            return 2;
        }
    }
    return sim::main_of(arguments);
}
