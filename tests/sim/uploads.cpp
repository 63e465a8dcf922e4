// Uploads by tus 1.0.0: the server's side, from docs/protocol.md alone, and the shell's (sw/uploads.js).
#include <algorithm>

#include "world.h"

namespace sim {
namespace {

constexpr const char* kVersion = "1.0.0";
constexpr int kMostCancels = 8;

Answer refused(int status, const std::string& type) {
    return {status, {{"content-type", "application/problem+json"}}, dump(Json{{"type", "urn:tidegate:" + type}, {"title", type}, {"status", status}})};
}

std::string header_of(const Json& headers, const char* name) { return headers.value(name, ""); }

std::string bare_key(const Json& headers) {
    const std::string key = header_of(headers, "idempotency-key");
    return key.size() > 2 ? key.substr(1, key.size() - 2) : "";
}

// A number that begins a text, or nothing.
std::optional<std::size_t> count_in(const std::string& text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos || text.size() > 15) return std::nullopt;
    return std::stoull(text);
}

}  // namespace

// --- the server ---------------------------------------------------------------------------------------------------------------

Answer Server::upload(const Request& request) {
    if (header_of(request.headers, "tus-resumable") != kVersion) ledger_.fail(2, "a request of an upload without Tus-Resumable: " + request.method);
    if (request.method == "POST") return begin_upload(request);
    const auto found = uploads_.find(request.url);
    if (found == uploads_.end()) ledger_.fail(24, "there never was an upload " + request.url);
    if (found == uploads_.end() || found->second.gone) return refused(404, "not-found");
    Upload& upload = found->second;
    if (upload.owner != request.owner) ledger_.fail(14, "an upload of \"" + upload.owner + "\" was spoken of as \"" + request.owner + "\"");
    if (request.method == "DELETE") {
        if (upload.ended) return refused(404, "not-found");
        upload.gone = true;
        return {204, {}, ""};
    }
    Answer out{200, {{"upload-offset", std::to_string(upload.bytes.size())}, {"upload-length", std::to_string(upload.length)}}, ""};
    return request.method == "PATCH" ? take_chunk(request, upload) : out;
}

Answer Server::begin_upload(const Request& request) {
    const std::string key = bare_key(request.headers);
    std::map<std::string, std::string> said;   // the metadata, which the model's shell does not write in base64
    const auto length = count_in(header_of(request.headers, "upload-length"));
    const auto metadata = parse(header_of(request.headers, "upload-metadata"));
    if (key.empty() || !length || !metadata || !metadata->is_object()) {
        ledger_.fail(2, "an upload that is not of the protocol: " + dump(request.headers));
        return refused(400, "bad-request");
    }
    for (const auto& [url, upload] : uploads_) {
        if (upload.key != key || upload.gone) continue;
        if (upload.length != *length || upload.entity_id != (*metadata)["entityId"] || upload.type != (*metadata)["filetype"]) {
            ledger_.fail(2, "key " + key + " came again with another upload");
            return refused(422, "key-reused");
        }
        return {201, {{"location", url}, {"upload-offset", std::to_string(upload.bytes.size())}}, ""};
    }
    Op op;
    op.id = op.key = key;
    op.action = "update";
    op.codec = "full";
    op.entity = (*metadata)["entity"];
    op.entity_id = (*metadata)["entityId"];
    op.if_match = header_of(request.headers, "if-match");
    op.if_none_match = header_of(request.headers, "if-none-match");
    const Result result = bindings_.count(key) ? Result{} : precondition(op, op.if_match, find(op.name()));
    if (result.status) {
        Answer out = refused(result.status, result.problem);
        if (!result.etag.empty()) out.headers["etag"] = result.etag;
        return out;
    }
    const std::string url = "uploads/" + std::to_string(uploads_.size() + 1);
    uploads_[url] = Upload{key, op.entity, op.entity_id, (*metadata)["filetype"], request.owner, "", *length};
    return {201, {{"location", url}, {"upload-offset", "0"}}, ""};
}

void Server::keep(const Request& request, std::size_t bytes) {
    const auto found = uploads_.find(request.url);
    if (found == uploads_.end() || found->second.gone || found->second.ended) return;
    if (count_in(header_of(request.headers, "upload-offset")) == found->second.bytes.size()) found->second.bytes += request.body.substr(0, bytes);
}

