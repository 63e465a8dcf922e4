// People and the world around them: what the app saves and asks for, what another client writes, how the network and the battery change.
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

Json fresh_json(Rng& rng, const std::string& id) {
    Json doc = {{"id", id}, {"title", "t" + std::to_string(rng.below(1000))}, {"count", rng.below(100)}, {"ratio", rng.below(1000) / 8.0}};
    const char letter = static_cast<char>('a' + rng.below(26));   // drawn one by one: compilers differ in the order of arguments
    doc["note"] = std::string(rng.below(160), letter) + " \"\\ \n \xc3\xa9";
    doc["big"] = 9007199254740992ull + rng.below(1000);
    doc["nested"] = {{"a", rng.below(10)}, {"b", {{"c", nullptr}, {"d", true}}}};
    doc["tags"] = Json::array({"x", "y", rng.below(5)});
    doc["secret"] = kCanary;
    return doc;
}

void edit_json(Json& doc, Rng& rng) {
    for (std::uint32_t edits = 1 + rng.below(2); edits > 0; --edits) switch (rng.below(8)) {
        case 0: doc["title"] = "t" + std::to_string(rng.below(100000)); break;
        case 1: doc["count"] = rng.below(100000); break;
        case 2: doc["big"] = 9007199254740992ull + rng.below(100000); break;
        case 3: doc["nested"]["a"] = rng.below(100000); break;
        case 4: doc["nested"]["b"]["d"] = rng.chance(0.5); break;
        case 5: doc["extra" + std::to_string(rng.below(3))] = rng.below(100000); break;
        case 6: doc.erase("extra" + std::to_string(rng.below(3))); break;
        default:
            if (doc["tags"].is_array()) doc["tags"].push_back("n" + std::to_string(rng.below(100000)));
            if (doc["tags"].size() > 6) doc["tags"].erase(doc["tags"].begin());
    }
}

}  // namespace

std::string World::lane_of(const std::string& owner, const std::string& entity, const std::string& id) { return encode_percent(owner) + ":" + entity + "/" + encode_percent(id); }

void World::schedule_people() {
    const double gap = people.chance(0.1) ? people.between(30000, 120000) : people.between(50, 12000);
    timeline.in(gap, [this] {
        if (dice.is_calm() || op_counter_ >= target_ops_) return;
        act();
        schedule_people();
    });
}

void World::act() {
    if (owners_.size() > 1 && page_open_ && switches_open_ == 0 && !options.saves_only && dice.roll(Fault::owner_switch, 0.08)) switch_owner();
    act_beyond();
    const std::uint32_t what = people.below(options.saves_only ? 70 : 100);
    if (what < 30) save_one();
    else if (what < 40) save_burst();
    else if (what < 52) save_group(true);
    else if (what < 70) save_group(false);
    else if (what < 84) command_something();
    else if (what < 93) foreign_something();
    else if (what < 97) change_network();
    else change_settings();
}

// --- saving -----------------------------------------------------------------------------------------------------------------

std::string World::edit(const std::string& lane, bool fresh_document) {
    const Record* shown = disk.get("docs", lane);
    std::optional<Json> doc;
    if (shown && shown->bytes && !fresh_document) doc = documents.read(*shown->bytes);
    if (!doc || !doc->is_object()) return dump(fresh_json(people, lane));
    edit_json(*doc, people);
    return dump(*doc);
}

std::pair<Accepted, Known> World::item(const std::string& owner, const std::string& id, const std::string& action, bool fresh_document, const char* entity) {
    static const char* const kPriorities[] = {"low", "normal", "normal", "normal", "high", "critical"};
    Known known;
    char text[64];
    std::snprintf(text, sizeof text, "0190a1b2-0000-7000-8000-%012d", ++op_counter_);
    known.id = text;
    known.owner = owner;
    known.entity = entity;
    known.entity_id = id;
    known.lane = lane_of(owner, known.entity, id);
    known.action = action;
    known.created_ms = now();
    Accepted accepted;
    accepted.has_text = action != "delete";
    if (has_versions()) {   // a page that was not loaded again saves as it always did
        known.version = std::max(1, app_version_ - (dice.rng(Fault::update).chance(0.2) ? 1 : 0));
        known.edited.insert("form");
    }
    if (accepted.has_text) known.text = edit(known.lane, fresh_document);
    if (accepted.has_text && has_versions()) known.text = dump(in_version(*parse(known.text), known.version));
    accepted.text = known.text;
    accepted.row = Json{{"id", known.id},         {"lane", known.lane},
                        {"owner", owner},         {"entity", known.entity},
                        {"entityId", id},         {"action", action},
                        {"priority", kPriorities[people.below(6)]}, {"schemaVersion", known.version},
                        {"createdAt", known.created_ms},            {"contentType", ""},
                        {"sizeBytes", accepted.text.size()},        {"state", "queued"}};
    if (people.chance(0.1) && !recent_.empty()) {
        known.depends_on = {recent_[people.below(static_cast<std::uint32_t>(recent_.size()))]};
        accepted.row["dependsOn"] = known.depends_on;
        awaited.insert(known.depends_on[0]);
    }
    if (people.chance(0.05)) accepted.row["noFold"] = true;
    if (people.chance(0.03) && !options.saves_only) accepted.row["expiresAt"] = known.created_ms + people.between(20000, 600000);
    return {std::move(accepted), std::move(known)};
}

