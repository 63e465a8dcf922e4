// Two writers changed one entity: what to send now, and what is kept for a person to see.
// merge: three-way merge; where both changed the same path the later write wins (ours: it is being made now), the other value is kept.
// field-level: the same by top-level member; a member both changed is ours or theirs as a whole.
// last-write-wins: the whole document of the later write. Versions come first: a version that is our base is no conflict at all; the clock decides only between
// writes that knew nothing of each other, and by their ages, each measured with the clock of its own side, so that clocks need not agree.
// custom: the app decides (the plan asks the shell, the shell asks the app); what it says is the document. Without an answer: merge.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/merge.h"
#include "tidegate/result.h"

namespace tidegate {

enum class Strategy { merge, last_write_wins, field_level, client_wins, server_wins, custom };

// The strategy of that name ("three-way" is merge); nullopt: there is none of that name.
std::optional<Strategy> parse_strategy(std::string_view name);

struct Resolution {
    enum class Next {
        send,   // `document` over the server's version
        same,   // the server already has what we want: nothing to send
        yield,  // the server's version stands, ours is given up (kept in the audit entry)
    } next = Next::send;
    std::string document;
    std::vector<Clash> clashes;
};

// base: the version both started from, nullopt when there was none. theirs: nullopt when the entity is gone from the server.
// theirs_later: for last-write-wins. answer: what the app made of it, for custom. The same arguments give the same resolution: audit entries are replayed by it.
Resolution resolve(Strategy strategy, std::optional<std::string_view> base, std::string_view ours, std::optional<std::string_view> theirs,
                   bool theirs_later = false, std::optional<std::string_view> answer = std::nullopt);

// What a later op of the lane becomes when the document under it changed from `under_old` to `under_new`: merge3(under_old, next, under_new).
std::string rebase(std::string_view under_old, std::string_view next, std::string_view under_new);

// The same JSON document, whatever the order of keys and spacing; numbers by their written value, exactly. False when either is no JSON.
bool same_document(std::string_view a, std::string_view b);

}  // namespace tidegate
