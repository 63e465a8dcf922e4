#include "tidegate/protocol.h"

namespace tidegate {
namespace {

Error bad(const std::string& name, const Json& value, const std::string& expected) {
    return {"out-of-range", "/" + name, name + ": expected " + expected + ", got " + quote_value(value)};
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

bool among(const std::string& value, std::initializer_list<const char*> allowed) {
    for (const char* a : allowed)
        if (value == a) return true;
    return false;
}

// The ranges of the settings; types were checked by the decoder.
std::optional<Error> check_ranges(const Settings& s) {
    struct Range {
        const char* name;
        double value, low, high;
    };
    const Range ranges[] = {
        {"minimumBatteryLevel", s.minimum_battery_level, 0, 100},
        {"minInterval", s.min_interval, 0, 86400000.0},
        {"syncIntervalSeconds", s.sync_interval_seconds, 1, 86400},
        {"syncIntervalMinutes", s.sync_interval_minutes, 1, 1440},
        {"maximumConcurrentOperations", static_cast<double>(s.maximum_concurrent_operations), 1, 16},
        {"maxRetryAttempts", static_cast<double>(s.max_retry_attempts), 1, 100},
        {"baseDelay", s.base_delay, 1, 3600000},
        {"maxDelay", s.max_delay, 1, 86400000.0},
        {"retentionDays", s.retention_days, 0, 3650},
        {"maxBatchBytes", s.max_batch_bytes, 1000, 16777216},
        {"maxBatchOps", static_cast<double>(s.max_batch_ops), 1, 1000},
        {"dataBudgetPerDay", s.data_budget_per_day.value_or(0), 0, 1e15},
        {"batteryBudgetPerDay", s.battery_budget_per_day.value_or(0), 0, 100},
    };
    for (const Range& r : ranges)
        if (!(r.value >= r.low && r.value <= r.high)) {
            Json low = r.low, high = r.high;
            return bad(r.name, r.value, "a number from " + dump_json(low) + " to " + dump_json(high));
        }
    if (s.max_delay < s.base_delay) return bad("maxDelay", s.max_delay, "at least baseDelay");
    if (s.quiet_hours && (s.quiet_hours->from_minute < 0 || s.quiet_hours->from_minute > 1439 || s.quiet_hours->to_minute < 0 ||
                          s.quiet_hours->to_minute > 1439))
        return bad("quietHours", nullptr, "minutes from 0 to 1439");
    return std::nullopt;
}

std::optional<Error> check_words(const Settings& s) {
    const char* const strategies = "merge, last-write-wins, field-level, client-wins, server-wins or custom";
    const auto strategy = [](const std::string& v) {
        return among(v, {"merge", "three-way", "last-write-wins", "field-level", "client-wins", "server-wins", "custom"});
    };
    if (!among(s.consent, {"granted", "withdrawn"})) return bad("consent", s.consent, "granted or withdrawn");
    if (!among(s.unknown_readings, {"open", "strict"})) return bad("unknownReadings", s.unknown_readings, "open or strict");
    if (!among(s.retry_strategy, {"exponential", "linear", "adaptive"}))
        return bad("retryStrategy", s.retry_strategy, "exponential, linear or adaptive");
    if (!among(s.jitter, {"full", "equal", "decorrelated", "none"})) return bad("jitter", s.jitter, "full, equal, decorrelated or none");
    if (!among(s.priority_threshold, {"low", "normal", "high", "critical"}))
        return bad("priorityThreshold", s.priority_threshold, "low, normal, high or critical");
    if (!among(s.mode, {"batch", "rest"})) return bad("mode", s.mode, "batch or rest");
    if (!strategy(s.conflict_strategy)) return bad("conflictStrategy", s.conflict_strategy, strategies);
    if (s.conflict_strategies) {
        if (!s.conflict_strategies->is_object()) return bad("conflictStrategies", *s.conflict_strategies, "an object {entity: strategy}");
        for (const auto& [entity, value] : s.conflict_strategies->items())
            if (!value.is_string() || !strategy(value.get<std::string>()))
                return bad("conflictStrategies/" + entity, value, strategies);
    }
    return std::nullopt;
}

// The names SHAPES.md gives as aliases, turned into the one we keep.
Json without_aliases(const Json& patch) {
    Json out = patch;
    if (out.contains("syncOnlyWhenCharging")) {
        out["requiresCharging"] = out["syncOnlyWhenCharging"];
        out.erase("syncOnlyWhenCharging");
    }
    if (out.contains("requiresBatteryNotLow")) {
        const Json value = out["requiresBatteryNotLow"];
        if (value.is_boolean() && !out.contains("minimumBatteryLevel")) {
            out["minimumBatteryLevel"] = value.get<bool>() ? Settings{}.minimum_battery_level : 0;
            out.erase("requiresBatteryNotLow");
        }
    }
    for (const char* word : {"priorityThreshold", "retryStrategy", "jitter"})
        if (out.contains(word) && out[word].is_string()) out[word] = lower(out[word].get<std::string>());
    return out;
}

template <class T>
void print_root(TypeScript& ts) {
    ts.add<T>();
}

}  // namespace

Result<Settings> patch_settings(const Settings& current, const Json& patch, std::vector<std::string>& unknown) {
    if (!patch.is_object()) return Error{"wrong-type", "", "settings: expected an object, got " + quote_value(patch)};
    const Json known = settings_to_json(Settings{});
    const Json named = without_aliases(patch);
    for (const auto& [key, value] : named.items())
        if (!known.contains(key) && key != "quietHours" && key != "dataBudgetPerDay" && key != "batteryBudgetPerDay" &&
            key != "conflictStrategies")
            unknown.push_back(key);
    Settings next = current;
    // null takes an optional setting back to none; an absent key leaves the setting as it is, so the patch is laid over the current object.
    Json merged = settings_to_json(current);
    for (const auto& [key, value] : named.items()) merged[key] = value;
    Decoder decoder(merged);
    decoder.read(next);
    if (decoder.error()) return *decoder.error();
    if (auto error = check_ranges(next)) return *error;
    if (auto error = check_words(next)) return *error;
    return next;
}

Json settings_to_json(const Settings& settings) {
    Encoder encoder(true);
    Settings copy = settings;
    describe(encoder, copy);
    return encoder.take();
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

std::string payload_key(std::uint64_t seq, const char* part) { return std::to_string(seq) + ":" + part; }

std::string typescript() {
    TypeScript ts;
    print_root<OpRow>(ts);
    print_root<Input>(ts);
    print_root<Plan>(ts);
    print_root<Status>(ts);
    print_root<Settings>(ts);
    return "// Generated by tg_schema from wasm/tidegate/protocol.h. Do not edit: `npm run build` writes it, a test compares it.\n\n"
           "export const BOUNDARY_VERSION: " +
           std::to_string(kBoundaryVersion) + ";\n\n" + ts.text();
}

}  // namespace tidegate
