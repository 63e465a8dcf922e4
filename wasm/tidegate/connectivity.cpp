#include "tidegate/connectivity.h"

#include <algorithm>
#include <cmath>

#include "tidegate/fields.h"

namespace tidegate {

namespace {

constexpr double kAlpha = 1.0 / 8.0, kBeta = 1.0 / 4.0;    // RFC 6298 (2.3)
constexpr double kFast = 1.0 / 3.0, kSlow = 1.0 / 20.0;    // goodput averages
constexpr double kLossWeight = 1.0 / 8.0;
constexpr double kWindowWeight = 1.0 / 4.0;
constexpr double kMaxRtoFactor = 64.0;
constexpr double kEstimateStaleMs = 10.0 * kMinuteMs;      // an average that old counts no more than one fast sample
constexpr double kMaxExchangeMs = 10.0 * kMinuteMs;
constexpr double kGrowth = 1.5, kGrowthGain = 1.05;        // batch probing: grow while goodput rises by more than 5 %
constexpr double kRegrowBytes = 64.0 * 1024.0, kForget = 0.98;
constexpr double kMaxGoodput = 1e12;
constexpr int kVerdictsToChange = 2;
constexpr int kMaxProbeFailures = 30;

// The borders of the classes. Round trips include the server's own time.
constexpr double kExcellentRttMs = 200.0, kPoorRttMs = 1000.0;
constexpr double kExcellentGoodput = 100e3, kPoorGoodput = 8e3;  // bytes per second
constexpr double kExcellentLoss = 0.02, kPoorLoss = 0.25;

double size_or_zero(double bytes) { return std::isfinite(bytes) && bytes > 0.0 ? bytes : 0.0; }

double hint_or_zero(const std::optional<double>& value, double high) {
    return value && std::isfinite(*value) && *value > 0.0 ? std::min(*value, high) : 0.0;
}

// A hint for the round trip from the class of link, by the borders the Network Information specification uses.
double rtt_of_type(const std::string& effective_type) {
    if (effective_type == "slow-2g") return 2000.0;
    if (effective_type == "2g") return 1400.0;
    if (effective_type == "3g") return 400.0;
    if (effective_type == "4g") return 250.0;  // good: only our own measurements say excellent
    return 0.0;
}

Quality measured(const Connectivity& link) {
    const double rtt = link.srtt_ms > 0 ? link.srtt_ms : link.hint_rtt_ms;
    const double goodput = link.goodput_fast > 0 ? link.goodput_fast : link.hint_downlink_mbps * 125e3;
    if (rtt > kPoorRttMs || link.loss > kPoorLoss || (goodput > 0 && goodput < kPoorGoodput)) return Quality::poor;
    const bool fast = goodput == 0 || goodput > kExcellentGoodput;
    if (link.srtt_ms > 0 && rtt <= kExcellentRttMs && fast && link.loss < kExcellentLoss) return Quality::excellent;
    return Quality::good;
}

// Hysteresis: the reported class follows the second equal verdict in a row. Offline comes and goes at once, because it is a fact, not a class.
void classify(Connectivity& link) {
    const bool offline = link.reading_offline || link.captive || link.failures_in_row >= kOfflineAfterFailures;
    const Quality verdict = offline ? Quality::offline : measured(link);
    const bool at_once = offline || link.quality == Quality::offline || link.samples == 0;
    if (verdict == link.quality || at_once) {
        link.quality = link.verdict = verdict;
        link.verdict_count = 0;
        return;
    }
    link.verdict_count = verdict == link.verdict ? link.verdict_count + 1 : 1;
    link.verdict = verdict;
    if (link.verdict_count < kVerdictsToChange) return;
    link.quality = verdict;
    link.verdict_count = 0;
}

// Opens or closes the present window of connectivity and learns from the length of a closed one.
void track_window(Connectivity& link, double now_ms) {
    const bool up = link.quality != Quality::offline;
    if (up && link.up_since_ms == 0 && is_instant(now_ms)) link.up_since_ms = std::max(now_ms, 1.0);
    if (up || link.up_since_ms == 0) return;
    const double length = elapsed_ms(link.up_since_ms, now_ms, kDayMs);
    if (length > 0) link.window_ms = link.window_ms == 0 ? length : link.window_ms + kWindowWeight * (length - link.window_ms);
    link.up_since_ms = 0;
}

void add_rtt(Connectivity& link, double sample_ms) {
    if (link.srtt_ms == 0) {
        link.srtt_ms = sample_ms;
        link.rttvar_ms = sample_ms / 2.0;
    } else {
        link.rttvar_ms += kBeta * (std::fabs(link.srtt_ms - sample_ms) - link.rttvar_ms);
        link.srtt_ms += kAlpha * (sample_ms - link.srtt_ms);
    }
    link.rto_factor = 1;
}

void add_goodput(Connectivity& link, double sample, double now_ms) {
    if (link.goodput_slow == 0) {
        link.goodput_fast = link.goodput_slow = sample;
        link.goodput_deviation = sample / 2.0;
    } else {
        const bool stale = elapsed_ms(link.goodput_at_ms, now_ms, kDayMs) > kEstimateStaleMs;
        const double slow = stale ? kFast : kSlow;
        link.goodput_deviation += slow * (std::fabs(sample - link.goodput_slow) - link.goodput_deviation);
        link.goodput_slow += slow * (sample - link.goodput_slow);
        link.goodput_fast = stale ? sample : link.goodput_fast + kFast * (sample - link.goodput_fast);
    }
    if (is_instant(now_ms)) link.goodput_at_ms = now_ms;
}

// The time an exchange took where it can be believed, else 0. Karn: an exchange with a retry in it gives none.
double believable_ms(const Exchange& exchange) {
    if (exchange.retried || !is_instant(exchange.started_ms) || !is_instant(exchange.ended_ms)) return 0.0;
    const double duration = exchange.ended_ms - exchange.started_ms;
    return duration > 0.0 && duration <= kMaxExchangeMs ? std::max(duration, 1.0) : 0.0;
}

// Batches grow while larger ones carry more per second of wall time (they share one round trip), and only by exchanges that were large themselves: a
// small answer says nothing of a large batch. Below kRegrowBytes success is enough (slow start), so a link that failed finds its way back.
// What the last growth achieved is slowly forgotten, so that a link that got better is tried again.
void probe_batch(Connectivity& link, double bytes, double duration_ms) {
    if (bytes < link.batch_bytes / 2.0) return;
    const double goodput = duration_ms > 0.0 ? std::min(bytes / duration_ms * 1000.0, kMaxGoodput) : 0.0;
    if (link.batch_bytes >= kRegrowBytes && goodput <= link.batch_goodput * kGrowthGain) {
        link.batch_goodput *= kForget;
        return;
    }
    link.batch_goodput = goodput;
    link.batch_bytes = std::min(kMaxBatchBytes, link.batch_bytes * kGrowth);
}

void learn_times(Connectivity& link, const Exchange& exchange, double now_ms) {
    const double duration = believable_ms(exchange), bytes = size_or_zero(exchange.bytes);
    probe_batch(link, bytes, duration);
    if (duration == 0.0) return;
    if (bytes <= kSmallExchangeBytes) return add_rtt(link, duration);
    const double transfer = std::max(duration - link.srtt_ms, duration / 4.0);
    const double share = std::clamp(exchange.in_flight, 1, kConcurrencyCeiling);
    add_goodput(link, std::min(bytes / transfer * 1000.0 * share, kMaxGoodput), now_ms);
}

void on_answer(Connectivity& link, const Exchange& exchange, double now_ms) {
    link.failures_in_row = link.probe_failures = 0;
    link.captive = false;
    link.next_probe_ms = 0;
    link.loss -= kLossWeight * link.loss;
    if (is_instant(now_ms)) link.last_connected_ms = now_ms;
    learn_times(link, exchange, now_ms);
    // AIMD: one more per window's worth of answers, but only where the window was in use (app-limited guard: half of it is).
    if (exchange.in_flight * 2 >= link.concurrency) link.concurrency = std::min<double>(kConcurrencyCeiling, link.concurrency + 1.0 / link.concurrency);
}

void on_failure(Connectivity& link, const Exchange& exchange, double now_ms, Random& random) {
    link.loss += kLossWeight * (1.0 - link.loss);
    if (exchange.end == Exchange::End::captive) link.captive = true;
    // What was in flight when something failed fails with it: as in TCP, one event of loss per window, not one per request.
    const bool same_event = link.last_failure_ms > 0 && exchange.started_ms < link.last_failure_ms && link.last_failure_ms <= now_ms;
    if (same_event && !link.captive) return;
    if (is_instant(now_ms)) link.last_failure_ms = now_ms;
    link.failures_in_row = std::min(link.failures_in_row + 1, 1000);
    link.concurrency = std::max(1.0, link.concurrency / 2.0);
    link.batch_bytes = std::max(kMinBatchBytes, link.batch_bytes / 2.0);
    link.batch_goodput = 0;  // conditions changed: growth has to be earned anew, from whatever goodput is now
    if (exchange.end == Exchange::End::timeout) link.rto_factor = std::min(kMaxRtoFactor, link.rto_factor * 2.0);
    if (!link.captive && link.failures_in_row < kOfflineAfterFailures) return;
    double wait = kProbeBaseMs;
    for (int i = 0; i < link.probe_failures && wait < kProbeMaxMs; ++i) wait += wait;
    wait = std::min(wait, kProbeMaxMs);
    link.probe_failures = std::min(link.probe_failures + 1, kMaxProbeFailures);
    if (is_instant(now_ms)) link.next_probe_ms = now_ms + random.between(wait / 2.0, wait);
}

}  // namespace

Connectivity after_readings(Connectivity link, const LinkReadings& readings, double now_ms) {
    const bool was_offline = link.reading_offline;
    link.reading_offline = readings.online.has_value() && !*readings.online;
    // The platform saw the link come back: what failed before it says nothing any more, so the first try is at once.
    if (was_offline && !link.reading_offline) {
        link.failures_in_row = link.probe_failures = 0;
        link.captive = false;
        link.next_probe_ms = 0;
    }
    const double rtt = hint_or_zero(readings.rtt_ms, kMaxRtoMs);
    link.hint_rtt_ms = rtt > 0 ? rtt : rtt_of_type(readings.effective_type);
    link.hint_downlink_mbps = hint_or_zero(readings.downlink_mbps, 1e5);
    // With measurements of our own, readings only matter where they say offline or take it back.
    if (link.samples == 0 || link.reading_offline || was_offline) classify(link);
    track_window(link, now_ms);
    return link;
}

Connectivity after_exchange(Connectivity link, const Exchange& exchange, double now_ms, Random& random) {
    if (exchange.end == Exchange::End::cancelled) return link;
    if (exchange.end == Exchange::End::answered) on_answer(link, exchange, now_ms);
    else on_failure(link, exchange, now_ms, random);
    link.samples = std::min(link.samples + 1, 1000000);
    classify(link);
    track_window(link, now_ms);
    return link;
}

Connectivity after_too_large(Connectivity link, double batch_bytes) {
    const double half = size_or_zero(batch_bytes) / 2.0;
    if (half < 1.0) return link;
    link.refused_batch_bytes = link.refused_batch_bytes > 0 ? std::min(link.refused_batch_bytes, half) : half;
    link.server_batch_bytes = link.server_batch_bytes > 0 ? std::min(link.server_batch_bytes, half) : half;
    return link;
}

Connectivity after_server_limit(Connectivity link, double max_batch_bytes) {
    const double limit = size_or_zero(max_batch_bytes);
    if (limit >= 1.0) link.server_batch_bytes = link.refused_batch_bytes > 0 ? std::min(link.refused_batch_bytes, limit) : limit;
    return link;
}

bool looks_captive(int status, std::string_view content_type, bool json_promised) {
    if (status == 511 || (status >= 300 && status < 400 && status != 304)) return true;
    if (status < 200 || status >= 300 || !json_promised) return false;
    const std::string_view type = content_type.substr(0, content_type.find(';'));
    std::string lowered;
    for (const char c : type)
        if (c != ' ' && c != '\t') lowered.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    return lowered == "text/html" || lowered == "application/xhtml+xml";
}

bool may_try(const Connectivity& link, double now_ms) {
    if (link.reading_offline) return false;
    return link.quality != Quality::offline || remaining_ms(link.next_probe_ms, now_ms, kProbeMaxMs) == 0.0;
}

std::optional<double> next_try_ms(const Connectivity& link, double now_ms) {
    if (link.reading_offline || may_try(link, now_ms)) return std::nullopt;
    return due_ms(link.next_probe_ms, now_ms, kProbeMaxMs);
}

double stability(const Connectivity& link) {
    if (link.quality == Quality::offline) return 0.0;
    const double spread = link.srtt_ms > 0 ? std::min(1.0, link.rttvar_ms / link.srtt_ms) : 0.0;
    return std::clamp(1.0 - link.loss - spread / 2.0, 0.0, 1.0);
}

double expected_goodput(const Connectivity& link) {
    if (link.goodput_slow > 0) {
        const double average = std::min(link.goodput_slow, link.goodput_fast);  // a fall is believed at once, a rise is not
        return std::max(average - link.goodput_deviation, average / 4.0);
    }
    if (link.hint_downlink_mbps > 0) return link.hint_downlink_mbps * 125e3 / 4.0;  // uplinks are slower than downlinks
    switch (link.quality) {
        case Quality::excellent: return 250e3;
        case Quality::good: return 60e3;
        default: return 6e3;
    }
}

Profile profile(const Connectivity& link, int concurrency_ceiling) {
    const double ceiling = std::clamp(concurrency_ceiling, 1, kConcurrencyCeiling);
    Profile p;
    p.max_concurrent = static_cast<int>(std::min(link.concurrency, ceiling));
    p.batch_bytes = link.batch_bytes;
    switch (link.quality) {
        case Quality::excellent: break;
        case Quality::good: break;
        case Quality::poor:
            p.max_concurrent = 1;
            p.batch_bytes = std::min(p.batch_bytes, 64.0 * 1024.0);
            p.batch_ops = 50;
            p.retry_strategy = RetryStrategy::adaptive;
            p.prioritize = true;
            break;
        case Quality::offline:  // what a probe may carry
            p.max_concurrent = 1;
            p.batch_bytes = kMinBatchBytes;
            p.batch_ops = 10;
            p.prioritize = true;
            break;
    }
    if (link.server_batch_bytes > 0) p.batch_bytes = std::min(p.batch_bytes, link.server_batch_bytes);
    return p;
}

double rto_ms(const Connectivity& link) {
    double rto = 3.0 * kSecondMs;  // nothing is known: RFC 6298 (5.7) falls back to 3 s
    if (link.srtt_ms > 0) rto = link.srtt_ms + 4.0 * link.rttvar_ms;
    else if (link.hint_rtt_ms > 0) rto = std::max(rto, 3.0 * link.hint_rtt_ms);  // as a first sample: R + 4 · R/2
    return std::clamp(std::max(rto, kMinRtoMs) * link.rto_factor, kMinRtoMs, kMaxRtoMs);
}

double timeout_ms(const Connectivity& link, double bytes) {
    const double transfer = size_or_zero(bytes) / expected_goodput(link) * 1000.0;
    return std::clamp(rto_ms(link) + 2.0 * transfer, kMinTimeoutMs, kMaxTimeoutMs);
}

std::optional<double> window_left_ms(const Connectivity& link, double now_ms) {
    if (link.window_ms == 0 || link.up_since_ms == 0) return std::nullopt;
    const double window = std::max(link.window_ms, kMinTimeoutMs);
    return std::max(window - elapsed_ms(link.up_since_ms, now_ms, kDayMs), window / 4.0);
}

double bytes_within(const Connectivity& link, double span_ms) {
    if (!(span_ms > 0.0)) return 0.0;
    return 0.6 * expected_goodput(link) * std::min(span_ms, kDayMs) / 1000.0;
}

bool is_sync_recommended(const Connectivity& link, Weight weight) {
    switch (link.quality) {
        case Quality::offline: return false;
        case Quality::poor: return weight == Weight::light;
        case Quality::good: return weight != Weight::heavy;
        case Quality::excellent: return true;
    }
    return false;
}

void persist(Members& m, Connectivity& link) {
    m.word("quality", link.quality, kQualities);
    m.word("verdict", link.verdict, kQualities);
    m.flag("readingOffline", link.reading_offline);
    m.flag("captive", link.captive);
    m.number("srttMs", link.srtt_ms, 0, kMaxExchangeMs);
    if (m.reading()) link.rttvar_ms = link.srtt_ms / 2.0;
    m.number("rttvarMs", link.rttvar_ms, 0, kMaxExchangeMs);
    m.number("rtoFactor", link.rto_factor, 1, kMaxRtoFactor);
    m.number("goodputFast", link.goodput_fast, 0, kMaxGoodput);
    m.number("goodputSlow", link.goodput_slow, 0, kMaxGoodput);
    if (m.reading()) {
        if (link.goodput_fast == 0 || link.goodput_slow == 0) link.goodput_fast = link.goodput_slow = 0;  // the two stand or fall together
        link.goodput_deviation = link.goodput_slow / 2.0;
    }
    m.number("goodputDeviation", link.goodput_deviation, 0, kMaxGoodput);
    m.instant("goodputAtMs", link.goodput_at_ms);
    m.number("loss", link.loss, 0, 1);
    m.whole("failuresInRow", link.failures_in_row, 0, 1000);
    m.whole("samples", link.samples, 0, 1000000);
    m.whole("verdictCount", link.verdict_count, 0, kVerdictsToChange);
    m.instant("lastConnectedMs", link.last_connected_ms);
    m.instant("nextProbeMs", link.next_probe_ms);
    m.whole("probeFailures", link.probe_failures, 0, kMaxProbeFailures);
    m.number("concurrency", link.concurrency, 1, kConcurrencyCeiling);
    m.number("batchBytes", link.batch_bytes, kMinBatchBytes, kMaxBatchBytes);
    m.number("batchGoodput", link.batch_goodput, 0, kMaxGoodput);
    m.instant("serverBatchBytes", link.server_batch_bytes);
    m.instant("refusedBatchBytes", link.refused_batch_bytes);
    m.instant("lastFailureMs", link.last_failure_ms);
    m.instant("upSinceMs", link.up_since_ms);
    m.number("windowMs", link.window_ms, 0, kDayMs);
    m.number("hintRttMs", link.hint_rtt_ms, 0, kMaxRtoMs);
    m.number("hintDownlinkMbps", link.hint_downlink_mbps, 0, 1e5);
}

}  // namespace tidegate
