#include "world.h"

#include <doctest/doctest.h>

#include "tidegate/patch.h"

namespace tidegate::test {
namespace {

std::string line_of(std::string& rest) {
    const std::size_t end = rest.find('\n');
    std::string line = rest.substr(0, end);
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
    return line;
}

std::string key_text(const Json& key) { return key.is_string() ? key.get<std::string>() : dump_json(key); }

}  // namespace

Json Server::apply(const Json& line, const std::string& body, const std::map<std::string, Json>& earlier) {
    const std::string id = line["id"], key = line.value("key", id), name = line["entity"].get<std::string>() + "/" + line["entityId"].get<std::string>();
    if (refuse)
        if (const int status = refuse(line)) return {{"id", id}, {"status", status}};
    if (const auto known = answers.find(key); known != answers.end()) return {{"id", id}, {"status", known->second.first}, {"etag", tag(known->second.second)}};
    Doc& doc = docs[name];
    const bool exists = doc.version > 0 && !doc.deleted;
    std::string expected = line.value("ifMatch", std::string());
    if (line.contains("after")) {
        const auto before = earlier.find(line["after"]);
        if (before == earlier.end() || before->second["status"] >= 300) return {{"id", id}, {"status", 424}};
        expected = before->second["etag"];
    }
    const bool refused = line.contains("ifNoneMatch") ? exists : !expected.empty() && (!exists || expected != tag(doc.version));
    if (refused) {
        Json result = {{"id", id}, {"status", 412}, {"etag", exists ? tag(doc.version) : ""}};
        if (exists) result["current"] = doc.text;
        else result["missing"] = true;
        return result;
    }
    const std::string codec = line.value("codec", std::string());
    if (codec == "full") doc.text = body;
    else if (codec == "json-patch") doc.text = apply_json_patch(doc.text, body, 1 << 20).value();
    else if (codec == "merge-patch") doc.text = apply_merge_patch(doc.text, body, 1 << 20).value();
    doc.deleted = line["action"] == "delete";
    ++doc.version;
    doc.n = ++n;
    doc.key = key;
    const int status = line["action"] == "create" ? 201 : doc.deleted ? 204 : 200;
    answers[key] = {status, doc.version};
    effects.push_back(key);
    return {{"id", id}, {"status", status}, {"etag", tag(doc.version)}};
}

std::pair<int, std::string> Server::batch(const std::string& frame) {
    requests.push_back(frame);
    if (refuse_request)
        if (const int status = refuse_request()) return {status, ""};
    std::string rest = frame;
    line_of(rest);
    std::map<std::string, Json> earlier;
    std::string out;
    int count = 0;
    while (!rest.empty()) {
        const Json line = parse_json(line_of(rest)).value();
        const std::string body = line.value("body", false) ? line_of(rest) : "";
        Json result = apply(line, body, earlier);
        earlier[line["id"]] = result;
        const bool current = result.contains("current");
        const std::string text = current ? result["current"].get<std::string>() : "";
        if (current) {
            result.erase("current");
            result["body"] = true;
        }
        out += dump_json(result) + "\n" + (current ? text + "\n" : "");
        ++count;
    }
    Json head = {{"protocol", 1}, {"results", count}};
    if (retention_s > 0) head["idempotencyRetention"] = retention_s;
    return {200, dump_json(head) + "\n" + out};
}

void Server::edit(const std::string& name, const std::string& text, const std::string& type) {
    Doc& doc = docs[name];
    doc.text = text;
    doc.deleted = text.empty();
    ++doc.version;
    doc.n = ++n;
    doc.key = "theirs-" + std::to_string(n);
    doc.type = type;
}

std::pair<int, std::string> Server::changes(const std::string& url) {
    const std::size_t at = url.find("&cursor=");
    const std::string cursor = at == std::string::npos ? "" : url.substr(at + 8);
    pulls.push_back(cursor);
    int from = cursor.empty() ? 0 : std::stoi(cursor);
    if (!cursor.empty() && from < horizon) return {410, "{\"type\":\"urn:tidegate:cursor-expired\"}"};
    std::map<int, std::string> order;
    for (const auto& [name, doc] : docs)
        if (doc.n > from && !(doc.deleted && doc.n <= horizon)) order[doc.n] = name;
    std::string out;
    int count = 0;
    bool more = false;
    for (const auto& [number, name] : order) {
        if (count++ == page) {
            more = true;
            break;
        }
        from = number;
        const Doc& doc = docs[name];
        Json line = {{"entity", name.substr(0, name.find('/'))}, {"entityId", name.substr(name.find('/') + 1)}, {"etag", tag(doc.version)}, {"key", doc.key}};
        if (doc.deleted) line["deleted"] = true;
        else if (!doc.type.empty()) line["contentType"] = doc.type;
        else line["body"] = true;
        out += dump_json(line) + "\n" + (line.contains("body") ? doc.text + "\n" : "");
    }
    if (!more) from = std::max(from, n);
    return {200, out + dump_json({{"cursor", std::to_string(from)}, {"more", more}}) + "\n"};
}

std::pair<int, std::string> Server::entity(const Json& send) {
    const std::string url = send["url"];
    const auto it = docs.find(url.substr(std::string("entities/").size()));
    if (send["method"] != "GET" || it == docs.end()) return {404, ""};
    return it->second.deleted ? std::pair(410, std::string()) : std::pair(200, it->second.text);
}

std::string World::accept(const std::string& entity, const std::string& id, const char* action, const std::string& text, Json extra) {
    ++seq;
    Json row = {{"seq", seq},         {"id", "op-" + std::to_string(seq)}, {"lane", ":" + entity + "/" + id}, {"entity", entity},
                {"entityId", id},     {"action", action},                  {"createdAt", now},                {"sizeBytes", text.size()},
                {"state", "queued"}};
    row.update(extra);
    values["ops"][std::to_string(seq)] = row;
    if (!text.empty()) bytes["payloads"][payload_key(seq, "next")] = text;
    bytes["docs"][row["lane"]] = text;
    return row["id"];
}

void World::write(const Json& w) {
    const std::string store = w["store"];
    if (w.contains("prefix")) {
        const std::string prefix = w["prefix"];
        for (auto* part : {&bytes[store]})
            for (auto it = part->begin(); it != part->end();) it = it->first.rfind(prefix, 0) == 0 ? part->erase(it) : std::next(it);
        return;
    }
    const std::string key = key_text(w["key"]);
    if (w.value("remove", false)) {
        values[store].erase(key);
        bytes[store].erase(key);
        return;
    }
    if (w.contains("value")) values[store][key] = w["value"];
    if (w.contains("slot")) {
        const std::string* found = planner.bytes(w["slot"]);
        REQUIRE(found);
        bytes[store][key] = *found;
    } else if (w.contains("from")) {
        const std::string from = w["from"]["key"];
        bytes[store][key] = bytes[w["from"]["store"].get<std::string>()][from];
    } else {
        bytes[store].erase(key);
    }
}

Json World::perform(const Json& effect, bool& good) {
    const std::string type = effect["type"];
    Json outcome = {{"id", effect["id"]}};
    if (type == "load") {
        outcome["missing"] = Json::array();
        outcome["metas"] = Json::array();
        for (const Json& item : effect["items"]) {
            const std::string store = item["store"], key = item["key"];
            if (values[store].count(key)) outcome["metas"].push_back({{"slot", item["slot"]}, {"value", values[store][key]}});
            if (bytes[store].count(key)) planner.put(item["slot"], bytes[store][key]);
            else outcome["missing"].push_back(item["slot"]);
        }
        if (on_load) on_load(effect);
    } else if (type == "list") {
        outcome["metas"] = Json::array();
        const Json& item = effect["items"][0];
        const std::string store = item["store"], prefix = item["key"], after = effect.value("after", std::string());
        for (const auto& [key, value] : values[store])
            if (key.rfind(prefix, 0) == 0 && key > after && outcome["metas"].size() < 2) outcome["metas"].push_back({{"key", key}, {"value", value}});
    } else if (!good) {
        outcome["skipped"] = true;
    } else if (type == "commit") {
        std::string verdict = on_commit ? on_commit(effect) : "";
        for (const Json& lane : effect["lanes"])
            for (const auto& [key, row] : values["ops"])
                if (row["seq"] > effect["knownSeq"] && row["lane"] == lane) verdict = "stale";
        if (verdict.empty()) {
            const Json all = effect["writes"];
            for (const Json& w : all)   // `from` means as it was before this commit
                if (w.contains("from")) write(w);
            for (const Json& w : all)
                if (!w.contains("from")) write(w);
            outcome["commit"] = "ok";
        } else {
            good = false;
            if (verdict == "error") outcome["error"] = {{"code", "quota"}, {"message", "no room"}};
            else outcome["commit"] = verdict;
            if (verdict == "stale") given = std::min(given, effect["knownSeq"].get<std::uint64_t>());
        }
    } else if (type == "send" || type == "run" || type == "upload") {
        const Json special = network ? network(effect) : Json();
        outcome["startedAtMs"] = now;
        outcome["endedAtMs"] = now + 100;
        if (!special.is_null()) {
            outcome.update(special);
            if (effect.contains("answerSlot")) outcome["answerSlot"] = effect["answerSlot"];   // nobody wants to read the answer to some
            if (special.contains("body")) planner.put(effect["answerSlot"], special["body"]);
        } else {
            const std::string url = effect["url"];
            const bool batch = url == "batch", changes = url.rfind("changes", 0) == 0;
            const auto [status, text] = batch ? server.batch(*planner.bytes(effect["slot"])) : changes ? server.changes(url) : server.entity(effect);
            if (server.drop_answer) {
                outcome["failure"] = "network";
            } else {
                outcome["status"] = status;
                outcome["headers"] = {{"content-type", batch || changes ? "application/x-ndjson" : "application/octet-stream"}};
                if (!batch && !changes && status == 200) outcome["headers"]["etag"] = Server::tag(server.docs[url.substr(9)].version);
                planner.put(effect["answerSlot"], text);
            }
        }
    } else if (type == "ask") {
        if (effect["detail"].contains("from")) {
            if (on_migrate) outcome.update(on_migrate(effect["detail"], effect["detail"]["ours"]));
            if (outcome.contains("body")) planner.put(effect["answerSlot"], outcome["body"].get<std::string>());
        } else if (on_ask) planner.put(effect["answerSlot"], on_ask(effect["detail"]));
    } else if (type == "notify") {
        events.push_back(effect);
        return nullptr;
    }
    return outcome;
}

Json World::step(Json input) {
    input["nowMs"] = now;
    input["seed"] = seed++;
    input["readings"] = readings;
    Json rows = Json::array();
    for (std::uint64_t s = given + 1; s <= seq; ++s)
        if (values["ops"].count(std::to_string(s))) rows.push_back(values["ops"][std::to_string(s)]);
    given = seq;
    input["rows"] = rows;
    if (max_ops > 0) input["maxOps"] = max_ops;
    ++steps;
    auto plan = planner.step(input);
    REQUIRE_MESSAGE(plan.ok(), (plan.ok() ? "" : plan.error().message));
    return encode(plan.value());
}

void World::run(Json first, int most) {
    Json& outcomes = outcomes_;
    if (!outcomes.is_array()) outcomes = Json::array();
    for (int i = 0; i < most; ++i) {
        Json input = i == 0 ? first : Json::object();
        input["outcomes"] = outcomes;
        const Json plan = step(input);
        for (const Json& r : plan["rejected"]) rejected.push_back(r);
        for (const Json& a : plan["answers"]) answers.push_back(a);
        if (plan.contains("status")) status = plan["status"];
        outcomes = Json::array();
        bool good = true;
        for (const Json& effect : plan["effects"]) {
            const Json outcome = perform(effect, good);
            if (!outcome.is_null()) (outcome.contains("delay") ? delayed_ : outcomes).push_back(outcome);
        }
        for (std::size_t d = 0; d < delayed_.size(); ++d) {
            const int left = delayed_[d]["delay"].get<int>() - 1;
            delayed_[d]["delay"] = left;
            if (left > 0) continue;
            delayed_[d].erase("delay");
            if (delayed_[d].contains("body")) planner.put(delayed_[d]["answerSlot"], delayed_[d]["body"].get<std::string>());
            outcomes.push_back(delayed_[d]);
            delayed_.erase(d--);
        }
        last_idle = plan["idle"];
        last_reject = plan["reject"];
        wake = plan.contains("wakeAtMs") ? std::optional<double>(plan["wakeAtMs"].get<double>()) : std::nullopt;
        if (last_idle && outcomes.empty()) return;
        if (outcomes.empty() && !last_idle && delayed_.empty()) {
            REQUIRE(wake);
            now = *wake > now ? *wake : now;
        }
    }
}

void World::restart() {
    outcomes_ = delayed_ = Json::array();
    planner.~Planner();
    new (&planner) Planner();
    Json state = Json::object();
    for (const char* key : {"core", "settings", "rules"})
        if (values["state"].count(key)) state[key] = values["state"][key];
    if (schema_version >= 0) state["schemaVersion"] = schema_version;
    const std::string snapshot = bytes["state"].count("snapshot") ? bytes["state"]["snapshot"] : "";
    const auto known = planner.restore(snapshot, state);
    REQUIRE(known.ok());
    given = known.value();
}

Json World::command(const Json& command) {
    answers.clear();
    run({{"commands", Json::array({command})}});
    return answers.empty() ? Json() : answers.front();
}

Json World::row(std::uint64_t s) const {
    const auto it = values.at("ops").find(std::to_string(s));
    return it == values.at("ops").end() ? Json() : it->second;
}

std::size_t World::queued() const {
    const auto it = values.find("ops");
    return it == values.end() ? 0 : it->second.size();
}

std::string World::shown(const std::string& path) const {
    const auto docs = bytes.find("docs");
    if (docs == bytes.end()) return "";
    const auto it = docs->second.find(":" + path);
    return it == docs->second.end() ? "" : it->second;
}

void World::pull(Json options) {
    options["direction"] = "pull";
    run({{"event", {{"type", "manual"}}}, {"commands", Json::array({{{"type", "flush"}, {"value", options}}})}});
}

std::string World::doc(const std::string& entity, const std::string& id) const {
    const auto it = server.docs.find(entity + "/" + id);
    return it == server.docs.end() || it->second.deleted ? "" : it->second.text;
}

}  // namespace tidegate::test
