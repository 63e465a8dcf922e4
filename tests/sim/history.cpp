// The phases of a history: everything may go wrong and nothing may be lost; then nothing goes wrong any more and everything must converge.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr double kStartMs = 1'700'000'000'000;
constexpr double kLivenessMs = 6 * 3600000.0;
constexpr double kLivenessStepMs = 30000;
constexpr std::size_t kLivenessStepsEach = 40;   // of every owner, where they switch

// FNV-1a (Fowler, Noll, Vo).
void mix(std::uint64_t& hash, const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
}

std::uint32_t classes_of(const Options& options) {
    Rng rng(options.seed, 7);
    std::uint32_t out = 0;
    if (rng.chance(0.04)) return 0;   // some histories are undisturbed
    for (int i = 0; i < kFaults; ++i)
        if (rng.chance(i == static_cast<int>(Fault::clock_jump) ? 0.1 : 0.45)) out |= 1u << i;
    // Some checkers need to know what the core could have sent; they look at these histories.
    constexpr std::uint32_t kPlain = 1u << static_cast<int>(Fault::loss) | 1u << static_cast<int>(Fault::lost_answer) | 1u << static_cast<int>(Fault::resend) |
                                     1u << static_cast<int>(Fault::op_error) | 1u << static_cast<int>(Fault::foreign);
    if (options.seed % 8 == 5) out &= kPlain;
    return out & options.faults;
}

}  // namespace

World::World(const Options& given)
    : options(given), dice(given.seed, classes_of(given), given.skipped), shell_rng(given.seed, 2), people(given.seed, 3), link(given.seed, 4),
      ledger(now_ms_for_ledger), server(ledger), check(*this), wall_ms_(kStartMs) {
    dice.recording = given.record_faults;
    choose_device();
}

World::~World() = default;

void World::choose_device() {
    Rng rng(options.seed, 5);
    const std::uint32_t kind = rng.below(10);
    device.kind = kind < 6 ? Device::Kind::worker : kind < 8 ? Device::Kind::worker_without_sync : Device::Kind::pages;
    device.rtt_ms = rng.between(15, 600);
    device.bytes_per_s = rng.chance(0.2) ? rng.between(3000, 20000) : rng.between(30000, 2000000);
    device.store_ms = rng.between(0.3, 8);
    device.has_battery = rng.chance(0.2);
    const std::size_t processes = 2;   // two pages, or an old and a new worker
    for (std::size_t i = 0; i < processes; ++i) {
        auto process = std::make_unique<Process>();
        process->id = static_cast<int>(i) + 1;
        process->version = 1;
        process->worker = device.kind != Device::Kind::pages;
        processes_.push_back(std::move(process));
    }
    for (std::uint32_t i = 0, n = 2 + rng.below(14); i < n; ++i) entities_.push_back("e " + std::to_string(i));
    owners_ = rng.chance(0.7) ? std::vector<std::string>{""} : std::vector<std::string>{"ann", "bob b"};
    target_ops_ = 60 + static_cast<int>(rng.below(90));
    if (dice.on(Fault::too_large)) server.max_batch_bytes = small_batch_bytes();
    server.tells_limits = rng.chance(0.5);
    server.op_fault = [this](const std::string& key) -> OpFault {
        // Nor is what was refused taken later, from a copy that was on its way: the same bytes are as invalid as before.
        if (const auto refused = refused_keys_.find(key); refused != refused_keys_.end()) return {refused->second, false};
        if (!dice.roll(Fault::op_error, 0.02)) return {};
        static constexpr int kStatuses[] = {500, 503, 429, 422, 403, 500};
        const std::uint32_t n = dice.rng(Fault::op_error).below(8);
        if (n >= 6) return {0, true};
        if (kStatuses[n] != 422 && kStatuses[n] != 403) return {kStatuses[n], false};
        const Known* op = ledger.find_key(key);
        if (!op || op->effects > 0) return {};   // what was taken is not refused later
        refused_keys_[key] = kStatuses[n];
        return {kStatuses[n], false};
    };
}

void World::note_plan(tidegate::Plan& plan) {
    for (const tidegate::Effect& effect : plan.effects) {
        for (const tidegate::LoadItem& item : effect.items) last_slot = std::max(last_slot, item.slot);
        for (const tidegate::Write& write : effect.writes) last_slot = std::max(last_slot, write.slot.value_or(0));
        last_slot = std::max({last_slot, effect.slot.value_or(0), effect.answer_slot.value_or(0)});
    }
    if (!options.log) return;
    const std::string text = dump(tidegate::encode(plan));
    mix(hash_, text);
    log_bytes_ += text.size();
    if (options.log_text) *options.log_text += text + "\n";
}

bool World::settled() {
    for (const auto& process : processes_)
        if (process->running) return false;
    return check.what_is_left().empty();
}

