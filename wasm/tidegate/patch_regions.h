// The document under a patch: its text, and the regions of it that were replaced. Internal to patch.cpp.
//
// A patch that walks forward through the document, as those of diff do, is applied in one pass over the text: each op goes on from the
// place of the one before it, a value that changes becomes a region with the new text, and the rest is never looked at. What one pass
// cannot say (elements inserted, members removed, values moved) becomes a region with a tree (patch_tree.h), just large enough.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tidegate/patch_tree.h"
#include "tidegate/text_buffer.h"

namespace tidegate {

class PatchRegions {
public:
    using Tokens = std::vector<std::string_view>;

    explicit PatchRegions(PatchTree& tree) : tree_(tree) {}

    // `unique`: no object of the document has a key twice. Otherwise the whole document is one region, because the last of equal keys
    // counts and one pass finds the first. REQUIRES: `document` is valid, without whitespace around it, and outlives the use.
    void start(std::string_view document, bool unique);

    // A region's value, and how many tokens of the path lead to it.
    struct Found {
        PatchItem* item;
        std::size_t used;
    };
    // The region in which the place that the first `count` tokens name lies; made where there is none. REQUIRES: the tokens live until
    // the last call, unless forget() is called first.
    Found region(const Tokens& tokens, std::size_t count);

    // The region that is exactly the value at the path: a member that is there or, unless only a `member` will do, an element. Null when
    // region(tokens, size - 1) and its tree have to say. REQUIRES: at least one token.
    PatchItem* value(const Tokens& tokens, bool member);

    // The tokens go away: the next path is walked from the start.
    void forget() { levels_.clear(); }

    // Appends the whole document.
    void write(TextBuffer& out);

private:
    // A container on the way to the current place.
    struct Level {
        std::uint32_t first;  // where its first member begins
        std::uint32_t value;  // the value of the current member
        std::uint32_t index;  // and its number, in an array
        std::string_view token;
    };
    struct Region {
        std::uint32_t start, end;
        PatchItem item;
    };
    struct Walked {
        std::uint32_t at;   // the value that `used` tokens lead to
        std::size_t used;
        Region* region;     // that begins there
    };

    Walked walk(const Tokens& tokens, std::size_t count);
    bool seek(std::size_t level, std::uint32_t container, std::string_view token);
    bool find_member(Level& level, std::size_t at, std::size_t end, std::string_view key);
    bool find_element(Level& level, std::size_t at, std::size_t index);
    std::size_t leave(std::size_t level);
    std::size_t next_member(std::size_t at) const;
    Region* region_at(std::uint32_t start);
    PatchItem* make(std::uint32_t start, std::size_t level);
    bool spend(std::size_t units);

    PatchTree& tree_;
    std::string_view document_;
    std::vector<Level> levels_;
    std::vector<Region> regions_;  // in the order of the text, none inside of another
    std::size_t budget_ = 0;       // bytes that may still be looked at: a patch that jumps about is better served by the tree
    TextBuffer scratch_;
};

}  // namespace tidegate
