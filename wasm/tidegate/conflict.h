// Two writers changed one entity: what to send now, and what is kept for a person to see.
// merge: three-way merge; where both changed the same path the later write wins (ours: it is being made now), the other value is kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/merge.h"
#include "tidegate/result.h"

namespace tidegate {

enum class Strategy { merge, client_wins, server_wins };

// The strategy of that name; an unknown name is merge.
Strategy parse_strategy(std::string_view name);

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
Resolution resolve(Strategy strategy, std::optional<std::string_view> base, std::string_view ours, std::optional<std::string_view> theirs);

// What a later op of the lane becomes when the document under it changed from `under_old` to `under_new`: merge3(under_old, next, under_new).
std::string rebase(std::string_view under_old, std::string_view next, std::string_view under_new);

// The same JSON document, whatever the order of keys and spacing; numbers by their written value, exactly. False when either is no JSON.
bool same_document(std::string_view a, std::string_view b);

}  // namespace tidegate