bool World::liveness() {
    dice.calm();
    online_ = page_open_ = true;
    battery_low_ = false;
    portal_until_ms_ = outage_until_ms_ = 0;
    signed_out_.clear();
    ledger.paused = false;
    for (auto& process : processes_) {
        process->frozen_until_ms = 0;
        if (process->version != app_version_) renew_process(*process);   // the old one is over
    }
    server.max_batch_bytes = 524288;
    const auto resumed = std::make_shared<bool>(false);
    const double end = timeline.now() + kLivenessMs;
    for (std::size_t step = 0; timeline.now() < end && !ledger.violation; ++step) {
        if (!*resumed && step % kLivenessStepsEach == 0)   // who was frozen may be ended by the browser before he hears it
            ask_from_page(Json{{"type", "manual"}, {"trigger", "manual"}}, {Json{{"type", "resume"}}, Json{{"type", "settings"}, {"value", {{"enabled", true}}}}},
                          [resumed](const std::vector<Json>& answers) { *resumed = *resumed || !answers.empty(); });
        if (has_versions() && step % kLivenessStepsEach == 0) ask_from_page(Json{{"type", "start"}, {"trigger", "start"}}, {});   // what the app made nothing of is tried again
        if (dice.on(Fault::upload)) ask_from_page(Json{{"type", "page"}, {"trigger", "periodic"}}, {});   // also where only the server has something left
        if ((owner_told_ || switches_open_ > 0) && step % kLivenessStepsEach == 0) sign("signIn", owners_[step / kLivenessStepsEach % owners_.size()]);   // everybody comes by
        const double next = timeline.now() + kLivenessStepMs;
        while (!ledger.violation && timeline.run_next(next)) now_ms_for_ledger = timeline.now();
        timeline.advance_to(next);
        if (settled()) return true;
    }
    return false;
}

Outcomes World::run() {
    timeline.in(0, [this] { tick(); });
    ask_from_page(Json{{"type", "start"}, {"trigger", "start"}}, {});
    if (!options.saves_only && options.seed % 3 == 0)
        ask_from_page(Json{{"type", "message"}}, {Json{{"type", "settings"}, {"value", {{"maxBatchOps", 1 + options.seed % 7}}}}});
    schedule_people();
    while (!ledger.violation && op_counter_ < target_ops_ && timeline.run_next(12 * 3600000.0)) now_ms_for_ledger = timeline.now();
    const double rest = timeline.now() + 60000;
    while (!ledger.violation && timeline.run_next(rest)) now_ms_for_ledger = timeline.now();
    if (!ledger.violation) {
        liveness();
        if (!ledger.violation) check.at_end();
    }
    Outcomes out;
    ledger.counts.seconds = static_cast<std::uint64_t>(timeline.now() / 1000);
    out.counts = ledger.counts;
    out.violation = ledger.violation;
    out.faults = std::move(dice.happened);
    for (int i = 0; i < kFaults; ++i)
        if (dice.on(static_cast<Fault>(i))) out.classes |= 1u << i;
    out.hash = hash_;
    out.log_bytes = log_bytes_;
    out.awaits = awaits_;
    std::set<std::string> state;   // ids are given in the order in which creates come
    for (const auto& [name, entity] : server.entities())
        if (entity.exists()) state.insert(entity.entity + "/" + server.id_here(entity.entity, entity.entity_id) + " " + dump(server.as_here(entity.current()->json)) + "\n");
    for (const std::string& line : state) out.server_state += line;
    return out;
}

// Malformed input: refused by name, and nothing changes.
void World::refuse_something(Process& process) {
    tidegate::Planner& planner = *process.drain->planner();
    const std::string before = planner.snapshot();
    static const char* const kInputs[] = {
        "{}", "[]", "{\"nowMs\":\"soon\",\"seed\":1}", "{\"nowMs\":-1,\"seed\":1}", "{\"nowMs\":1,\"seed\":1,\"event\":{\"type\":\"flood\"}}",
        "{\"nowMs\":1,\"seed\":1,\"outcomes\":[7]}", "{\"nowMs\":1,\"seed\":1,\"commands\":{}}", "{\"nowMs\":1,\"seed\":1,\"readings\":{\"online\":3}}"};
    const char* text = kInputs[dice.rng(Fault::bad_input).below(8)];
    const auto result = planner.step(*parse(text));
    ++ledger.counts.refusals;
    if (result.ok()) return ledger.fail(21, std::string("malformed input was taken: ") + text);
    if (result.error().code.empty() || result.error().message.empty()) ledger.fail(21, std::string("malformed input was refused without a word: ") + text);
    if (planner.snapshot() != before) ledger.fail(21, std::string("malformed input changed the core: ") + text);
}

}  // namespace sim
