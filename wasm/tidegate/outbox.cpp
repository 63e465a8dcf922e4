#include "tidegate/outbox.h"

#include <algorithm>

#include "tidegate/hash.h"
#include "tidegate/say.h"
#include "tidegate/words.h"

namespace tidegate {
namespace {

const OpExtra kNoExtra{};

Error refuse(const OpRow& row, const char* code, const char* path, const std::string& sentence) {
    return {code, path, say("op ", row.id.empty() ? "(without id)" : row.id, ": ", sentence)};
}

std::uint8_t band_of(const std::string& priority) {
    std::uint8_t band = 0;
    while (band < 4 && priority != name(static_cast<Band>(band))) ++band;
    return band;
}

}  // namespace

std::string encode_component(std::string_view text) {
    static constexpr std::string_view kPlain = "-_.!~*'()", kHex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || kPlain.find(c) != std::string_view::npos) out += c;
        else (((out += '%') += kHex[byte >> 4])) += kHex[byte & 15];
    }
    return out;
}

std::string lane_of(std::string_view owner, std::string_view entity, std::string_view entity_id) {
    return say(encode_component(owner), ":", entity, "/", encode_component(entity_id));
}

std::string id_in_lane(std::string_view lane) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : (c & 15) + 9; };
    const std::string_view text = lane.substr(lane.find('/') + 1);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string Lane::entity_id() const { return id_in_lane(*key); }
const OpExtra& Op::rare() const { return extra ? *extra : kNoExtra; }
OpExtra& Op::make_rare() {
    if (!extra) extra = std::make_unique<OpExtra>();
    return *extra;
}

FoldResult fold_actions(Action first, Action second) {
    struct Row {
        Action first, second;
        FoldResult result;
    };
    static constexpr Row kTable[] = {
        {Action::create, Action::update, {true, false, Action::create}},
        {Action::update, Action::update, {true, false, Action::update}},
        {Action::create, Action::remove, {true, true, Action::remove}},
        {Action::update, Action::remove, {true, false, Action::remove}},
    };
    for (const Row& row : kTable)
        if (row.first == first && row.second == second) return row.result;
    return {};
}

Result<Op*> Outbox::add(OpRow row) {
    if (row.seq == 0) return refuse(row, "out-of-range", "/seq", "seq: expected a whole number from 1");
    if (row.id.empty() || row.id.size() > 128) return refuse(row, "out-of-range", "/id", "id: expected 1 to 128 characters");
    if (row.lane.empty() || id_in_lane(row.lane) != row.entity_id) return refuse(row, "missing", "/lane", "lane: expected owner:entity/entityId");
    const std::uint8_t band = band_of(row.priority);
    if (band > 3) return refuse(row, "wrong-value", "/priority", say("priority: expected critical, high, normal or low, got \"", row.priority, "\""));
    if (row.depends_on.size() > kMaxDependencies)
        return refuse(row, "limit", "/dependsOn", say("dependsOn: at most ", kMaxDependencies, " ops"));
    if (row.others.size() > kMaxOtherBytes)
        return refuse(row, "limit", "", say("at most ", kMaxOtherBytes, " bytes that only a newer version knows"));
    if (row.refs && !row.refs->is_object()) return refuse(row, "wrong-type", "/refs", "refs: expected {JSON Pointer: lane}");
    if (ops_.count(row.seq)) return refuse(row, "duplicate", "/seq", say("seq ", row.seq, " is already in the outbox"));
    if (find_id(row.id)) return refuse(row, "duplicate", "/id", "this id is already in the outbox");
    if (ops_.size() >= kMaxQueuedOps + 1000) return refuse(row, "limit", "", say("more than ", kMaxQueuedOps, " ops are queued"));

    auto [lane_it, fresh_lane] = lanes_.try_emplace(row.lane, *words_.insert(row.owner).first, *words_.insert(row.entity).first);
    Lane& lane = lane_it->second;
    if (fresh_lane) {
        lane.key = &lane_it->first;
        lane.away = away(row.owner);
        lane.runs = row.entity == kTaskEntity;
    }
    Op& op = ops_[row.seq];
    op.seq = row.seq;
    op.id = std::move(row.id);
    op.lane = &lane;
    static_cast<OpFacts&>(op) = row;
    if (op.state == OpState::sending) {
        op.state = OpState::unknown;
        op.unknown = true;
    }
    op.band = band;
    op.score = row.score.value_or(0);
    op.attempts = static_cast<std::int32_t>(row.attempts);
    op.sends = static_cast<std::int32_t>(row.sends);
    op.rounds = static_cast<std::int32_t>(row.rounds);
    op.failures = static_cast<std::int32_t>(row.failures);
    op.schema_version = static_cast<std::int32_t>(row.schema_version);
    if (row.fields) op.make_rare().fields = dump_json(*row.fields);
    if (row.refs) op.make_rare().refs = std::move(*row.refs);
    if (row.content_type == "application/json") row.content_type.clear();
    const bool usual = row.depends_on.empty() && row.group.empty() && row.reason.empty() && row.key.empty() && row.content_type.empty() && row.upload.empty() && row.others.empty() && !row.error &&
                       row.expires_at == 0;
    if (!usual) static_cast<OpRare&>(op.make_rare()) = std::move(row);
    if (op.rare().expires_at > 0) expiries_.emplace(op.rare().expires_at, op.seq);

    if (ops_.size() * 2 > by_id_.size()) {
        by_id_.assign(by_id_.size() * 8, nullptr);   // the last time with 16 384 ops: the step in which it grows moves all that is there
        for (const auto& [seq, each] : ops_) by_id_[place_of(each.id)] = &each;
    }
    by_id_[place_of(op.id)] = &op;
    for (const std::string& parent : op.rare().depends_on) children_[parent].push_back(op.seq);
    if (!op.rare().group.empty()) groups_[op.rare().group].push_back(op.seq);
    const auto place = std::lower_bound(lane.ops.begin(), lane.ops.end(), op.seq);
    lane.ops.insert(place, op.seq);
    know(op.seq);
    count(op, +1);
    touch(lane);
    return &op;
}

