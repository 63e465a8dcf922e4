#include "tidegate/history.h"

#include <algorithm>

#include "tidegate/fields.h"
#include "tidegate/say.h"

namespace tidegate {

void Session::note_error(const std::string& sentence) {
    if (errors.size() >= kMaxSessionErrors) return;
    for (const std::string& known : errors)
        if (known == sentence) return;
    errors.push_back(sentence);
}

Json Session::to_json(std::optional<double> end_ms, std::optional<double> battery_now) const {
    Json out = object()
        .set("sessionId", numbered_key("session", number))
        .set("trigger", trigger)
        .set("startTime", start_ms)
        .set("itemsProcessed", processed)
        .set("itemsSucceeded", succeeded)
        .set("itemsFailed", failed)
        .set("itemsPulled", pulled)
        .set("conflicts", conflicts)
        .set("requests", requests)
        .set("totalDataSynced", synced_bytes)
        .set("networkUsage", network_bytes)
        .set("batteryUsed", nullptr)
        .set("errors", errors);
    if (end_ms) set(out, "endTime", *end_ms);
    if (battery_at_start && battery_now) set(out, "batteryUsed", *battery_at_start > *battery_now ? *battery_at_start - *battery_now : 0);
    return out;
}

void Totals::add(const Session& session, double end_ms, std::optional<double> battery_now) {
    ++sessions;
    processed += session.processed;
    succeeded += session.succeeded;
    failed += session.failed;
    conflicts += session.conflicts;
    requests += session.requests;
    sent_bytes += session.network_bytes;
    full_bytes += session.synced_bytes;
    if (end_ms > session.start_ms) busy_ms += end_ms - session.start_ms;
    if (session.battery_at_start && battery_now && *session.battery_at_start > *battery_now)
        battery_used += *session.battery_at_start - *battery_now;
}

Json Totals::to_json() const {
    Json by_class = Json::object();
    for (std::size_t i = 0; i < 8; ++i)
        if (errors_by_class[i]) by_class[EnumNames<ErrorClass>::values[i]] = errors_by_class[i];
    const double n = sessions > 0 ? static_cast<double>(sessions) : 1;
    const double answered = static_cast<double>(succeeded + failed);
    return object().set("averagePerformance", object()
        .set("itemsPerMinute", busy_ms > 0 ? static_cast<double>(succeeded) * 60000.0 / busy_ms : 0)
        .set("successRate", answered > 0 ? static_cast<double>(succeeded) / answered : 1)
        .set("averageBatteryUsage", battery_used / n)
        .set("averageNetworkUsage", sent_bytes / n)).set("totals", object()
        .set("sessions", sessions)
        .set("itemsProcessed", processed)
        .set("itemsSucceeded", succeeded)
        .set("itemsFailed", failed)
        .set("itemsFolded", folded)
        .set("deadLetters", dead)
        .set("conflicts", conflicts)
        .set("requests", requests)
        .set("requestsSaved", succeeded + folded > requests ? succeeded + folded - requests : 0)
        .set("bytesBefore", full_bytes)
        .set("bytesSent", sent_bytes)
        .set("errorsByClass", by_class));
}

void persist(Members& m, Totals& t) {
    constexpr double kMost = 9e15;
    m.count("sessions", t.sessions);
    m.count("processed", t.processed);
    m.count("succeeded", t.succeeded);
    m.count("failed", t.failed);
    m.count("conflicts", t.conflicts);
    m.count("requests", t.requests);
    m.count("folded", t.folded);
    m.count("dead", t.dead);
    m.number("fullBytes", t.full_bytes, 0, kMost);
    m.number("sentBytes", t.sent_bytes, 0, kMost);
    m.number("busyMs", t.busy_ms, 0, kMost);
    m.number("batteryUsed", t.battery_used, 0, kMost);
    m.count("audit", t.audit_entries);
    m.count("left", t.left_records);
    m.counts("classes", t.errors_by_class, 8);
}

std::string numbered_key(const char* kind, std::uint64_t number) {
    return say(kind, "/", padded(number));
}

void append_record(std::vector<Write>& writes, const char* kind, std::uint64_t number, std::uint64_t limit, Json value) {
    add_write(writes, "history", numbered_key(kind, number)).value = std::move(value);
    if (number > limit) add_write(writes, "history", numbered_key(kind, number - limit)).remove = true;
}

void expire_records(Marks& marks, double now_ms, std::uint64_t session, std::uint64_t audit, double keep_ms, std::vector<Write>& writes) {
    const std::uint64_t now[] = {static_cast<std::uint64_t>(now_ms), session, audit};
    const auto age_ms = [&](std::size_t at) { return static_cast<double>(now[0] - marks[at]); };
    for (std::size_t at = 0; at < marks.size(); at += 3) marks[at] = std::min(marks[at], now[0]);   // a clock that was ahead
    if (marks.empty()) marks = {now[0], 1, 1};
    else if (age_ms(marks.size() - 3) >= keep_ms / kMarks) marks.insert(marks.end(), now, now + 3);
    for (int room = kMaxExpired; marks.size() > 3 && age_ms(0) >= keep_ms;) {
        const auto remove = [&](const char* kind, std::uint64_t& number, std::uint64_t end) {
            for (; number < end && room > 0; --room) add_write(writes, "history", numbered_key(kind, number++)).remove = true;
        };
        remove("session", marks[1], marks[4]);
        remove("audit", marks[2], marks[5]);
        if (room == 0) return;
        marks.erase(marks.begin(), marks.begin() + 3);
    }
}

Json to_json(const Marks& marks) {
    Json list = Json::array();
    for (const std::uint64_t number : marks) list.push_back(number);
    return list;
}

Marks marks_from_json(const Json& value) {
    Marks marks;
    if (value.is_array() && value.size() % 3 == 0)
        for (const Json& number : value) marks.push_back(number.is_number_unsigned() ? number.get<std::uint64_t>() : 0);
    return marks;
}

}  // namespace tidegate
