// JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396) for the model server, written apart from the core's.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>

namespace sim {

using Json = nlohmann::json;

// The patched document, or nullopt when the patch does not apply.
std::optional<Json> apply_json_patch(Json document, const Json& patch);
Json apply_merge_patch(Json document, const Json& patch);

// The same value: numbers by their value, members in any order.
inline bool same(const Json& a, const Json& b) { return a == b; }

// Parses without exceptions; nullopt when it is no JSON.
inline std::optional<Json> parse(const std::string& text) {
    Json out = Json::parse(text, nullptr, false);
    if (out.is_discarded()) return std::nullopt;
    return out;
}
// What a document says, read once for every text there is: a save is looked at when it is made, sent, stored and acknowledged.
class Documents {
public:
    // Stays where it is as long as this does.
    const std::optional<Json>& read(const std::string& text) {
        const auto [it, is_new] = read_.try_emplace(text);
        if (is_new) it->second = parse(text);
        return it->second;
    }

private:
    std::unordered_map<std::string, std::optional<Json>> read_;   // its order is seen nowhere
};
inline std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace sim
