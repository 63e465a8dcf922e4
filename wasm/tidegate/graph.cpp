#include "tidegate/graph.h"

#include <algorithm>
#include <utility>

namespace tidegate {

namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// The edges of one check, by index into `ops`.
struct Edges {
    std::unordered_map<std::string_view, std::size_t> index;
    std::vector<std::vector<std::size_t>> parents;
};

std::string quoted(std::string_view name) { return "\"" + std::string(name.substr(0, 60)) + (name.size() > 60 ? "...\"" : "\""); }

std::optional<Error> resolve(std::span<const Dependent> ops, const std::function<bool(std::string_view)>& is_known, const std::string& base, Edges& edges) {
    const auto path = [&](std::size_t i) { return base + "/" + std::to_string(i); };
    edges.index.reserve(ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) {
        if (!edges.index.emplace(ops[i].name, i).second) return Error{"duplicate", path(i), "two operations are named " + quoted(ops[i].name)};
        if (ops[i].after.size() > kMaxParents)
            return Error{"limit", path(i) + "/after",
                         "operation " + quoted(ops[i].name) + " waits for " + std::to_string(ops[i].after.size()) + " others, at most " +
                             std::to_string(kMaxParents) + " are taken"};
    }
    edges.parents.resize(ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i)
        for (std::size_t a = 0; a < ops[i].after.size(); ++a) {
            const std::string& name = ops[i].after[a];
            const auto it = edges.index.find(name);
            if (it != edges.index.end()) edges.parents[i].push_back(it->second);
            else if (!is_known(name))
                return Error{"orphan", path(i) + "/after/" + std::to_string(a),
                             "operation " + quoted(ops[i].name) + " waits for " + quoted(name) + ", which does not exist"};
        }
    return std::nullopt;
}

// Ops that are never free to go (they are on a cycle, or behind one), by Kahn: whoever waits for nobody goes, and stops being waited for.
std::vector<bool> stuck(const Edges& edges) {
    const std::size_t n = edges.parents.size();
    std::vector<std::size_t> waits(n);
    std::vector<std::vector<std::size_t>> children(n);
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < n; ++i) {
        waits[i] = edges.parents[i].size();
        if (waits[i] == 0) free.push_back(i);
        for (const std::size_t parent : edges.parents[i]) children[parent].push_back(i);
    }
    std::vector<bool> is_stuck(n, true);
    while (!free.empty()) {
        const std::size_t i = free.back();
        free.pop_back();
        is_stuck[i] = false;
        for (const std::size_t child : children[i])
            if (--waits[child] == 0) free.push_back(child);
    }
    return is_stuck;
}

// One cycle: from a stuck op, step to its first stuck parent until an op comes up again. Every stuck op has a stuck parent.
std::vector<std::size_t> find_cycle(const Edges& edges, const std::vector<bool>& is_stuck, std::size_t start) {
    std::vector<std::size_t> walk, seen_at(edges.parents.size(), kNone);
    for (std::size_t at = start; seen_at[at] == kNone;) {
        seen_at[at] = walk.size();
        walk.push_back(at);
        at = *std::find_if(edges.parents[at].begin(), edges.parents[at].end(), [&](std::size_t parent) { return is_stuck[parent]; });
        if (seen_at[at] != kNone) walk.erase(walk.begin(), walk.begin() + static_cast<std::ptrdiff_t>(seen_at[at]));
    }
    return walk;
}

}  // namespace

std::optional<Error> check_dependencies(std::span<const Dependent> ops, const std::function<bool(std::string_view)>& is_known, std::string_view base_path) {
    Edges edges;
    const std::string base(base_path);
    if (auto error = resolve(ops, is_known, base, edges)) return error;
    const std::vector<bool> is_stuck = stuck(edges);
    const auto first = std::find(is_stuck.begin(), is_stuck.end(), true);
    if (first == is_stuck.end()) return std::nullopt;
    const std::vector<std::size_t> cycle = find_cycle(edges, is_stuck, static_cast<std::size_t>(first - is_stuck.begin()));
    std::string names;
    for (std::size_t i = 0; i < cycle.size() && i < kMaxNamesInCycle; ++i) names += quoted(ops[cycle[i]].name) + " waits for ";
    names += cycle.size() > kMaxNamesInCycle ? "... (" + std::to_string(cycle.size()) + " in all)" : quoted(ops[cycle[0]].name);
    return Error{"cycle", base + "/" + std::to_string(cycle[0]), "operations wait for each other: " + names};
}

