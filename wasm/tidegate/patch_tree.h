// The document under a patch: a tree whose containers stay text until a path leads into them. Internal to patch.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/text_buffer.h"

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
    // Largest text that is written.
    void limit(std::size_t max_bytes) { max_bytes_ = max_bytes; }

    // Begins anew, with the memory it has. Parts of `indexed` are opened fast; it may be empty. REQUIRES: it is valid and outlives the use
    // of the tree.
    void start(std::string_view indexed);

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

    // Keeps a text as long as the tree.
    std::string_view keep(std::string_view text);

    // Appends a value, or a piece of text, to what is written. `ok()` must still be true after it.
    void append(TextBuffer& out, const PatchItem& item, int depth = 0);
    void append(TextBuffer& out, std::string_view text);

    // False once a limit was hit: what the tree holds is then of no use.
    bool ok() const { return problem_ == nullptr; }
    const char* problem() const { return problem_; }

private:
    bool work(std::size_t units);
    PatchNode& fresh_node(bool object, int& number);

    TextIndex index_;
    std::vector<std::unique_ptr<PatchNode>> nodes_;  // each for itself: an item may be looked at while another is opened
    std::vector<std::unique_ptr<std::string>> owned_;
    std::vector<Child> children_;
    std::size_t nodes_used_ = 0;
    std::size_t max_bytes_ = 0;
    std::size_t work_ = 0;
    const char* problem_ = nullptr;
};

}  // namespace tidegate
