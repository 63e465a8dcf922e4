// Arrays in a three-way merge: ordered sets of elements known by id or content.
#include <algorithm>

#include "tidegate/hash.h"
#include "tidegate/json_value.h"
#include "tidegate/merge_engine.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

namespace {

// For every key of `from` its place in `to`, or -1.
std::vector<std::int32_t> places_of(const MergeList& from, const MergeList& to) {
    std::vector<std::pair<std::uint64_t, std::int32_t>> index(to.size());
    for (std::size_t i = 0; i < to.size(); ++i) index[i] = {to.keys[i], static_cast<std::int32_t>(i)};
    sort_all(index.begin(), index.end());
    std::vector<std::int32_t> places(from.size(), -1);
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (i < to.size() && to.keys[i] == from.keys[i]) {
            places[i] = static_cast<std::int32_t>(i);
            continue;
        }
        const auto it = std::lower_bound(index.begin(), index.end(), std::pair<std::uint64_t, std::int32_t>{from.keys[i], -1});
        if (it != index.end() && it->first == from.keys[i]) places[i] = it->second;
    }
    return places;
}

// The places that are there stand in ascending order.
bool keeps_order(const std::vector<std::int32_t>& places) {
    std::int32_t last = -1;
    for (const std::int32_t place : places) {
        if (place < 0) continue;
        if (place < last) return false;
        last = place;
    }
    return true;
}

bool sorted(const MergeList& list) {
    for (std::size_t i = 1; i < list.size(); ++i)
        if (list.at(i) < list.at(i - 1)) return false;
    return list.size() > 1;
}

std::string_view item_or_nothing(const MergeList& list, std::int32_t place) {
    return place < 0 ? std::string_view() : list.at(static_cast<std::size_t>(place));
}

}  // namespace

void Merger::recognise(MergeList& list) const {
    list.keys.resize(list.size());
    list.by_id.resize(list.size());
    std::vector<std::pair<std::uint64_t, std::size_t>> order(list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string_view id = find_id(list.at(i), options_->id_keys);
        list.by_id[i] = !id.empty();
        order[i] = {id.empty() ? value_hash(list.at(i)) : xxh64(id, 17), i};
    }
    sort_all(order.begin(), order.end());
    // The second, third … of equal elements are elements of their own.
    std::uint64_t copy = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        copy = i && order[i].first == order[i - 1].first ? copy + 1 : 0;
        list.keys[order[i].second] = copy ? mix64(order[i].first + copy) : order[i].first;
    }
}

Merger::Places Merger::find_places(const MergeList& base, const MergeList& ours, const MergeList& theirs) {
    return {places_of(ours, base), places_of(ours, theirs), places_of(theirs, base), places_of(theirs, ours),
            places_of(base, ours), places_of(base, theirs)};
}

void Merger::element(std::size_t index, bool& first, std::string_view base, std::string_view ours, std::string_view theirs) {
    const std::size_t path_length = path_.size(), start = result_->document.size();
    if (simd::same_bytes(ours, theirs)) {
        // An element behind the first of its array has something in front of it in the text.
        const bool with_comma = !first && ours.data()[-1] == ',';
        if (!first && !with_comma) result_->document.push_back(',');
        put(with_comma ? std::string_view(ours.data() - 1, ours.size() + 1) : ours);
        first = false;
        return;
    }
    if (!first) result_->document.push_back(',');
    path_.append("/").append(std::to_string(index));
    if (value(base, ours, theirs)) first = false;
    else result_->document.resize(start);
    path_.resize(path_length);
}

// The common case: three arrays of one length in which no place was changed by both sides, or where the same id stands at it in
// all three. Then the changes touch different places and each is taken as it is. False, and nothing written, for other arrays.
bool Merger::array_by_place(const MergeList& base, const MergeList& ours, const MergeList& theirs) {
    if (ours.size() != base.size() || theirs.size() != base.size()) return false;
    for (std::size_t i = 0; i < base.size(); ++i) {
        const std::string_view b = base.at(i), o = ours.at(i), t = theirs.at(i);
        const bool ours_same = simd::same_bytes(b, o), theirs_same = simd::same_bytes(b, t);
        if (ours_same && theirs_same) continue;
        // Elements with ids may have changed places: then they are to be recognised, not overwritten.
        const std::string_view id = find_id(b, options_->id_keys);
        if (!simd::same_bytes(find_id(o, options_->id_keys), id) || !simd::same_bytes(find_id(t, options_->id_keys), id)) return false;
        if (id.empty() && !ours_same && !theirs_same && !simd::same_bytes(o, t)) return false;
    }
    result_->document.push_back('[');
    bool first = true;
    for (std::size_t i = 0; i < base.size(); ++i) element(i, first, base.at(i), ours.at(i), theirs.at(i));
    result_->document.push_back(']');
    return true;
}

