// Dependencies between operations across lanes: an op may wait for several others. Pure over names and numbers; knows nothing of op states.
//
// Accepting checks by name, once, for all ops that are accepted together (check_dependencies): a cycle or an unknown name is refused, naming it. What
// was accepted lives in DependencyGraph by sequence number; it holds only ops that have an edge, so a queue without dependencies costs nothing.
// Rules: topological order by Kahn (1962); inheritance of the best key along the edges (Sha, Rajkumar, Lehoczky 1990).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tidegate/result.h"

namespace tidegate {

inline constexpr std::size_t kMaxParents = 64;   // of one op
inline constexpr std::size_t kMaxNamesInCycle = 8;   // names an error sentence lists

// An op that is about to be accepted: its name, and the names of those it waits for.
struct Dependent {
    std::string name;
    std::vector<std::string> after;
};

// Refuses, in this order of looking: two ops of one name ("duplicate"), more than kMaxParents ("limit"), an op that waits for itself or a name that is
// neither among `ops` nor known ("orphan": is_known says which names were accepted before, finished ones included), and ops that wait for each other
// ("cycle": the message lists them in their order). The path is that of the first faulty op: base_path/<index>[/after/<index>]. Nullopt: all is well.
// Linear in ops and edges; no recursion.
std::optional<Error> check_dependencies(std::span<const Dependent> ops, const std::function<bool(std::string_view)>& is_known,
                                        std::string_view base_path = "");

class DependencyGraph {
public:
    using Id = std::uint64_t;

    // The op waits for these, which have not ended yet. Parents that are named twice count once. REQUIRES: id is new as a child, the edges close no cycle
    // (check_dependencies; or parents accepted before).
    void add(Id id, std::span<const Id> parents);

    // The op ended well: it blocks nobody any more. Answers the ops that wait for nothing now, ascending.
    std::vector<Id> finish(Id id);

    // The op is gone without having ended well (dropped, cancelled by a person who was told who depends on it): its children no longer wait for it.
    // The same as finish, but by another name at the place of use.
    std::vector<Id> forget(Id id) { return finish(id); }

    bool is_blocked(Id id) const { return !parents(id).empty(); }
    // What it still waits for, ascending; the first is the one to name to a person.
    std::span<const Id> parents(Id id) const;

    // Every op that waits for this one, directly or through others, ascending: what a failure of it holds up, and nothing else is held up.
    // Linear in the answer and its edges.
    std::vector<Id> descendants(Id id) const;

    // Every op that this one waits for, directly or through others, ascending.
    std::vector<Id> ancestors(Id id) const;

    // The smallest key among the op and its descendants: its own place in the queue, or that of the most urgent op that waits for it.
    double inherited_key(Id id, const std::function<double(Id)>& key_of) const;

    // The same for every op that has an edge, at once, ascending by id; linear in the graph.
    std::vector<std::pair<Id, double>> inherited_keys(const std::function<double(Id)>& key_of) const;

    std::size_t size() const { return nodes_.size(); }

private:
    struct Node {
        std::vector<Id> parents, children;  // ascending
    };
    std::vector<Id> reach(Id id, std::vector<Id> Node::*edges) const;

    std::unordered_map<Id, Node> nodes_;    // asked, never walked into an answer without sorting
};

}  // namespace tidegate
