#include "tidegate/patch_tree.h"

#include "tidegate/json_text.h"
#include "tidegate/patch.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

bool plain(std::string_view characters) {
    for (const char c : characters)
        if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == '\xed') return false;
    return true;
}

bool key_is(std::string_view inside, std::string_view characters) {
    if (simd::find_byte(inside, '\\') == inside.size()) return simd::same_bytes(inside, characters);
    std::string unescaped;
    append_unescaped(unescaped, inside);
    return unescaped == characters;
}

}  // namespace

void PatchTree::start(std::string_view indexed) {
    index_.read(indexed);
    nodes_used_ = work_ = 0;
    problem_ = nullptr;
    owned_.clear();
}

PatchNode& PatchTree::fresh_node(bool object, int& number) {
    if (nodes_used_ == nodes_.size()) nodes_.push_back(std::make_unique<PatchNode>());
    number = static_cast<int>(nodes_used_);
    PatchNode& node = *nodes_[nodes_used_++];
    node.object = object;
    node.items.clear();
    return node;
}

bool PatchTree::work(std::size_t units) {
    work_ += units;
    if (work_ > kMaxPatchWork) problem_ = "the patch causes more work than is taken";
    return ok();
}

PatchNode* PatchTree::open(PatchItem& item) {
    if (item.node >= 0) return nodes_[static_cast<std::size_t>(item.node)].get();
    const std::string_view text = item.text;
    if (text[0] != '{' && text[0] != '[') return nullptr;
    if (!work(text.size() / 8 + 1)) return nullptr;
    children_.clear();
    if (index_.split(text, children_) == kNoOffset) return nullptr;
    PatchNode& node = fresh_node(text[0] == '{', item.node);
    node.items.reserve(children_.size() + 1);
    for (const Child& c : children_) node.items.push_back({key_of(text, c), value_of(text, c), -1});
    return &node;
}

PatchNode& PatchTree::make_object(PatchItem& item) {
    return fresh_node(true, item.node);
}

std::size_t PatchTree::find(PatchNode& node, std::string_view key) {
    // From the end, so that the last of equal keys is found.
    const std::size_t n = node.items.size();
    for (std::size_t i = n; i > 0; --i) {
        if (key_is(node.items[i - 1].key, key)) {
            work(n - i + 1);
            return i - 1;
        }
    }
    work(n + 1);
    return n;
}

void PatchTree::insert(PatchNode& node, std::size_t at, const PatchItem& item) {
    if (!work((node.items.size() - at) * 2 + 1)) return;
    node.items.insert(node.items.begin() + static_cast<std::ptrdiff_t>(at), item);
}

void PatchTree::erase(PatchNode& node, std::size_t at) {
    if (!work((node.items.size() - at) * 2 + 1)) return;
    node.items.erase(node.items.begin() + static_cast<std::ptrdiff_t>(at));
}

void PatchTree::erase_key(PatchNode& node, std::string_view key) {
    for (std::size_t at = find(node, key); at < node.items.size() && ok(); at = find(node, key)) erase(node, at);
}

std::string_view PatchTree::make_key(std::string_view characters) {
    std::string& inside = *owned_.emplace_back(std::make_unique<std::string>());
    if (plain(characters)) inside = characters;
    else append_escaped(inside, characters);
    return inside;
}

std::string_view PatchTree::text_of(const PatchItem& item) {
    if (item.node < 0) return item.text;
    TextBuffer out;
    append(out, item);
    return keep(out.view());
}

std::string_view PatchTree::keep(std::string_view text) {
    work(text.size() / 8);
    return *owned_.emplace_back(std::make_unique<std::string>(text));
}

void PatchTree::append(TextBuffer& out, std::string_view text) {
    if (out.size() + text.size() > max_bytes_) problem_ = "the result is larger than is taken";
    else out.put(text);
}

void PatchTree::append(TextBuffer& out, const PatchItem& item, int depth) {
    if (!ok()) return;
    if (item.node < 0) return append(out, item.text);
    if (depth >= kMaxTextDepth) {
        problem_ = "the result is nested deeper than is taken";
        return;
    }
    const PatchNode& node = *nodes_[static_cast<std::size_t>(item.node)];
    out.put(node.object ? '{' : '[');
    const char* behind = nullptr;  // where the text of the child before ended, when it was copied as it lies
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        const PatchItem& child = node.items[i];
        // Neighbours that lie directly behind each other in the document are copied with what is between them.
        const char* start = node.object ? child.key.data() - 1 : child.text.data();
        if (child.node < 0 && behind && start == behind + 1 && *behind == ',' && (!node.object || child.key.data() + child.key.size() + 2 == child.text.data())) {
            const char* end = child.text.data() + child.text.size();
            append(out, std::string_view(behind, static_cast<std::size_t>(end - behind)));
            behind = end;
            continue;
        }
        if (i) out.put(',');
        if (node.object) out.put('"').put(child.key).put("\":");
        append(out, child, depth + 1);
        behind = child.node < 0 ? child.text.data() + child.text.size() : nullptr;
    }
    out.put(node.object ? '}' : ']');
}

}  // namespace tidegate
