// The platform: processes that start and die, the origin-wide lock, and Background Sync as Chromium schedules it (0, +5 min, +15 min, then forgotten).
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr double kSyncEventMs = 165000;     // sw/worker.js
constexpr double kOtherEventMs = 240000;
constexpr double kSyncCutMs = 180000;       // Chromium ends the event
constexpr double kSyncRetryMs = 300000, kSyncRetryFactor = 3;
constexpr int kSyncAttempts = 3;

}  // namespace

// --- processes ----------------------------------------------------------------------------------------------------------------

void World::later(Process& process, double ms, std::function<void()> run) {
    const std::uint64_t life = process.life;
    timeline.in(ms, [this, &process, life, run = std::move(run)]() mutable {
        if (process.life != life) return;
        if (process.frozen_until_ms > timeline.now()) return later(process, process.frozen_until_ms - timeline.now(), std::move(run));
        run();
    });
}

void World::io(Process& process, std::function<void()> transaction, std::function<void()> then) {
    const std::int64_t await = awaits_++;
    int dies = -1;   // 0: before the transaction, 1: after it
    if (options.cut_at >= 0) dies = options.cut_at / 2 == await ? static_cast<int>(options.cut_at % 2) : -1;
    else if (dice.roll(Fault::crash, 0.004)) dies = static_cast<int>(dice.rng(Fault::crash).below(2));
    later(process, device.store_ms * link.between(0.5, 1.5), [this, &process, dies, transaction = std::move(transaction), then = std::move(then)] {
        if (dies == 0) return kill(process);
        transaction();
        if (dies == 1) return kill(process);
        if (dice.roll(Fault::freeze, 0.002)) process.frozen_until_ms = timeline.now() + dice.rng(Fault::freeze).between(5000, 120000);
        then();
    });
}

void World::kill(Process& process) {
    if (options.cut_at < 0 && dice.rng(Fault::crash).chance(0.3)) return kill_browser();
    ++ledger.counts.crashes;
    end_process(process);
}

void World::end_process(Process& process) {
    ++process.life;
    process.alive = process.running = false;
    process.waiting.clear();
    if (process.drain) graveyard_.push_back(std::move(process.drain));
    process.kept.reset();
    process.held.clear();
    process.frozen_until_ms = 0;
    if (lock_.owner == process.id) give_lock(process);
    if (process.worker && sync_.firing) sync_ended(true, true);
    if (!process.worker) page_open_ = device.kind != Device::Kind::pages ? page_open_ : true;
}

// All processes at once. Chromium fires a sync that was firing again at the next start, without counting the attempt.
void World::kill_browser() {
    ++ledger.counts.crashes;
    const bool was_firing = sync_.firing;
    sync_.firing = false;
    for (auto& process : processes_) {
        ++process->life;
        process->alive = process->running = false;
        process->waiting.clear();
        if (process->drain) graveyard_.push_back(std::move(process->drain));
        process->kept.reset();
        process->held.clear();
        process->frozen_until_ms = 0;
    }
    lock_ = {};
    page_timer_ms_.reset();
    ++timer_round_;
    if (was_firing) {
        sync_.registered = true;
        const std::uint64_t round = ++sync_.round;
        timeline.in(link.between(1000, 60000), [this, round] {
            if (round == sync_.round) fire_sync();
        });
    }
}

Process& World::drainer() {
    if (device.kind == Device::Kind::pages) return *processes_[link.below(static_cast<std::uint32_t>(processes_.size()))];
    return *processes_[worker_];
}

void World::ask(Process& process, EntryPtr entry) {
    if (!process.alive) {
        process.alive = true;
        process.holder = next_holder_++;
    }
    process.waiting.push_back(std::move(entry));
    if (process.drain) process.drain->wake();
    if (!process.running) start_turns(process);
}

void World::start_turns(Process& process) {
    process.running = true;
    later(process, 0, [this, &process] {
        if (process.waiting.empty()) {
            process.running = false;
            return;
        }
        process.drain = std::make_unique<Drain>(*this, process);
        process.drain->run(std::move(process.kept));
    });
}

void World::drain_ended(Process& process, const Ended& ended) {
    std::unique_ptr<Drain> drain = std::move(process.drain);
    process.kept = std::move(drain->kept);
    std::vector<EntryPtr> entries = drain->taken;
    if (entries.empty()) entries.swap(process.waiting);
    graveyard_.push_back(std::move(drain));
    for (const EntryPtr& entry : entries)
        if (entry->ended) entry->ended(ended);
    // The pages arm one timer for the time the core named.
    page_timer_ms_ = ended.wake_at_ms;
    const std::uint64_t round = ++timer_round_;
    if (page_open_ && ended.wake_at_ms)
        timeline.in(std::max(0.0, *ended.wake_at_ms - now()), [this, round] {
            if (round == timer_round_ && page_open_) ask_from_page(Json{{"type", "timer"}, {"trigger", "periodic"}}, {});
        });
    if (!process.waiting.empty()) start_turns(process);
    else process.running = false;
}

