#include "tidegate/eta.h"

#include <algorithm>
#include <cmath>

#include "tidegate/fields.h"

namespace tidegate {

namespace {

constexpr double kMaxWork = 1e15, kMaxRate = 1e12;

double sane_work(double work) { return std::isfinite(work) && work > 0.0 ? std::min(work, kMaxWork) : 0.0; }

void average(Eta& eta, double sample, double dt) {
    if (eta.rate == 0.0) {
        eta.rate = sample;
        eta.deviation = sample / 2.0;
        return;
    }
    const double weight = dt / (dt + kEtaMemoryMs);
    eta.deviation += weight * (std::fabs(sample - eta.rate) - eta.deviation);
    eta.rate += weight * (sample - eta.rate);
}

// Counts the pending work in, over the time from at_ms to the instant it was completed.
void absorb(Eta& eta) {
    const double dt = elapsed_ms(eta.at_ms, eta.pending_at_ms, kDayMs);
    if (eta.pending <= 0.0 || dt <= 0.0) return;
    average(eta, std::min(eta.pending / dt, kMaxRate), dt);
    eta.last_work = eta.pending;
    eta.at_ms = eta.pending_at_ms;
    eta.pending = eta.pending_at_ms = 0;
}

}  // namespace

double work_of(double bytes) { return kEtaOpBytes + sane_work(bytes); }

Eta eta_started(Eta eta, double now_ms) {
    absorb(eta);
    eta.pending = eta.pending_at_ms = 0;
    if (is_instant(now_ms)) eta.at_ms = std::max(now_ms, 1.0);
    return eta;
}

Eta eta_completed(Eta eta, double work, double now_ms) {
    if (!is_instant(now_ms)) return eta;
    const bool backwards = now_ms < eta.at_ms || now_ms < eta.pending_at_ms;
    if (eta.at_ms == 0 || backwards) eta = eta_started(eta, now_ms);  // not started, or the clock went backwards: measure from here
    if (now_ms > eta.pending_at_ms) absorb(eta);
    eta.pending = std::min(eta.pending + sane_work(work), kMaxWork);
    eta.pending_at_ms = std::max(now_ms, 1.0);
    return eta;
}

Eta eta_stopped(Eta eta) {
    absorb(eta);
    eta.at_ms = eta.pending = eta.pending_at_ms = 0;
    return eta;
}

std::optional<EtaEstimate> eta_of(const Eta& eta, double remaining_work, double now_ms) {
    if (!std::isfinite(remaining_work)) return std::nullopt;
    if (remaining_work <= 0.0) return EtaEstimate{};
    Eta now = eta;
    absorb(now);
    const double silence = elapsed_ms(now.at_ms, now_ms, kDayMs);
    if (silence > 0.0 && now.last_work / silence < now.rate) average(now, now.last_work / silence, silence);
    if (now.rate <= 0.0) return std::nullopt;
    const double slow = std::max(now.rate - now.deviation, now.rate / 4.0);
    EtaEstimate e;
    e.seconds = remaining_work / now.rate / kSecondMs;
    e.low = remaining_work / (now.rate + now.deviation) / kSecondMs;
    e.high = remaining_work / slow / kSecondMs;
    if (!(e.seconds <= kMaxEtaSeconds)) return std::nullopt;
    return e;
}

void persist(Members& m, Eta& eta) {
    m.number("rate", eta.rate, 0, kMaxRate);
    if (m.reading()) eta.deviation = eta.rate / 2.0;
    m.number("deviation", eta.deviation, 0, kMaxRate);
    m.instant("atMs", eta.at_ms);
    m.number("pending", eta.pending, 0, kMaxWork);
    m.instant("pendingAtMs", eta.pending_at_ms);
    m.number("lastWork", eta.last_work, 0, kMaxWork);
}

}  // namespace tidegate