OpRow Outbox::row_of(const Op& op) const {
    const OpExtra& rare = op.rare();
    OpRow row;
    static_cast<OpFacts&>(row) = op;
    static_cast<OpRare&>(row) = rare;
    row.seq = op.seq;
    row.id = op.id;
    row.lane = op.lane->name();
    row.owner = op.lane->owner;
    row.entity = op.lane->entity;
    row.entity_id = op.lane->entity_id();
    row.priority = name(static_cast<Band>(op.band));
    if (!rare.fields.empty())
        if (auto fields = parse_json(rare.fields)) row.fields = std::move(fields.value());
    if (!rare.refs.is_null()) row.refs = rare.refs;
    row.schema_version = op.schema_version;
    row.attempts = op.attempts;
    row.sends = op.sends;
    row.rounds = op.rounds;
    row.failures = op.failures;
    row.score = op.score;
    return row;
}

Op* Outbox::find(std::uint64_t seq) {
    const auto it = ops_.find(seq);
    return it == ops_.end() ? nullptr : &it->second;
}
const Op* Outbox::find(std::uint64_t seq) const {
    const auto it = ops_.find(seq);
    return it == ops_.end() ? nullptr : &it->second;
}
Op* Outbox::find_id(std::string_view id) {
    return const_cast<Op*>(by_id_[place_of(id)]);
}
std::size_t Outbox::place_of(std::string_view id) const {
    std::size_t at = xxh64(id) & (by_id_.size() - 1);
    while (by_id_[at] && by_id_[at]->id != id) at = (at + 1) & (by_id_.size() - 1);
    return at;
}
Lane* Outbox::find_lane(std::string_view name) {
    const auto it = lanes_.find(name);
    return it == lanes_.end() ? nullptr : &it->second;
}

void Outbox::remove(std::uint64_t seq) {
    const auto it = ops_.find(seq);
    if (it == ops_.end()) return;
    Op& op = it->second;
    Lane& lane = *op.lane;
    count(op, -1);
    unindex(lane);
    const std::size_t last = by_id_.size() - 1;
    std::size_t at = place_of(op.id);
    by_id_[at] = nullptr;
    while (const Op* next = by_id_[at = (at + 1) & last]) {   // it may have had to go further because of the one that leaves
        by_id_[at] = nullptr;
        by_id_[place_of(next->id)] = next;
    }
    const auto drop_from = [seq](std::map<std::string, std::vector<std::uint64_t>>& index, const std::string& key) {
        const auto found = index.find(key);
        if (found == index.end()) return;
        auto& seqs = found->second;
        seqs.erase(std::remove(seqs.begin(), seqs.end(), seq), seqs.end());
        if (seqs.empty()) index.erase(found);
    };
    for (const std::string& parent : op.rare().depends_on) drop_from(children_, parent);
    if (!op.rare().group.empty()) drop_from(groups_, op.rare().group);
    expiries_.erase({op.rare().expires_at, seq});
    std::vector<std::uint64_t> children;
    for (const std::string* name : {lane.key, static_cast<const std::string*>(&op.id)})
        if (const auto found = children_.find(*name); found != children_.end())
            for (const std::uint64_t child : found->second) children.push_back(child);
    const auto place = std::lower_bound(lane.ops.begin(), lane.ops.end(), seq);
    if (place != lane.ops.end() && *place == seq) lane.ops.erase(place);
    ops_.erase(it);
    touch_or_drop(lane);
    for (const std::uint64_t child : children)
        if (Op* c = find(child)) touch(*c->lane);
}