// Elements without id that both sides replaced at one place, as many as there were: they are the same elements, changed. They get
// the key of the base element, so that they are merged with it, or clash.
void Merger::pair_replaced(MergeList& base, MergeList& ours, MergeList& theirs) {
    const Places places = find_places(base, ours, theirs);
    struct Gap {
        std::vector<std::size_t> base, ours, theirs;
    };
    std::vector<Gap> gaps(base.size() + 1);  // by the element of base, present in all three, that they follow
    std::size_t gap = 0;
    for (std::size_t i = 0; i < base.size(); ++i) {
        if (places.base_in_ours[i] >= 0 && places.base_in_theirs[i] >= 0) gap = i + 1;
        else if (places.base_in_ours[i] < 0 && places.base_in_theirs[i] < 0 && !base.by_id[i]) gaps[gap].base.push_back(i);
    }
    const auto collect = [&](const MergeList& list, const std::vector<std::int32_t>& in_base, const std::vector<std::int32_t>& base_in_other,
                             const std::vector<std::int32_t>& in_other, std::vector<std::size_t> Gap::*side) {
        gap = 0;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (in_base[i] >= 0 && base_in_other[static_cast<std::size_t>(in_base[i])] >= 0) gap = static_cast<std::size_t>(in_base[i]) + 1;
            else if (in_base[i] < 0 && in_other[i] < 0 && !list.by_id[i]) (gaps[gap].*side).push_back(i);
        }
    };
    collect(ours, places.ours_in_base, places.base_in_theirs, places.ours_in_theirs, &Gap::ours);
    collect(theirs, places.theirs_in_base, places.base_in_ours, places.theirs_in_ours, &Gap::theirs);
    for (const Gap& g : gaps) {
        if (g.base.empty() || g.ours.size() != g.base.size() || g.theirs.size() != g.base.size()) continue;
        for (std::size_t i = 0; i < g.base.size(); ++i)
            ours.keys[g.ours[i]] = theirs.keys[g.theirs[i]] = base.keys[g.base[i]];
    }
}

// Whether an element that only `side` still has stays. Removed by the other side, it stays only if this side changed it and is preferred.
// The path of a clash ends in "-" until the element has a place; one that lost keeps it: adding the value there restores it.
bool Merger::keeps(std::string_view base, std::string_view present, bool by_id, Side side, std::int32_t& clash) {
    clash = -1;
    if (base.empty()) return true;
    if (!by_id || same_value(base, present)) return false;
    clash = static_cast<std::int32_t>(result_->clashes.size());
    result_->clashes.push_back({say(path_, "/-"), std::string(base), side == Side::ours ? std::string(present) : std::string(),
                               side == Side::theirs ? std::string(present) : std::string(), options_->prefer});
    return options_->prefer == side;
}

