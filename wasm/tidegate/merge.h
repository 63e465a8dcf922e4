// Three-way merge of JSON documents: what each side changed since the common base is kept, and where both changed the same thing
// differently that is a clash, decided by `prefer` and reported with all three values.
//
// Objects merge by key. Elements of arrays are known by an id member (diff.h) or by content; arrays without ids behave as ordered
// sets: what either side removed is gone, what either side added is in, next to its neighbour. Two sides that replaced the same
// elements differently clash, and so do two different arrays without a common base. Removed by one side and changed by the other is a clash. Values mean what json_value.h says.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/diff.h"
#include "tidegate/result.h"

namespace tidegate {

enum class Side { ours, theirs };

struct Clash {
    std::string path;                // JSON Pointer into the merged document; ends in "/-" for an element that is not in it
    std::string base, ours, theirs;  // JSON text of the three values; empty where there is none
    Side winner = Side::ours;        // whose value is in the merged document
    friend bool operator==(const Clash&, const Clash&) = default;
};

struct MergeOptions {
    Side prefer = Side::ours;
    // All three texts are known to be valid JSON without duplicate keys; see DiffOptions.
    bool trusted = false;
    // Members of the outermost object are taken as a whole: nothing is merged inside them.
    bool whole_members = false;
    std::vector<std::string_view> id_keys = DiffOptions().id_keys;
};

struct MergeResult {
    std::string document;
    std::vector<Clash> clashes;
};

class Merger;

// merge3 for many documents: keeps its memory from call to call.
class JsonMerger {
public:
    JsonMerger();
    ~JsonMerger();
    JsonMerger(const JsonMerger&) = delete;
    JsonMerger& operator=(const JsonMerger&) = delete;

    Result<MergeResult> merge(std::string_view base, std::string_view ours, std::string_view theirs, const MergeOptions& options);

private:
    std::unique_ptr<Merger> engine_;
    std::size_t largest_ = 0;
};

// Error codes: those of validate_json; the message says which text. Swapping ours and theirs, and `prefer`, gives a document with the
// same members and elements; only the order of what both added at one place may differ.
Result<MergeResult> merge3(std::string_view base, std::string_view ours, std::string_view theirs, const MergeOptions& options = {});

}  // namespace tidegate
