// The server of docs/protocol.md, written from that page alone: documents with versions, idempotency keys bound with their effects, preconditions,
// `after` chains, atomic groups, tombstones, changes. Shares nothing with the core but a JSON library.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ledger.h"

namespace sim {

struct Answer {
    int status = 0;
    std::map<std::string, std::string> headers;  // lower-case names
    std::string body;
};

struct Request {
    std::string method, url, owner, body;
    Json headers;
};

// What a single op is answered instead of being looked at.
struct OpFault {
    int status = 0;
    bool in_progress = false;
};

std::string encode_percent(const std::string& text);
std::string decode_percent(const std::string& text);

class Server {
public:
    struct Version {
        int number = 0;
        bool deleted = false;
        std::string text;
        Json json;
        std::string content_type;
        std::string key;  // of the op that made it; empty: another client
    };
    struct Entity {
        std::string entity, entity_id;
        std::vector<Version> versions;  // all there ever were
        std::uint64_t changed = 0;      // place in the order of changes
        const Version* current() const { return versions.empty() ? nullptr : &versions.back(); }
        bool exists() const { return !versions.empty() && !versions.back().deleted; }
        bool was_deleted() const { return std::any_of(versions.begin(), versions.end(), [](const Version& v) { return v.deleted; }); }
    };

    // A body that comes in pieces (tus 1.0.0).
    struct Upload {
        std::string key, entity, entity_id, type, owner, bytes;
        std::size_t length = 0;
        bool ended = false;       // its last byte came, and what the write was answered was 2xx
        bool gone = false;        // given up, by the client or by the server
        bool told = false;        // a client heard an answer when it gave it up; whatever it said, nothing rests on it
        bool overtaken = false;   // a request of it came later than one that was sent after it, so nobody knows where it is
        double busy_until_ms = 0; // by when all its bytes that were sent have come
    };

    explicit Server(Ledger& ledger) : ledger_(ledger) {}

    Answer handle(const Request& request);

    // Another client writes; nullopt deletes.
    void foreign_film(const std::string& entity_id, std::string bytes);
    void foreign_write(const std::string& entity, const std::string& entity_id, std::optional<Json> document);

    const Entity* find(const std::string& name) const {
        const auto it = entities_.find(name);
        return it == entities_.end() ? nullptr : &it->second;
    }
    std::map<std::string, Entity>& entities() { return entities_; }
    std::map<std::string, Upload>& uploads() { return uploads_; }
    // The connection was cut after so many bytes of a chunk: what came stays.
    void keep(const Request& request, std::size_t bytes);
    const Version* version_of(const std::string& name, const std::string& etag) const;
    // ids.cpp: as an entity is called by the app that made it, and by the server.
    static bool gives_ids(const std::string& entity);
    std::string name_there(const std::string& entity, const std::string& id) const;
    std::string id_here(const std::string& entity, const std::string& id) const;
    std::string name_of_lane(const std::string& lane) const;
    Json as_here(Json document) const;   // with the ids that the app gave, wherever it names other entities
    static std::string etag(int number) { return "\"v" + std::to_string(number) + "\""; }

    std::function<OpFault(const std::string& key)> op_fault;  // asked once per op and request
    std::size_t max_batch_bytes = 524288;
    bool tells_limits = true;

private:
    struct Op {
        std::string id, key, action, entity, entity_id, if_match, if_none_match, after, codec, group, body, content_type;
        bool has_body = false;
        std::string name() const { return entity + "/" + entity_id; }
    };
    struct Result {
        int status = 0;
        std::string etag, problem;
        bool missing = false, replayed = false;
        std::optional<std::string> current;  // the JSON document a 412 met
        std::string entity_id;               // of the entity that a good one is about
    };
    struct Binding {
        std::string fingerprint;
        int status = 0;
        std::string etag, entity_id;
    };
    Answer upload(const Request& request);
    Answer begin_upload(const Request& request);
    Answer take_chunk(const Request& request, Upload& upload);
    Answer batch(const Request& request);
    Answer single(const Request& request);
    Answer changes(const Request& request);
    bool read_frame(const std::string& frame, std::vector<Op>& out);
    bool read_op(const Json& line, Op& op);
    Result apply(Op op, const std::map<std::string, Result>& earlier, const std::string& owner);
    Result precondition(const Op& op, const std::string& if_match, const Entity* entity);
    Result carry_out(Op op, const std::string& owner);
    static Result answer_again(const Binding& bound) { return {bound.status, bound.etag, "", false, true, std::nullopt, bound.entity_id}; }
    std::string give_id(const Op& op, const std::string& owner);
    void names_as_there(const Known& op, const Entity& entity);
    void apply_group(const std::vector<Op>& ops, std::size_t first, std::size_t count, std::map<std::string, Result>& results, const std::string& owner);
    void changes_what_was_edited(const Known& op, const Entity& entity);
    void note_effect(const Op& op, const Entity& entity, const std::string& owner);

    Ledger& ledger_;
    std::map<std::string, Entity> entities_;
    std::map<std::string, Binding> bindings_;
    std::map<std::string, Upload> uploads_;   // by their address
    std::map<std::string, std::string> there_, here_;   // name → id: what was given last for what the app calls so, and what the app calls what was given
    std::uint64_t next_change_ = 1;
    struct Undo {
        std::string name;
        std::size_t versions;
        std::uint64_t changed;
        std::string key;
        std::string named, there;   // the name under which it was to be created, and the id that had before
    };
    std::vector<Undo>* undo_ = nullptr;
};

}  // namespace sim
