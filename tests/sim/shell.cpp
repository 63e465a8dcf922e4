#include "shell.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "world.h"

namespace sim {

using tidegate::Effect;
using tidegate::Planner;

namespace {
constexpr double kForever = std::numeric_limits<double>::infinity();
}

Drain::Drain(World& world, Process& process) : world_(world), process_(process) {}

// --- entering ---------------------------------------------------------------------------------------------------------------

void Drain::run(std::unique_ptr<Kept> kept_before) {
    given_ = std::move(kept_before);
    begun_ms_ = world_.now();
    give_up_ms_ = world_.now() + kBusyMs;
    for (const EntryPtr& entry : process_.waiting)
        if (entry->event && entry->event->contains("deadlineMs")) give_up_ms_ = std::min(give_up_ms_, (*entry->event)["deadlineMs"].get<double>());
    enter();
}

// The lock first: who holds it knows that nobody else is alive. Without it, a lease that ran out is taken over.
void Drain::enter() {
    if (world_.now() >= give_up_ms_) return leave({false, true, std::nullopt, "busy"});
    world_.take_lock(process_, [this](bool locked) { entered(locked); });
}

void Drain::entered(bool locked) {
    locked_ = locked;
    auto granted = std::make_shared<std::optional<Granted>>();
    leased_at_ms_ = world_.now();   // from when it was asked for: this process may be frozen before it hears the answer
    world_.io(
        process_, [this, granted, locked, asked_ms = world_.now()] { *granted = world_.disk.acquire(process_.holder, asked_ms, kLeaseMs, locked); },
        [this, granted, locked] {
            if (*granted) return begin(std::move(**granted), locked);
            if (locked) world_.give_lock(process_);
            locked_ = false;
            world_.later(process_, kLockWaitMs / 10, [this] { enter(); });
        });
}

void Drain::begin(Granted granted, bool locked) {
    if (!locked) world_.steal_lock(process_);
    locked_ = has_lease_ = true;
    if (granted.overtaken) ++world_.ledger.counts.takeovers;
    token_ = granted.token;
    if (given_ && given_->token + 1 == token_) {   // nobody else was here meanwhile
        planner_ = std::move(given_->planner);
        known_seq_ = given_->known_seq;
        outcomes_ = std::move(given_->outcomes);
        rows_to_read_ = true;
    } else {
        restore(granted);
    }
    given_.reset();
    turn();
}

void Drain::restore(const Granted& granted) {
    planner_ = std::make_unique<Planner>();
    Json state = granted.state;
    if (world_.has_versions()) state["schemaVersion"] = process_.version;
    auto restored = planner_->restore(granted.snapshot, state);
    if (!restored.ok()) {   // a damaged snapshot: the rows are the truth, so all of them are read again
        world_.ledger.fail(15, "a snapshot that was stored whole was refused: " + restored.error().message);
        planner_ = std::make_unique<Planner>();
        restored = planner_->restore("", state);
    }
    known_seq_ = restored.ok() ? restored.value() : 0;
    outcomes_.clear();
    rows_to_read_ = true;
}

// --- one step ---------------------------------------------------------------------------------------------------------------

void Drain::turn() {
    renew([this] { gather(); });
}

void Drain::renew(std::function<void()> then) {
    if (is_leased(kLeaseMs / 3)) return then();
    auto good = std::make_shared<bool>(false);
    const double asked_ms = world_.now();
    world_.io(
        process_, [this, good, asked_ms] { *good = world_.disk.renew(token_, asked_ms, kLeaseMs); },
        [this, good, asked_ms, then = std::move(then)] {
            if (!*good) return fail("fenced");
            leased_at_ms_ = asked_ms;
            renew(then);   // frozen meanwhile: again
        });
}

// Everything that came since the last step; one event per step.
void Drain::gather() {
    std::vector<EntryPtr>& waiting = process_.waiting;
    std::size_t count = 0;
    for (bool told = false; count < waiting.size(); ++count) {
        if (waiting[count]->event && (told || again_)) break;
        told = told || waiting[count]->event.has_value();
    }
    std::vector<EntryPtr> entries(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
    taken.insert(taken.end(), entries.begin(), entries.end());
    if (!rows_to_read_ && entries.empty()) return step(std::move(entries), {});
    auto rows = std::make_shared<std::vector<Json>>();
    auto failed = std::make_shared<bool>(false);
    world_.io(
        process_,
        [this, rows, failed] {
            *failed = world_.dice.roll(Fault::store_read, 0.004);
            if (!*failed) *rows = world_.disk.rows_after(known_seq_, kRowWindow);
        },
        [this, rows, failed, entries = std::move(entries)]() mutable {
            if (*failed) return fail("storage");
            rows_to_read_ = rows->size() == kRowWindow;
            if (!rows->empty()) known_seq_ = rows->back()["seq"].get<std::uint64_t>();
            step(std::move(entries), std::move(*rows));
        });
}

// What woke us, for the core. Once the browser's own sync event is told, nothing replaces it.
std::optional<Json> Drain::event_of(const std::vector<EntryPtr>& entries) {
    if (again_) {   // a restored core knows nothing of it
        again_ = false;
        return event_;
    }
    if (entries.empty()) return std::nullopt;
    std::optional<Json> event;
    for (const EntryPtr& entry : entries)
        if (entry->event) {
            event = entry->event;
            break;
        }
    if (!event && !event_) event = Json{{"type", "message"}};
    if (!event || ((*event)["type"] != "sync" && event_ && (*event_)["type"] == "sync")) return std::nullopt;
    event_ = event;
    if (event->contains("deadlineMs")) deadline_ = std::min(deadline_.value_or(kForever), (*event)["deadlineMs"].get<double>());
    if (deadline_) (*event_)["deadlineMs"] = *deadline_;   // the earliest holds for all of the drain
    manual_ = manual_ || (*event)["type"] == "manual";
    return event;
}

Json Drain::input_of(const std::vector<EntryPtr>& entries, std::vector<Json> rows) {
    Json input = Json::object();
    input["nowMs"] = stepped_at_ms_ = world_.now();
    input["seed"] = world_.step_seed();
    input["readings"] = readings_ = world_.readings();
    Json& outcomes = input["outcomes"] = Json::array();
    std::size_t count = 0;   // one answer per step
    for (bool told = false; count < outcomes_.size() && !(told && outcomes_[count].answer_slot); ++count) {
        Outcome& outcome = outcomes_[count];
        told = told || outcome.answer_slot;
        if (outcome.body) planner_->put(outcome.answer_slot, std::move(*outcome.body));
        outcomes.push_back(std::move(outcome.json));
    }
    outcomes_.erase(outcomes_.begin(), outcomes_.begin() + static_cast<std::ptrdiff_t>(count));
    world_.check.told(token_);
    if (!rows.empty()) input["rows"] = std::move(rows);
    Json& commands = input["commands"] = Json::array();
    for (const EntryPtr& entry : entries) {
        if (entry->event && ((*entry->event)["type"] == "start" || (*entry->event)["type"] == "manual")) world_.check.signed_in();
        for (const Json& command : entry->commands) {
            commands.push_back(command);
            if (command["type"] == "resume" || command["type"] == "signIn" || command["type"] == "signOut" || command["type"] == "flush") world_.check.signed_in();
            manual_ = manual_ || command["type"] == "flush";
        }
    }
    if (auto event = event_of(entries)) input["event"] = std::move(*event);
    if (rows_to_read_) input["more"] = true;
    return input;
}

void Drain::step(std::vector<EntryPtr> entries, std::vector<Json> rows) {
    const Json input = input_of(entries, std::move(rows));
    if (world_.dice.roll(Fault::trap, 0.003)) {
        for (const EntryPtr& entry : entries)
            if (entry->answered) entry->answered({});
        return recover();
    }
    if (world_.dice.roll(Fault::bad_input, 0.01)) world_.refuse_something(process_);
    ++world_.ledger.counts.steps;
    auto result = planner_->step(input);
    if (!result.ok()) {
        world_.ledger.fail(21, "an input of the shell was refused: " + result.error().path + " " + result.error().message);
        return fail("input");
    }
    plan_ = std::move(result.value());
    if (world_.options.trace) {
        for (const EntryPtr& entry : entries)
            world_.trace("told " + (entry->event ? dump(*entry->event) : "nothing") + " " + dump(entry->commands));
        std::string kinds;
        for (const Effect& effect : plan_.effects) kinds += " " + effect.type;
        world_.trace("plan of " + std::to_string(process_.id) + " under token " + std::to_string(token_) + ":" + kinds + (plan_.idle ? ", idle" : "") +
                     (plan_.wake_at_ms ? ", again in " + std::to_string(*plan_.wake_at_ms - stepped_at_ms_) + " ms" : ""));
    }
    world_.note_plan(plan_);
    for (Effect& effect : plan_.effects)   // what stands in it as text, read as JavaScript would
        for (tidegate::Write& write : effect.writes)
            if (write.value && write.value->is_binary()) write.value = parse({write.value->get_binary().begin(), write.value->get_binary().end()});
    for (const tidegate::Rejected& rejected : plan_.rejected)
        world_.check.rejected(rejected);
    std::size_t at = 0;
    for (const EntryPtr& entry : entries) {
        const std::size_t count = entry->commands.size();
        if (count == 0) continue;
        held_.push_back({entry, {}});
        for (std::size_t i = 0; i < count && at < plan_.answers.size(); ++i) held_.back().answers.push_back(plan_.answers[at++]);
    }
    stored_.clear();
    perform(0);
}

bool Drain::all_stored() const {
    return std::all_of(stored_.begin(), stored_.end(), [](const std::string& result) { return result == "ok"; });
}

// --- effects, in order --------------------------------------------------------------------------------------------------------

void Drain::perform(std::size_t index) {
    for (; index < plan_.effects.size(); ++index) {
        const Effect& effect = plan_.effects[index];
        if (effect.type == "load" || effect.type == "list") {
            world_.io(
                process_, [] {},
                [this, index] {
                    const Effect& e = plan_.effects[index];
                    e.type == "load" ? load(e) : list(e);
                    perform(index + 1);
                });
            return;
        }
        if (!all_stored()) {
            if (effect.type != "notify") outcomes_.push_back({Json{{"id", effect.id}, {"skipped", true}}, std::nullopt, 0});
        } else if (effect.type == "commit") {
            return commit(effect);   // goes on with the next one itself
        } else if (effect.type == "send" || effect.type == "run" || effect.type == "ask" || effect.type == "upload") {
            return renew([this, index] {   // frozen since the commit, others may be at work
                send(plan_.effects[index]);
                perform(index + 1);
            });
        } else if (effect.type == "notify") {
            world_.publish(process_, effect.event.value_or(""), effect.detail.value_or(Json()));
        }
    }
    renew([this] { performed(); });   // frozen meanwhile, others may have gone on: what this plan says is no longer so
}

void Drain::load(const Effect& effect) {
    Json outcome = {{"id", effect.id}};
    if (world_.dice.roll(Fault::store_read, 0.004)) {
        outcome["error"] = {{"code", "internal"}, {"message", "the read failed"}};
    } else {
        Json& missing = outcome["missing"] = Json::array();
        Json& metas = outcome["metas"] = Json::array();
        for (const tidegate::LoadItem& item : effect.items) {
            const Record* found = world_.disk.get(item.store, item.key);
            if (found && !found->value.is_null()) metas.push_back(Json{{"slot", item.slot}, {"value", found->value}});
            if (found && found->bytes) planner_->put(item.slot, *found->bytes);
            else missing.push_back(item.slot);
        }
    }
    outcomes_.push_back({std::move(outcome), std::nullopt, 0});
}

void Drain::list(const Effect& effect) {
    Json outcome = {{"id", effect.id}};
    Json& metas = outcome["metas"] = Json::array();
    const std::string& prefix = effect.items.at(0).key;
    const Disk::Store& store = world_.disk.stores().at(effect.items[0].store);
    for (auto it = effect.after ? store.upper_bound(*effect.after) : store.lower_bound(prefix); it != store.end() && metas.size() < kListWindow; ++it) {
        if (it->first.rfind(prefix, 0) != 0) break;
        metas.push_back(Json{{"key", it->first}, {"value", it->second.value}});
    }
    outcomes_.push_back({std::move(outcome), std::nullopt, 0});
}

void Drain::commit(const Effect& effect) {
    const std::size_t index = static_cast<std::size_t>(&effect - plan_.effects.data());
    auto bytes = std::make_shared<std::vector<std::string>>();
    for (const tidegate::Write& write : effect.writes) {
        const std::string* found = write.slot ? planner_->bytes(*write.slot) : nullptr;
        if (write.slot && !found) world_.ledger.fail(1, "a commit stores a slot that holds nothing, at " + write.store);
        bytes->push_back(found ? *found : std::string());
    }
    auto result = std::make_shared<std::string>();
    world_.io(
        process_,
        [this, index, bytes, result] {
            Effect& e = plan_.effects[index];
            if (world_.dice.roll(Fault::quota, 0.01)) {
                ++world_.ledger.counts.quota_aborts;
                *result = "quota";
                return;
            }
            const std::vector<std::string> lanes = e.lanes.value_or(std::vector<std::string>());
            *result = world_.disk.commit(token_, e.known_seq.value_or(0), lanes, e.writes, std::move(*bytes),
                                         [this, &e](const std::vector<std::string>& all) { world_.check.before_commit(e.writes, all); });
            if (*result == "ok") world_.check.after_commit(e.writes);
        },
        [this, index, result] {
            const std::uint64_t id = plan_.effects[index].id;
            if (*result == "fenced") {
                ++world_.ledger.counts.fenced;
                return fail("fenced");
            }
            if (*result == "stale") {
                ++world_.ledger.counts.stale;
                world_.check.stale();
                rows_to_read_ = true;
            }
            if (*result == "quota") outcomes_.push_back({Json{{"id", id}, {"error", {{"code", "quota"}, {"message", "the device is full"}}}}, std::nullopt, 0});
            else outcomes_.push_back({Json{{"id", id}, {"commit", *result}}, std::nullopt, 0});
            stored_.push_back(*result);
            perform(index + 1);
        });
}

bool Drain::is_leased(double ms) const { return std::floor((world_.now() - leased_at_ms_) / ms) == 0; }

void Drain::send(const Effect& effect) {
    const std::string* found = effect.slot ? planner_->bytes(*effect.slot) : nullptr;
    if (effect.slot && !found) world_.ledger.fail(1, "a request has no body: slot " + std::to_string(*effect.slot));
    std::string body = found ? *found : std::string();
    const bool asks = effect.type == "ask", runs = effect.type == "run", uploads = effect.type == "upload";
    if (asks) world_.check.at_ask(effect, process_.version);
    else world_.check.decided(*this, effect);
    if (!asks && !uploads) world_.check.at_send(*this, effect, body);
    ++in_flight_;
    auto then = [this, runs = runs || asks, stop = stop_, id = effect.id, slot = effect.answer_slot.value_or(0)](Outcome outcome) {
        if (stop != stop_ || over_) return;   // given up
        if (!runs) world_.check.heard(token_, id, outcome.json);
        world_.check.landed(token_, id);
        --in_flight_;
        outcome.json["id"] = id;
        outcome.answer_slot = slot;
        outcomes_.push_back(std::move(outcome));
        wake();
    };
    if (asks) return world_.ask_app(process_, effect, std::move(then));
    if (runs) return world_.run_task(process_, effect, token_, std::move(then));
    auto leaves = [this, stop = stop_] { return stop == stop_ && !over_ && is_leased(kLeaseMs); };
    if (uploads) return world_.upload(*this, process_, effect, std::move(leaves), std::move(then));
    world_.send(process_, effect, std::move(body), std::move(leaves), std::move(then));
}

// --- after the effects --------------------------------------------------------------------------------------------------------

void Drain::performed() {
    if (plan_.status) world_.publish_status(*plan_.status);
    const auto failure = std::find_if(stored_.begin(), stored_.end(), [](const std::string& result) { return result == "quota"; });
    if (failure != stored_.end() || all_stored()) {
        std::vector<Held> held = std::move(held_);
        held_.clear();
        for (Held& one : held)
            if (one.entry->answered) one.entry->answered(failure != stored_.end() ? std::vector<Json>{} : one.answers);
    }
    if (failure != stored_.end() && plan_.idle) return fail("storage");
    if (rows_to_read_) return turn();
    if (plan_.idle && in_flight_ == 0) return finish({true, plan_.reject, plan_.wake_at_ms, ""});
    if (!process_.waiting.empty()) return turn();
    // A time that was past when the core named it means: as soon as something under way has ended.
    until_ms_ = plan_.wake_at_ms && *plan_.wake_at_ms > stepped_at_ms_ ? *plan_.wake_at_ms : kForever;
    look();
}

void Drain::look() {
    if (!outcomes_.empty() || !process_.waiting.empty()) return turn();
    const double now = world_.now();
    if (now >= until_ms_) return turn();
    if (in_flight_ == 0 && until_ms_ == kForever) {
        world_.ledger.fail(17, "the core neither acts nor waits nor ends");
        return fail("internal");
    }
    waiting_ = true;
    const std::uint64_t alarm = ++alarm_;
    world_.later(process_, std::max(0.0, std::min(until_ms_, leased_at_ms_ + kLeaseMs / 3) - now), [this, alarm] {
        if (alarm == alarm_) wake();
    });
}

void Drain::wake() {
    if (!waiting_ || over_) return;
    waiting_ = false;
    ++alarm_;
    renew([this] { look(); });
}

// After a trap: a new instance, restored from the store. What was on the wire is unknown, and the store says so.
void Drain::recover() {
    for (Held& one : held_)
        if (one.entry->answered) one.entry->answered({});
    held_.clear();
    if (++traps_ >= kMaxTraps) return fail("trap");
    ++stop_;
    in_flight_ = 0;
    again_ = event_.has_value();
    auto granted = std::make_shared<std::optional<Granted>>();
    world_.io(
        process_, [this, granted] { *granted = world_.disk.acquire(process_.holder, world_.now(), kLeaseMs, false); },
        [this, granted] {
            if (!*granted) return fail("fenced");
            token_ = (*granted)->token;
            restore(**granted);
            turn();
        });
}

// --- leaving ------------------------------------------------------------------------------------------------------------------

void Drain::fail(std::string error) {
    kept.reset();
    for (Held& one : held_)
        if (one.entry->answered) one.entry->answered({});
    held_.clear();
    leave({false, true, std::nullopt, std::move(error)});
}

void Drain::finish(Ended ended) {
    world_.check.at_idle(*this, plan_, ended.reject && event_ && (*event_)["type"] == "sync", event_ && event_->value("lastChance", false));
    kept = std::make_unique<Kept>();
    kept->planner = std::move(planner_);
    kept->token = token_;
    kept->known_seq = known_seq_;
    kept->outcomes = std::move(outcomes_);
    leave(std::move(ended));
}

void Drain::leave(Ended ended) {
    over_ = true;
    ++stop_;
    ++alarm_;
    in_flight_ = 0;
    const auto out = [this, ended] {
        if (locked_) world_.give_lock(process_);
        world_.drain_ended(process_, ended);
    };
    if (!has_lease_) return out();
    world_.io(process_, [this] { world_.disk.release(token_); }, out);
}

}  // namespace sim
