// One history: a device with its processes, store, locks and Background Sync, the network, the server, people. One seed decides all of it.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chance.h"
#include "check.h"
#include "disk.h"
#include "server.h"
#include "shell.h"
#include "timeline.h"

namespace sim {

// A realm that can run a drain: a service worker, a page, or Node.
struct Process {
    int id = 0, holder = 0;
    bool worker = false, alive = false;
    std::uint64_t life = 0;            // events of an earlier life are dropped
    double frozen_until_ms = 0;
    std::vector<EntryPtr> waiting;
    std::unique_ptr<Drain> drain;
    std::unique_ptr<Kept> kept;
    bool running = false;
    int version = 0;                   // of the app whose code it runs
    std::map<std::string, int> held;   // owner → the headers it has for him; in memory only
};

// How the device behaves for a whole seed.
struct Device {
    enum class Kind { worker, worker_without_sync, pages } kind = Kind::worker;
    int pages = 1;
    double rtt_ms = 60, bytes_per_s = 200000, store_ms = 1;
    bool has_battery = false;
};

struct Options {
    std::uint64_t seed = 1;
    std::uint32_t faults = 0xffffffff;      // classes that may be on
    std::vector<FaultId> skipped;
    bool record_faults = false;
    bool log = false;                       // hash every plan
    std::string* log_text = nullptr;        // and write it here
    std::int64_t cut_at = -1;               // the process dies at this await (crash equivalence)
    bool saves_only = false;                // people only save: what they do does not depend on when anything is sent
    bool trace = false;
};

struct Outcomes {
    Counts counts;
    std::optional<Violation> violation;
    std::vector<FaultId> faults;
    std::uint32_t classes = 0;
    std::uint64_t hash = 0, log_bytes = 0;
    std::int64_t awaits = 0;
    std::string server_state;  // canonical text of all documents, for crash equivalence
};

class World {
public:
    explicit World(const Options& options);
    ~World();
    Outcomes run();

    // --- for the shell -------------------------------------------------------------------------------------------------------
    double now() const { return wall_ms_ + timeline.now(); }
    void later(Process& process, double ms, std::function<void()> run);
    // One transaction: the process may die before it, after it, or in the middle of waiting for it.
    void io(Process& process, std::function<void()> transaction, std::function<void()> then);
    void take_lock(Process& process, std::function<void(bool)> then);
    void steal_lock(Process& process);
    void give_lock(Process& process);
    void send(Process& process, const tidegate::Effect& effect, std::string body, std::function<bool()> may_leave, std::function<void(Outcome)> then);
    void upload(Drain& drain, Process& process, const tidegate::Effect& effect, std::function<bool()> may_leave, std::function<void(Outcome)> then);
    void run_task(Process& process, const tidegate::Effect& effect, std::uint64_t token, std::function<void(Outcome)> then);
    void publish(Process& process, const std::string& type, const Json& detail);
    void publish_status(const tidegate::Status& status);
    void note_plan(tidegate::Plan& plan);
    std::uint64_t step_seed() { return (static_cast<std::uint64_t>(shell_rng.next()) << 21) ^ shell_rng.next(); }
    Json readings();
    void ask_app(Process& process, const tidegate::Effect& effect, std::function<void(Outcome)> then);
    bool has_versions() const { return dice.on(Fault::update); }   // else the app names none
    void drain_ended(Process& process, const Ended& ended);
    void kill(Process& process);
    void trace(const std::string& text) const {
        if (options.trace) std::printf("%10.1f %s\n", timeline.now() / 1000, text.c_str());
    }

