#include "tidegate/patch.h"

#include <algorithm>
#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/patch_ops.h"
#include "tidegate/patch_regions.h"
#include "tidegate/patch_tree.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"

namespace tidegate {

class Patcher {
public:
    // `unique`: no object of the document has a key twice.
    void start(std::string_view document, std::size_t max_bytes, bool unique) {
        tree_.limit(max_bytes);
        regions_.start(document, unique);
        nested_ = false;
    }
    std::size_t kept_bytes() const { return out_.capacity(); }

    PatchOps& ops() { return ops_; }

    // REQUIRES: read_patch filled ops().
    Result<std::string_view> run() {
        for (std::size_t i = 0; i < ops_.list.size(); ++i) {
            const bool none = i + 1 == ops_.list.size() && !ops_.problem.code.empty();
            const Error problem = none ? ops_.problem : step(ops_.list[i]);
            if (!problem.code.empty()) return at_op(problem, i, ops_.list[i]);
        }
        return finish();
    }

    Result<std::string_view> run_merge(std::string_view patch) {
        merge(*regions_.region({}, 0).item, patch);
        return finish();
    }

private:
    Result<std::string_view> finish() {
        if (tree_.ok()) regions_.write(out_);
        if (!tree_.ok()) return Error{"patch-limit", "", tree_.problem()};
        if (nested_ && !nested_within(out_.view(), kMaxTextDepth)) return Error{"patch-limit", "", "the result is nested deeper than is taken"};
        return out_.view();
    }

    static Error at_op(const Error& problem, std::size_t index, const PatchOp& op) {
        std::string place = say("op ", index);
        if (!op.name.empty()) place += say(" (", op.name, op.has_path ? say(" \"", op.path.substr(0, 120), "\"") : "", ")");
        return Error{problem.code, say("/", index), say(place, ": ", problem.message)};
    }

    static Error refuse(const char* code, std::string message) { return Error{code, "", std::move(message)}; }
    Error limit() const { return refuse("patch-limit", tree_.problem()); }

    Error step(const PatchOp& op) {
        using Kind = PatchOp::Kind;
        if (!read_pointer(op.path, path_)) return refuse("patch-syntax", "\"path\" is not a JSON Pointer");
        if (path_.tokens.size() > static_cast<std::size_t>(kMaxTextDepth)) return refuse("patch-limit", "\"path\" is longer than documents are deep");
        const bool two_places = op.kind == Kind::move || op.kind == Kind::copy;
        if (two_places && !read_pointer(op.from, from_)) return refuse("patch-syntax", "\"from\" is not a JSON Pointer");
        const Error problem = two_places ? relocate(op.kind == Kind::move) : change(op);
        if (!path_.storage.empty() || (two_places && !from_.storage.empty())) regions_.forget();
        return problem;
    }

    // add, remove, replace, test.
    Error change(const PatchOp& op) {
        using Kind = PatchOp::Kind;
        const std::size_t n = path_.tokens.size();
        if (op.kind == Kind::add || op.kind == Kind::replace) note_depth(op.value);
        if (n > 0 && op.kind != Kind::remove)
            if (PatchItem* const item = regions_.value(path_.tokens, op.kind == Kind::add)) return replace_or_test(op, *item);
        enter_region(n > 0 ? n - 1 : 0);
        if (op.kind == Kind::add) return put(PatchItem{{}, op.value, -1});
        if (op.kind == Kind::remove) return take(path_, nullptr);
        PatchItem* item = nullptr;
        const Error problem = find(path_, item);
        return problem.code.empty() ? replace_or_test(op, *item) : problem;
    }

    Error replace_or_test(const PatchOp& op, PatchItem& item) {
        if (op.kind == PatchOp::Kind::test) return expect(item, op.value);
        item.text = op.value;
        item.node = -1;
        return {};
    }

    // What is done next lies behind the first `count` tokens of the path.
    void enter_region(std::size_t count) {
        const PatchRegions::Found found = regions_.region(path_.tokens, count);
        top_ = found.item;
        skip_ = found.used;
    }

    // A value goes to the path: a text of n bytes is at most n / 2 levels deep.
    void note_depth(std::string_view value) {
        if (path_.tokens.size() + value.size() / 2 > static_cast<std::size_t>(kMaxTextDepth)) nested_ = true;
    }

