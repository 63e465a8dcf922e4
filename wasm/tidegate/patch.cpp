#include "tidegate/patch.h"

#include <vector>

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/patch_tree.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

// A JSON Pointer (RFC 6901), its tokens as characters.
struct Pointer {
    std::string storage;
    std::vector<std::string_view> tokens;
};

// REQUIRES: `inside` is the inside of a checked string literal. False when it is not a pointer.
bool read_pointer(std::string_view inside, Pointer& pointer) {
    pointer.tokens.clear();
    pointer.storage.clear();
    std::string_view text = inside;
    if (simd::find_byte(inside, '\\') < inside.size() || simd::find_byte(inside, '~') < inside.size()) {
        std::string characters;
        append_unescaped(characters, inside);
        std::vector<std::size_t> ends;  // where each token begins in storage
        for (std::size_t i = 0; i < characters.size(); ++i) {
            if (characters[i] == '/' || i == 0) {
                if (characters[i] != '/') return false;
                ends.push_back(pointer.storage.size());
            } else if (characters[i] == '~') {
                const char next = i + 1 < characters.size() ? characters[i + 1] : '\0';
                if (next != '0' && next != '1') return false;
                pointer.storage.push_back(next == '0' ? '~' : '/');
                ++i;
            } else {
                pointer.storage.push_back(characters[i]);
            }
        }
        ends.push_back(pointer.storage.size());
        for (std::size_t i = 0; i + 1 < ends.size(); ++i)
            pointer.tokens.push_back(std::string_view(pointer.storage).substr(ends[i], ends[i + 1] - ends[i]));
        return true;
    }
    if (!text.empty() && text[0] != '/') return false;
    while (!text.empty()) {
        const std::size_t length = simd::find_byte(text.substr(1), '/');
        pointer.tokens.push_back(text.substr(1, length));
        text = text.substr(1 + length);
    }
    return true;
}

// The array index a token names, at most `limit`; kNoOffset otherwise. No leading zeros, no sign (RFC 6901 section 4).
std::size_t read_index(std::string_view token, std::size_t limit) {
    if (token.empty() || token.size() > 10 || (token.size() > 1 && token[0] == '0')) return kNoOffset;
    std::size_t index = 0;
    for (const char c : token) {
        if (c < '0' || c > '9') return kNoOffset;
        index = index * 10 + static_cast<std::size_t>(c - '0');
    }
    return index <= limit ? index : kNoOffset;
}

struct Op {
    std::string_view name, path, from, value;  // path and from: insides of string literals
    bool has_path = false, has_from = false;
};

}  // namespace

class Patcher {
public:
    void start(std::string_view document, std::size_t max_bytes) {
        tree_.start(document, max_bytes);
        nested_ = false;
    }
    std::size_t kept_bytes() const { return out_.capacity(); }

    Result<std::string_view> run(std::string_view patch) {
        std::vector<Child>&ops = ops_, &members = members_;
        ops.clear();
        if (patch[0] != '[') return Error{"patch-syntax", "", say("a JSON Patch is an array of operations, this is ", kind_of(patch))};
        split(patch, 0, ops);
        for (std::size_t i = 0; i < ops.size(); ++i) {
            const std::string_view text = value_of(patch, ops[i]);
            Op op;
            const Error problem = step(text, members, op);
            if (!problem.code.empty()) return at_op(problem, i, op);
        }
        return finish();
    }

    Result<std::string_view> run_merge(std::string_view patch) {
        merge(tree_.root(), patch);
        return finish();
    }

private:
    Result<std::string_view> finish() {
        if (tree_.ok()) tree_.write(out_);
        if (!tree_.ok()) return Error{"patch-limit", "", tree_.problem()};
        if (nested_ && !nested_within(out_.view(), kMaxTextDepth)) return Error{"patch-limit", "", "the result is nested deeper than is taken"};
        return out_.view();
    }

    static std::string kind_of(std::string_view value) {
        switch (value[0]) {
            case '{': return "an object";
            case '[': return "an array";
            case '"': return "a string";
            case 't':
            case 'f': return "a boolean";
            case 'n': return "null";
            default: return "a number";
        }
    }

    static Error at_op(const Error& problem, std::size_t index, const Op& op) {
        std::string place = say("op ", index);
        if (!op.name.empty()) place += say(" (", op.name, op.has_path ? say(" \"", op.path.substr(0, 120), "\"") : "", ")");
        return Error{problem.code, say("/", index), say(place, ": ", problem.message)};
    }

    static Error refuse(const char* code, std::string message) { return Error{code, "", std::move(message)}; }
    Error limit() const { return refuse("patch-limit", tree_.problem()); }