// The last byte makes it the write, as a PUT under the key and with the precondition of this very request.
Answer Server::take_chunk(const Request& request, Upload& upload) {
    const std::string at = header_of(request.headers, "upload-offset");
    if (count_in(at) != upload.bytes.size()) return refused(409, "offset");
    if (upload.bytes.size() + request.body.size() > upload.length) {
        ledger_.fail(24, "more bytes than upload " + request.url + " has");
        return refused(400, "bad-request");
    }
    upload.bytes += request.body;
    if (upload.bytes.size() < upload.length) return {204, {{"upload-offset", std::to_string(upload.bytes.size())}}, ""};
    Op op;
    op.id = op.key = bare_key(request.headers);
    op.action = "update";
    op.codec = "full";
    op.entity = upload.entity;
    op.entity_id = upload.entity_id;
    op.if_match = header_of(request.headers, "if-match");
    op.if_none_match = header_of(request.headers, "if-none-match");
    op.body = upload.bytes;
    op.content_type = upload.type;
    op.has_body = true;
    const Result result = apply(op, {}, request.owner);
    const bool good = result.status >= 200 && result.status <= 299;
    upload.ended = upload.ended || good;
    Answer out = good ? Answer{204, {{"upload-offset", at.empty() ? "0" : std::to_string(upload.length)}}, ""} : refused(result.status, result.problem);
    if (!result.etag.empty()) out.headers["etag"] = result.etag;
    return out;
}

// --- people -------------------------------------------------------------------------------------------------------------------

void World::save_film() {
    Rng& rng = dice.rng(Fault::upload);
    const std::string& owner = owners_[rng.below(static_cast<std::uint32_t>(owners_.size()))];
    const std::string id = owner + "film " + std::to_string(rng.below(3));
    const Record* shown = disk.get("docs", lane_of(owner, kFilmEntity, id));
    const bool deletes = shown && !shown->value.is_null() && !shown->value.value("deleted", false) && rng.chance(0.1);
    auto [accepted, known] = item(owner, id, deletes ? "delete" : "save", true, kFilmEntity);
    if (!deletes) {
        known.text.clear();
        for (const std::size_t size = 9000 + rng.below(60000); known.text.size() < size;) known.text += known.id.substr(28) + "@" + std::to_string(known.text.size()) + " ";
        accepted.text = known.text;
        accepted.has_text = false;
        accepted.in_pieces = true;
        accepted.row["upload"] = "new";
        accepted.row["noFold"] = true;
        accepted.row["sizeBytes"] = known.text.size();
        accepted.row["contentType"] = kFilmType;
        ++ledger.counts.uploads;
    }
    known.edits_all = true;
    if (rng.chance(0.4)) think_better(rng, known.id, kMostCancels);
    save_items({std::move(accepted)}, {std::move(known)});
}

// Somebody thinks better of it, and asks until it is gone, or was there first.
void World::think_better(Rng& rng, const std::string& id, int times) {
    timeline.in(rng.between(50, 4000), [this, &rng, id, times] {
        Known* op = ledger.find_id(id);
        if (times == 0 || dice.is_calm() || (op && op->end != End::none)) return;
        think_better(rng, id, times - 1);
        if (!op || !page_open_) return;
        op->asked_cancel = true;
        ask_from_page(Json{{"type", "message"}}, {Json{{"type", "cancel"}, {"id", id}}}, [this, id](const std::vector<Json>& answers) {
            if (!answers.empty() && answers[0].contains("ok")) check.cancelled(id);
        });
    });
}

// --- the shell ----------------------------------------------------------------------------------------------------------------

