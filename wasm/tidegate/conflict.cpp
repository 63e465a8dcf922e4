#include "tidegate/conflict.h"

#include "tidegate/json_text.h"
#include "tidegate/json_value.h"

namespace tidegate {

Strategy parse_strategy(std::string_view name) {
    if (name == "client-wins") return Strategy::client_wins;
    if (name == "server-wins") return Strategy::server_wins;
    return Strategy::merge;
}

bool same_document(std::string_view a, std::string_view b) {
    if (a == b) return true;
    return validate_json(a) && validate_json(b) && same_value(a, b);
}

Resolution resolve(Strategy strategy, std::optional<std::string_view> base, std::string_view ours, std::optional<std::string_view> theirs) {
    Resolution out;
    if (theirs && same_document(ours, *theirs)) {
        out.next = Resolution::Next::same;
        out.document = std::string(*theirs);
        return out;
    }
    if (strategy == Strategy::server_wins) {
        out.next = Resolution::Next::yield;
        if (theirs) out.document = std::string(*theirs);
        out.clashes.push_back({"", std::string(base.value_or("")), std::string(ours), std::string(theirs.value_or("")), Side::theirs});
        return out;
    }
    if (strategy == Strategy::client_wins || !theirs) {
        out.document = std::string(ours);
        out.clashes.push_back({"", std::string(base.value_or("")), std::string(ours), std::string(theirs.value_or("")), Side::ours});
        return out;
    }
    MergeOptions options;
    options.prefer = Side::ours;
    // Without a common base both sides added: an empty object is under them, so that fields of both are kept.
    auto merged = merge3(base.value_or("{}"), ours, *theirs, options);
    if (!merged) {
        out.document = std::string(ours);
        out.clashes.push_back({"", std::string(base.value_or("")), std::string(ours), std::string(*theirs), Side::ours});
        return out;
    }
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