// What the save changes of what the app sees at that moment.
void World::note_edits(const Accepted& item, Known& known) const {
    const Record* shown = disk.get("docs", known.lane);
    static const std::optional<Json> kNone;
    const auto& before = shown && shown->bytes ? documents.read(*shown->bytes) : kNone;
    const auto& after = documents.read(item.text);
    known.edits_all = !before || !after || !before->is_object() || !after->is_object();
    if (known.edits_all) return;
    for (const auto& [name, value] : before->items())
        if (!after->contains(name) || !same((*after)[name], value)) known.edited.insert(name);
    for (const auto& [name, value] : after->items())
        if (!before->contains(name)) known.edited.insert(name);
}

void World::save_items(std::vector<Accepted> items, std::vector<Known> knowns) {
    timeline.in(device.store_ms * people.between(0.5, 2), [this, items = std::move(items), knowns = std::move(knowns)]() mutable {
        if (dice.roll(Fault::quota, 0.01)) {   // the caller hears of it, and nothing was written
            ++ledger.counts.quota_aborts;
            return;
        }
        for (std::size_t i = 0; i < items.size(); ++i) note_edits(items[i], knowns[i]);
        const std::vector<Json> rows = disk.accept(std::move(items));
        for (std::size_t i = 0; i < rows.size(); ++i) {
            knowns[i].seq = rows[i]["seq"].get<std::uint64_t>();
            knowns[i].action = rows[i]["action"].get<std::string>();
            recent_.push_back(knowns[i].id);
            if (options.trace) trace("accept " + dump(rows[i]) + " " + knowns[i].text);
            ledger.accept(std::move(knowns[i]));
        }
        if (recent_.size() > 30) recent_.erase(recent_.begin(), recent_.begin() + 10);
        if (dice.roll(Fault::crash, 0.005) && options.cut_at < 0) return kill_browser();   // stored, and its caller never heard of it
        queued_ = true;
        if (!page_open_) return;
        ask_from_page(Json{{"type", "accept"}, {"trigger", "data-change"}}, {});
        arm_sync();
    });
}

void World::save_one() {
    const std::string& owner = owners_[people.below(static_cast<std::uint32_t>(owners_.size()))];
    const std::string id = owner + entities_[people.below(static_cast<std::uint32_t>(entities_.size()))];
    const Record* shown = disk.get("docs", lane_of(owner, "NOTE", id));
    const bool exists = shown && shown->bytes;
    const bool fresh_document = people.chance(0.05);
    auto [accepted, known] = item(owner, id, exists && people.chance(0.12) ? "delete" : "save", fresh_document);
    save_items({std::move(accepted)}, {std::move(known)});
}

// A person types: several saves of one entity, some while an earlier one is on its way.
void World::save_burst() {
    const std::string owner = owners_[people.below(static_cast<std::uint32_t>(owners_.size()))];
    const std::string id = owner + entities_[people.below(static_cast<std::uint32_t>(entities_.size()))];
    double at = 0;
    for (std::uint32_t i = 2 + people.below(4); i > 0; --i) {
        timeline.in(at, [this, owner, id] {
            auto [accepted, known] = item(owner, id, "save", false);
            save_items({std::move(accepted)}, {std::move(known)});
        });
        at += people.between(1, 400);
    }
}

// One transaction: an atomic group, or a form with many parts.
void World::save_group(bool atomic) {
    const std::string owner = owners_[people.below(static_cast<std::uint32_t>(owners_.size()))];
    std::vector<Accepted> items;
    std::vector<Known> knowns;
    const std::string group = atomic ? "g" + std::to_string(op_counter_ + 1) : "";
    const std::uint32_t first = people.below(static_cast<std::uint32_t>(entities_.size()));
    const std::uint32_t count = std::min<std::uint32_t>(2 + people.below(atomic ? 3 : 12), static_cast<std::uint32_t>(entities_.size()));
    for (std::uint32_t i = 0; i < count; ++i) {
        auto [accepted, known] = item(owner, owner + entities_[(first + i) % entities_.size()], "save", false);
        if (atomic) accepted.row["group"] = known.group = group;
        items.push_back(std::move(accepted));
        knowns.push_back(std::move(known));
    }
    ledger.counts.groups += atomic ? 1 : 0;
    save_items(std::move(items), std::move(knowns));
}

