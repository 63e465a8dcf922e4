#include "patching.h"

#include <vector>

namespace sim {
namespace {

std::optional<std::vector<std::string>> split_pointer(const std::string& pointer) {
    std::vector<std::string> out;
    if (pointer.empty()) return out;
    if (pointer[0] != '/') return std::nullopt;
    for (std::size_t i = 0; i < pointer.size(); ++i) {
        if (pointer[i] == '/') out.emplace_back();
        else if (pointer[i] == '~' && i + 1 < pointer.size()) out.back() += pointer[++i] == '1' ? '/' : '~';
        else out.back() += pointer[i];
    }
    return out;
}

// The place in an array that a reference token names, or nullopt. `end`: one past the last is allowed.
std::optional<std::size_t> place_in(const Json& array, const std::string& token, bool end) {
    if (token == "-") return end ? std::optional(array.size()) : std::nullopt;
    if (token.empty() || token.size() > 9 || (token.size() > 1 && token[0] == '0')) return std::nullopt;
    std::size_t value = 0;
    for (const char c : token) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + static_cast<std::size_t>(c - '0');
    }
    if (value > array.size() || (!end && value == array.size())) return std::nullopt;
    return value;
}

Json* find(Json& document, const std::vector<std::string>& path, std::size_t steps) {
    Json* at = &document;
    for (std::size_t i = 0; i < steps; ++i) {
        if (at->is_object()) {
            const auto it = at->find(path[i]);
            if (it == at->end()) return nullptr;
            at = &*it;
        } else if (at->is_array()) {
            const auto place = place_in(*at, path[i], false);
            if (!place) return nullptr;
            at = &(*at)[*place];
        } else {
            return nullptr;
        }
    }
    return at;
}

bool put(Json& document, const std::vector<std::string>& path, Json value, bool replaces) {
    if (path.empty()) {
        document = std::move(value);
        return true;
    }
    Json* parent = find(document, path, path.size() - 1);
    if (!parent) return false;
    if (parent->is_object()) {
        if (replaces && !parent->contains(path.back())) return false;
        (*parent)[path.back()] = std::move(value);
        return true;
    }
    if (!parent->is_array()) return false;
    const auto place = place_in(*parent, path.back(), !replaces);
    if (!place) return false;
    if (replaces) (*parent)[*place] = std::move(value);
    else parent->insert(parent->begin() + static_cast<std::ptrdiff_t>(*place), std::move(value));
    return true;
}

bool take(Json& document, const std::vector<std::string>& path, Json& out) {
    Json* found = path.empty() ? nullptr : find(document, path, path.size());
    if (!found) return false;
    out = std::move(*found);
    Json* parent = find(document, path, path.size() - 1);
    if (parent->is_object()) parent->erase(path.back());
    else parent->erase(parent->begin() + static_cast<std::ptrdiff_t>(*place_in(*parent, path.back(), false)));
    return true;
}

bool apply_one(Json& document, const Json& step) {
    if (!step.is_object() || !step.contains("op") || !step.contains("path") || !step["path"].is_string()) return false;
    const std::string op = step["op"].is_string() ? step["op"].get<std::string>() : "";
    const auto path = split_pointer(step["path"].get<std::string>());
    if (!path) return false;
    if (op == "add" || op == "replace") return step.contains("value") && put(document, *path, step["value"], op == "replace");
    Json gone;
    if (op == "remove") return take(document, *path, gone);
    if (op == "test") {
        const Json* found = find(document, *path, path->size());
        return found && step.contains("value") && *found == step["value"];
    }
    const auto from = step.contains("from") && step["from"].is_string() ? split_pointer(step["from"].get<std::string>()) : std::nullopt;
    if (!from) return false;
    if (op == "move") return take(document, *from, gone) && put(document, *path, std::move(gone), false);
    if (op != "copy") return false;
    const Json* found = find(document, *from, from->size());
    return found && put(document, *path, Json(*found), false);
}

}  // namespace

std::optional<Json> apply_json_patch(Json document, const Json& patch) {
    if (!patch.is_array()) return std::nullopt;
    for (const Json& step : patch)
        if (!apply_one(document, step)) return std::nullopt;
    return document;
}

Json apply_merge_patch(Json document, const Json& patch) {
    if (!patch.is_object()) return patch;
    if (!document.is_object()) document = Json::object();
    for (const auto& [key, value] : patch.items()) {
        if (value.is_null()) document.erase(key);
        else document[key] = apply_merge_patch(document.contains(key) ? document[key] : Json(), value);
    }
    return document;
}

}  // namespace sim
