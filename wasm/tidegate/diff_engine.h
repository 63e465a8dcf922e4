// The engine behind diff_json_patch. Internal to diff*.cpp; diff.h is the contract.
//
// Names: a is the base text, b the next text; i and j are offsets into them. A frame is a container that both texts are inside of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/diff.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/text_buffer.h"

namespace tidegate {

// The ops written so far. Each is tagged with its place in a, so that the ops of a part of a can be taken back.
class PatchWriter {
public:
    void replace(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, R"([{"op":"replace","path":")", path, value); }
    void add(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, R"([{"op":"add","path":")", path, value); }
    void test(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, R"([{"op":"test","path":")", path, value); }
    void remove(std::uint32_t tag, std::string_view path);
    void move(std::uint32_t tag, std::string_view from, std::string_view path);

    std::size_t ops() const { return marks_.size(); }
    // Bytes of the ops from number `from` on.
    std::size_t bytes_since(std::size_t from) const { return from < marks_.size() ? text_.size() - marks_[from].start : 0; }
    void truncate(std::size_t ops);
    // Takes back the ops from number `floor` on whose place is at or behind `tag`.
    void take_back(std::uint32_t tag, std::size_t floor);
    void clear();
    std::string_view finish();
    std::size_t capacity() const { return text_.capacity(); }

private:
    struct Mark {
        std::uint32_t tag;
        std::size_t start;
    };
    void with_value(std::uint32_t tag, std::string_view head, std::string_view path, std::string_view value);
    void begin(std::uint32_t tag, std::string_view head);

    TextBuffer text_;
    std::vector<Mark> marks_;
};

// Up to 16 blocks of 64 bytes in which both texts are the same; in the last one perhaps only up to `length` bytes.
struct LockstepBlocks {
    static constexpr std::uint32_t kMost = 16;
    std::uint64_t commas[kMost], brackets[kMost];  // outside of strings
    std::uint32_t count = 0;
    std::uint32_t length = 0;   // of the last block what is the same; 64: no difference yet
    bool in_string = false;     // the first byte that differs lies inside a string
};

class Differ {
public:
    // REQUIRES: call before run(); the texts and options outlive it.
    void start(std::string_view a, std::string_view b, const DiffOptions& options);

    // The same for the texts without whitespace between tokens; false when b is not valid.
    bool start_compact(std::string_view a, std::string_view b, const DiffOptions& options);
    // run() stopped because whitespace differs nearly everywhere: start_compact is the way on.
    bool reformatted() const { return spaces_skipped_ > kFewSpaces; }
    std::string_view base() const { return a_; }
    std::string_view next() const { return b_; }

    // Writes the ops for the values a[a0, a1) and b[b0, b1) at the current path. False: b is not valid, see fault().
    bool run(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1);

    PatchWriter& ops() { return ops_; }
    const TextFault& fault() const { return fault_; }

private:
    // A container that is open. Commas are counted through, so that a bracket costs no branch: those in front of it, and those since
    // then that belong to containers inside of it.
    struct Frame {
        std::uint32_t open_a, open_b;     // the opening brackets
        std::uint32_t commas_before;
        std::uint32_t commas_of_others;   // commas_before and those of the containers inside that were closed
        std::uint32_t first_op;           // ops written before the container
        std::uint32_t path_length;        // of the container's own path; valid for the first rendered_ frames
        std::uint32_t unused[2];          // 32 bytes: a step to the next frame is a shift
    };
    // A frame and its current member, for those who go on with the rest of a container.
    struct Place {
        std::uint32_t open_a, open_b, path_length, first_op;
        std::uint32_t mark_a, mark_b;  // where the current member begins
        std::uint32_t index;           // its number
        bool object;
    };
    // One pair of values that is being compared, and where in the frames it begins.
    struct Span {
        std::uint32_t a1, b1;
        std::size_t floor;       // first frame of this run
        std::size_t first_op;
    };
    // What became of an element of an array.
    struct Pairing {
        std::vector<std::int32_t> of_a, of_b;  // partner, or -1
        std::vector<char> stays;               // of a: keeps its place among the others that stay
        std::vector<char> by_id_a, by_id_b;    // known by an id, not by content
    };
    // What rest_of_object and rest_of_array work with; kept from call to call.
    struct Lists {
        std::vector<Child> as, bs;
        MemberPairs members;
        std::vector<char> kept;
        Pairing pairing;
        std::vector<std::uint64_t> keys_a, keys_b;
        std::vector<std::int32_t> tails, before, stays_before, sums;
    };
    // Where lockstep's walk over brackets is.
    struct Walk {
        Frame* top;              // the next frame to open
        std::uint32_t commas;    // in front of the block
        std::uint32_t at;        // where the block begins
        std::uint32_t mark;      // behind the last comma or bracket
        std::uint32_t block;     // its number
        std::uint32_t bracket;   // that stopped the walk
    };

