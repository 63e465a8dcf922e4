#include "tidegate/protocol.h"

#include <algorithm>

#include "tidegate/say.h"

namespace tidegate {
namespace {

Error bad(const std::string& name, const Json& value, const std::string& expected) {
    return {"out-of-range", say("/", name), say(name, ": expected ", expected, ", got ", quote_value(value))};
}

struct Range {
    const char* name;
    double low, high;
};
// Above its highest a setting would have no effect: kConcurrencyCeiling, kMaxBatchBytes, kMaxBatchOps (connectivity.h).
constexpr Range kRanges[] = {
    {"minimumBatteryLevel", 0, 100},        {"minInterval", 0, 86400000},     {"syncIntervalSeconds", 1, 86400}, {"syncIntervalMinutes", 1, 1440},
    {"maximumConcurrentOperations", 1, 6},  {"maxRetryAttempts", 1, 100},     {"baseDelay", 1, 3600000},         {"maxDelay", 1, 86400000},
    {"retentionDays", 0, 3650},             {"maxBatchBytes", 1000, 524288}, {"maxBatchOps", 1, 200},           {"dataBudgetPerDay", 0, 1e15},
    {"batteryBudgetPerDay", 0, 100},
};

// Settings of one word, with the words as the error says them.
struct Choice {
    const char *name, *words;
};
constexpr const char* kStrategies = "merge, last-write-wins, field-level, client-wins, server-wins or custom";
constexpr Choice kChoices[] = {
    {"consent", "granted or withdrawn"},
    {"unknownReadings", "open or strict"},
    {"retryStrategy", "exponential, linear or adaptive"},
    {"jitter", "full, equal, decorrelated or none"},
    {"priorityThreshold", "low, normal, high or critical"},
    {"mode", "batch or rest"},
    {"conflictStrategy", kStrategies},
};

bool one_of(std::string_view words, std::string_view value) {
    if (value.empty() || value == "or") return false;
    for (std::size_t at = 0; at < words.size();) {
        const std::size_t end = std::min(words.find_first_of(", ", at), words.size());
        if (words.substr(at, end - at) == value) return true;
        at = end + 1;
    }
    return words == kStrategies && value == "three-way";
}

// The ranges and words of a whole settings object; types were checked by the decoder.
std::optional<Error> check_values(const Json& settings) {
    for (const Range& range : kRanges) {
        const auto it = settings.find(range.name);
        if (it == settings.end() || it->is_null()) continue;
        const double value = it->get<double>();
        if (!(value >= range.low && value <= range.high)) return bad(range.name, *it, say("a number from ", dump_json(range.low), " to ", dump_json(range.high)));
    }
    for (const Choice& choice : kChoices) {
        const Json& value = settings[choice.name];
        if (value.is_string() && !one_of(choice.words, value.get_ref<const std::string&>())) return bad(choice.name, value, choice.words);
    }
    return std::nullopt;
}

// What ranges and words do not say.
std::optional<Error> check_rest(const Settings& s) {
    if (s.max_delay < s.base_delay) return bad("maxDelay", s.max_delay, "at least baseDelay");
    if (s.quiet_hours && (static_cast<std::uint64_t>(s.quiet_hours->from_minute) > 1439 || static_cast<std::uint64_t>(s.quiet_hours->to_minute) > 1439))
        return bad("quietHours", nullptr, "minutes from 0 to 1439");
    if (!s.conflict_strategies) return std::nullopt;
    if (!s.conflict_strategies->is_object()) return bad("conflictStrategies", *s.conflict_strategies, "an object {entity: strategy}");
    for (const auto& [entity, value] : s.conflict_strategies->items())
        if (!value.is_string() || !one_of(kStrategies, value.get_ref<const std::string&>())) return bad(say("conflictStrategies/", entity), value, kStrategies);
    return std::nullopt;
}

// Takes one setting of a patch under the name we keep: SHAPES.md gives aliases, and words in either letter case. False: not a setting.
bool take_setting(Json& settings, std::string key, Json value, const Json& patch) {
    if (key == "syncOnlyWhenCharging") key = "requiresCharging";
    if (key == "requiresBatteryNotLow" && value.is_boolean() && !patch.contains("minimumBatteryLevel")) {
        key = "minimumBatteryLevel";
        value = value.get<bool>() ? Settings{}.minimum_battery_level : 0;
    }
    if (value.is_string() && one_of("priorityThreshold retryStrategy jitter", key))
        for (char& c : value.get_ref<std::string&>())
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!settings.contains(key) && !one_of("quietHours dataBudgetPerDay batteryBudgetPerDay conflictStrategies", key)) return false;
    settings[key] = std::move(value);
    return true;
}

template <class T>
void print_root(TypeScript& ts) {
    ts.add<T>();
}

}  // namespace

