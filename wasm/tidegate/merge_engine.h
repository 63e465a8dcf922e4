// The engine behind merge3. Internal to merge*.cpp; merge.h is the contract.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/merge.h"

namespace tidegate {

// One array of the three, its elements and how they are recognised.
struct MergeList {
    std::string_view text;
    std::vector<Child> items;
    std::vector<std::uint64_t> keys;  // equal for the same element in the three lists, unique in one list
    std::vector<char> by_id;
    std::string_view at(std::size_t i) const { return value_of(text, items[i]); }
    std::size_t size() const { return items.size(); }
};

class Merger {
public:
    Merger(const MergeOptions& options, MergeResult& result) : options_(options), result_(result) {}

    // Writes the merge of three values, an empty one being absent. False, and nothing written, when the result is absent.
    bool value(std::string_view base, std::string_view ours, std::string_view theirs);

private:
    // For each element of one list where it is in the two others, or -1.
    struct Places {
        std::vector<std::int32_t> ours_in_base, ours_in_theirs, theirs_in_base, theirs_in_ours, base_in_ours, base_in_theirs;
    };
    // An element of the merged array: its places in ours and theirs.
    struct Slot {
        std::int32_t ours = -1, theirs = -1;
        std::int32_t clash = -1;  // whose path is this element's place
    };

    bool put(std::string_view value);
    bool clash(std::string_view base, std::string_view ours, std::string_view theirs);
    bool scalar(std::string_view base, std::string_view ours, std::string_view theirs);

    // merge_object.cpp
    void object(std::string_view base, std::string_view ours, std::string_view theirs);
    void member(std::string_view key, bool& first, std::string_view base, std::string_view ours, std::string_view theirs);

    // merge_array.cpp
    void array(std::string_view base, std::string_view ours, std::string_view theirs);
    bool array_by_place(const MergeList& base, const MergeList& ours, const MergeList& theirs);
    void recognise(MergeList& list) const;
    void pair_replaced(MergeList& base, MergeList& ours, MergeList& theirs);
    static Places find_places(const MergeList& base, const MergeList& ours, const MergeList& theirs);
    bool keeps(std::string_view base, std::string_view present, bool by_id, Side side, std::int32_t& clash);
    std::vector<Slot> order(const MergeList& base, const MergeList& ours, const MergeList& theirs, const Places& places);
    void element(std::size_t index, bool& first, std::string_view base, std::string_view ours, std::string_view theirs);

    const MergeOptions& options_;
    MergeResult& result_;
    std::string path_;
};

}  // namespace tidegate