void DependencyGraph::add(Id id, std::span<const Id> parents) {
    std::vector<Id> unique(parents.begin(), parents.end());
    std::sort(unique.begin(), unique.end());
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
    if (unique.empty()) return;
    for (const Id parent : unique) {
        std::vector<Id>& children = nodes_[parent].children;
        children.insert(std::upper_bound(children.begin(), children.end(), id), id);
    }
    nodes_[id].parents = std::move(unique);
}

std::vector<DependencyGraph::Id> DependencyGraph::finish(Id id) {
    std::vector<Id> released;
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return released;
    const Node node = std::move(it->second);
    nodes_.erase(it);
    const auto erase_from = [&](std::vector<Id>& ids) { ids.erase(std::lower_bound(ids.begin(), ids.end(), id)); };
    const auto drop_if_bare = [&](Id other) {
        const auto at = nodes_.find(other);
        if (at->second.parents.empty() && at->second.children.empty()) nodes_.erase(at);
    };
    for (const Id child : node.children) {
        std::vector<Id>& parents = nodes_.at(child).parents;
        erase_from(parents);
        if (parents.empty()) released.push_back(child);
        drop_if_bare(child);
    }
    for (const Id parent : node.parents) {
        erase_from(nodes_.at(parent).children);
        drop_if_bare(parent);
    }
    return released;
}

std::span<const DependencyGraph::Id> DependencyGraph::parents(Id id) const {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return {};
    return it->second.parents;
}

std::vector<DependencyGraph::Id> DependencyGraph::reach(Id id, std::vector<Id> Node::*edges) const {
    std::unordered_map<Id, bool> seen{{id, true}};
    std::vector<Id> found, stack{id};
    while (!stack.empty()) {
        const auto it = nodes_.find(stack.back());
        stack.pop_back();
        if (it == nodes_.end()) continue;
        for (const Id next : it->second.*edges)
            if (seen.emplace(next, true).second) {
                found.push_back(next);
                stack.push_back(next);
            }
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<DependencyGraph::Id> DependencyGraph::descendants(Id id) const { return reach(id, &Node::children); }
std::vector<DependencyGraph::Id> DependencyGraph::ancestors(Id id) const { return reach(id, &Node::parents); }

double DependencyGraph::inherited_key(Id id, const std::function<double(Id)>& key_of) const {
    double best = key_of(id);
    for (const Id descendant : descendants(id)) best = std::min(best, key_of(descendant));
    return best;
}

std::vector<std::pair<DependencyGraph::Id, double>> DependencyGraph::inherited_keys(const std::function<double(Id)>& key_of) const {
    std::vector<std::pair<Id, double>> keys;
    std::unordered_map<Id, std::pair<double, std::size_t>> at;  // the key so far, and children not yet counted in
    std::vector<Id> ready;
    at.reserve(nodes_.size());
    keys.reserve(nodes_.size());
    for (const auto& [id, node] : nodes_) {
        at.emplace(id, std::pair{key_of(id), node.children.size()});
        if (node.children.empty()) ready.push_back(id);
    }
    // Leaves first, so that each op has its final key before it lends it; the order among them cannot be seen in a minimum.
    while (!ready.empty()) {
        const Id id = ready.back();
        ready.pop_back();
        const double key = at.at(id).first;
        keys.emplace_back(id, key);
        for (const Id parent : nodes_.at(id).parents) {
            auto& [parent_key, waiting] = at.at(parent);
            parent_key = std::min(parent_key, key);
            if (--waiting == 0) ready.push_back(parent);
        }
    }
    std::sort(keys.begin(), keys.end());
    return keys;
}

}  // namespace tidegate
