// What a commit may say. Looked at before and after each one, whoever wrote it.
#include "world.h"

namespace sim {
namespace {

constexpr const char* kTaskLane = ":tidegate.task/";
const Json kNothing;
const std::optional<Json> kUnread;

const Json* at_pointer(const Json& document, const std::string& pointer) {
    const Json* at = &document;
    for (std::size_t i = 0; i < pointer.size();) {
        std::size_t end = pointer.find('/', i + 1);
        if (end == std::string::npos) end = pointer.size();
        const std::string token = pointer.substr(i + 1, end - i - 1);
        if (!at->is_object() || !at->contains(token)) return nullptr;
        at = &(*at)[token];
        i = end;
    }
    return at;
}

}  // namespace

struct Check::Commit {
    std::set<std::uint64_t> removed;
    // All of what is about to be written, and as long as that is.
    std::map<std::string, const Json*> records;                               // op id → what history says of its end
    std::map<std::string, std::pair<const Json*, const std::string*>> bases;  // lane → value and bytes
    std::map<std::string, const std::string*> nexts;                          // payload key → bytes
};

void Check::fail(int invariant, std::string text) { world_.ledger.fail(invariant, std::move(text)); }

void Check::before_commit(const std::vector<tidegate::Write>& writes, const std::vector<std::string>& bytes) {
    Commit commit;
    if (world_.options.trace)
        for (std::size_t i = 0; i < writes.size(); ++i)
            if (writes[i].store != "state")
                world_.trace("  commit " + writes[i].store + " " + (writes[i].key ? dump(*writes[i].key) : *writes[i].prefix) + (writes[i].remove ? " removed" : "") + " " +
                             (writes[i].value ? dump(*writes[i].value) : "") + " " + bytes[i]);
    for (std::size_t i = 0; i < writes.size(); ++i) {
        const tidegate::Write& write = writes[i];
        if (write.store == "ops" && write.remove) commit.removed.insert(write.key->get<std::uint64_t>());
        else if (write.store == "history" && write.value && write.value->contains("opId") && (*write.value)["kind"] != "conflict")
            commit.records[(*write.value)["opId"]] = &*write.value;
        else if (write.store == "bases" && !write.remove) commit.bases[*write.key] = {write.value ? &*write.value : &kNothing, &bytes[i]};
        else if (write.store == "payloads" && !write.remove) commit.nexts[*write.key] = &bytes[i];
    }
    for (const std::uint64_t seq : commit.removed) row_removed(commit, seq);
    for (const tidegate::Write& write : writes) {
        if (write.store == "ops" && !write.remove) {
            row_written(*write.value);
            migrated(commit, *write.value);
        }
        if (write.store == "history" && write.value && write.value->value("kind", "") == "conflict") conflict_recorded(commit, *write.value);
        if (write.store == "payloads" && write.remove && write.prefix) {
            const Known* in_pieces = write.prefix->rfind("up:", 0) == 0 ? world_.ledger.find_id(write.prefix->substr(3, write.prefix->size() - 4)) : nullptr;
            const std::uint64_t seq = in_pieces ? in_pieces->seq : std::stoull(*write.prefix);
            if (!commit.removed.count(seq) && world_.disk.rows().count(seq)) fail(1, "the payload of op " + std::to_string(seq) + " was removed while the op stays");
        }
    }
    for (const auto& [lane, base] : commit.bases) base_written(commit, lane);
    stored_until_ms_ = std::max(stored_until_ms_, told_until_ms_[world_.disk.lease().token]);
}

// An op leaves only by an outcome, or by a stored record saying why.
void Check::row_removed(Commit& commit, std::uint64_t seq) {
    const auto row = world_.disk.rows().find(seq);
    Known* op = world_.ledger.find(seq);
    if (row == world_.disk.rows().end() || !op) return;
    freed_ms_[op->lane] = world_.now();
    const bool sent = row->second.value("sends", 0) > 0;
    const Server::Entity* entity = world_.server.find(world_.server.name_there(op->entity, op->entity_id));
    const auto record = commit.records.find(op->id);
    const std::string kind = record == commit.records.end() ? "" : record->second->value("kind", "");
    const std::string by = record == commit.records.end() ? "" : record->second->value("by", "");
    if (kind == "folded") {
        op->end = End::folded;
        ++world_.ledger.counts.folds;
        Known* into = world_.ledger.find_id(record->second->value("into", ""));
        if (into) into->absorbed = true;
        if (sent) fail(1, "op " + op->id + " was folded although it was sent");
        if (!op->group.empty()) fail(1, "op " + op->id + " of an atomic group was folded");
        if (!into || commit.removed.count(into->seq) || !world_.disk.rows().count(into->seq)) fail(1, "op " + op->id + " was folded into an op that is not there");
    } else if (kind == "cancelled") {
        op->end = by == "server-wins" ? End::yielded : End::cancelled;
        ++world_.ledger.counts.cancels;
        if (by == "user" && !op->asked_cancel) fail(1, "op " + op->id + " was cancelled by a user who did not ask");
        if (op->effects > 0) fail(4, "op " + op->id + " was given up (" + by + ") although the server applied it");
        if (world_.ledger.find_id(by) && sent) fail(1, "op " + op->id + " cancelled out although it was sent");
    } else if (kind == "expired") {
        op->end = End::expired;
        const double at = row->second.value("expiresAt", 0.0);
        bool due = at > 0 && at <= world_.now() + 1;
        world_.ledger.each_of_unit(*op, [&](const Known& other) {
            const auto found = world_.disk.rows().find(other.seq);
            const double other_at = found == world_.disk.rows().end() ? 0 : found->second.value("expiresAt", 0.0);
            due = due || (other_at > 0 && other_at <= world_.now() + 1);
        });
        if (!due && !world_.dice.on(Fault::clock_jump)) fail(1, "op " + op->id + " expired before its time");
        if (op->effects > 0) fail(4, "op " + op->id + " expired although the server applied it");
    } else if (kind == "done") {
        op->end = End::already;
        const Record* next = world_.disk.get("payloads", payload_key(seq));
        const auto& wanted = next && next->bytes ? world_.documents.read(*next->bytes) : kUnread;
        bool there = false;
        for (const Server::Version& version : entity ? entity->versions : std::vector<Server::Version>{}) there = there || (wanted && same(world_.server.as_here(version.json), world_.server.as_here(*wanted)));
        // A merge may also have found that theirs holds everything of ours; then the version under it is the new base.
        if (!there && !commit.bases.count(op->lane)) fail(3, "op " + op->id + " counts as done, and the server never had its document");
    } else {
        op->end = End::done;
        ++world_.ledger.counts.done;
        const bool gone = row->second["action"] == "delete" && (!entity || entity->versions.empty() || std::any_of(entity->versions.begin(), entity->versions.end(), [](const Server::Version& v) { return v.deleted; }));
        if (op->effects == 0 && !gone) fail(3, "op " + op->id + " counts as done, and the server has no effect of it");
        if (!commit.bases.count(op->lane)) fail(1, "op " + op->id + " left the outbox without a record and without its new base");
    }
}

void Check::row_written(const Json& row) {
    const std::uint64_t seq = row["seq"].get<std::uint64_t>();
    Known* op = world_.ledger.find(seq);
    const auto before = world_.disk.rows().find(seq);
    if (!op || before == world_.disk.rows().end()) return fail(1, "a row was written for op " + std::to_string(seq) + ", which has ended");
    if (row.value("id", "") != op->id || row.value("lane", "") != op->lane) fail(1, "the row of op " + op->id + " names another op");
    const int sends = row.value("sends", 0), attempts = row.value("attempts", 0);
    const bool goes_on = row.value("upload", "") != before->second.value("upload", "");   // each request of an upload that comes to something is one for itself
    if (goes_on && row["upload"].get_ref<const std::string&>().find(' ') != std::string::npos) op->upload_url = row["upload"].get<std::string>().substr(row["upload"].get<std::string>().find(' ') + 1);
    const bool heard = row.contains("upload") && state_of(before->second) == "sending" && sends == 0 && !row.value("unknown", false);
    if (!heard && sends < before->second.value("sends", 0)) fail(8, "op " + op->id + " was sent more often than its row says");
    if (!(heard && goes_on) && attempts < before->second.value("attempts", 0) && !op->asked_retry) fail(8, "the attempts of op " + op->id + " went back");
    if (op->refused_at && attempts > *op->refused_at) fail(8, "op " + op->id + " was charged an attempt for credentials that were refused");
    const double wait = row.value("waitMs", 0.0);
    if (wait < 0 || wait > 2 * 300000 + 1) fail(8, "op " + op->id + " waits " + std::to_string(wait) + " ms");
    if (!parked(row) && parked(before->second) && row.value("unknown", false)) op->retried_open = true;
    if (!parked(row) || parked(before->second)) return;
    ++world_.ledger.counts.dead;
    const std::string reason = row.value("reason", "");
    named_in_vain(*op, reason);
    if (reason.empty()) fail(17, "op " + op->id + " was parked without a reason");
    if (op->effects > 0 && reason.find("no answer") == std::string::npos) fail(4, "op " + op->id + " was parked (" + reason + ") although the server applied it");
}

// A document in a new form: what the app made of it, stored with the row that says so, under the key it always had.
void Check::migrated(const Commit& commit, const Json& row) {
    Known* op = world_.ledger.find(row["seq"].get<std::uint64_t>());
    const int version = row.value("schemaVersion", 0);
    if (!op || version == op->version) return;
    const auto made = commit.nexts.find(payload_key(op->seq));
    const Record* before = world_.disk.get("payloads", payload_key(op->seq));
    const auto &old = before && before->bytes ? world_.documents.read(*before->bytes) : kUnread,
               &now = made == commit.nexts.end() ? kUnread : world_.documents.read(*made->second);
    if (!op->asked_app || op->sends > 0) fail(23, "op " + op->id + " became one of version " + std::to_string(version) + (op->sends > 0 ? " after it was sent" : ", and the app was not asked"));
    if (row.value("key", op->id) != op->id) fail(23, "op " + op->id + " took another key when it was made into another version");
    if (!old || !now || !same(*now, in_version(*old, version))) fail(23, "op " + op->id + " is not stored as the app made it");
    ++world_.ledger.counts.migrations;
    op->version = version;
    if (const auto& text = world_.documents.read(op->text)) op->text = dump(in_version(*text, version));
}

// A base is a version the server acknowledged, with the bytes the server has for it.
void Check::base_written(Commit& commit, const std::string& lane) {
    const auto& [value_at, bytes_at] = commit.bases[lane];
    const Json& value = *value_at;
    const std::string& bytes = *bytes_at;
    if (lane.find(kTaskLane) != std::string::npos) return;   // of the app's own jobs no server knows anything
    if (value.value("deleted", false) || bytes.empty() || !value.value("contentType", "").empty()) return;
    const std::string etag = value.value("etag", ""), name = world_.server.name_of_lane(lane);
    // Known and open (docs/simulator.md): its body stays as it was sent, whatever came below it meanwhile.
    for (auto& [seq, op] : world_.ledger.ops())
        if (op.lane == lane && op.retried_open) return;
    const Server::Version* version = world_.server.version_of(name, etag);
    if (!version) return fail(17, "the base of " + name + " is version " + etag + ", which the server never had");
    const auto& json = world_.documents.read(bytes);
    if (!json || !same(*json, version->json))
        fail(17, "the base of " + name + " at " + etag + " is not what the server has: " + bytes + " instead of " + version->text);
}

// Every clash can be checked against the three documents it was made from.
void Check::conflict_recorded(Commit& commit, const Json& record) {
    ++world_.ledger.counts.conflicts;
    const Known* op = world_.ledger.find_id(record.value("opId", ""));
    if (!op || !record.contains("strategy") || !record.contains("clashes") || !record["clashes"].is_array())
        return fail(19, "a conflict was recorded without op, strategy or clashes");
    for (const auto& [key, bytes] : commit.nexts)
        if (key != payload_key(op->seq) && key.find(":next") != std::string::npos) ++world_.ledger.counts.rebases;
    const auto base = commit.bases.find(op->lane);
    if (base == commit.bases.end()) return fail(19, "a conflict of op " + op->id + " was resolved without keeping their version");
    const Server::Version* theirs = world_.server.version_of(world_.server.name_there(op->entity, op->entity_id), base->second.first->value("etag", ""));
    const auto merged = commit.nexts.find(payload_key(op->seq));
    const auto& result = merged == commit.nexts.end() ? kUnread : world_.documents.read(*merged->second);
    // The documents that the decision can be replayed from are those it was made from.
    const auto kept = record.contains("theirs") && record["theirs"].is_string() ? parse(record["theirs"].get<std::string>()) : std::nullopt;
    if (kept && theirs && !theirs->deleted && !same(*kept, theirs->json)) fail(19, "the record of a conflict of op " + op->id + " keeps another version than theirs");
    const Record* next = world_.disk.get("payloads", payload_key(op->seq));
    if (record.contains("ours") && next && next->bytes && record["ours"] != *next->bytes) fail(19, "the record of a conflict of op " + op->id + " keeps another version than ours");
    for (const Json& clash : record["clashes"]) {
        const std::string path = clash.value("path", "");
        if (!clash.contains("ours") || !clash.contains("theirs") || !clash.contains("winner")) return fail(19, "a clash of op " + op->id + " lacks a value");
        if (path.empty() || !theirs || path.find("/tags") == 0) continue;
        const Json* at = at_pointer(theirs->json, path);
        const auto said = clash["theirs"].is_string() ? parse(clash["theirs"].get<std::string>()) : std::nullopt;
        if (at ? !said || !same(*said, *at) : said.has_value()) fail(19, "a clash at " + path + " of op " + op->id + " says theirs was " + dump(clash["theirs"]));
        const Json& won = clash[clash["winner"] == "ours" ? "ours" : "theirs"];
        const Json* now = result ? at_pointer(*result, path) : nullptr;
        const auto winner = won.is_string() ? parse(won.get<std::string>()) : std::nullopt;
        if (result && (now ? !winner || !same(*winner, *now) : winner.has_value())) fail(19, "a clash at " + path + " of op " + op->id + " was not won by the side it names");
    }
}

void Check::after_commit(const std::vector<tidegate::Write>& writes) {
    std::set<std::string> lanes;
    for (const tidegate::Write& write : writes) {
        if (write.store == "docs" || write.store == "bases") lanes.insert(write.key->get<std::string>());
        if (write.store == "ops")
            if (const Known* op = world_.ledger.find(write.key->get<std::uint64_t>())) lanes.insert(op->lane);
    }
    for (const std::string& lane : lanes) {
        lane_view(lane);
        alias_kept(lane);
    }
}

// view = base ⊕ pending: what the app sees is the newest pending document, or the base when nothing is pending.
void Check::lane_view(const std::string& lane) {
    const Disk& disk = world_.disk;
    const Json* last = nullptr;
    std::uint64_t last_seq = 0;
    for (const std::uint64_t seq : disk.lane(lane)) {
        const Json& row = disk.rows().at(seq);
        if (parked(row) || row.contains("undo")) return;   // a change that is being taken out or put in again: the commit that ends it is looked at
        last = &row;
        last_seq = seq;
    }
    if (last && last->contains("upload")) {   // the app is shown its pieces
        if (!disk.piece_bytes(last->value("id", ""), 0, last->value("sizeBytes", std::size_t{0}))) fail(1, "op " + std::to_string(last_seq) + " lost its pieces");
        return;
    }
    const Record* doc = disk.get("docs", lane);
    const bool shown = doc && doc->bytes && !doc->value.value("deleted", false);
    const Record* under = last ? disk.get("payloads", payload_key(last_seq)) : disk.get("bases", lane);
    const bool deleted = last ? last->value("action", "") == "delete" : under && under->value.value("deleted", false);
    if (last && !deleted && (!under || !under->bytes)) return fail(1, "op " + std::to_string(last_seq) + " lost its payload");
    if (lane.find(kTaskLane) != std::string::npos) return;   // nobody looks at the document of a task
    if (deleted || !under) {
        if (shown && (last || under)) fail(18, lane + " is shown although it is deleted");
        return;
    }
    if (!under->bytes || (!last && !under->value.value("contentType", "").empty())) return;   // of a blob that was sent the version is kept alone
    if (!shown) return fail(18, lane + " is not shown although it exists");
    if (*doc->bytes == *under->bytes) return;
    const auto &a = world_.documents.read(*doc->bytes), &b = world_.documents.read(*under->bytes);
    if (!a || !b || !same(world_.server.as_here(*a), world_.server.as_here(*b))) fail(18, lane + " shows " + *doc->bytes + " instead of " + *under->bytes);
}

// A cancel that was answered with ok is stored.
void Check::cancelled(const std::string& id) {
    const Known* op = world_.ledger.find_id(id);
    if (op && op->end == End::none && world_.disk.rows().count(op->seq)) fail(1, "op " + id + " is said to be cancelled and is still queued");
}

}  // namespace sim
