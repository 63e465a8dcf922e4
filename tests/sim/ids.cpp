// Ids that the server gives: its side, from docs/protocol.md alone; an app whose entities name each other (`refs`), saved as sw/calls.js takes them; the checkers.
#include <algorithm>
#include <cstring>

#include "world.h"

namespace sim {
namespace {

constexpr const char* kOfItsGroup = "Another change of its group";
constexpr const char* kNothingThere = "the server does not have what stands at";

// Where documents name other entities.
struct Place {
    const char *pointer, *entity;
};
constexpr Place kPlaces[] = {{"/siteId", kSiteEntity}, {"/was/visit", kVisitEntity}};

// Calls `visit` with every id of another entity that stands in the document.
template <class Document, class Visit>
void each_named(Document& document, Visit visit) {
    for (const Place& place : kPlaces)
        if (const Json::json_pointer at(place.pointer); document.contains(at) && document.at(at).is_string()) visit(place, document.at(at));
}

}  // namespace

// --- the server ---------------------------------------------------------------------------------------------------------------

bool Server::gives_ids(const std::string& entity) { return entity == kSiteEntity || entity == kVisitEntity; }

// A new entity is known by another id than the one it came with, and by that alone. The ids of a model's entities begin with their owner.
std::string Server::give_id(const Op& op, const std::string& owner) {
    std::string& there = there_[op.name()];
    if (const Entity* entity = find(op.entity + "/" + there); entity && !entity->versions.empty() && !entity->was_deleted()) ledger_.fail(25, op.name() + " was created twice, now by key " + op.key);
    there = owner + "real " + std::to_string(here_.size() + 1);
    here_[op.entity + "/" + there] = op.entity_id;
    ++ledger_.counts.ids_given;
    return there;
}

std::string Server::name_there(const std::string& entity, const std::string& id) const {
    const auto it = there_.find(entity + "/" + id);
    return entity + "/" + (it == there_.end() || it->second.empty() ? id : it->second);
}

std::string Server::id_here(const std::string& entity, const std::string& id) const {
    const auto it = here_.find(entity + "/" + id);
    return it == here_.end() ? id : it->second;
}

Json Server::as_here(Json document) const {
    each_named(document, [this](const Place& place, Json& id) { id = id_here(place.entity, id.get<std::string>()); });
    return document;
}

std::string Server::name_of_lane(const std::string& lane) const {
    const std::size_t colon = lane.find(':'), slash = lane.find('/', colon);
    return name_there(lane.substr(colon + 1, slash - colon - 1), decode_percent(lane.substr(slash + 1)));
}

// What took effect names entities as the server does, and those that its save named.
void Server::names_as_there(const Known& op, const Entity& entity) {
    const Json& document = entity.current()->json;
    const auto saved = parse(op.text);
    each_named(document, [&](const Place& place, const Json& id) {
        // Known and open (docs/simulator.md): what came there from an earlier change.
        const Json::json_pointer at(place.pointer);
        if (!saved || !saved->contains(at) || saved->at(at) != id) return;
        if (!here_.count(std::string(place.entity) + "/" + id.get<std::string>()))
            ledger_.fail(25, "what op " + op.id + " left at " + place.pointer + " is " + dump(id) + ", an id that the server never gave: " + dump(document));
    });
    if (op.refs.empty()) return;
    ++ledger_.counts.refs_bound;
    const bool foreign = std::any_of(entity.versions.begin(), entity.versions.end(), [](const Version& v) { return v.key.empty(); });
    if (foreign || op.asked_retry || !saved) return;   // merged, or put in again under what came after it
    each_named(*saved, [&](const Place& place, const Json& id) {
        const Json::json_pointer at(place.pointer);
        const std::string member(place.pointer + 1, std::strcspn(place.pointer + 1, "/"));
        if (!op.refs.count(place.pointer) || !(op.edits_all || op.edited.count(member))) return;
        if (!document.contains(at) || id_here(place.entity, document.at(at).get<std::string>()) != id)
            ledger_.fail(25, "op " + op.id + " was saved with " + dump(id) + " at " + place.pointer + ", and left " + dump(document));
    });
}

// --- people -------------------------------------------------------------------------------------------------------------------

// Somebody writes down where he was: a site, which may be new, and visits of it, of which one may name another.
void World::save_visits(const std::string& owner, std::uint32_t first) {
    Rng& rng = dice.rng(Fault::ids);
    const auto shown = [&](const char* entity, const std::string& id) {
        const Record* doc = disk.get("docs", lane_of(owner, entity, id));
        return doc && doc->bytes && !doc->value.value("deleted", false);
    };
    std::vector<Accepted> items;
    std::vector<Known> knowns;
    const std::string site = owner + "tmp site " + std::to_string(rng.below(4));
    const bool there = shown(kSiteEntity, site), atomic = there && rng.chance(0.15), deletes = there && rng.chance(0.05);
    const auto add = [&](const char* entity, const std::string& id, const char* action) {
        auto [accepted, known] = item(owner, id, action, rng.chance(0.05), entity);
        if (atomic) accepted.row["group"] = known.group = "g" + std::to_string(op_counter_ - static_cast<int>(items.size()));
        if (entity == kVisitEntity && accepted.has_text) name_others(accepted, known, site, knowns);
        items.push_back(std::move(accepted));
        knowns.push_back(std::move(known));
    };
    if (deletes || (!atomic && (!there || rng.chance(0.2)))) add(kSiteEntity, site, deletes ? "delete" : "save");
    const std::uint32_t count = deletes ? 0 : 1 + rng.below(3);
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string id = owner + "tmp visit " + std::to_string((first + i) % kVisits);
        add(kVisitEntity, id, shown(kVisitEntity, id) && rng.chance(0.1) ? "delete" : "save");
    }
    ledger.counts.groups += atomic ? 1 : 0;
    if (!there && !options.saves_only && rng.chance(0.3)) think_better(rng, knowns.front().id, 1);
    save_items(std::move(items), std::move(knowns));
    if (rng.chance(0.3)) timeline.in(rng.between(1, 1000), [this, owner, first] { save_visits(owner, first); });
}

