// What not every app has, each on or off for a whole seed: jobs of its own, versions.
#include "world.h"

namespace sim {
namespace {

constexpr int kMostVersions = 4;

}  // namespace

void World::act_beyond() {
    if (dice.roll(Fault::ids, 0.15)) {
        const std::uint32_t first = dice.rng(Fault::ids).below(kVisits);
        save_visits(owners_[dice.rng(Fault::ids).below(static_cast<std::uint32_t>(owners_.size()))], first);
    }
    if (options.saves_only) return;
    if (dice.roll(Fault::task, 0.08)) ask_task();
    if (dice.roll(Fault::upload, 0.06)) save_film();
    if (app_version_ < kMostVersions && dice.roll(Fault::update, 0.03)) update_app();
}

// --- tasks: sw/task-runs.js ---------------------------------------------------------------------------------------------------

void World::ask_task() {
    Rng& rng = dice.rng(Fault::task);
    const std::string& owner = owners_[rng.below(static_cast<std::uint32_t>(owners_.size()))];
    auto [accepted, known] = item(owner, "thumbs " + std::to_string(rng.below(3)), "create", true, kTaskEntity);
    accepted.row["noFold"] = true;
    save_items({std::move(accepted)}, {std::move(known)});
}

// The function itself: it may fail, hang, and be unknown to this process; it ends with its process. Whether it ran to its end is known here, and by nobody else but who hears it.
void World::run_task(Process& process, const tidegate::Effect& effect, std::uint64_t token, std::function<void(Outcome)> then) {
    Rng& rng = dice.rng(Fault::task);
    Known& op = *ledger.find_id((*effect.detail)["id"].get<std::string>());
    ++ledger.counts.task_runs;
    if (++op.runs > disk.rows().at(op.seq).value("sends", 0)) ledger.fail(15, "task " + op.id + " runs more often than its row says");
    if (op.ran_under == token) ledger.fail(2, "task " + op.id + " runs again although it was heard to end well");
    const double timeout_ms = effect.timeout_ms.value_or(60000);
    double ms = rng.between(1, 5000);
    Json outcome = {{"status", 200}};
    if (dice.roll(Fault::task, 0.05)) {
        outcome = {{"failure", "no-task"}, {"headers", {{"retry-after", "10"}}}};
        ms = 0;
    } else if (dice.roll(Fault::task, 0.25)) {
        outcome = {{"failure", "task"}, {"message", "it answered false"}};
    }
    if (dice.roll(Fault::task, 0.03) || ms > timeout_ms) {
        outcome = {{"failure", "task"}, {"message", "it took too long"}};
        ms = timeout_ms;
    }
    later(process, ms, [&op, token, outcome = std::move(outcome), then = std::move(then)]() mutable {
        if (outcome.contains("status")) {
            op.effects = 1;
            op.ran_under = token;
        }
        then({std::move(outcome), std::nullopt, 0});
    });
}

// --- an update of the app: sw/ask.js ------------------------------------------------------------------------------------------

// One process runs the new code and answers from now on; the other keeps the old one, and may take its turn again.
void World::update_app() {
    ++ledger.counts.updates;
    ++app_version_;
    worker_ = 1 - worker_;
    renew_process(*processes_[worker_]);
}

void World::renew_process(Process& process) {
    end_process(process);
    process.version = app_version_;
}

void World::ask_app(Process& process, const tidegate::Effect& effect, std::function<void(Outcome)> then) {
    Outcome outcome{Json::object(), std::nullopt, 0};
    const auto ours = parse((*effect.detail)["ours"].get<std::string>());
    if (dice.roll(Fault::update, 0.1)) outcome.json["message"] = "TypeError: it throws";
    else if (ours && !dice.roll(Fault::update, 0.05)) outcome.body = dump(in_version(*ours, process.version));
    later(process, dice.rng(Fault::update).between(1, 500), [outcome = std::move(outcome), then = std::move(then)]() mutable { then(std::move(outcome)); });
}

}  // namespace sim