void Outbox::sign_in(const std::string* owner) {
    told_owner_ = true;
    owner_.reset();
    if (owner) owner_ = *owner;
    for (auto& [name, lane] : lanes_) {
        lane.away = away(lane.owner);
        touch(lane);
    }
    tally_ = {};
    for (const auto& [seq, op] : ops_) count(op, +1);
}

void Outbox::count(const Op& op, int sign) {
    if (op.lane->away) return;
    tally_.by_state[static_cast<std::size_t>(op.state)] += sign;
    if (op.parked()) return;
    tally_.unfinished += sign;
    tally_.unmigrated += op.unmigrated ? sign : 0;
    tally_.high += op.band >= 2 ? sign : 0;
    tally_.critical += op.band == 3 ? sign : 0;
    tally_.created_sum += sign * op.created_at;
    tally_.bytes += sign * op.size_bytes;
}

std::uint64_t Outbox::head_seq(const Lane& lane) const {
    for (const std::uint64_t seq : lane.ops)
        if (!ops_.at(seq).parked()) return seq;
    return 0;
}
Op* Outbox::head(Lane& lane) {
    const std::uint64_t seq = head_seq(lane);
    return seq ? find(seq) : nullptr;
}
const Op* Outbox::head(const Lane& lane) const {
    const std::uint64_t seq = head_seq(lane);
    return seq ? find(seq) : nullptr;
}
Op* Outbox::after(const Op& op) {
    Lane& lane = *op.lane;
    for (auto it = std::upper_bound(lane.ops.begin(), lane.ops.end(), op.seq); it != lane.ops.end(); ++it)
        if (Op* next = find(*it); !next->parked()) return next;
    return nullptr;
}

const Op* Outbox::open_after(const Op& op) {
    const Op* later = after(op);
    while (later && !later->unknown) later = after(*later);
    return later;
}

// What it waits for under this name: the op of this id; or, where it is a lane, the earlier op that is to bring its entity into being.
const Op* Outbox::parent_of(const Op& op, const std::string& name) const {
    if (const Op* found = by_id_[place_of(name)]) return found;
    const auto lane = lanes_.find(name);
    if (lane == lanes_.end()) return nullptr;
    for (const std::uint64_t seq : lane->second.ops)
        if (const Op& earlier = ops_.at(seq); seq < op.seq && earlier.action == Action::create) return &earlier;
    return nullptr;
}

const Op* Outbox::blocked_by(const Op& op) const {
    for (const std::string& parent : op.rare().depends_on) {
        const Op* found = parent_of(op, parent);
        if (found && (op.rare().group.empty() || found->rare().group != op.rare().group)) return found;   // a group goes as one
    }
    return nullptr;
}

Op* Outbox::waits_from_before(const Op& op) {
    const auto it = children_.find(op.id);
    if (it == children_.end()) return nullptr;
    for (const std::uint64_t seq : it->second) {
        Op& child = *find(seq);
        const bool together = !op.rare().group.empty() && child.rare().group == op.rare().group;
        if (seq <= op.seq && !together && !child.parked()) return &child;
    }
    return nullptr;
}

bool Outbox::entangled(const Op& op) const {
    if (op.rare().group.empty()) return false;
    const std::uint64_t first = unit(op).front();
    const auto& seqs = op.lane->ops;
    for (auto it = std::lower_bound(seqs.begin(), seqs.end(), op.seq); it != seqs.begin();) {
        const Op& before = ops_.at(*--it);
        if (before.parked() || before.rare().group == op.rare().group) continue;
        return unit(before).front() > first;
    }
    return false;
}