// The elements of the result in their order. One side leads: the one that changed the order of what was there, else ours. What only the
// other side has comes behind the element it follows there, and behind what the leader added at the same place, unless the arrays are
// sorted: then where it sorts.
std::vector<Merger::Slot> Merger::order(const MergeList& base, const MergeList& ours, const MergeList& theirs, const Places& places) {
    const bool ours_ordered = keeps_order(places.ours_in_base), theirs_ordered = keeps_order(places.theirs_in_base);
    bool theirs_leads = ours_ordered && !theirs_ordered;
    if (!ours_ordered && !theirs_ordered && !keeps_order(places.ours_in_theirs)) {
        result_->clashes.push_back({path_, std::string(base.text), std::string(ours.text), std::string(theirs.text), options_->prefer});
        theirs_leads = options_->prefer == Side::theirs;
    }
    const MergeList& lead = theirs_leads ? theirs : ours;
    const MergeList& other = theirs_leads ? ours : theirs;
    const auto& lead_in_base = theirs_leads ? places.theirs_in_base : places.ours_in_base;
    const auto& lead_in_other = theirs_leads ? places.theirs_in_ours : places.ours_in_theirs;
    const auto& other_in_base = theirs_leads ? places.ours_in_base : places.theirs_in_base;
    const auto& other_in_lead = theirs_leads ? places.ours_in_theirs : places.theirs_in_ours;
    const Side lead_side = theirs_leads ? Side::theirs : Side::ours, other_side = theirs_leads ? Side::ours : Side::theirs;
    const bool by_text = sorted(ours) && sorted(theirs);

    struct Extra {
        std::int32_t place, clash;
    };
    // What only the other side has, by the element of the leader it follows.
    std::vector<std::vector<Extra>> behind(lead.size() + 1);
    std::size_t last = 0;
    for (std::size_t i = 0; i < other.size(); ++i) {
        if (other_in_lead[i] >= 0) {
            last = static_cast<std::size_t>(other_in_lead[i]) + 1;
            continue;
        }
        std::int32_t clash = -1;
        if (keeps(item_or_nothing(base, other_in_base[i]), other.at(i), other.by_id[i], other_side, clash))
            behind[last].push_back({static_cast<std::int32_t>(i), clash});
    }
    std::vector<Slot> slots;
    const auto push = [&](std::int32_t in_lead, std::int32_t in_other, std::int32_t clash) {
        slots.push_back(theirs_leads ? Slot{in_other, in_lead, clash} : Slot{in_lead, in_other, clash});
    };
    std::vector<Extra> pending = behind[0];
    const auto flush = [&](const std::string_view* limit) {
        std::size_t n = 0;
        for (; n < pending.size() && (!limit || other.at(static_cast<std::size_t>(pending[n].place)) < *limit); ++n)
            push(-1, pending[n].place, pending[n].clash);
        pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(n));
    };
    for (std::size_t i = 0; i < lead.size(); ++i) {
        const std::int32_t in_other = lead_in_other[i];
        const std::string_view text = lead.at(i);
        const bool added = lead_in_base[i] < 0 && in_other < 0;
        if (!added) flush(nullptr);
        else if (by_text) flush(&text);
        std::int32_t clash = -1;
        if (in_other >= 0 || keeps(item_or_nothing(base, lead_in_base[i]), text, lead.by_id[i], lead_side, clash))
            push(static_cast<std::int32_t>(i), in_other, clash);
        pending.insert(pending.end(), behind[i + 1].begin(), behind[i + 1].end());
    }
    flush(nullptr);
    return slots;
}

void Merger::array(std::string_view base, std::string_view ours, std::string_view theirs) {
    Level& level = take_level();
    MergeList &b = level.list_base, &o = level.list_ours, &t = level.list_theirs;
    b.start(base), o.start(ours), t.start(theirs);
    index_[0].split(base, b.items);
    index_[1].split(ours, o.items);
    index_[2].split(theirs, t.items);
    if (array_by_place(b, o, t)) {
        --levels_used_;
        return;
    }
    recognise(b);
    recognise(o);
    recognise(t);
    pair_replaced(b, o, t);
    const Places places = find_places(b, o, t);
    const std::vector<Slot> slots = order(b, o, t, places);
    result_->document.push_back('[');
    bool first = true;
    std::size_t index = 0;
    for (const Slot& slot : slots) {
        const std::int32_t in_base = slot.ours >= 0 ? places.ours_in_base[static_cast<std::size_t>(slot.ours)]
                                                    : places.theirs_in_base[static_cast<std::size_t>(slot.theirs)];
        if (slot.ours >= 0 && slot.theirs >= 0) {
            element(index++, first, item_or_nothing(b, in_base), item_or_nothing(o, slot.ours), item_or_nothing(t, slot.theirs));
            continue;
        }
        // Kept by order(): there is nothing left to decide.
        if (!first) result_->document.push_back(',');
        first = false;
        if (slot.clash >= 0) result_->clashes[static_cast<std::size_t>(slot.clash)].path = say(path_, "/", index);
        ++index;
        put(slot.ours >= 0 ? item_or_nothing(o, slot.ours) : item_or_nothing(t, slot.theirs));
    }
    result_->document.push_back(']');
    --levels_used_;
}

}  // namespace tidegate
