#include "tidegate/patch_ops.h"

#include <utility>

#include "tidegate/json_value.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

std::size_t expected(TextFault& fault, const char* what, std::size_t at) {
    fault = {"json-syntax", what, at};
    return kNoOffset;
}

Error refuse(std::string message) { return Error{"patch-syntax", "", std::move(message)}; }

PatchOp::Kind kind_of(std::string_view name) {
    using Kind = PatchOp::Kind;
    static constexpr std::pair<std::string_view, Kind> kKinds[] = {{"add", Kind::add},   {"remove", Kind::remove}, {"replace", Kind::replace},
                                                                   {"move", Kind::move}, {"copy", Kind::copy},     {"test", Kind::test}};
    for (const auto& [word, kind] : kKinds)
        if (same_string(word, name)) return kind;
    return Kind::unknown;
}

// Takes over a member of an operation. The first thing that is wrong with the operation is kept in `problem`.
void take_member(std::string_view key, std::string_view value, PatchOp& op, Error& problem) {
    const bool is_value = same_string(key, "value");
    if (is_value) op.value = value;
    std::string_view* const wanted = is_value || !problem.code.empty() ? nullptr
                                     : same_string(key, "path")        ? &op.path
                                     : same_string(key, "op")          ? &op.name
                                     : same_string(key, "from")        ? &op.from
                                                                       : nullptr;
    if (!wanted) return;
    if (value[0] != '"') {
        problem = refuse(say("\"", wanted == &op.path ? "path" : wanted == &op.name ? "op" : "from", "\" is a string, this is ", kind_of_value(value)));
        return;
    }
    *wanted = value.substr(1, value.size() - 2);
    op.has_path |= wanted == &op.path;
    op.has_from |= wanted == &op.from;
}

void check_op(PatchOp& op, Error& problem) {
    using Kind = PatchOp::Kind;
    if (!problem.code.empty()) return;
    if (op.name.empty()) return void(problem = refuse("\"op\" is missing"));
    if (!op.has_path) return void(problem = refuse("\"path\" is missing"));
    op.kind = kind_of(op.name);
    const bool takes_value = op.kind == Kind::add || op.kind == Kind::replace || op.kind == Kind::test;
    if (op.kind == Kind::unknown) problem = refuse("the op is none of add, remove, replace, move, copy, test");
    else if (takes_value && op.value.empty()) problem = refuse("\"value\" is missing");
    else if ((op.kind == Kind::move || op.kind == Kind::copy) && !op.has_from) problem = refuse("\"from\" is missing");
}

// How an operation begins as diff writes it: up to the first string that differs from op to op.
struct Head {
    std::string_view text, name, key;
};
constexpr Head kHeads[] = {{R"({"op":"add","path":)", "add", "path"},
                           {R"({"op":"remove","path":)", "remove", "path"},
                           {R"({"op":"replace","path":)", "replace", "path"},
                           {R"({"op":"move","from":)", "move", "from"}};

// The operation that opens at `at`: the offset behind it, or kNoOffset with `fault` filled.
std::size_t read_op(std::string_view text, std::size_t at, PatchOp& op, Error& problem, TextFault& fault) {
    std::string_view key;
    for (const Head& head : kHeads) {
        if (!simd::same_bytes(text.substr(at, head.text.size()), head.text)) continue;
        op.name = head.name;
        key = head.key;
        at += head.text.size();
        break;
    }
    if (key.empty()) at = skip_space(text, at + 1);
    if (key.empty() && at < text.size() && text[at] == '}') return check_op(op, problem), at + 1;
    for (;; key = {}) {
        if (key.empty()) {
            if (at >= text.size() || text[at] != '"') return expected(fault, "a key in double quotes", at);
            const std::size_t key_end = check_string(text, at, fault);
            if (key_end == kNoOffset) return kNoOffset;
            key = text.substr(at + 1, key_end - at - 2);
            at = skip_space(text, key_end);
            if (at >= text.size() || text[at] != ':') return expected(fault, "a colon after the key", at);
            at = skip_space(text, at + 1);
        }
        const std::size_t end = check_value(text, at, kMaxTextDepth - 2, fault);
        if (end == kNoOffset) return kNoOffset;
        take_member(key, text.substr(at, end - at), op, problem);
        at = skip_space(text, end);
        if (at < text.size() && text[at] == '}') return check_op(op, problem), at + 1;
        if (at >= text.size() || text[at] != ',') return expected(fault, "a comma or }", at);
        at = skip_space(text, at + 1);
    }
}

