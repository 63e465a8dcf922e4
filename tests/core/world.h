// A small world for planner tests: a store of maps, a server that keeps documents and keys, and the shell's loop, all synchronous.
// Faults are scripted by the test. It shares no code with the core but the types that cross the boundary.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tidegate/planner.h"

namespace tidegate::test {

struct Doc {
    std::string text;
    int version = 0;
    bool deleted = false;
    int n = 0;          // number of its last effect: the order of changes
    std::string key;    // of the op that made it
    std::string type;   // not JSON: its media type
};

// The reference server's rules in a few lines: keys, preconditions, chains.
struct Server {
    std::map<std::string, Doc> docs;                     // "ENTITY/id"
    std::map<std::string, std::pair<int, int>> answers;  // key → (status, version)
    std::vector<std::string> effects;                    // keys, in order
    std::vector<std::string> requests;                   // bodies received
    std::function<int(const Json& line)> refuse;         // a status for an op before anything else; 0 none
    std::function<int()> refuse_request;                 // a status for the whole request; 0 none
    bool drop_answer = false;                            // applies, then the connection breaks
    int n = 0;
    int horizon = 0;                                     // cursors before this are too old
    int page = 100;                                      // changes of one page at most
    int retention_s = 0;                                 // how long it says that it keeps keys; 0: nothing
    std::vector<std::string> pulls;                      // cursors asked for

    static std::string tag(int version) { return "\"" + std::to_string(version) + "\""; }

    Json apply(const Json& line, const std::string& body, const std::map<std::string, Json>& earlier);
    // Status and answer text for one batch request.
    std::pair<int, std::string> batch(const std::string& frame);
    // Somebody else's write; an empty text deletes.
    void edit(const std::string& name, const std::string& text, const std::string& type = "");
    // Status and text for GET changes.
    std::pair<int, std::string> changes(const std::string& url);
    // Status and text for any other request.
    std::pair<int, std::string> entity(const Json& send);
};

struct World {
    Planner planner;
    std::map<std::string, std::map<std::string, Json>> values;       // store → key → value
    std::map<std::string, std::map<std::string, std::string>> bytes; // store → key → bytes
    Server server;
    std::vector<Json> events;                                        // notify effects
    std::vector<Json> rejected, answers;
    std::optional<Json> status;
    double now = 1'700'000'000'000;
    std::uint64_t seq = 0, seed = 1;
    std::uint64_t given = 0;  // rows up to here were given to the planner
    Json readings = {{"online", true}};
    std::function<Json(const Json& send)> network;                   // overrides the server's answer; null: the server answers
    std::function<std::string(const Json& conflict)> on_ask;         // what the app makes of a conflict
    std::function<Json(const Json& op, const std::string& doc)> on_migrate;  // what the app makes of an old document: {body} or {message}
    int schema_version = -1;                                         // of the app's code, from the next restart on; -1: it does not say
    std::function<std::string(const Json& commit)> on_commit;        // "" ok, "stale", "fenced", "error"
    std::function<void(const Json& load)> on_load;                   // after its bytes were read
    bool last_idle = true, last_reject = false;
    std::optional<double> wake;
    int steps = 0;
    int max_ops = 0;  // of every step; 0 no limit

    World() { (void)planner.restore("", Json::object()); }

    // Accepts a write, as sw/accept.js does. Answers the op's id.
    std::string accept(const std::string& entity, const std::string& id, const char* action, const std::string& text, Json extra = Json::object());
    // One step and its effects, until the turn is idle, or `most` steps. Sends are answered in order.
    void run(Json first = Json::object(), int most = 500);
    // A new planner over the same store, as after a kill.
    void restart();
    Json command(const Json& command);
    Json row(std::uint64_t seq) const;
    std::size_t queued() const;
    std::string doc(const std::string& entity, const std::string& id) const;
    // What the app sees of an entity of owner ""; "" when there is nothing.
    std::string shown(const std::string& path) const;
    // sync({direction: "pull"}).
    void pull(Json options = Json::object());

private:
    Json perform(const Json& effect, bool& good);
    void write(const Json& w);
    Json step(Json input);
    Json delayed_ = Json::array();
    Json outcomes_;  // of effects of the last step, when `run` ended before the turn did
};

}  // namespace tidegate::test
