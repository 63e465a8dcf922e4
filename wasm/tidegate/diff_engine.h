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
    void replace(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, "replace", path, value); }
    void add(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, "add", path, value); }
    void test(std::uint32_t tag, std::string_view path, std::string_view value) { with_value(tag, "test", path, value); }
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
    void with_value(std::uint32_t tag, std::string_view op, std::string_view path, std::string_view value);
    void begin(std::uint32_t tag, std::string_view op);

    TextBuffer text_;
    std::vector<Mark> marks_;
};

class Differ {
public:
    Differ() { path_.reserve(128); }

    // REQUIRES: call before run(); the texts and options outlive it.
    void start(std::string_view a, std::string_view b, const DiffOptions& options);

    // Writes the ops for the values a[a0, a1) and b[b0, b1) at the current path. False: b is not valid, see fault().
    bool run(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1);

    PatchWriter& ops() { return ops_; }
    const TextFault& fault() const { return fault_; }

private:
    struct Frame {
        std::uint32_t open_a, open_b;  // the opening brackets
        std::uint32_t mark_a, mark_b;  // where the current member begins, or, when `after`, where its value ended
        std::uint32_t index;           // number of the current member
        std::uint32_t path_length;     // of the container's own path; valid for the first rendered_ frames
        std::uint32_t first_op;        // ops written before the container
        bool object, after;
    };
    // One pair of values that is being compared, and where in the frames it begins.
    struct Span {
        std::uint32_t a1, b1;
        std::size_t floor;       // first frame of this run
        std::size_t first_op;
    };
    // What rest_of_object works with; kept from call to call.
    struct Lists {
        std::vector<Child> as, bs;
        MemberPairs pairs;
        std::vector<char> kept;
    };
    // What became of an element of an array.
    struct Pairing {
        std::vector<std::int32_t> of_a, of_b;  // partner, or -1
        std::vector<char> stays;               // of a: keeps its place among the others that stay
        std::vector<char> by_id_a, by_id_b;    // known by an id, not by content
    };

    enum class Stop { kEnd, kDifference, kFault };

    // diff_lockstep.cpp
    Stop lockstep(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve_member(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool resolve_value(std::uint32_t va, std::uint32_t vb, std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool behind_value(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool skip_whitespace_difference(std::uint32_t& i, std::uint32_t& j, const Span& span) const;
    bool scalar_pair(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1);
    void close_container(const Frame& frame, std::uint32_t end_a, std::uint32_t end_b);
    bool is_id_key(std::string_view inside) const;
    void render(std::size_t frame, const Span& span);
    void append_token(const Frame& frame);
    void append_index(std::uint32_t index);
    bool refuse(const char* expected, std::size_t at);
    int depth_left() const { return kMaxTextDepth - static_cast<int>(depth_); }
    bool check_b(const Child& child, std::uint32_t end);

    // diff_object.cpp
    bool rest_of_object(std::uint32_t& i, std::uint32_t& j, const Span& span);
    bool write_members(Lists& lists, const Frame& frame, std::uint32_t end_b);
    bool write_new_members(Lists& lists, const Frame& frame, std::uint32_t end_b);
    void go_to(const Frame& frame, std::string_view key);
    bool split_both(const Frame& frame, const Span& span, std::vector<Child>& as, std::vector<Child>& bs, std::uint32_t& close_a,
                    std::uint32_t& close_b);
    bool give_up(const Frame& frame, std::uint32_t close_a, std::uint32_t close_b);
    bool spend(std::size_t bytes);

    // diff_array.cpp
    bool rest_of_array(std::size_t frame, std::uint32_t& i, std::uint32_t& j, const Span& span);
    Pairing pair_elements(const std::vector<Child>& as, const std::vector<Child>& bs) const;
    void pair_gaps(const std::vector<Child>& as, const std::vector<Child>& bs, Pairing& pairing) const;
    void write_removals(const std::vector<Child>& as, const Pairing& pairing, const Frame& frame);
    bool write_order(const std::vector<Child>& bs, const Pairing& pairing, const Frame& frame, std::uint32_t end_b);
    bool write_changes(const std::vector<Child>& as, const std::vector<Child>& bs, const Pairing& pairing, const Frame& frame);
    std::uint64_t element_key(std::string_view value, bool& by_id) const;

    std::string_view a_, b_;
    const DiffOptions* options_ = nullptr;
    PatchWriter ops_;
    std::string path_;
    TextFault fault_;
    std::size_t depth_ = 0;     // frames in use
    std::size_t rendered_ = 0;  // frames whose path_length is right
    std::size_t budget_ = 0;
    std::vector<std::unique_ptr<Lists>> lists_;  // one for each rest_of_object that is under way
    std::size_t lists_used_ = 0;
    bool in_string_ = false;    // the difference that lockstep found lies inside a string
    Frame frames_[kMaxTextDepth + 1];
};

}  // namespace tidegate