// --- asking -----------------------------------------------------------------------------------------------------------------

void World::command_something() {
    if (recent_.empty() || !page_open_) return;
    const Json message = {{"type", "message"}};
    const std::string id = recent_[recent_.size() - 1 - people.below(static_cast<std::uint32_t>(std::min<std::size_t>(recent_.size(), 6)))];
    Known* known = ledger.find_id(id);
    switch (people.below(10)) {
        case 0: case 1: case 2: case 3:
            ledger.each_of_unit(*known, [](Known& op) { op.asked_cancel = true; });
            return ask_from_page(message, {Json{{"type", "cancel"}, {"id", id}}}, [this, id](const std::vector<Json>& answers) {
                if (!answers.empty() && answers[0].contains("ok")) check.cancelled(id);
            });
        case 4:
            ledger.each_of_unit(*known, [](Known& op) { op.asked_retry = true; });
            return ask_from_page(message, {Json{{"type", "retry"}, {"id", id}}});
        case 5: return ask_from_page(message, {Json{{"type", "setPriority"}, {"id", id}, {"priority", "high"}}});
        case 6: {
            static const char* const kDirections[] = {"both", "push", "pull", "both"};
            Json options = {{"direction", kDirections[people.below(4)]}, {"owner", owners_[people.below(static_cast<std::uint32_t>(owners_.size()))]}};
            if (people.chance(0.1)) options["operation"] = "full";
            return ask_from_page(Json{{"type", "manual"}, {"trigger", "manual"}}, {Json{{"type", "flush"}, {"value", options}}});
        }
        case 7: return ask_from_page(message, {Json{{"type", "status"}}, Json{{"type", "explain"}, {"id", id}}, Json{{"type", "metrics"}}});
        case 8:
            for (auto& [seq, op] : ledger.ops())
                if (const auto row = disk.rows().find(seq); row != disk.rows().end() && parked(row->second)) {
                    const bool drop = people.chance(0.3);
                    ledger.each_of_unit(op, [drop](Known& one) { (drop ? one.asked_cancel : one.asked_retry) = true; });
                    return ask_from_page(message, {Json{{"type", drop ? "drop" : "retry"}, {"id", op.id}}});
                }
            return;
        default: {
            const std::uint64_t round = ++pause_round_;
            ask_from_page(message, {Json{{"type", "pause"}}}, [this, round](const std::vector<Json>& answers) {
                if (round == pause_round_ && !answers.empty() && answers[0].contains("ok")) ledger.paused = true;
            });
            timeline.in(people.between(5000, 60000), [this] {
                resume();
            });
        }
    }
}

// Asked of another worker it may be carried out later than a pause that was asked after it.
void World::resume() {
    ++pause_round_;
    ledger.paused = false;
    ask_from_page(Json{{"type", "message"}}, {Json{{"type", "resume"}}}, [this](const std::vector<Json>& answers) {
        if (!answers.empty()) ledger.paused = false;
    });
}

// One person goes, another comes; now and then nobody does.
void World::switch_owner() {
    Rng& rng = dice.rng(Fault::owner_switch);
    // A page that was opened before the last switch, and is heard after it: nothing may come of that.
    if (owner_told_ && rng.chance(0.3))
        return ask_from_page(Json{{"type", "message"}},
                             {Json{{"type", "signIn"}, {"value", {{"owner", owners_[rng.below(static_cast<std::uint32_t>(owners_.size()))]}, {"ticket", tickets_ - 1}}}}});
    if (owner_told_ && rng.chance(0.3)) return sign("signOut", signed_in_);
    sign("signIn", owners_[rng.below(static_cast<std::uint32_t>(owners_.size()))]);
}

// Where an answer never comes (its process died), either stays possible for good, and nobody switches any more.
void World::sign(const char* type, const std::string& owner) {
    const bool in = type == std::string("signIn");
    ++switches_open_;
    if (in) may_leave_.insert(owner);
    ask_from_page(Json{{"type", "message"}}, {Json{{"type", type}, {"value", {{"owner", owner}, {"ticket", ++tickets_}}}}}, [this, in, owner](const std::vector<Json>& answers) {
        if (answers.empty() || !answers[0].contains("ok")) return;
        if (--switches_open_ > 0) return;
        owner_told_ = true;
        may_leave_.clear();
        if (in) may_leave_.insert(signed_in_ = owner);
    });
}

