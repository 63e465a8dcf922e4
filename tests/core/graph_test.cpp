#include "tidegate/graph.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tidegate/random.h"

using namespace tidegate;

namespace {

using Id = DependencyGraph::Id;
using Ids = std::vector<Id>;

const auto kNobody = [](std::string_view) { return false; };

Error refused(std::vector<Dependent> ops, const std::function<bool(std::string_view)>& known = kNobody) {
    const auto error = check_dependencies(ops, known, "/ops");
    CHECK(error.has_value());
    return error.value_or(Error{});
}

std::string word(int i) { return std::string(1, static_cast<char>('a' + i)); }

// A random DAG: edges only from later to earlier.
struct Dag {
    std::map<Id, std::set<Id>> parents;
    DependencyGraph graph;
};

Dag random_dag(Random& random, Id n, double density) {
    Dag dag;
    for (Id id = 1; id <= n; ++id) {
        for (Id parent = 1; parent < id; ++parent)
            if (random.unit() < density) dag.parents[id].insert(parent);
        const Ids list(dag.parents[id].begin(), dag.parents[id].end());
        dag.graph.add(id, list);
    }
    return dag;
}

// Does `id` wait for `target`, directly or not? Plain recursion over the model.
bool waits_for(const Dag& dag, Id id, Id target) {
    const auto it = dag.parents.find(id);
    if (it == dag.parents.end()) return false;
    return std::any_of(it->second.begin(), it->second.end(), [&](Id parent) { return parent == target || waits_for(dag, parent, target); });
}

}  // namespace

TEST_CASE("several parents, known from before or accepted together in any order, are taken") {
    CHECK(!check_dependencies({}, kNobody));
    const std::vector<Dependent> ops = {{"child", {"b", "a", "old"}}, {"a", {}}, {"b", {"a"}}};
    CHECK(!check_dependencies(ops, [](std::string_view name) { return name == "old"; }));
    const std::vector<Dependent> twice = {{"a", {}}, {"b", {"a", "a"}}};
    CHECK(!check_dependencies(twice, kNobody));
}

TEST_CASE("an orphan is refused by its name and place") {
    const Error error = refused({{"a", {}}, {"b", {"a", "ghost"}}});
    CHECK(error.code == "orphan");
    CHECK(error.path == "/ops/1/after/1");
    CHECK(error.message == "operation \"b\" waits for \"ghost\", which does not exist");
}

TEST_CASE("a cycle is refused by the names on it, and only those") {
    const Error self = refused({{"a", {"a"}}});
    CHECK(self.code == "cycle");
    CHECK(self.message == "operations wait for each other: \"a\" waits for \"a\"");
    const Error two = refused({{"free", {}}, {"behind", {"x"}}, {"x", {"free", "y"}}, {"y", {"x"}}});
    CHECK(two.code == "cycle");
    CHECK(two.path == "/ops/2");
    CHECK(two.message == "operations wait for each other: \"x\" waits for \"y\" waits for \"x\"");
    std::vector<Dependent> ring;
    for (int i = 0; i < 20; ++i) ring.push_back({word(i), {word((i + 1) % 20)}});
    CHECK(refused(ring).message.find("(20 in all)") != std::string::npos);
}

TEST_CASE("two of one name and too many parents are refused") {
    CHECK(refused({{"a", {}}, {"a", {}}}).code == "duplicate");
    std::vector<Dependent> ops = {{"child", {}}};
    for (std::size_t i = 0; i <= kMaxParents; ++i) {
        ops.push_back({"p" + std::to_string(i), {}});
        if (i < kMaxParents) ops[0].after.push_back(ops.back().name);
    }
    CHECK(!check_dependencies(ops, kNobody));
    ops[0].after.push_back(ops.back().name);
    CHECK(refused(ops).code == "limit");
}

TEST_CASE("every graph of four ops: refused exactly when following parents comes back") {
    // 2^16 graphs: each of the 16 possible edges is there or not.
    for (unsigned edges = 0; edges < 65536; ++edges) {
        std::vector<Dependent> ops;
        bool reach[4][4];
        for (int i = 0; i < 4; ++i) {
            ops.push_back({word(i), {}});
            for (int j = 0; j < 4; ++j) {
                reach[i][j] = edges >> (i * 4 + j) & 1;
                if (reach[i][j]) ops[static_cast<std::size_t>(i)].after.push_back(word(j));
            }
        }
        for (int k = 0; k < 4; ++k)
            for (int i = 0; i < 4; ++i)
                for (int j = 0; j < 4; ++j) reach[i][j] = reach[i][j] || (reach[i][k] && reach[k][j]);
        const bool cyclic = reach[0][0] || reach[1][1] || reach[2][2] || reach[3][3];
        const auto error = check_dependencies(ops, kNobody);
        REQUIRE(error.has_value() == cyclic);
        if (!error) continue;
        // The op it names is really on a cycle.
        const int named = error->path[1] - '0';
        REQUIRE(reach[named][named]);
    }
}

