// Which operations go into the next batch.
//
// Rule: take the available unit with the smallest key, again and again, while it fits. A unit is one op, or a whole atomic group. Available is the
// earliest not yet taken op of its lane, or a group all of whose members are. An op inherits the best key of everything that waits behind it
// (in its lane or through a group), so a critical update is not held up by the low create before it (priority inheritance,
// Sha, Rajkumar, Lehoczky 1990).
// In a short window the key is the cost of delay per byte instead (Smith 1956); a run of ops in a lane counts by the best ratio of a prefix of it
// (Sidney's decomposition for chains, 1975).
//
// Cost: O(n log n) over the candidates; the planner looks at kMaxCandidates at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <span>

namespace tidegate {

struct Candidate {
    double order_key = 0;       // priority.h: order_key; smaller goes first. Not a number: goes last
    double value = 0;           // priority.h: cost_of_delay; used in short windows only. Negative or not a number: 0
    std::uint32_t bytes = 0;    // estimated bytes on the wire, body and line
    std::uint32_t lane = 0;     // any number that stands for the lane
    std::uint32_t chain = 0;    // place in the lane, ascending with the index; the smallest present is the head. Gaps are allowed, 0 is always a head
    std::uint32_t group = 0;    // atomic group, 0 for none
};

// What an op costs on the wire besides Candidate::bytes; keeps the ratio of a tiny op finite.
inline constexpr double kCandidateOverheadBytes = 160.0;

struct BatchBudget {
    double max_bytes = 0;               // no more than this in sum; ≤ 0 or not a number: nothing is chosen
    std::size_t max_ops = 0;            // 0: nothing is chosen
    bool short_window = false;          // order by value per byte
    bool oversize_alone = true;         // the best unit goes alone when it is larger than max_bytes, or a group of more than max_ops (false where the limits are what time allows)
};

// A unit that does not fit is passed over (and its lanes with it) for smaller ones; after this many the batch is closed.
inline constexpr std::size_t kMaxPassedOver = 64;

// Indexes into candidates, in the order to send: lanes in their order, groups unbroken and in index order. Equal keys: the lower index first.
// Every op that is waiting for an earlier one of its lane has to be among the candidates together with it; ops that may not go now (blocked,
// waiting, held by the gate) are left out by the caller, and with them everything behind them in their lane, and whole groups.
// A group that can never become available (two groups in opposite orders in two lanes) is never chosen; nothing hangs.
std::vector<std::size_t> choose_batch(std::span<const Candidate> candidates, const BatchBudget& budget);

}  // namespace tidegate
