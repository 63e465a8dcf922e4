#include "server.h"

#include <set>

namespace sim {
namespace {

Answer problem(int status, const std::string& type) {
    Answer out;
    out.status = status;
    out.headers["content-type"] = "application/problem+json";
    out.body = dump(Json{{"type", "urn:tidegate:" + type}, {"title", type}, {"status", status}});
    return out;
}

bool good(int status) { return status >= 200 && status <= 299; }

// Bodies in a batch have no raw line breaks; elsewhere they count as if they had none.
std::string one_line(std::string text) {
    for (char& c : text)
        if (c == '\n' || c == '\r') c = ' ';
    return text;
}

std::string text_at(const Json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

std::string encode_percent(const std::string& text) {
    static const char* const kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string("-_.!~*'()").find(c) != std::string::npos;
        if (plain) out += c;
        else out += '%', out += kHex[(static_cast<unsigned char>(c)) >> 4], out += kHex[c & 15];
    }
    return out;
}

std::string decode_percent(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

Answer Server::handle(const Request& request) {
    if (request.method == "POST" && request.url == "batch") return batch(request);
    if (request.method == "GET" && request.url.rfind("changes", 0) == 0) return changes(request);
    if (request.url.rfind("entities/", 0) == 0) return single(request);
    if (request.url.rfind("uploads", 0) == 0) return upload(request);
    ledger_.fail(2, "the server has no such resource: " + request.method + " " + request.url);
    return problem(404, "not-found");
}

const Server::Version* Server::version_of(const std::string& name, const std::string& tag) const {
    const Entity* entity = find(name);
    if (!entity) return nullptr;
    for (const Version& version : entity->versions)
        if (etag(version.number) == tag) return &version;
    return nullptr;
}

void Server::foreign_write(const std::string& entity, const std::string& entity_id, std::optional<Json> document) {
    Entity& found = entities_[entity + "/" + entity_id];
    found.entity = entity;
    found.entity_id = entity_id;
    Version version;
    version.number = static_cast<int>(found.versions.size()) + 1;
    version.deleted = !document;
    if (document) {
        version.text = dump(*document);
        version.json = std::move(*document);
    }
    found.versions.push_back(std::move(version));
    found.changed = next_change_++;
}

void Server::foreign_film(const std::string& entity_id, std::string bytes) {
    foreign_write(kFilmEntity, entity_id, Json());
    Version& version = entities_[std::string(kFilmEntity) + "/" + entity_id].versions.back();
    version.text = std::move(bytes);
    version.content_type = kFilmType;
}

// --- one op -----------------------------------------------------------------------------------------------------------------

Server::Result Server::precondition(const Op& op, const std::string& if_match, const Entity* entity) {
    const bool exists = entity && entity->exists();
    const std::string now = entity && entity->current() ? etag(entity->current()->number) : "";
    const bool matches = if_match.empty() || (if_match == "*" ? exists : !now.empty() && if_match == now);
    const bool clashes = !op.if_none_match.empty() && exists && (op.if_none_match == "*" || op.if_none_match == now);
    Result out;
    if (!matches || clashes) {
        out = {412, now, "precondition-failed", !exists};
        if (exists && entity->current()->content_type.empty()) out.current = entity->current()->text;
    } else if (!exists && (op.action == "delete" || op.codec != "full")) {
        out = now.empty() ? Result{404, "", "not-found"} : Result{410, now, "gone"};
    } else if (exists && if_match.empty() && op.if_none_match.empty()) {
        out = {428, now, "precondition-required"};
    }
    return out;
}

Server::Result Server::apply(Op op, const std::map<std::string, Result>& earlier, const std::string& owner) {
    const OpFault fault = op_fault ? op_fault(op.key) : OpFault{};
    if (fault.in_progress) return {409, "", "in-progress"};
    if (fault.status) return {fault.status, "", fault.status == 429 ? "rate-limited" : "internal"};
    const auto before = earlier.find(op.after), end = earlier.end();
    const auto bound = bindings_.find(op.key);
    const bool rests = !op.after.empty() && before != end && good(before->second.status);
    // It is on the entity that the named op's result is about, whatever id it gives itself; and its key is bound to that.
    if (rests) op.entity_id = before->second.entity_id;
    else if (!op.after.empty() && bound != bindings_.end()) op.entity_id = bound->second.entity_id;
    const std::string fingerprint = (op.action == "delete" ? "delete " : "write ") + op.name() + " " + op.codec + " " + op.content_type + " " + one_line(op.body);
    if (bound != bindings_.end()) {
        if (bound->second.fingerprint == fingerprint && bound->second.entity_id != op.entity_id) ++ledger_.counts.ids_again;
        if (bound->second.fingerprint == fingerprint) return answer_again(bound->second);
        ledger_.fail(2, "key " + op.key + " came again with other bytes: " + fingerprint + " after " + bound->second.fingerprint);
        return {422, "", "key-reused"};
    }
    std::string if_match = op.if_match;
    if (!op.after.empty()) {
        if (!rests) return {424, "", "failed-dependency"};
        if_match = before->second.etag;
    }
    if (const auto there = there_.find(op.name()); op.if_none_match.empty() && there != there_.end() && !there->second.empty())   // empty: taken back with its group
        ledger_.fail(25, "op " + op.id + " names " + op.name() + ", which the server knows as " + there->second);
    const auto entity = entities_.find(op.name());
    const Result refused = precondition(op, if_match, entity == entities_.end() ? nullptr : &entity->second);
    if (refused.status) return refused;
    Result out = carry_out(op, owner);
    if (good(out.status)) bindings_[op.key] = {fingerprint, out.status, out.etag, out.entity_id};
    return out;
}

Server::Result Server::carry_out(Op op, const std::string& owner) {
    Undo undo;
    if (gives_ids(op.entity) && op.if_none_match == "*" && !find(op.name())) {
        undo.named = op.name();
        undo.there = there_[undo.named];
        op.entity_id = give_id(op, owner);
    }
    Entity& entity = entities_[op.name()];
    entity.entity = op.entity;
    entity.entity_id = op.entity_id;
    const bool existed = entity.exists();
    Version version;
    version.number = static_cast<int>(entity.versions.size()) + 1;
    version.deleted = op.action == "delete";
    version.key = op.key;
    version.content_type = op.content_type;
    if (!version.deleted) {
        if (!op.content_type.empty()) {
            version.text = op.body;
        } else {
            const auto body = parse(op.body);
            if (!body) return {422, "", "unprocessable"};
            std::optional<Json> next;
            if (op.codec == "full") next = *body;
            else if (op.codec == "merge-patch") next = apply_merge_patch(entity.current()->json, *body);
            else next = apply_json_patch(entity.current()->json, *body);
            if (!next) {
                ledger_.fail(17, "the patch of " + op.key + " does not apply to the version it names: " + op.body + " on " + entity.current()->text);
                return {422, "", "unprocessable"};
            }
            version.text = op.codec == "full" ? op.body : dump(*next);
            version.json = std::move(*next);
        }
    }
    undo.name = op.name();
    undo.versions = entity.versions.size();
    undo.changed = entity.changed;
    undo.key = op.key;
    if (undo_) undo_->push_back(undo);
    entity.versions.push_back(std::move(version));
    entity.changed = next_change_++;
    note_effect(op, entity, owner);
    return {op.action == "delete" ? 204 : existed ? 200 : 201, etag(entity.current()->number), "", false, false, std::nullopt, op.entity_id};
}

void Server::note_effect(const Op& op, const Entity& entity, const std::string& owner) {
    Known* known = ledger_.find_key(op.key);
    if (!known) return ledger_.fail(2, "an effect under key " + op.key + ", which no accepted op has");
    if (known->owner != owner) ledger_.fail(14, "op " + known->id + " of \"" + known->owner + "\" took effect under the token of \"" + owner + "\"");
    if (known->entity != op.entity || known->entity_id != id_here(op.entity, op.entity_id)) ledger_.fail(2, "op " + known->id + " took effect on another entity, " + op.name());
    ++known->effects;
    known->effect_version = entity.current()->number;
    known->effect_key = op.key;
    if (known->entity == kFilmEntity && op.action != "delete" && entity.current()->text != known->text) ledger_.fail(24, "op " + known->id + " took effect with other bytes than were saved");
    if (known->effects > 1 && !undo_) ledger_.fail(2, "op " + known->id + " took effect twice, now under key " + op.key);
    changes_what_was_edited(*known, entity);
    if (op.entity == kVisitEntity && op.action != "delete") names_as_there(*known, entity);
}

// What another client wrote, or an earlier op, stays: an effect differs from the version before it only in what its save changed, or a save that never took effect
// by itself (folded into it, refused, expired). Looked at where no whole document takes the place of another.
void Server::changes_what_was_edited(const Known& op, const Entity& entity) {
    if (ledger_.ours_wins || op.edits_all || entity.versions.size() < 2) return;
    for (const Version& version : entity.versions)
        if (version.deleted || !version.json.is_object()) return;
    std::set<std::string> edited = op.edited;
    for (const auto& [seq, other] : ledger_.ops()) {
        if (other.lane != op.lane) continue;
        if (other.asked_retry) return;   // a dead letter that goes later goes over what came after it
        if (seq < op.seq && other.effects == 0) edited.insert(other.edited.begin(), other.edited.end());
        if (seq < op.seq && other.effects == 0 && other.edits_all) return;
    }
    const Json before = as_here(entity.versions[entity.versions.size() - 2].json), after = as_here(entity.current()->json);
    Json all = before;
    all.update(after);
    for (const auto& [name, value] : all.items())
        if (!edited.count(name) && (!before.contains(name) || !after.contains(name) || !same(before[name], after[name])))
            ledger_.fail(18, "op " + op.id + " changed " + name + " of " + op.entity_id + ", which its save had not: " + dump(before) + " became " + dump(after));
}

// All or none: what was applied is taken back when one fails, unless an earlier request had applied it.
void Server::apply_group(const std::vector<Op>& ops, std::size_t first, std::size_t count, std::map<std::string, Result>& results, const std::string& owner) {
    std::vector<Undo> undo;
    undo_ = &undo;
    std::size_t failed = count;
    for (std::size_t i = 0; i < count; ++i) {
        const Op& op = ops[first + i];
        results[op.id] = apply(op, results, owner);
        if (!good(results[op.id].status)) {
            failed = i;
            break;
        }
    }
    undo_ = nullptr;
    if (failed == count) {
        for (const Undo& made : undo)
            if (const Known* known = ledger_.find_key(made.key); known && known->effects > 1) ledger_.fail(2, "op " + known->id + " took effect twice");
        return;
    }
    while (!undo.empty()) {
        const Undo last = undo.back();
        undo.pop_back();
        Entity& entity = entities_[last.name];
        entity.versions.resize(last.versions);
        entity.changed = last.changed;
        bindings_.erase(last.key);
        if (!last.named.empty()) there_[last.named] = last.there;
        if (Known* known = ledger_.find_key(last.key)) --known->effects;
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (i == failed) continue;
        // A key that was bound before this request keeps its answer, looked at or not: its effect does exist.
        const auto bound = bindings_.find(ops[first + i].key);
        results[ops[first + i].id] = bound == bindings_.end() ? Result{424, "", "failed-dependency"} : answer_again(bound->second);
    }
}

// --- requests ---------------------------------------------------------------------------------------------------------------

bool Server::read_op(const Json& line, Op& op) {
    static const std::set<std::string> kFields = {"id", "key", "action", "entity", "entityId", "ifMatch", "ifNoneMatch", "after", "codec", "body", "group"};
    if (!line.is_object()) return false;
    for (const auto& [name, value] : line.items())
        if (!kFields.count(name) || (name == "body" ? !value.is_boolean() : !value.is_string())) return false;
    op.id = text_at(line, "id");
    op.key = line.contains("key") ? text_at(line, "key") : op.id;
    op.action = text_at(line, "action");
    op.entity = text_at(line, "entity");
    op.entity_id = text_at(line, "entityId");
    op.if_match = text_at(line, "ifMatch");
    op.if_none_match = text_at(line, "ifNoneMatch");
    op.after = text_at(line, "after");
    op.codec = text_at(line, "codec");
    op.group = text_at(line, "group");
    op.has_body = line.value("body", false);
    const bool writes = op.action == "create" || op.action == "update";
    if (op.id.empty() || op.key.empty() || op.entity.empty() || op.entity_id.empty() || !(writes || op.action == "delete")) return false;
    if (writes != op.has_body || writes == op.codec.empty() || (op.action == "create" && op.codec != "full")) return false;
    return op.after.empty() || (op.if_match.empty() && op.if_none_match.empty());
}

bool Server::read_frame(const std::string& frame, std::vector<Op>& out) {
    if (frame.empty() || frame.back() != '\n') return false;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < frame.size();) {
        const std::size_t end = frame.find('\n', at);
        lines.push_back(frame.substr(at, end - at));
        at = end + 1;
    }
    const auto head = parse(lines[0]);
    if (!head || !head->is_object() || head->value("protocol", 0) != 1) return false;
    std::set<std::string> ids, keys, groups;
    std::map<std::string, std::string> names;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const auto line = parse(lines[i]);
        Op op;
        if (!line || !read_op(*line, op)) return false;
        if (op.has_body) {
            if (++i == lines.size()) return false;
            op.body = lines[i];
        }
        if (!ids.insert(op.id).second || !keys.insert(op.key).second) return false;
        if (!op.after.empty() && (!names.count(op.after) || names[op.after] != op.name())) return false;
        names[op.id] = op.name();
        const bool goes_on = !out.empty() && out.back().group == op.group;
        if (!op.group.empty() && !goes_on && !groups.insert(op.group).second) return false;
        out.push_back(std::move(op));
    }
    return true;
}

Answer Server::batch(const Request& request) {
    if (request.body.size() > max_batch_bytes) return problem(413, "too-large");
    std::vector<Op> ops;
    if (!read_frame(request.body, ops)) {
        ledger_.fail(2, "a frame that is not of the protocol: " + request.body.substr(0, 300));
        return problem(400, "bad-request");
    }
    std::map<std::string, Result> results;
    for (std::size_t i = 0; i < ops.size();) {
        std::size_t count = 1;
        if (!ops[i].group.empty())
            while (i + count < ops.size() && ops[i + count].group == ops[i].group) ++count;
        if (!ops[i].group.empty()) apply_group(ops, i, count, results, request.owner);
        else results[ops[i].id] = apply(ops[i], results, request.owner);
        i += count;
    }
    Json head = {{"protocol", 1}, {"results", ops.size()}, {"idempotencyRetention", 2592000}};
    if (tells_limits) head["maxBatchBytes"] = max_batch_bytes, head["maxBatchOps"] = 200;
    Answer out{200, {{"content-type", "application/x-ndjson"}}, dump(head) + "\n"};
    for (const Op& op : ops) {
        const Result& result = results[op.id];
        Json line = {{"id", op.id}, {"status", result.status}};
        if (!result.etag.empty()) line["etag"] = result.etag;
        if (good(result.status) && result.entity_id != op.entity_id) line["entityId"] = result.entity_id;
        if (!good(result.status)) line["problem"] = {{"type", "urn:tidegate:" + result.problem}, {"title", result.problem}, {"status", result.status}};
        if (result.missing) line["missing"] = true;
        if (result.current) line["body"] = true;
        out.body += dump(line) + "\n";
        if (result.current) out.body += one_line(*result.current) + "\n";
    }
    return out;
}

Answer Server::single(const Request& request) {
    const std::string path = request.url.substr(9);
    const std::size_t slash = path.find('/');
    Op op;
    op.entity = path.substr(0, slash);
    op.entity_id = decode_percent(path.substr(slash + 1));
    const auto entity = entities_.find(op.name());
    if (request.method == "GET" || request.method == "HEAD") {
        if (entity == entities_.end() || !entity->second.current()) return problem(404, "not-found");
        const Version& current = *entity->second.current();
        if (current.deleted) {
            Answer out = problem(410, "gone");
            out.headers["etag"] = etag(current.number);
            return out;
        }
        return {200, {{"content-type", current.content_type.empty() ? "application/json" : current.content_type}, {"etag", etag(current.number)}}, request.method == "HEAD" ? "" : current.text};
    }
    const std::string key = text_at(request.headers, "idempotency-key");
    if (key.size() < 3) {
        ledger_.fail(2, "a write without an idempotency key: " + request.method + " " + request.url);
        return problem(400, "bad-request");
    }
    op.id = op.key = key.substr(1, key.size() - 2);
    op.if_match = text_at(request.headers, "if-match");
    op.if_none_match = text_at(request.headers, "if-none-match");
    op.body = request.body;
    const std::string type = text_at(request.headers, "content-type");
    op.action = request.method == "DELETE" ? "delete" : "update";
    if (request.method != "DELETE") op.codec = request.method == "PUT" ? "full" : type == "application/merge-patch+json" ? "merge-patch" : "json-patch";
    if (request.method == "PUT" && type != "application/json") op.content_type = type;
    if (request.body.size() > max_batch_bytes) return problem(413, "too-large");
    Result result = apply(op, {}, request.owner);
    // Where the request without its precondition would fail, the precondition does not count (RFC 9110, section 13.2.1).
    if (result.status == 412 && result.missing && (op.action == "delete" || op.codec != "full")) result.status = result.etag.empty() ? 404 : 410;
    Answer out = good(result.status) ? Answer{result.status, {{"content-type", "application/json"}}, ""} : problem(result.status, result.problem);
    if (!result.etag.empty()) out.headers["etag"] = result.etag;
    if (result.status == 201 && result.entity_id != op.entity_id) out.headers["location"] = "entities/" + op.entity + "/" + encode_percent(result.entity_id);
    return out;
}

Answer Server::changes(const Request& request) {
    std::uint64_t cursor = 0;
    std::size_t limit = 500;
    for (std::size_t at = request.url.find('?'); at != std::string::npos; at = request.url.find('&', at + 1)) {
        const std::string rest = request.url.substr(at + 1);
        if (rest.rfind("cursor=", 0) == 0) cursor = std::strtoull(rest.c_str() + 7, nullptr, 10);
        if (rest.rfind("limit=", 0) == 0) limit = std::strtoull(rest.c_str() + 6, nullptr, 10);
    }
    std::map<std::uint64_t, const Entity*> newer;
    for (const auto& [name, entity] : entities_)
        if (entity.changed > cursor && entity.entity_id.rfind(request.owner, 0) == 0) newer[entity.changed] = &entity;   // ids begin with their owner
    Answer out{200, {{"content-type", "application/x-ndjson"}}, ""};
    std::size_t count = 0;
    for (const auto& [change, entity] : newer) {
        if (count == limit) break;
        ++count;
        cursor = change;
        const Version& current = *entity->current();
        Json line = {{"entity", entity->entity}, {"entityId", entity->entity_id}, {"etag", etag(current.number)}};
        if (current.deleted) line["deleted"] = true;
        if (!current.key.empty()) line["key"] = current.key;
        const bool body = !current.deleted && current.content_type.empty();
        if (body) line["body"] = true;
        if (!current.content_type.empty()) line["contentType"] = current.content_type;
        out.body += dump(line) + "\n";
        if (body) out.body += one_line(current.text) + "\n";
    }
    out.body += dump(Json{{"cursor", std::to_string(cursor)}, {"more", newer.size() > count}}) + "\n";
    return out;
}

}  // namespace sim
