#include "tidegate/patch_tree.h"

#include "tidegate/json_text.h"
#include "tidegate/patch.h"

namespace tidegate {

namespace {

bool plain(std::string_view characters) {
    for (const char c : characters)
        if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\' || c == '\xed') return false;
    return true;
}

bool key_is(std::string_view inside, std::string_view characters) {
    if (inside.find('\\') == std::string_view::npos) return inside == characters;
    std::string unescaped;
    append_unescaped(unescaped, inside);
    return unescaped == characters;
}

}  // namespace

bool PatchTree::work(std::size_t units) {
    work_ += units;
    if (work_ > kMaxPatchWork) problem_ = "the patch causes more work than is taken";
    return ok();
}

PatchNode* PatchTree::open(PatchItem& item) {
    if (item.node >= 0) return &nodes_[static_cast<std::size_t>(item.node)];
    const std::string_view text = item.text;
    if (text[0] != '{' && text[0] != '[') return nullptr;
    if (!work(text.size() / 8 + 1)) return nullptr;
    std::vector<Child> children;
    children.reserve(32);
    if (split(text, 0, children) == kNoOffset) return nullptr;
    item.node = static_cast<int>(nodes_.size());
    PatchNode& node = nodes_.emplace_back();
    node.object = text[0] == '{';
    node.items.reserve(children.size() + 1);
    for (const Child& c : children) node.items.push_back({key_of(text, c), value_of(text, c), -1});
    return &node;
}

PatchNode& PatchTree::make_object(PatchItem& item) {
    item.node = static_cast<int>(nodes_.size());
    PatchNode& node = nodes_.emplace_back();
    node.object = true;
    return node;
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
    if (plain(characters)) return owned_.emplace_back(characters);
    std::string& inside = owned_.emplace_back();
    append_escaped(inside, characters);
    return inside;
}

std::string_view PatchTree::text_of(const PatchItem& item) {
    if (item.node < 0) return item.text;
    std::string& out = owned_.emplace_back();
    append(out, item, 0);
    work(out.size() / 8);
    return out;
}

void PatchTree::append(std::string& out, const PatchItem& item, int depth) {
    if (!ok()) return;
    if (item.node < 0) {
        if (out.size() + item.text.size() > max_bytes_) problem_ = "the result is larger than is taken";
        else out += item.text;
        return;
    }
    if (depth >= kMaxTextDepth) {
        problem_ = "the result is nested deeper than is taken";
        return;
    }
    const PatchNode& node = nodes_[static_cast<std::size_t>(item.node)];
    out.push_back(node.object ? '{' : '[');
    bool first = true;
    for (const PatchItem& child : node.items) {
        if (!first) out.push_back(',');
        first = false;
        if (node.object) out.append("\"", 1).append(child.key).append("\":", 2);
        append(out, child, depth + 1);
    }
    out.push_back(node.object ? '}' : ']');
}

std::string PatchTree::write() {
    std::string out;
    if (root_.node >= 0) out.reserve(root_.text.size() + root_.text.size() / 8 + 256);
    append(out, root_, 0);
    if (out.size() > max_bytes_ && ok()) problem_ = "the result is larger than is taken";
    return out;
}

}  // namespace tidegate