TEST_CASE("a hundred thousand ops in one chain, and in one ring, are checked without recursion") {
    std::vector<Dependent> ops;
    for (int i = 0; i < 100000; ++i) ops.push_back({"op" + std::to_string(i), {}});
    for (std::size_t i = 0; i + 1 < ops.size(); ++i) ops[i].after.push_back(ops[i + 1].name);
    CHECK(!check_dependencies(ops, kNobody));
    ops.back().after.push_back(ops.front().name);
    CHECK(refused(ops).code == "cycle");
    DependencyGraph graph;
    for (Id id = 2; id <= 100000; ++id) graph.add(id, Ids{id - 1});
    CHECK(graph.descendants(1).size() == 99999);
    CHECK(graph.ancestors(100000).size() == 99999);
    CHECK(graph.inherited_keys([](Id id) { return -static_cast<double>(id); }).front() == std::pair<Id, double>{1, -100000});
}

TEST_CASE("a child is released when the last of its parents has ended, not before") {
    DependencyGraph graph;
    graph.add(4, Ids{3, 1, 3});
    graph.add(5, Ids{1});
    CHECK(graph.is_blocked(4));
    CHECK(graph.parents(4)[0] == 1);
    CHECK(!graph.is_blocked(1));
    CHECK(!graph.is_blocked(99));
    CHECK(graph.finish(1) == Ids{5});
    CHECK(graph.is_blocked(4));
    CHECK(graph.finish(99).empty());
    CHECK(graph.finish(3) == Ids{4});
    CHECK(!graph.is_blocked(4));
    CHECK(graph.size() == 0);  // nothing is kept for ops without edges
}

TEST_CASE("a failed parent holds up its descendants and nobody else") {
    DependencyGraph graph;
    graph.add(2, Ids{1});
    graph.add(3, Ids{2});
    graph.add(4, Ids{2, 10});
    graph.add(11, Ids{10});
    CHECK(graph.descendants(1) == Ids{2, 3, 4});
    CHECK(graph.descendants(10) == Ids{4, 11});
    CHECK(graph.descendants(3).empty());
    CHECK(graph.descendants(77).empty());
    CHECK(graph.forget(1) == Ids{2});
}

TEST_CASE("an op inherits the best key of what waits for it") {
    DependencyGraph graph;
    graph.add(2, Ids{1});
    graph.add(3, Ids{2, 9});
    const auto key_of = [](Id id) { return id == 3 ? -5.0 : static_cast<double>(id); };
    CHECK(graph.inherited_key(1, key_of) == -5);
    CHECK(graph.inherited_key(9, key_of) == -5);
    CHECK(graph.inherited_key(7, key_of) == 7);
    graph.finish(3);
    CHECK(graph.inherited_key(1, key_of) == 1);  // the urgent one is gone
}

TEST_CASE("against a plain model: descendants, ancestors, keys and releases of random graphs") {
    Random random(31);
    for (int round = 0; round < 60; ++round) {
        const Id n = 2 + static_cast<Id>(random.between(0, 14));
        Dag dag = random_dag(random, n, random.between(0.05, 0.5));
        const auto key_of = [](Id id) { return static_cast<double>(id * 2654435761u % 1000); };
        for (const auto& [id, key] : dag.graph.inherited_keys(key_of)) REQUIRE(key == dag.graph.inherited_key(id, key_of));
        for (Id id = 1; id <= n; ++id) {
            Ids below, above;
            double best = key_of(id);
            for (Id other = 1; other <= n; ++other) {
                if (waits_for(dag, other, id)) below.push_back(other), best = std::min(best, key_of(other));
                if (waits_for(dag, id, other)) above.push_back(other);
            }
            REQUIRE(dag.graph.descendants(id) == below);
            REQUIRE(dag.graph.ancestors(id) == above);
            REQUIRE(dag.graph.inherited_key(id, key_of) == best);
        }
        // Ending whatever is free, in random order, ends everything, and releases each op exactly once.
        std::set<Id> free, ended;
        for (Id id = 1; id <= n; ++id)
            if (!dag.graph.is_blocked(id)) free.insert(id);
        while (!free.empty()) {
            const Id id = *std::next(free.begin(), static_cast<std::ptrdiff_t>(random.between(0, static_cast<double>(free.size()))));
            free.erase(id);
            ended.insert(id);
            for (const Id released : dag.graph.finish(id)) {
                REQUIRE(free.insert(released).second);
                for (const Id parent : dag.parents[released]) REQUIRE(ended.count(parent));
            }
        }
        REQUIRE(ended.size() == n);
        REQUIRE(dag.graph.size() == 0);
    }
}