// How far an upload is stands in its row, as a text that the core keeps: a number and an address, "new" before.
void World::upload(Drain& drain, Process& process, const tidegate::Effect& effect, std::function<bool()> may_leave, std::function<void(Outcome)> then) {
    const auto state_of_text = [](const std::string& text) {
        const std::size_t space = text.find(' ');
        return space == std::string::npos ? std::pair<std::size_t, std::string>(0, "uploads") : std::pair(count_in(text.substr(0, space)).value_or(0), text.substr(space + 1));
    };
    auto request = std::make_shared<tidegate::Effect>(effect);
    auto body = std::make_shared<std::string>();
    if (!request->headers) request->headers = Json::object();
    (*request->headers)["tus-resumable"] = kVersion;
    if (effect.method == std::optional<std::string>("DELETE")) {
        const std::string text = (*effect.detail)["upload"];
        request->url = state_of_text(text.substr(0, text.find('\n'))).second;
        if (!may_leave()) return then({Json{{"failure", "aborted"}}, std::nullopt, 0});
        check.at_send(drain, *request, "");
        ++ledger.counts.abandoned;
        return send(process, *request, "", std::move(may_leave), [this, url = *request->url, then = std::move(then)](Outcome outcome) {
            if (const auto found = server.uploads().find(url); found != server.uploads().end() && outcome.json.contains("status")) found->second.told = true;
            then(std::move(outcome));
        });
    }
    const std::string id = (*effect.detail)["id"];
    auto why = std::make_shared<std::string>();
    auto before = std::make_shared<std::pair<std::size_t, std::string>>();
    auto size = std::make_shared<std::size_t>(0);
    io(
        process,
        [this, request, body, why, before, size, id, state_of_text] {
            const Known* op = ledger.find_id(id);
            const auto row = op ? disk.rows().find(op->seq) : disk.rows().end();
            if (row == disk.rows().end() || !row->second.contains("upload") || dice.roll(Fault::store_read, 0.004)) {
                *why = "its row is not there";
                return;
            }
            *before = state_of_text(row->second["upload"]);
            *size = row->second["sizeBytes"].get<std::size_t>();
            request->url = before->second;
            Json& headers = *request->headers;
            if (request->method == std::optional<std::string>("POST")) {
                headers["upload-length"] = std::to_string(*size);
                headers["upload-metadata"] = dump(Json{{"entity", row->second["entity"]}, {"entityId", (*request->detail)["entityId"]}, {"filetype", row->second["contentType"]}});
            } else if (request->method == std::optional<std::string>("PATCH")) {
                headers["upload-offset"] = std::to_string(before->first);
                const std::size_t most = static_cast<std::size_t>(std::max(1.0, (*request->detail)["bytes"].get<double>()));
                const auto bytes = disk.piece_bytes(id, before->first, std::min(*size, before->first + most));
                if (!bytes) ledger.fail(1, "op " + id + " lost bytes of its pieces");
                *body = bytes.value_or("");
            }
        },
        [this, &drain, &process, request, body, why, before, size, id, may_leave = std::move(may_leave), then = std::move(then)]() mutable {
            if (!why->empty() || !may_leave()) return then({Json{{"failure", "aborted"}, {"message", why->empty() ? "the turn ended" : *why}, {"startedAtMs", now()}, {"endedAtMs", now()}}, std::nullopt, 0});
            check.at_send(drain, *request, *body);
            send(process, *request, std::move(*body), std::move(may_leave), [method = *request->method, before, size, then = std::move(then)](Outcome outcome) {
                const Json& answer = outcome.json;
                const int status = answer.value("status", 0);
                const Json headers = answer.value("headers", Json::object());
                if (status < 200 || status > 299 || header_of(headers, "content-type") == "text/html") return then(std::move(outcome));
                const std::string said = headers.value("upload-offset", method == "POST" ? "0" : "");
                const std::string url = method == "POST" ? header_of(headers, "location") : before->second;
                const auto offset = count_in(said);
                const bool ended = method == "PATCH" && offset == *size;
                if (url.empty() || !offset || *offset > *size || (method == "PATCH" && !ended && *offset <= before->first)) {
                    outcome.json = Json{{"failure", "truncated"}, {"message", "it does not say how far the upload is"}, {"startedAtMs", answer["startedAtMs"]}, {"endedAtMs", answer["endedAtMs"]}};
                    outcome.body.reset();
                } else if (!ended) {
                    outcome.json["message"] = said + " " + url;
                }
                then(std::move(outcome));
            });
        });
}

// --- checkers -----------------------------------------------------------------------------------------------------------------

// The next bytes are those that the server lacks, unless a request of it was overtaken by a later one.
void Check::chunk_sent(const tidegate::Effect& effect, const Known& op, const std::string& body) {
    ++world_.ledger.counts.chunks;
    const auto found = world_.server.uploads().find(effect.url.value_or(""));
    const std::size_t at = count_in(header_of(*effect.headers, "upload-offset")).value_or(0);
    if (op.text.compare(at, body.size(), body) != 0) fail(24, "op " + op.id + " sends other bytes at " + std::to_string(at) + " than were saved");
    if (found == world_.server.uploads().end()) return fail(24, "op " + op.id + " sends bytes to " + effect.url.value_or("") + ", which the server never named");
    Server::Upload& upload = found->second;
    if (op.asked_retry) return;   // refused at its end, and its bytes stayed: after a retry it learns of that by a 409 (known and open, docs/simulator.md)
    if (upload.gone || upload.ended || upload.overtaken || upload.busy_until_ms > world_.timeline.now()) return;
    if (at != upload.bytes.size())
        fail(24, "op " + op.id + " sends bytes at " + std::to_string(at) + " without asking: the server has " + std::to_string(upload.bytes.size()));
}

// An op that left in the middle: the server is told of it. A core that dies right after the commit that removed the op forgets to (known and open, docs/simulator.md).
std::string Check::upload_left() const {
    for (const Fault fault : {Fault::crash, Fault::freeze, Fault::trap, Fault::quota})
        if (world_.dice.on(fault)) return "";
    for (const auto& [url, upload] : world_.server.uploads()) {
        const Known* op = world_.ledger.find_key(upload.key);
        if (!upload.gone && !upload.ended && !upload.told && op && op->upload_url == url && op->end != End::none) return "the server keeps " + url + " of op " + op->id + ", which has left";
    }
    return "";
}

}  // namespace sim