    Error expect(const PatchItem& item, std::string_view value) {
        const std::string_view actual = tree_.text_of(item);
        if (!tree_.ok()) return limit();
        if (same_value(actual, value)) return {};
        std::string shown(actual.substr(0, 60));
        return refuse("patch-test", say("the value there is ", shown, actual.size() > 60 ? "…" : ""));
    }

    Error relocate(bool move) {
        const std::size_t shortest = std::min(from_.tokens.size(), path_.tokens.size());
        std::size_t shared = 0;
        while (shared + 1 < shortest && from_.tokens[shared] == path_.tokens[shared]) ++shared;
        enter_region(shared);
        PatchItem* source = nullptr;
        const Error missing = find(from_, source);
        if (!missing.code.empty()) return missing;
        PatchItem value = *source;
        if (value.node >= 0) nested_ = true;
        else note_depth(value.text);
        if (!move) {
            value.text = tree_.text_of(value);
            value.node = -1;
            return tree_.ok() ? put(value) : limit();
        }
        if (from_.tokens == path_.tokens) return {};
        bool inside = from_.tokens.size() < path_.tokens.size();
        for (std::size_t i = 0; inside && i < from_.tokens.size(); ++i) inside = from_.tokens[i] == path_.tokens[i];
        if (inside) return refuse("patch-path", "a value cannot be moved into itself");
        const Error gone = take(from_, &value);
        return gone.code.empty() ? put(value) : gone;
    }

    // The container that holds the last token.
    Error find_parent(const Pointer& pointer, PatchNode*& parent) {
        PatchItem* item = top_;
        for (std::size_t i = skip_; i + 1 < pointer.tokens.size(); ++i) {
            const Error problem = enter(pointer, i, item);
            if (!problem.code.empty()) return problem;
        }
        parent = tree_.open(*item);
        if (!tree_.ok()) return limit();
        if (!parent) return refuse("patch-path", say("there is no container at ", shown(pointer, pointer.tokens.size() - 1)));
        return {};
    }

    // Moves `item` to its child that token i names.
    Error enter(const Pointer& pointer, std::size_t i, PatchItem*& item) {
        PatchNode* node = tree_.open(*item);
        if (!tree_.ok()) return limit();
        const std::size_t at = !node ? kNoOffset : place(*node, pointer.tokens[i]);
        if (at == kNoOffset) return refuse("patch-path", say("there is nothing at ", shown(pointer, i + 1)));
        item = &node->items[at];
        return {};
    }

    // The existing child that a token names, or kNoOffset.
    std::size_t place(PatchNode& node, std::string_view token) {
        const std::size_t at = node.object ? tree_.find(node, token) : read_index(token, node.items.size());
        return at < node.items.size() ? at : kNoOffset;
    }

    Error find(const Pointer& pointer, PatchItem*& item) {
        item = top_;
        for (std::size_t i = skip_; i < pointer.tokens.size(); ++i) {
            const Error problem = enter(pointer, i, item);
            if (!problem.code.empty()) return problem;
        }
        return {};
    }

    Error put(PatchItem value) {
        if (path_.tokens.empty()) {
            value.key = {};
            *top_ = value;
            return {};
        }
        PatchNode* parent = nullptr;
        const Error problem = find_parent(path_, parent);
        if (!problem.code.empty()) return problem;
        const std::string_view token = path_.tokens.back();
        if (parent->object) {
            const std::size_t at = tree_.find(*parent, token);
            value.key = at < parent->items.size() ? parent->items[at].key : tree_.make_key(token);
            if (at < parent->items.size()) parent->items[at] = value;
            else tree_.insert(*parent, at, value);
        } else {
            const std::size_t n = parent->items.size();
            const std::size_t at = token == "-" ? n : read_index(token, n);
            if (at == kNoOffset) return refuse("patch-path", say("the index is not one from 0 to ", n));
            value.key = {};
            tree_.insert(*parent, at, value);
        }
        return tree_.ok() ? Error{} : limit();
    }

    Error take(const Pointer& pointer, PatchItem* taken) {
        if (pointer.tokens.empty()) return refuse("patch-path", "the whole document cannot be removed");
        PatchNode* parent = nullptr;
        const Error problem = find_parent(pointer, parent);
        if (!problem.code.empty()) return problem;
        const std::size_t at = place(*parent, pointer.tokens.back());
        if (at == kNoOffset) return refuse("patch-path", say("there is nothing at ", shown(pointer, pointer.tokens.size())));
        if (taken) *taken = parent->items[at];
        if (parent->object) tree_.erase_key(*parent, pointer.tokens.back());
        else tree_.erase(*parent, at);
        return tree_.ok() ? Error{} : limit();
    }