void Outbox::lend(const Op& from) {
    if (children_.empty()) return;
    std::vector<const Op*> stack{&from};
    for (std::size_t lent = 0; !stack.empty() && lent < kMaxLendings;) {
        const Op& op = *stack.back();
        stack.pop_back();
        // It waits for those before it in its lane, and for what those wait for.
        std::size_t looked_at = 0;
        for (const std::uint64_t seq : op.lane->ops) {
            if (seq > op.seq || ++looked_at > kInheritanceWindow) break;
            for (const std::string& id : ops_.at(seq).rare().depends_on) {
                Op* parent = const_cast<Op*>(parent_of(ops_.at(seq), id));
                if (!parent || parent->place() <= op.place()) continue;
                parent->make_rare().lent_key = op.place();
                touch(*parent->lane);
                stack.push_back(parent);
                ++lent;
            }
        }
    }
}

// The best key of any op in the lane: what waits behind a head lends the head its priority.
double Outbox::lane_key(const Lane& lane) const {
    double best = 0;
    bool any = false;
    std::size_t looked_at = 0;
    for (const std::uint64_t seq : lane.ops) {
        if (++looked_at > kInheritanceWindow) break;
        const Op& op = ops_.at(seq);
        if (op.parked()) continue;
        if (!any || op.place() < best) best = op.place();
        any = true;
    }
    return best;
}

void Outbox::unindex(Lane& lane) {
    if (lane.where == Indexed::nowhere) return;
    auto& index = lane.where == Indexed::ready ? ready_ : timers_;
    // The head may have changed since; every index entry of this lane carries the seq it was made with.
    for (const std::uint64_t seq : lane.ops)
        if (index.erase({lane.where_key, seq})) break;
    lane.where = Indexed::nowhere;
}

void Outbox::touch(Lane& lane) {
    unindex(lane);
    if (lane.reserved_by || lane.away) return;
    const Op* op = head(lane);
    if (!op || op->state == OpState::conflict || op->unmigrated || blocked_by(*op)) return;
    if (op->until_ms > now_ms_) {
        lane.where = Indexed::timer;
        lane.where_key = op->until_ms;
        timers_.insert({lane.where_key, op->seq});
    } else {
        lane.where = Indexed::ready;
        lane.where_key = lane_key(lane);
        ready_.insert({lane.where_key, op->seq});
    }
}

void Outbox::touch_or_drop(Lane& lane) {
    touch(lane);
    if (lane.ops.empty() && lane.reserved_by == 0) lanes_.erase(lanes_.find(lane.name()));
    if (lanes_.empty()) words_.clear();
}

void Outbox::reserve(Lane& lane, std::uint64_t by) {
    unindex(lane);
    lane.reserved_by = by;
}

void Outbox::release(Lane& lane) {
    lane.reserved_by = 0;
    touch_or_drop(lane);
}

void Outbox::wake(double now_ms) {
    now_ms_ = now_ms;
    while (!timers_.empty() && timers_.begin()->first <= now_ms) {
        Op* op = find(timers_.begin()->second);
        if (op) touch(*op->lane);
        else timers_.erase(timers_.begin());
    }
}

std::optional<FoldRun> Outbox::fold_run(Op& first) {
    const auto foldable = [&](const Op& op) {
        return op.schema_version == first.schema_version && op.state == OpState::queued && op.fresh() && !op.no_fold && op.rare().others.empty() && op.rare().group.empty() && op.rare().depends_on.empty() &&
               !has_dependents(op);
    };
    if (!foldable(first)) return std::nullopt;
    FoldRun run;
    run.survivor = first.seq;
    run.action = first.action;
    for (Op* next = after(first); next && foldable(*next) && run.folded.size() < kMaxFoldsAtOnce; next = after(*next)) {
        const FoldResult fold = fold_actions(run.action, next->action);
        if (!fold.folds) break;
        run.folded.push_back(run.survivor);
        run.survivor = next->seq;
        run.action = fold.action;
        if (fold.to_nothing) {
            run.folded.push_back(next->seq);
            run.survivor = 0;
            break;
        }
    }
    if (run.folded.empty()) return std::nullopt;
    return run;
}

std::vector<std::uint64_t> Outbox::unit(const Op& op) const {
    return op.rare().group.empty() ? std::vector<std::uint64_t>{op.seq} : groups_.at(op.rare().group);
}

}  // namespace tidegate
