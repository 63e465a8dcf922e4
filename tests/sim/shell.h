// The shell as the simulator has it: sw/turn.js and sw/turns.js, statement by statement, with every await an event of the timeline. Where the two differ
// the JavaScript is right. It drives the real planner and decides nothing.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "disk.h"
#include "tidegate/planner.h"

namespace sim {

class World;
struct Process;

inline constexpr double kLeaseMs = 30000;
inline constexpr double kBusyMs = 60000;
inline constexpr double kLockWaitMs = 1000;
inline constexpr std::size_t kRowWindow = 500, kListWindow = 100;
inline constexpr int kMaxTraps = 2;

struct Ended {
    bool ok = false, reject = false;
    std::optional<double> wake_at_ms;
    std::string error;
};

// One request to a drain.
struct Entry {
    std::optional<Json> event;
    std::vector<Json> commands;
    std::function<void(const std::vector<Json>&)> answered;  // once what the answers say is stored
    std::function<void(const Ended&)> ended;
};
using EntryPtr = std::shared_ptr<Entry>;

struct Outcome {
    Json json;
    std::optional<std::string> body;
    std::uint64_t answer_slot = 0;
};

// The planner of a drain that ended well, and what to tell it next.
struct Kept {
    std::unique_ptr<tidegate::Planner> planner;
    std::uint64_t token = 0, known_seq = 0;
    std::vector<Outcome> outcomes;
};

class Drain {
public:
    Drain(World& world, Process& process);
    void run(std::unique_ptr<Kept> kept);
    void wake();
    // For checkers.
    const Process& process() const { return process_; }
    std::uint64_t token() const { return token_; }
    const Json& readings() const { return readings_; }
    std::optional<double> deadline() const { return deadline_; }
    bool manual() const { return manual_; }
    double begun_ms() const { return begun_ms_; }
    tidegate::Planner* planner() { return planner_.get(); }
    std::uint64_t known_seq() const { return known_seq_; }

    std::vector<EntryPtr> taken;
    std::unique_ptr<Kept> kept;

private:
    void enter();
    void entered(bool locked);
    void begin(Granted granted, bool locked);
    void restore(const Granted& granted);
    void turn();
    void renew(std::function<void()> then);
    void gather();
    void step(std::vector<EntryPtr> entries, std::vector<Json> rows);
    Json input_of(const std::vector<EntryPtr>& entries, std::vector<Json> rows);
    std::optional<Json> event_of(const std::vector<EntryPtr>& entries);
    void perform(std::size_t index);
    void load(const tidegate::Effect& effect);
    void list(const tidegate::Effect& effect);
    void commit(const tidegate::Effect& effect);
    void send(const tidegate::Effect& effect);
    bool is_leased(double ms) const;
    void performed();
    void look();
    void recover();
    void fail(std::string error);
    void finish(Ended ended);
    void leave(Ended ended);
    bool all_stored() const;

    World& world_;
    Process& process_;
    std::unique_ptr<Kept> given_;
    std::unique_ptr<tidegate::Planner> planner_;
    std::uint64_t token_ = 0, known_seq_ = 0;
    std::vector<Outcome> outcomes_;
    struct Held {
        EntryPtr entry;
        std::vector<Json> answers;
    };
    std::vector<Held> held_;
    tidegate::Plan plan_;
    std::vector<std::string> stored_;  // what became of the commits of this plan: ok, stale, or an error
    int in_flight_ = 0, traps_ = 0;
    bool rows_to_read_ = false, waiting_ = false, over_ = false, has_lease_ = false, locked_ = false, again_ = false;
    double leased_at_ms_ = 0, stepped_at_ms_ = 0, until_ms_ = 0, give_up_ms_ = 0, begun_ms_ = 0;
    std::optional<Json> event_;
    std::optional<double> deadline_;
    bool manual_ = false;
    std::uint64_t stop_ = 0;     // requests of earlier values were given up
    std::uint64_t alarm_ = 0;    // timers of earlier values are void
    std::function<void()> after_flight_;
    Json readings_;
};

}  // namespace sim