// The array that opens at `at`: the offset behind it, or kNoOffset with `fault` filled.
std::size_t read_ops(std::string_view text, std::size_t at, PatchOps& ops, TextFault& fault) {
    at = skip_space(text, at + 1);
    if (at < text.size() && text[at] == ']') return at + 1;
    for (;;) {
        const std::size_t from = at;
        PatchOp ignored;
        const bool taken = ops.problem.code.empty();
        PatchOp& op = taken ? ops.list.emplace_back() : ignored;
        if (at < text.size() && text[at] == '{') {
            Error problem;
            at = read_op(text, at, op, problem, fault);
            if (taken) ops.problem = std::move(problem);
        } else {
            at = check_value(text, at, kMaxTextDepth - 1, fault);
            if (taken && at != kNoOffset) ops.problem = refuse(say("an operation is an object, this is ", kind_of_value(text.substr(from))));
        }
        if (at == kNoOffset) return kNoOffset;
        at = skip_space(text, at);
        if (at < text.size() && text[at] == ']') return at + 1;
        if (at >= text.size() || text[at] != ',') return expected(fault, "a comma or ]", at);
        at = skip_space(text, at + 1);
    }
}

// A pointer with escapes, of JSON or its own.
bool read_escaped(std::string_view inside, Pointer& pointer) {
    pointer.tokens.clear();
    std::string characters;
    append_unescaped(characters, inside);
    std::vector<std::size_t> starts;  // where each token begins in storage
    for (std::size_t i = 0; i < characters.size(); ++i) {
        if (characters[i] == '/' || i == 0) {
            if (characters[i] != '/') return false;
            starts.push_back(pointer.storage.size());
        } else if (characters[i] == '~') {
            const char next = i + 1 < characters.size() ? characters[i + 1] : '\0';
            if (next != '0' && next != '1') return false;
            pointer.storage.push_back(next == '0' ? '~' : '/');
            ++i;
        } else {
            pointer.storage.push_back(characters[i]);
        }
    }
    starts.push_back(pointer.storage.size());
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
        pointer.tokens.push_back(std::string_view(pointer.storage).substr(starts[i], starts[i + 1] - starts[i]));
    return true;
}

}  // namespace

const char* kind_of_value(std::string_view value) {
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

Error read_patch(std::string_view patch, PatchOps& ops) {
    ops.list.clear();
    ops.problem = {};
    const std::size_t from = skip_space(patch, 0);
    if (patch.size() > kMaxTextBytes || from >= patch.size() || patch[from] != '[') {
        const Result<std::string_view> valid = validate_json(patch, kMaxTextDepth, "patch");
        return valid ? refuse(say("a JSON Patch is an array of operations, this is ", kind_of_value(valid.value()))) : valid.error();
    }
    TextFault fault;
    const std::size_t to = read_ops(patch, from, ops, fault);
    if (to == kNoOffset) return text_error(fault, "patch");
    const std::size_t rest = skip_space(patch, to);
    return rest == patch.size() ? Error{} : text_error({"json-syntax", "nothing behind the value", rest}, "patch");
}

bool read_pointer(std::string_view inside, Pointer& pointer) {
    pointer.tokens.clear();
    pointer.storage.clear();
    if (inside.empty()) return true;
    std::size_t start = 1;
    for (std::size_t i = inside[0] == '/' ? 1 : 0; i < inside.size(); ++i) {
        if (inside[i] == '\\' || inside[i] == '~') return read_escaped(inside, pointer);
        if (i == 0) return false;
        if (inside[i] != '/') continue;
        pointer.tokens.push_back(inside.substr(start, i - start));
        start = i + 1;
    }
    pointer.tokens.push_back(inside.substr(start));
    return true;
}

std::size_t read_index(std::string_view token, std::size_t limit) {
    constexpr std::size_t kMostDigits = 9;  // no text has more elements, and ten could pass 32 bits
    if (token.empty() || token.size() > kMostDigits || (token.size() > 1 && token[0] == '0')) return kNoOffset;
    std::size_t index = 0;
    for (const char c : token) {
        if (c < '0' || c > '9') return kNoOffset;
        index = index * 10 + static_cast<std::size_t>(c - '0');
    }
    return index <= limit ? index : kNoOffset;
}

}  // namespace tidegate
