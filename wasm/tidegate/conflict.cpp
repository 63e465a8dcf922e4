#include "tidegate/conflict.h"

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"

namespace tidegate {

std::optional<Strategy> parse_strategy(std::string_view name) {
    static constexpr std::string_view kNames[] = {"merge", "last-write-wins", "field-level", "client-wins", "server-wins", "custom"};
    for (std::size_t i = 0; i < 6; ++i)
        if (name == kNames[i]) return static_cast<Strategy>(i);
    if (name == "three-way") return Strategy::merge;
    return std::nullopt;
}

bool same_document(std::string_view a, std::string_view b) {
    if (a == b) return true;
    return validate_json(a) && validate_json(b) && same_value(a, b);
}

Resolution resolve(Strategy strategy, std::optional<std::string_view> base, std::string_view ours, std::optional<std::string_view> theirs,
                   bool theirs_later, std::optional<std::string_view> answer) {
    Resolution out;
    if (theirs && same_document(ours, *theirs)) {
        out.next = Resolution::Next::same;
        out.document = std::string(*theirs);
        return out;
    }
    const auto whole = [&](Side winner) {
        out.clashes.push_back({"", std::string(base.value_or("")), std::string(ours), std::string(theirs.value_or("")), winner});
        return out;
    };
    if (strategy == Strategy::server_wins || (strategy == Strategy::last_write_wins && theirs_later)) {
        out.next = Resolution::Next::yield;
        if (theirs) out.document = std::string(*theirs);
        return whole(Side::theirs);
    }
    if (strategy == Strategy::custom && answer && validate_json(*answer)) {
        out.document = std::string(*answer);
        if (theirs && same_document(*answer, *theirs)) out.next = Resolution::Next::same;
        return whole(out.next == Resolution::Next::same ? Side::theirs : Side::ours);
    }
    out.document = std::string(ours);
    if (strategy == Strategy::client_wins || strategy == Strategy::last_write_wins || !theirs) return whole(Side::ours);
    MergeOptions options;
    options.whole_members = strategy == Strategy::field_level;
    options.prefer = Side::ours;
    // Without a common base both sides added: an empty object is under them, so that fields of both are kept.
    auto merged = merge3(base.value_or("{}"), ours, *theirs, options);
    if (!merged) return whole(Side::ours);
    out.document = std::move(merged.value().document);
    out.clashes = std::move(merged.value().clashes);
    if (same_document(out.document, *theirs)) out.next = Resolution::Next::same;
    return out;
}

std::string rebase(std::string_view under_old, std::string_view next, std::string_view under_new) {
    MergeOptions options;
    options.prefer = Side::ours;
    auto merged = merge3(under_old, next, under_new, options);
    return merged ? std::move(merged.value().document) : std::string(next);
}

}  // namespace tidegate