    Options options;
    Timeline timeline;
    Dice dice;
    Rng shell_rng, people, link;
    double now_ms_for_ledger = 0;
    // Nothing leaves for an owner who is not signed in. Between a switch that is asked for and its answer either may be.
    bool may_leave(const std::string& owner) const { return !owner_told_ || may_leave_.count(owner) > 0; }
    std::uint64_t last_slot = 0;   // highest slot any plan named
    std::set<std::string> awaited; // ids that some op depends on
    mutable Documents documents;
    Ledger ledger;
    Disk disk;
    Server server;
    Check check;
    Device device;

private:
    // platform.cpp: processes, locks, Background Sync
    Process& drainer();
    void end_process(Process& process);
    void ask(Process& process, EntryPtr entry);
    void start_turns(Process& process);
    void ask_from_page(Json event, std::vector<Json> commands, std::function<void(const std::vector<Json>&)> answered = {});
    void arm_sync();
    void fire_sync();
    void sync_ended(bool rejected, bool counts);
    void kill_browser();
    void tick();
    // network.cpp
    struct Exchange;
    void travel(const std::shared_ptr<Exchange>& exchange);
    bool refresh(const std::shared_ptr<Exchange>& exchange);
    void deliver(const std::shared_ptr<Exchange>& exchange);
    void end_exchange(const std::shared_ptr<Exchange>& exchange, Json outcome, std::optional<std::string> body);
    Answer served(const std::shared_ptr<Exchange>& exchange);
    Answer answer_of(const std::shared_ptr<Exchange>& exchange);
    std::size_t small_batch_bytes();
    bool refused_whole(const std::shared_ptr<Exchange>& exchange, Answer& answer);
    void damage(const std::shared_ptr<Exchange>& exchange, Answer answer, double ms);
    // people.cpp: what the app and the world around do
    void schedule_people();
    void act();
    void save_one();
    void save_group(bool atomic);
    void save_burst();
    void note_edits(const Accepted& item, Known& known) const;
    void save_items(std::vector<Accepted> items, std::vector<Known> knowns);
    std::pair<Accepted, Known> item(const std::string& owner, const std::string& id, const std::string& action, bool fresh_document, const char* entity = "NOTE");
    std::string edit(const std::string& lane, bool fresh_document);
    void command_something();
    void resume();
    void switch_owner();
    void sign(const char* type, const std::string& owner);
    void change_settings();
    void foreign_something();
    void change_network();
    void refuse_something(Process& process);
    // beyond.cpp: what not every app has
    void act_beyond();
    void ask_task();
    void save_film();
    void think_better(Rng& rng, const std::string& id, int times);
    static constexpr std::uint32_t kVisits = 6;   // ids.cpp
    void save_visits(const std::string& owner, std::uint32_t first);
    void name_others(Accepted& accepted, Known& known, const std::string& site, const std::vector<Known>& before);
    static std::string lane_of(const std::string& owner, const std::string& entity, const std::string& id);
    void update_app();
    void renew_process(Process& process);
    // history.cpp: the phases
    void choose_device();
    bool liveness();
    bool settled();
    friend class Drain;

    double wall_ms_ = 0;
    std::vector<std::unique_ptr<Process>> processes_;
    std::vector<std::unique_ptr<Drain>> graveyard_;
    std::size_t worker_ = 0;      // which worker process answers
    int next_holder_ = 1;
    struct Lock {
        int owner = 0;            // process id
        std::uint64_t life = 0;
        std::vector<std::pair<std::uint64_t, std::function<void()>>> queue;
        std::uint64_t next = 1;
    } lock_;
    struct Sync {
        bool registered = false, firing = false;
        int attempts = 0;
        double next_ms = 0;
        std::uint64_t round = 0;
    } sync_;
    bool online_ = true, page_open_ = true, queued_ = true, battery_low_ = false;
    std::optional<double> page_timer_ms_;
    std::uint64_t timer_round_ = 0;
    std::set<std::string> signed_out_;
    std::map<std::string, int> valid_;  // owner → the headers that the server takes; whoever asks the app's provider gets these
    std::set<std::string> may_leave_;   // owners who may be the one that is signed in
    bool owner_told_ = false;           // until somebody is, everybody's ops go
    std::string signed_in_;             // the last one known to be
    int tickets_ = 1;                   // given to those who asked
    int switches_open_ = 0;             // asked for, and not known to be stored
    double portal_until_ms_ = 0, outage_until_ms_ = 0;
    int app_version_ = 1;   // the newest there is
    int op_counter_ = 0, target_ops_ = 0;
    std::map<std::string, int> refused_keys_;   // what the server found invalid it finds invalid again
    std::vector<std::string> recent_;   // ids of ops, for commands and dependencies
    std::vector<std::string> owners_, entities_;
    std::int64_t awaits_ = 0;
    std::uint64_t hash_ = 14695981039346656037ull, log_bytes_ = 0;
    std::uint64_t pause_round_ = 0;
};

}  // namespace sim