void World::ask_from_page(Json event, std::vector<Json> commands, std::function<void(const std::vector<Json>&)> answered) {
    Process& process = drainer();
    auto entry = std::make_shared<Entry>();
    if (device.kind != Device::Kind::pages) event["deadlineMs"] = now() + kOtherEventMs;
    entry->event = std::move(event);
    entry->commands = std::move(commands);
    entry->answered = std::move(answered);
    entry->ended = [this](const Ended& ended) {
        if (ended.reject) arm_sync();
    };
    timeline.in(link.between(0.2, 4), [this, &process, entry] { ask(process, entry); });
}

// --- the lock -----------------------------------------------------------------------------------------------------------------

void World::take_lock(Process& process, std::function<void(bool)> then) {
    if (lock_.owner == 0) {
        lock_.owner = process.id;
        lock_.life = process.life;
        return later(process, 0.1, [then = std::move(then)] { then(true); });
    }
    const std::uint64_t ticket = lock_.next++;
    auto shared = std::make_shared<std::function<void(bool)>>(std::move(then));
    const std::uint64_t life = process.life;
    lock_.queue.emplace_back(ticket, [this, &process, shared, life] {
        if (process.life != life) return give_lock(process);
        lock_.owner = process.id;
        lock_.life = life;
        later(process, 0.1, [shared] { (*shared)(true); });
    });
    later(process, kLockWaitMs, [this, ticket, shared] {
        for (auto it = lock_.queue.begin(); it != lock_.queue.end(); ++it)
            if (it->first == ticket) {
                lock_.queue.erase(it);
                return (*shared)(false);
            }
    });
}

void World::steal_lock(Process& process) {
    lock_.owner = process.id;
    lock_.life = process.life;
}

void World::give_lock(Process& process) {
    if (lock_.owner != process.id && lock_.owner != 0) return;   // it was stolen
    lock_.owner = 0;
    if (lock_.queue.empty()) return;
    const auto next = std::move(lock_.queue.front().second);
    lock_.queue.erase(lock_.queue.begin());
    next();
}

// --- Background Sync ------------------------------------------------------------------------------------------------------------

// Never while the tag fires, and only where a window is open (research: anything else re-fires at once, or throws).
void World::arm_sync() {
    if (device.kind != Device::Kind::worker || sync_.firing || sync_.registered || !page_open_) return;
    sync_.registered = true;
    sync_.attempts = 0;
    sync_.next_ms = timeline.now();
    const std::uint64_t round = ++sync_.round;
    timeline.in(100, [this, round] {
        if (round == sync_.round) fire_sync();
    });
}

void World::fire_sync() {
    if (!sync_.registered || sync_.firing || !online_) return;
    sync_.firing = true;
    ++ledger.counts.syncs;
    const bool last = sync_.attempts + 1 >= kSyncAttempts;
    Process& process = *processes_[worker_];
    auto entry = std::make_shared<Entry>();
    entry->event = Json{{"type", "sync"}, {"trigger", "connectivity"}, {"tag", "tidegate"}, {"lastChance", last}, {"deadlineMs", now() + kSyncEventMs}};
    const std::uint64_t round = ++sync_.round;
    entry->ended = [this, round, last](const Ended& ended) {
        if (round == sync_.round) sync_ended(ended.reject && !last, true);
    };
    ask(process, entry);
    timeline.in(kSyncCutMs, [this, round, &process] {
        if (round != sync_.round || !sync_.firing) return;
        if (!dice.on(Fault::freeze) && !dice.on(Fault::clock_jump)) ledger.fail(11, "a sync event was still running when the browser ended it");
        kill(process);
    });
}

void World::sync_ended(bool rejected, bool counts) {
    sync_.firing = false;
    const std::uint64_t round = ++sync_.round;
    if (!rejected) {
        sync_.registered = false;
        return;
    }
    sync_.attempts += counts ? 1 : 0;
    if (sync_.attempts >= kSyncAttempts) {   // the browser forgets it, and nothing wakes the worker any more
        sync_.registered = false;
        return;
    }
    const double delay = sync_.attempts <= 1 ? kSyncRetryMs : kSyncRetryMs * kSyncRetryFactor;
    sync_.next_ms = timeline.now() + delay;
    timeline.in(delay, [this, round] {
        if (round == sync_.round) fire_sync();
    });
}

void World::tick() {
    if (page_open_ && queued_ && online_) ask_from_page(Json{{"type", "page"}, {"trigger", "periodic"}}, {});
    timeline.in(30000, [this] { tick(); });
}

}  // namespace sim
