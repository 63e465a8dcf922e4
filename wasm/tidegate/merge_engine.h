// The engine behind merge3. Internal to merge*.cpp; merge.h is the contract.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
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
    void start(std::string_view array) {
        text = array;
        items.clear();
        keys.clear();
        by_id.clear();
    }
};

class Merger {
public:
    // REQUIRES: call before value(). The three texts that its values are parts of, the options and the result outlive its use.
    void start(const std::string_view (&texts)[3], const MergeOptions& options, MergeResult& result) {
        options_ = &options;
        result_ = &result;
        path_.clear();
        levels_used_ = 0;
        for (int i = 0; i < 3; ++i) index_[i].read(texts[i]);
    }

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
    void put_member(std::string_view key, bool& first, std::string_view value);
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

    // What object() and array() work with, one for each that is under way; kept from call to call.
    struct Level {
        std::vector<Child> base, ours, theirs;
        MemberPairs in_base, in_ours, theirs_in_base;
        std::vector<std::int32_t> theirs_of_ours;
        std::vector<std::pair<std::int32_t, std::int32_t>> extra;  // (member of ours it follows, member of theirs)
        MergeList list_base, list_ours, list_theirs;
    };
    Level& take_level() {
        if (levels_used_ == levels_.size()) levels_.push_back(std::make_unique<Level>());
        return *levels_[levels_used_++];
    }

    const MergeOptions* options_ = nullptr;
    MergeResult* result_ = nullptr;
    std::string path_;
    std::vector<std::unique_ptr<Level>> levels_;
    std::size_t levels_used_ = 0;
    TextIndex index_[3];  // base, ours, theirs
};

}  // namespace tidegate