void World::change_settings() {
    if (!page_open_) return;
    Json patch = Json::object();
    switch (people.below(8)) {
        case 0: patch["mode"] = people.chance(0.4) ? "rest" : "batch"; break;
        case 1: patch["coalesce"] = people.chance(0.5); break;
        case 2: patch["delta"] = people.chance(0.5); break;
        case 3: patch["conflictStrategy"] = std::vector<const char*>{"merge", "client-wins", "server-wins"}[people.below(3)]; break;
        case 4: patch["maxBatchOps"] = 1 + people.below(20); break;
        case 5: patch["maximumConcurrentOperations"] = 1 + people.below(6); break;
        case 6: patch["jitter"] = std::vector<const char*>{"none", "full", "equal", "decorrelated"}[people.below(4)]; break;
        default: patch["compression"] = people.chance(0.5); break;
    }
    if (dice.on(Fault::bad_input) && people.chance(0.2)) patch = Json{{"maxBatchOps", "many"}};
    ledger.ours_wins = ledger.ours_wins || patch.value("conflictStrategy", "") == "client-wins";
    ask_from_page(Json{{"type", "message"}}, {Json{{"type", "settings"}, {"value", patch}}});
}

// --- the world around ---------------------------------------------------------------------------------------------------------

void World::foreign_something() {
    if (!dice.on(Fault::foreign) || server.entities().empty()) return;
    auto it = server.entities().begin();
    std::advance(it, people.below(static_cast<std::uint32_t>(server.entities().size())));
    Server::Entity& entity = it->second;
    if (!entity.current()) return;
    if (!dice.roll(Fault::foreign, 0.9)) return;
    Rng& rng = dice.rng(Fault::foreign);
    if (entity.exists() && rng.chance(0.1)) return server.foreign_write(entity.entity, entity.entity_id, std::nullopt);
    if (entity.entity == kFilmEntity) return server.foreign_film(entity.entity_id, "theirs " + std::to_string(rng.below(1000)));
    Json doc = entity.exists() ? entity.current()->json : fresh_json(rng, entity.entity_id);
    edit_json(doc, rng);
    if (has_versions() && !entity.exists()) doc = in_version(std::move(doc), app_version_);
    server.foreign_write(entity.entity, entity.entity_id, std::move(doc));
}

void World::change_network() {
    if (dice.roll(Fault::offline, 0.5)) {
        online_ = false;
        timeline.in(dice.rng(Fault::offline).between(2000, 180000), [this] {
            online_ = true;
            if (page_open_) ask_from_page(Json{{"type", "online"}, {"trigger", "connectivity"}}, {});
            fire_sync();
        });
    } else if (dice.roll(Fault::captive, 0.3)) {
        portal_until_ms_ = timeline.now() + dice.rng(Fault::captive).between(2000, 60000);
    } else if (dice.roll(Fault::loss, 0.3)) {
        outage_until_ms_ = timeline.now() + dice.rng(Fault::loss).between(2000, 120000);
    } else if (dice.roll(Fault::clock_jump, 0.5)) {
        wall_ms_ += dice.rng(Fault::clock_jump).between(-7200000, 7200000);
    } else if (device.has_battery) {
        battery_low_ = !battery_low_;
        if (!battery_low_) ask_from_page(Json{{"type", "page"}, {"trigger", "periodic"}}, {});
    } else if (device.kind == Device::Kind::worker && people.chance(0.5)) {
        page_open_ = !page_open_;
        if (page_open_) ask_from_page(Json{{"type", "start"}, {"trigger", "start"}}, {});
    } else if (device.kind != Device::Kind::pages && processes_.size() > 1) {
        worker_ = 1 - worker_;   // an update: old and new worker take turns
    }
}

Json World::readings() {
    const double busy = options.seed % 8 == 5 ? 0.7 : 0.01;   // the machines of some have much else to do: less is done in a step there
    Json out = {{"online", online_}, {"stepMs", shell_rng.chance(busy) ? 80.0 : 1.0}};
    if (device.has_battery) {
        out["batteryLevel"] = battery_low_ ? 12 : 80;
        out["charging"] = false;
        out["atMs"] = now();
    }
    return out;
}

void World::publish(Process&, const std::string& type, const Json& detail) {
    check.published(type, detail);
    if (type == "sync.auth" && detail.contains("owner")) {
        const std::string owner = detail["owner"];
        timeline.in(link.between(500, 20000), [this, owner] {   // a person signs in again
            signed_out_.erase(owner);
            if (page_open_) resume();   // for everything
        });
    }
}

void World::publish_status(const tidegate::Status& status) {
    queued_ = status.queue_size > 0;
    check.status(status);
}

}  // namespace sim
