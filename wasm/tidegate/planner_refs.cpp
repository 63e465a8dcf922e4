// Ids that the server gives. An app makes the ids of its entities; a server may answer a create with another one, and knows the entity by that from then on.
//
//   alias    The id that came with the answer is stored by the commit that takes the op out, in the record of the new base (kServerId), and under the server's id a
//            record that leads back to the lane (kAlias). The lane and the documents of the app keep the id they have; requests, once the lane's base is loaded, name
//            the server's; a pull that brings the entity finds the lane by the second record.
//   refs     An op names with JSON Pointers where its document holds ids of other entities. It waits while one of these is to be created by an earlier op
//            (Outbox::parent_of), and before it is sent for the first time the server's ids are put there. What comes of that is stored as the op's document by the
//            commit that marks it: what is sent again is the same, and so is what it leaves as the base.
//
// A ref whose entity the server never got, because its create was cancelled or dropped, has nothing to be replaced by: the op becomes a dead letter.
#include "tidegate/fields.h"
#include "tidegate/json_text.h"
#include "tidegate/planner.h"

namespace tidegate {
namespace {

// The value that an RFC 6901 pointer leads to in a valid text; empty where it leads nowhere. Pointers are kept as the inside of a string literal.
std::string_view value_at(std::string_view text, std::string_view pointer) {
    std::string_view value = text.substr(skip_space(text, 0));
    while (!pointer.empty()) {
        const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
        const std::string_view token = pointer.substr(1, end - 1);
        pointer.remove_prefix(end);
        std::vector<Child> children;
        if (value.empty() || (value[0] != '{' && value[0] != '[') || split(value, 0, children) == kNoOffset) return {};
        std::string_view found;
        for (std::size_t i = 0; i < children.size(); ++i) {
            std::string name;
            if (value[0] == '{') append_pointer_token(name, key_of(value, children[i]));
            else name = std::to_string(i);
            if (name == token) found = value_of(value, children[i]);   // of equal names the last counts
        }
        value = found;
    }
    return value;
}

}  // namespace

Json Planner::base_record(const std::string& etag, const std::string& server_id) {
    Json record = object().set("etag", etag);
    if (!server_id.empty()) set(record, kServerId, server_id);
    return record;
}

// The answer to `op` says that the server knows the entity as `given`. Nothing of it is taken where that is no id, or where there is one, which stays.
void Planner::take_server_id(Item& item, const Op& op, const std::string& given, CommitSpec& spec) {
    const Lane& lane = *op.lane;
    if (!item.server_id.empty() || given.empty() || given == lane.entity_id()) return;
    if (given.size() > kMaxServerIdBytes || given == "." || given == ".." || given.find_first_of("/\\") != std::string::npos || !validate_json(say("\"", given, "\"")))
        return note_error(lane.owner, {Verdict::done, true, false, ErrorClass::server, "The server gave an id that is none"}, 0, lane.entity);
    const std::string there = lane_of(lane.owner, lane.entity, given);
    add_write(spec.writes, "bases", there).value = object().set(kAlias, lane.name());
    add_write(spec.writes, "docs", there).remove = true;   // a pull may have brought it as somebody else's
    // … and what changed of it since, too; once such ids are expected that waits for the answer (to_apply).
    if (const auto it = pulls_.find(lane.owner); it != pulls_.end() && op.unknown && !server_ids_) {
        it->second.cursor.clear();
        it->second.full = false;
        if (pull_) pull_->held = true;
    }
    if (pull_) pull_->acked.insert(there);
    item.server_id = given;
    server_ids_ = true;
}

// The record, without its bytes, that was loaded into a slot; null when there is none.
const Json* Planner::record_in(const OutcomeIn& loaded, double slot) {
    for (const Json& meta : loaded.metas)
        if (slot > 0 && number_field(meta, "slot", 0, 9e15, 0) == slot && meta["value"].is_object()) return &meta["value"];
    return nullptr;
}

// Puts the server's ids into the document. False: it cannot be sent.
bool Planner::bind_refs(const Batch& batch, const OutcomeIn& loaded, Item& item, Op& op, CommitSpec& spec) {
    if (!validate_json(item.next)) return true;   // refused with the reason when it gets its form
    const Json& refs = op.rare().refs;
    for (auto ref = refs.begin(); ref != refs.end(); ++ref) {
        const std::string* name = ref->get_ptr<const std::string*>();
        const std::string_view found = value_at(item.next, ref.key());
        if (!name || found.size() < 3 || found[0] != '"') continue;
        std::string id;
        append_unescaped(id, found.substr(1, found.size() - 2));
        if (id != id_in_lane(*name)) continue;   // something else stands there by now
        const Json* parent = record_in(loaded, number_field(batch.parents, name->c_str(), 0, 9e15, 0));
        const std::string* server_id = parent ? text_at(*parent, kServerId) : nullptr;
        // Of what it never had, a delete leaves a record too.
        if (!parent || (!server_id && bool_field(*parent, "deleted", false) && text_field(*parent, "etag").empty())) {
            op_dead(op, kInvalid, 0, say("the server does not have what stands at ", ref.key()), spec);
            return false;
        }
        if (!server_id) continue;
        std::string& text = slots_[item.next_slot];
        text.replace(static_cast<std::size_t>(found.data() - text.data()), found.size(), say("\"", *server_id, "\""));
        item.next = text;
        item.bound_now = true;
    }
    return true;
}

}  // namespace tidegate