Result<Settings> patch_settings(const Settings& current, const Json& patch, std::vector<std::string>& unknown) {
    if (!patch.is_object()) return Error{"wrong-type", "", say("settings: expected an object, got ", quote_value(patch))};
    // null takes an optional setting back to none; an absent key leaves the setting as it is, so the patch is laid over the current object.
    Json merged = settings_to_json(current);
    for (const auto& [key, value] : patch.items())
        if (!take_setting(merged, key, value, patch)) unknown.push_back(key);
    Settings next = current;
    Decoder decoder(merged);
    decoder.read(next);
    if (decoder.error()) return *decoder.error();
    if (auto error = check_values(merged)) return *error;
    if (auto error = check_rest(next)) return *error;
    return next;
}

Result<Settings> stored_settings(Json stored, std::vector<std::string>& unknown) {
    for (const Range& range : kRanges)
        if (const auto it = stored.find(range.name); it != stored.end() && it->is_number()) *it = std::clamp(it->get<double>(), range.low, range.high);
    return patch_settings(Settings{}, stored, unknown);
}

Json settings_to_json(const Settings& settings) {
    return encode(const_cast<Settings&>(settings), true);
}

std::string row_to_text(OpRow& row) {
    std::string out = encode_text(row);
    if (row.others.empty()) return out;
    out.back() = ',';
    return out.append(row.others, 1);
}

Result<OpRow> row_from_json(const Json& json) {
    OpRow row;
    Decoder decoder(json);
    decoder.read(row);
    if (decoder.error()) return *decoder.error();
    if (decoder.known() == json.size()) return row;
    Json others = json;   // of few rows: once more, to take out what is known
    Decoder again(json, &others);
    again.read(row);
    row.others = dump_json(others);
    return row;
}

// One place builds them: spelled out at every use, a write costs a hundred bytes of code.
static Write& add_write(std::vector<Write>& writes, const char* store, Json key) {
    Write& write = writes.emplace_back();
    write.store = store;
    write.key = std::move(key);
    return write;
}
Write& add_write(std::vector<Write>& writes, const char* store, const char* key) { return add_write(writes, store, Json(key)); }
Write& add_write(std::vector<Write>& writes, const char* store, const std::string& key) { return add_write(writes, store, Json(key)); }
Write& add_write(std::vector<Write>& writes, const char* store, std::uint64_t key) { return add_write(writes, store, Json(key)); }

std::string padded(std::uint64_t number) {
    std::string digits = std::to_string(number);
    while (digits.size() < 12) digits.insert(digits.begin(), '0');
    return digits;
}

std::string payload_key(std::uint64_t seq, const char* part) { return say(padded(seq), ":", part); }

std::string typescript() {
    TypeScript ts;
    print_root<OpRow>(ts);
    print_root<Input>(ts);
    print_root<Plan>(ts);
    print_root<Status>(ts);
    print_root<Settings>(ts);
    return say("// Generated by tg_schema from wasm/tidegate/protocol.h. Do not edit: `npm run build` writes it, a test compares it.\n\n"
               "export const BOUNDARY_VERSION: ",
               kBoundaryVersion, ";\n\n", ts.text());
}

}  // namespace tidegate