// Puts the names of other entities into a visit, and declares those that are to be bound: what was saved before and is there, or stands before it in the same save,
// outside of an atomic group. Under an id of the server's nothing has to be. What leads nowhere would be refused, so people do not save it.
void World::name_others(Accepted& accepted, Known& known, const std::string& site, const std::vector<Known>& before) {
    Rng& rng = dice.rng(Fault::ids);
    Json document = *parse(known.text);
    if (!document.contains("siteId") || rng.chance(0.25)) document["siteId"] = site;
    if (rng.chance(0.3)) document["was"] = {{"visit", known.owner + "tmp visit " + std::to_string(rng.below(kVisits))}};
    Json refs = Json::object();
    for (const Place& place : kPlaces) {
        const Json::json_pointer at(place.pointer);
        if (!document.contains(at)) continue;
        const auto take = [&] {
            const std::string lane = lane_of(known.owner, place.entity, document.at(at).get<std::string>());
            const Record *doc = disk.get("docs", lane), *base = disk.get("bases", lane);
            const bool saved = known.group.empty() && std::any_of(before.begin(), before.end(), [&](const Known& other) { return other.lane == lane && other.action != "delete"; });
            if (lane != known.lane && (saved || (doc && !doc->value.is_null() && !doc->value.value("deleted", false)))) {
                refs[place.pointer] = known.refs[place.pointer] = lane;
                return true;
            }
            return base && base->value.is_object() && base->value.contains("alias");
        };
        if (take()) continue;
        if (place.entity == kVisitEntity) {
            document.erase("was");
            continue;
        }
        document["siteId"] = site;   // which is there, or stands before it
        take();
    }
    known.text = accepted.text = dump(document);
    accepted.row["sizeBytes"] = accepted.text.size();
    if (refs.empty()) return;
    accepted.row["refs"] = refs;
    std::set<std::string> parents(known.depends_on.begin(), known.depends_on.end());
    for (const auto& [pointer, lane] : known.refs) parents.insert(lane);
    accepted.row["dependsOn"] = parents;
}

// --- checkers -----------------------------------------------------------------------------------------------------------------

// What a lane was acknowledged under stays known, in both records.
void Check::alias_kept(const std::string& lane) {
    const Record* base = world_.disk.get("bases", lane);
    const std::size_t slash = lane.find('/');
    const std::string entity = lane.substr(lane.find(':') + 1, slash - lane.find(':') - 1);
    if (!Server::gives_ids(entity) || !base || base->value.contains("alias") || lane.find("tmp%20") == std::string::npos) return;
    const std::string id = base->value.value("serverId", "");
    const std::string lane_there = lane.substr(0, slash + 1) + encode_percent(id), id_here = decode_percent(lane.substr(slash + 1));
    if (id.empty() && base->value.value("etag", "").empty()) return;   // deleted, and the server never had it
    if (id.empty() || world_.server.id_here(entity, id) != id_here) return fail(25, lane + " is acknowledged, and the server's id of it is not kept: " + dump(base->value));
    const Record* back = world_.disk.get("bases", lane_there);
    if (!back || back->value.value("alias", "") != lane) fail(25, "nothing leads from " + lane_there + " to " + lane);
    if (const Record* doc = world_.disk.get("docs", lane_there); doc && doc->bytes) fail(25, lane + " is shown a second time, as " + lane_there);
}

// It is parked because the server lacks what it names: so it does.
void Check::named_in_vain(const Known& op, const std::string& reason) {
    if (reason.find(kNothingThere) == std::string::npos || reason.find(kOfItsGroup) == 0) return;
    const std::string pointer = reason.substr(reason.find(kNothingThere) + std::string(kNothingThere).size() + 1);
    const auto ref = op.refs.find(pointer.substr(0, pointer.find(' ')));
    if (ref == op.refs.end()) return fail(25, "op " + op.id + " was parked for a ref that it does not have: " + reason);
    ++world_.ledger.counts.orphans;
    const Server::Entity* parent = world_.server.find(world_.server.name_of_lane(ref->second));
    const bool later = std::none_of(world_.ledger.ops().begin(), world_.ledger.ops().end(), [&](const auto& other) {   // else it may come while this one is looked at
        return other.second.lane == ref->second && other.second.action == "create" && other.second.effects > 0 && other.first < op.seq;
    });
    if (parent && !later && !parent->was_deleted()) fail(25, "op " + op.id + " was parked (" + reason + "), and the server has " + ref->second);
}

// The earlier op that is to bring an entity into being on which this one waits.
const Known* Check::creator_before(const Known& op) const {
    for (const auto& [pointer, lane] : op.refs)
        for (const std::uint64_t seq : world_.disk.lane(lane))
            if (seq < op.seq && world_.disk.rows().at(seq)["action"] == "create" && (op.group.empty() || world_.disk.rows().at(seq).value("group", "") != op.group))
                return world_.ledger.find(seq);
    return nullptr;
}

}  // namespace sim
