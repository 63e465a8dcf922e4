// Three-way merge of plain text (diff3; Khanna, Kunal, Pierce 2007): by lines, and where both sides changed the same lines, by words in them.
//
// A change of one side is taken, the same change of both is taken once. Where both changed the same words, or words next to each other,
// that is a clash: `prefer` decides and the clash is reported. Word: a run of ASCII letters and digits; every other character is one of its own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/merge.h"

namespace tidegate {

// Differences that are looked for exactly; texts that differ in more places are taken as changed between their common ends.
inline constexpr std::size_t kMaxTextChanges = 2000;

struct TextClash {
    std::size_t at = 0;              // byte offset of the winner's text in the merged text
    std::string base, ours, theirs;  // what stood there
    Side winner = Side::ours;
};

struct TextMerge {
    std::string text;
    std::vector<TextClash> clashes;
};

// Error "json-size" for texts longer than kMaxTextBytes. Any bytes are taken; UTF-8 sequences are not cut.
Result<TextMerge> merge_text(std::string_view base, std::string_view ours, std::string_view theirs, Side prefer = Side::ours);

}  // namespace tidegate
