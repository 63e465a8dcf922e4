#include "tidegate/budget.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tidegate/fields.h"

namespace tidegate {

namespace {

// A failure costs tokens down to 0; at half and below retries stop.
constexpr double kRetryStop = kRetryTokens / 2.0;

double tokens_at(const RetryBudget& budget, double now_ms) {
    const double refill = elapsed_ms(budget.at_ms, now_ms, kDayMs) / kRetryRefillMs;
    return std::min(kRetryTokens, budget.tokens + refill);
}

// The tokens as of now. An instant that makes no sense is taken as no time having gone by.
RetryBudget settled(RetryBudget budget, double now_ms) {
    if (!is_instant(now_ms)) return budget;
    budget.tokens = tokens_at(budget, now_ms);
    budget.at_ms = now_ms;
    return budget;
}

}  // namespace

RetryBudget on_wake(RetryBudget budget) {
    budget.reserve_used = false;
    return budget;
}

RetryBudget on_answer(RetryBudget budget, bool failure, double now_ms) {
    budget = settled(budget, now_ms);
    budget.tokens = std::clamp(budget.tokens + (failure ? -1.0 : kRetryRefund), 0.0, kRetryTokens);
    return budget;
}

bool may_retry(const RetryBudget& budget, double now_ms) { return tokens_at(budget, now_ms) > kRetryStop || !budget.reserve_used; }

RetryBudget on_retry(RetryBudget budget, double now_ms) {
    if (!(tokens_at(budget, now_ms) > kRetryStop)) budget.reserve_used = true;
    return budget;
}

double retry_again_ms(const RetryBudget& budget, double now_ms) {
    if (may_retry(budget, now_ms)) return now_ms;
    // One millisecond past the border: leave is given above half, not at it.
    return now_ms + std::max(0.0, kRetryStop - tokens_at(budget, now_ms)) * kRetryRefillMs + 1.0;
}

// --- The breaker as a table: what each event does in each state -----------------------------------------------------------

namespace {

enum class BreakerEvent { send, success, failure };
enum class Move {
    stay,           // nothing changes
    reset,          // → closed, all counts forgotten
    count,          // one more failure in a row; at kBreakerFailures → open
    probe,          // → half-open, this request is the probe
    reopen,         // → open, for twice the time
};
constexpr Move kMoves[3][3] = {
    //               send         success      failure
    /* closed    */ {Move::stay,  Move::reset, Move::count},
    /* open      */ {Move::probe, Move::reset, Move::stay},   // answers of requests sent before it opened: good news counts, bad is old
    /* half-open */ {Move::probe, Move::reset, Move::reopen},
};
constexpr std::string_view kStates[] = {"closed", "open", "half-open"};
constexpr int kMaxOpenings = 30;

Breaker open(Breaker breaker, double now_ms, Random& random, double longest_ms) {
    double length = kBreakerOpenMs;
    for (int i = 0; i < breaker.openings && length < kBreakerMaxOpenMs; ++i) length += length;
    const double longest = std::min(longest_ms, kBreakerMaxOpenMs);
    length = std::min(length, longest);
    const double most = breaker.openings > 0 ? std::min(kBreakerSpread * length, longest) : length;
    breaker.state = BreakerState::open;
    breaker.failures = 0;
    breaker.openings = std::min(breaker.openings + 1, kMaxOpenings);
    breaker.until_ms = (is_instant(now_ms) ? now_ms : 0.0) + random.between(length / 2.0, most);
    return breaker;
}

Move move_of(const Breaker& breaker, BreakerEvent event) {
    return kMoves[static_cast<std::size_t>(breaker.state)][static_cast<std::size_t>(event)];
}

}  // namespace

std::string_view name(BreakerState state) { return kStates[static_cast<std::size_t>(state)]; }

double send_again_ms(const Breaker& breaker, double now_ms) {
    if (breaker.state == BreakerState::closed) return now_ms;
    return due_ms(breaker.until_ms, now_ms, breaker.state == BreakerState::open ? kBreakerMaxOpenMs : kBreakerProbeMs);
}

bool may_send(const Breaker& breaker, double now_ms) {
    if (breaker.state == BreakerState::closed) return true;
    return remaining_ms(breaker.until_ms, now_ms, breaker.state == BreakerState::open ? kBreakerMaxOpenMs : kBreakerProbeMs) == 0.0;
}

Breaker on_send(Breaker breaker, double now_ms) {
    if (move_of(breaker, BreakerEvent::send) != Move::probe) return breaker;
    breaker.state = BreakerState::half_open;
    breaker.until_ms = (is_instant(now_ms) ? now_ms : 0.0) + kBreakerProbeMs;
    return breaker;
}

Breaker on_result(Breaker breaker, bool failure, double now_ms, Random& random, double longest_ms) {
    switch (move_of(breaker, failure ? BreakerEvent::failure : BreakerEvent::success)) {
        case Move::stay:
        case Move::probe: return breaker;
        case Move::reset: return Breaker{};
        case Move::reopen: return open(breaker, now_ms, random, longest_ms);
        case Move::count: break;
    }
    if (++breaker.failures < kBreakerFailures) return breaker;
    return open(breaker, now_ms, random, longest_ms);
}

// --- JSON -----------------------------------------------------------------------------------------------------------------

void persist(Members& m, RetryBudget& budget) {
    m.number("tokens", budget.tokens, 0, kRetryTokens);
    m.instant("atMs", budget.at_ms);
    m.flag("reserveUsed", budget.reserve_used);
}

void persist(Members& m, Breaker& breaker) {
    m.word("state", breaker.state, kStates);
    m.whole("failures", breaker.failures, 0, kBreakerFailures - 1);
    m.whole("openings", breaker.openings, 0, kMaxOpenings);
    m.instant("untilMs", breaker.until_ms);
}

}  // namespace tidegate
