#include "tidegate/outbox.h"

#include <doctest/doctest.h>

#include <set>

using namespace tidegate;

namespace {

OpRow row(std::uint64_t seq, const char* entity_id, Action action = Action::update) {
    OpRow r;
    r.seq = seq;
    r.id = "op-" + std::to_string(seq);
    r.lane = std::string(":E/") + entity_id;
    r.entity = "E";
    r.entity_id = entity_id;
    r.action = action;
    r.created_at = 1000.0 + static_cast<double>(seq);
    return r;
}

Op& add(Outbox& box, OpRow r) {
    auto added = box.add(std::move(r));
    REQUIRE(added.ok());
    return *added.value();
}

}  // namespace

TEST_CASE("folding: the whole table") {
    struct Row {
        Action first, second;
        bool folds, nothing;
        Action result;
    };
    const Row rows[] = {
        {Action::create, Action::create, false, false, Action::update}, {Action::create, Action::update, true, false, Action::create},
        {Action::create, Action::remove, true, true, Action::remove},   {Action::update, Action::create, false, false, Action::update},
        {Action::update, Action::update, true, false, Action::update},  {Action::update, Action::remove, true, false, Action::remove},
        {Action::remove, Action::create, false, false, Action::update}, {Action::remove, Action::update, false, false, Action::update},
        {Action::remove, Action::remove, false, false, Action::update},
    };
    for (const Row& r : rows) {
        const FoldResult got = fold_actions(r.first, r.second);
        CHECK(got.folds == r.folds);
        CHECK(got.to_nothing == r.nothing);
        if (r.folds && !r.nothing) CHECK(got.action == r.result);
    }
}

TEST_CASE("FF-09: only the head of a lane is ready, and lanes do not hold each other up") {
    Outbox box;
    add(box, row(1, "a"));
    add(box, row(2, "a"));
    add(box, row(3, "b"));
    CHECK(box.ready().size() == 2);
    box.reserve(*box.find(1)->lane, 7);
    CHECK(box.ready().size() == 1);
    CHECK(box.find(box.ready().begin()->second)->lane->entity_id() == "b");
    box.release(*box.find(1)->lane);
    CHECK(box.ready().size() == 2);
}

TEST_CASE("a parked op no longer holds its lane up and is kept") {
    Outbox box;
    Op& first = add(box, row(1, "a"));
    add(box, row(2, "a"));
    box.change(first, [](Op& o) { o.state = OpState::dead; });
    CHECK(box.head(*first.lane)->seq == 2);
    CHECK(box.find(1) != nullptr);
    CHECK(box.tally().unfinished == 1);
    CHECK(box.tally().of(OpState::dead) == 1);
}

TEST_CASE("FF-10: a waiting head is in the timers until its time, whatever is behind it") {
    Outbox box;
    box.wake(100);
    Op& first = add(box, row(1, "a"));
    add(box, row(2, "a"));
    box.change(first, [](Op& o) { o.until_ms = 500; });
    CHECK(box.ready().empty());
    REQUIRE(box.timers().size() == 1);
    box.wake(499);
    CHECK(box.ready().empty());
    box.wake(500);
    CHECK(box.ready().size() == 1);
    CHECK(box.timers().empty());
}

TEST_CASE("fold runs stop at an attempted op, a group, a dependency and a refusal to fold") {
    Outbox box;
    Op& first = add(box, row(1, "a", Action::create));
    Op& second = add(box, row(2, "a"));
    add(box, row(3, "a"));
    auto run = box.fold_run(first);
    REQUIRE(run);
    CHECK(run->folded == std::vector<std::uint64_t>{1, 2});
    CHECK(run->survivor == 3);
    CHECK(run->action == Action::create);
    SUBCASE("attempted") { box.change(second, [](Op& o) { o.sends = 1; }); }
    SUBCASE("no fold") { box.change(second, [](Op& o) { o.no_fold = true; }); }
    SUBCASE("group") { second.make_rare().group = "g"; }
    SUBCASE("dependent") {
        OpRow child = row(9, "z");
        child.depends_on = {"op-2"};
        add(box, std::move(child));
    }
    CHECK_FALSE(box.fold_run(first));
}

TEST_CASE("a child is ready when its last parent has gone") {
    Outbox box;
    add(box, row(1, "p"));
    add(box, row(2, "q"));
    OpRow child = row(3, "c");
    child.depends_on = {"op-1", "op-2"};
    add(box, std::move(child));
    CHECK(box.ready().size() == 2);
    box.remove(1);
    CHECK(box.blocked_by(*box.find(3))->id == "op-2");
    box.remove(2);
    REQUIRE(box.ready().size() == 1);
    CHECK(box.ready().begin()->second == 3);
}

TEST_CASE("refusals name the op and change nothing") {
    Outbox box;
    add(box, row(1, "a"));
    auto again = box.add(row(1, "b"));
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().code == "duplicate");
    OpRow same_id = row(2, "b");
    same_id.id = "op-1";
    CHECK_FALSE(box.add(std::move(same_id)).ok());
    OpRow no_lane = row(3, "c");
    no_lane.lane.clear();
    CHECK(box.add(std::move(no_lane)).error().path == "/lane");
    OpRow another = row(3, "c");
    another.lane = ":E/d";
    CHECK(box.add(std::move(another)).error().path == "/lane");
    CHECK(box.size() == 1);
    CHECK(box.ready().size() == 1);
}

TEST_CASE("ops are found by their ids, whatever came and went before") {
    Outbox box;
    std::set<std::uint64_t> here;
    for (std::uint64_t seq = 1; seq <= 3000; ++seq) {
        add(box, row(seq, "a"));
        here.insert(seq);
        for (const std::uint64_t leaves : {seq / 2, seq * 7 % 997}) {
            if (seq % 3 == 0 || here.erase(leaves) == 0) continue;
            box.remove(leaves);
        }
    }
    CHECK(here.size() == box.size());
    for (std::uint64_t seq = 1; seq <= 3001; ++seq) {
        const Op* found = box.find_id("op-" + std::to_string(seq));
        REQUIRE((found != nullptr) == (here.count(seq) == 1));
        if (found) REQUIRE(found->seq == seq);
    }
    for (const std::uint64_t seq : here) box.remove(seq);
    CHECK(box.size() == 0);
    CHECK(box.find_id("op-3000") == nullptr);
}

TEST_CASE("the tally follows every change and removal") {
    Outbox box;
    OpRow big = row(1, "a");
    big.size_bytes = 100;
    big.priority = "critical";
    add(box, std::move(big));
    add(box, row(2, "b"));
    CHECK(box.tally().unfinished == 2);
    CHECK(box.tally().critical == 1);
    CHECK(box.tally().bytes == 100);
    box.remove(1);
    box.remove(2);
    CHECK(box.tally().unfinished == 0);
    CHECK(box.tally().bytes == 0);
    CHECK(box.tally().high == 0);
    CHECK(box.ready().empty());
    CHECK(box.find_lane(":E/a") == nullptr);
}

TEST_CASE("a row goes out as it came in") {
    Outbox box;
    OpRow r = row(5, "a", Action::create);
    r.fields = Json{{"severity", 4}};
    r.depends_on = {"x"};
    r.group = "g";
    r.key = "op-5.2";
    r.codec = Codec::json_patch;
    r.unknown = true;
    r.state = OpState::unknown;
    r.error = OpError{ErrorClass::network, "Network timeout", std::nullopt};
    Json before = encode(r);
    Op& op = add(box, std::move(r));
    OpRow back = box.row_of(op);
    back.score.reset();
    CHECK(dump_json(encode(back)) == dump_json(before));
}