    static std::string shown(const Pointer& pointer, std::size_t tokens) {
        std::string text = "\"";
        for (std::size_t i = 0; i < tokens && text.size() < 120; ++i) text.append("/").append(pointer.tokens[i].substr(0, 60));
        return say(text, "\"");
    }

    // RFC 7396 section 2. Recursion is bounded by the depth the patch was validated for.
    void merge(PatchItem& target, std::string_view patch) {
        if (patch[0] != '{') {
            target.text = patch;
            target.node = -1;
            return;
        }
        PatchNode* node = tree_.open(target);
        if (!node || !node->object) node = &tree_.make_object(target);
        std::vector<Child> members;
        split(patch, 0, members);
        std::string key;
        for (const Child& m : members) {
            if (!tree_.ok()) return;
            const std::string_view value = value_of(patch, m);
            key.clear();
            append_unescaped(key, key_of(patch, m));
            if (value[0] == 'n') {
                tree_.erase_key(*node, key);
                continue;
            }
            std::size_t at = tree_.find(*node, key);
            if (at == node->items.size()) tree_.insert(*node, at, PatchItem{key_of(patch, m), "null", -1});
            if (tree_.ok()) merge(node->items[at], value);
        }
    }

    PatchOps ops_;
    PatchTree tree_;
    PatchRegions regions_{tree_};
    PatchItem* top_ = nullptr;  // the region that the op works in
    std::size_t skip_ = 0;      // and how many tokens lead to it
    Pointer path_, from_;
    TextBuffer out_;
    bool nested_ = false;  // a container was put somewhere: the result may be too deep
};

namespace {

Result<std::string_view> checked_document(std::string_view document, const PatchOptions& options) {
    if (!options.trusted_document) return validate_json(document, kMaxTextDepth, "document");
    const std::string_view value = trim_space(document);
    if (value.empty() || value.size() > kMaxTextBytes) return text_error({"json-syntax", "a value", 0}, "document");
    return value;
}

Result<std::string> owned(const Result<std::string_view>& result) {
    if (!result) return result.error();
    return std::string(result.value());
}

}  // namespace

JsonPatcher::JsonPatcher() = default;
JsonPatcher::~JsonPatcher() = default;

Patcher& JsonPatcher::engine() {
    constexpr std::size_t kKeep = std::size_t{4} << 20;  // a large document's memory is not kept
    if (!engine_ || engine_->kept_bytes() > kKeep) engine_ = std::make_unique<Patcher>();
    return *engine_;
}

Result<std::string_view> JsonPatcher::json_patch(std::string_view document, std::string_view patch, const PatchOptions& options) {
    const Result<std::string_view> base = checked_document(document, options);
    if (!base) return base.error();
    Patcher& patcher = engine();
    if (const Error problem = read_patch(patch, patcher.ops()); !problem.code.empty()) return problem;
    patcher.start(base.value(), options.max_output_bytes, options.trusted_document);
    return patcher.run();
}

Result<std::string_view> JsonPatcher::merge_patch(std::string_view document, std::string_view patch, const PatchOptions& options) {
    const Result<std::string_view> base = checked_document(document, options);
    if (!base) return base.error();
    const Result<std::string_view> change = validate_json(patch, kMaxTextDepth, "patch");
    if (!change) return change.error();
    Patcher& patcher = engine();
    patcher.start(base.value(), options.max_output_bytes, false);
    if (!has_duplicate_keys(change.value())) return patcher.run_merge(change.value());
    const std::string last_wins = drop_duplicate_keys(change.value());
    return patcher.run_merge(last_wins);
}

Result<std::string> apply_json_patch(std::string_view document, std::string_view patch, const PatchOptions& options) {
    JsonPatcher patcher;
    return owned(patcher.json_patch(document, patch, options));
}

Result<std::string> apply_merge_patch(std::string_view document, std::string_view patch, const PatchOptions& options) {
    JsonPatcher patcher;
    return owned(patcher.merge_patch(document, patch, options));
}

}  // namespace tidegate