    enum class Stop { kEnd, kDifference, kFault };

    static constexpr std::size_t kReplaceFrame = sizeof R"({"op":"replace","path":"","value":},)" - 1;

    // diff_lockstep.cpp
    Stop lockstep(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve_member(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve_value(std::string_view key, std::uint32_t va, std::uint32_t vb, std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool behind_value(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool skip_whitespace_difference(std::uint32_t& i, std::uint32_t& j, const Span& span) const;
    bool scalar_pair(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1);
    void close_container(const Frame& frame, std::uint32_t end_a, std::uint32_t end_b);
    static bool walk(const char* a, LockstepBlocks& blocks, Walk& walk, const Frame* guard, const Frame* limit);
    bool all_longer_than_ops(const Frame* limit, std::uint32_t here_b) const;
    bool is_object(std::size_t frame) const { return a_[frames_[frame].open_a] == '{'; }
    std::uint32_t index_in(std::size_t frame) const;
    Place place(std::size_t frame) const;
    bool is_id_key(std::string_view inside) const;
    void render(std::size_t frame, const Span& span);
    void append_token(std::size_t frame);
    void append_index(std::uint32_t index);
    void append_key(std::string_view inside);
    void path_to(std::uint32_t container, std::uint32_t index) { path_.shrink(container), append_index(index); }
    void path_to(std::uint32_t container, std::string_view key) { path_.shrink(container), append_key(key); }
    bool refuse(const char* expected, std::size_t at);
    int depth_left() const { return kMaxTextDepth - static_cast<int>(depth_); }
    bool check_b(const Child& child, std::uint32_t end);

    // diff_object.cpp
    bool rest_of_object(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool write_members(Lists& lists, const Place& frame, std::uint32_t end_b);
    bool write_new_members(Lists& lists, const Place& frame, std::uint32_t end_b);
    bool split_both(const Place& frame, const Span& span, std::vector<Child>& as, std::vector<Child>& bs, std::uint32_t& close_a,
                    std::uint32_t& close_b);
    bool give_up(const Place& frame, std::uint32_t close_a, std::uint32_t close_b);
    bool spend(std::size_t bytes);
    Lists& take_lists();

    // diff_array.cpp
    bool rest_of_array(std::size_t frame, std::uint32_t& i, std::uint32_t& j, const Span& span);
    void recognise(std::string_view text, const std::vector<Child>& items, std::vector<std::uint64_t>& keys, std::vector<char>& by_id) const;
    void pair_elements(Lists& lists) const;
    void pair_gaps(const std::vector<Child>& as, const std::vector<Child>& bs, Pairing& pairing) const;
    bool costs_more(const Place& frame, std::uint32_t close_b) const;
    void write_removals(const std::vector<Child>& as, const Pairing& pairing, const Place& frame, std::uint32_t close_b);
    bool write_order(Lists& lists, const Place& frame, std::uint32_t close_b);
    bool write_changes(const Lists& lists, const Place& frame, std::uint32_t close_b);

    std::string_view a_, b_;
    std::uint32_t same_behind_ = 0;  // from here on a is the end of b
    const DiffOptions* options_ = nullptr;
    PatchWriter ops_;
    TextBuffer path_;
    TextFault fault_;
    std::size_t depth_ = 0;     // frames in use
    std::size_t rendered_ = 0;  // frames whose path_length is right
    std::size_t budget_ = 0;
    static constexpr int kFewSplits = 2;
    int splits_ = 0;  // of the rest of objects: with several the whole texts are indexed
    TextIndex index_a_, index_b_;
    std::vector<std::unique_ptr<Lists>> lists_;  // one for each rest of a container that is under way
    std::size_t lists_used_ = 0;
    std::uint32_t commas_ = 0;  // counted in a so far
    // Of the innermost container: where its current member begins, or, when after_, where that member's value ended.
    std::uint32_t mark_a_ = 0, mark_b_ = 0;
    bool after_ = false;
    static constexpr std::size_t kFewSpaces = 32;
    std::size_t spaces_skipped_ = 0;  // differences that were whitespace
    TextBuffer compact_;              // both texts without whitespace
    bool in_string_ = false;    // the difference that lockstep found lies inside a string
    // Two below and one above those in use: lockstep writes before it knows whether a bracket opens or closes.
    static constexpr std::size_t kMaxFrames = kMaxTextDepth;
    Frame storage_[kMaxFrames + 3] = {};
    Frame* const frames_ = storage_ + 2;
};

}  // namespace tidegate