    static Error read_op(std::string_view text, std::vector<Child>& members, Op& op) {
        if (text[0] != '{') return refuse("patch-syntax", say("an operation is an object, this is ", kind_of(text)));
        members.clear();
        split(text, 0, members);
        for (const Child& m : members) {
            const std::string_view key = key_of(text, m), value = value_of(text, m);
            const auto inside = [&] { return value.substr(1, value.size() - 2); };
            const bool string = value[0] == '"';
            if (same_string(key, "op")) {
                if (!string) return refuse("patch-syntax", say("\"op\" is a string, this is ", kind_of(value)));
                op.name = inside();
            } else if (same_string(key, "path")) {
                if (!string) return refuse("patch-syntax", say("\"path\" is a string, this is ", kind_of(value)));
                op.path = inside();
                op.has_path = true;
            } else if (same_string(key, "from")) {
                if (!string) return refuse("patch-syntax", say("\"from\" is a string, this is ", kind_of(value)));
                op.from = inside();
                op.has_from = true;
            } else if (same_string(key, "value")) {
                op.value = value;
            }
        }
        if (op.name.empty()) return refuse("patch-syntax", "\"op\" is missing");
        if (!op.has_path) return refuse("patch-syntax", "\"path\" is missing");
        return {};
    }

    Error step(std::string_view text, std::vector<Child>& members, Op& op) {
        Error problem = read_op(text, members, op);
        if (!problem.code.empty()) return problem;
        const bool test = same_string(op.name, "test"), add = same_string(op.name, "add"), replace = same_string(op.name, "replace");
        const bool remove = same_string(op.name, "remove"), move = same_string(op.name, "move"), copy = same_string(op.name, "copy");
        if (!test && !add && !replace && !remove && !move && !copy)
            return refuse("patch-syntax", "the op is none of add, remove, replace, move, copy, test");
        if ((test || add || replace) && op.value.empty()) return refuse("patch-syntax", "\"value\" is missing");
        if ((move || copy) && !op.has_from) return refuse("patch-syntax", "\"from\" is missing");
        if (!read_pointer(op.path, path_)) return refuse("patch-syntax", "\"path\" is not a JSON Pointer");
        if (path_.tokens.size() > static_cast<std::size_t>(kMaxTextDepth)) return refuse("patch-limit", "\"path\" is longer than documents are deep");
        if (move || copy) return relocate(op, move);
        if (op.value.size() > 0 && (op.value[0] == '{' || op.value[0] == '[')) nested_ = nested_ || add || replace;
        if (add) return put(PatchItem{{}, op.value, -1});
        PatchItem* item = nullptr;
        if (remove) return take(path_, nullptr);
        problem = find(path_, item);
        if (!problem.code.empty()) return problem;
        if (test) return expect(*item, op.value);
        item->text = op.value;
        item->node = -1;
        return {};
    }

    Error expect(const PatchItem& item, std::string_view value) {
        const std::string_view actual = tree_.text_of(item);
        if (!tree_.ok()) return limit();
        if (same_value(actual, value)) return {};
        std::string shown(actual.substr(0, 60));
        return refuse("patch-test", say("the value there is ", shown, actual.size() > 60 ? "…" : ""));
    }

    Error relocate(const Op& op, bool move) {
        if (!read_pointer(op.from, from_)) return refuse("patch-syntax", "\"from\" is not a JSON Pointer");
        nested_ = true;
        PatchItem* source = nullptr;
        const Error missing = find(from_, source);
        if (!missing.code.empty()) return missing;
        PatchItem value = *source;
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
        PatchItem* item = &tree_.root();
        for (std::size_t i = 0; i + 1 < pointer.tokens.size(); ++i) {
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
        item = &tree_.root();
        for (std::size_t i = 0; i < pointer.tokens.size(); ++i) {
            const Error problem = enter(pointer, i, item);
            if (!problem.code.empty()) return problem;
        }
        return {};
    }

    Error put(PatchItem value) {
        if (path_.tokens.empty()) {
            value.key = {};
            tree_.root() = value;
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

    PatchTree tree_;
    Pointer path_, from_;
    std::vector<Child> ops_, members_;
    TextBuffer out_;
    bool nested_ = false;  // a container was put somewhere: the result may be too deep
};

namespace {

// Validates what has to be, then runs.
template <class Run>
Result<std::string_view> with_checked(Patcher& patcher, std::string_view document, std::string_view patch, const PatchOptions& options, Run run) {
    const Result<std::string_view> base =
        options.trusted_document ? Result<std::string_view>(trim_space(document)) : validate_json(document, kMaxTextDepth, "document");
    if (!base) return base.error();
    if (base.value().empty() || base.value().size() > kMaxTextBytes) return text_error({"json-syntax", "a value", 0}, "document");
    const Result<std::string_view> change = validate_json(patch, kMaxTextDepth, "patch");
    if (!change) return change.error();
    patcher.start(base.value(), options.max_output_bytes);
    return run(change.value());
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
    Patcher& patcher = engine();
    return with_checked(patcher, document, patch, options, [&](std::string_view change) { return patcher.run(change); });
}

Result<std::string_view> JsonPatcher::merge_patch(std::string_view document, std::string_view patch, const PatchOptions& options) {
    Patcher& patcher = engine();
    return with_checked(patcher, document, patch, options, [&](std::string_view change) {
        if (!has_duplicate_keys(change)) return patcher.run_merge(change);
        const std::string last_wins = drop_duplicate_keys(change);
        return patcher.run_merge(last_wins);
    });
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
