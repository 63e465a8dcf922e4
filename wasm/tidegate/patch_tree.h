// The document under a patch: a tree whose containers stay text until a path leads into them. Internal to patch.cpp.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate {

// A value in the tree: its text, or the number of the opened container that replaced it. In an object also its key (inside, escaped).
struct PatchItem {
    std::string_view key;
    std::string_view text;
    int node = -1;
};

struct PatchNode {
    bool object = false;
    std::vector<PatchItem> items;
};

class PatchTree {
public:
    // REQUIRES: `document` is valid, without whitespace around it, and outlives the tree.
    PatchTree(std::string_view document, std::size_t max_bytes) : max_bytes_(max_bytes) { root_.text = document; }

    PatchItem& root() { return root_; }

    // The container of `item`, opened; nullptr for a scalar.
    PatchNode* open(PatchItem& item);

    // Makes `item` an empty object and returns it.
    PatchNode& make_object(PatchItem& item);

    // The last member with this key (characters, not escaped), or items.size().
    std::size_t find(PatchNode& node, std::string_view key);

    void insert(PatchNode& node, std::size_t at, const PatchItem& item);
    void erase(PatchNode& node, std::size_t at);
    void erase_key(PatchNode& node, std::string_view key);

    // A key for a new member, escaped as the text needs it.
    std::string_view make_key(std::string_view characters);

    // The value as text: its own bytes, or an opened container written into storage that lives as long as the tree.
    std::string_view text_of(const PatchItem& item);

    // The whole document. `ok()` must still be true after it.
    std::string write();

    // False once a limit was hit: what the tree holds is then of no use.
    bool ok() const { return problem_ == nullptr; }
    const char* problem() const { return problem_; }

private:
    bool work(std::size_t units);
    void append(std::string& out, const PatchItem& item, int depth);

    PatchItem root_;
    std::deque<PatchNode> nodes_;
    std::deque<std::string> owned_;
    std::size_t max_bytes_;
    std::size_t work_ = 0;
    const char* problem_ = nullptr;
};

}  // namespace tidegate
