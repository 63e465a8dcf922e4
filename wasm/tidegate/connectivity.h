// What the link is like, learned from our own requests; what that means for the next ones.
//
// Works the same without the Network Information API (only Chromium has it): its values are a hint, used while nothing was measured.
// Rules: SRTT/RTTVAR/RTO of RFC 6298; Karn's rule (1987): a retried request gives no time sample; two goodput averages (fast, slow);
// classes change after two equal verdicts in a row (hysteresis), except offline, which is at once; concurrency by AIMD with the app-limited
// guard (Netflix concurrency-limits; RFC 7661 for the guard); batch size by goodput probing.
// A value struct: everything the planner has to persist is in Connectivity, to_json writes it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "tidegate/members.h"
#include "tidegate/random.h"
#include "tidegate/time.h"
#include "tidegate/words.h"

namespace tidegate {

inline constexpr double kMinRtoMs = kSecondMs;               // RFC 6298 (2.4)
inline constexpr double kMaxRtoMs = 60.0 * kSecondMs;        // RFC 6298 (2.5)
inline constexpr double kMinTimeoutMs = 10.0 * kSecondMs;    // a round trip says nothing of the server's own work or of a busy device
inline constexpr double kMaxTimeoutMs = 150.0 * kSecondMs;   // below Chromium's 3 minutes for a sync event
inline constexpr double kSmallExchangeBytes = 16384.0;       // up to here the time is a round trip, above it is transfer
inline constexpr int kOfflineAfterFailures = 3;              // failures in a row that mean offline
inline constexpr int kMaxConcurrency = 3;                    // default ceiling, `maximumConcurrentOperations`
inline constexpr int kConcurrencyCeiling = 6;                // hard ceiling: connections a browser opens per origin
inline constexpr double kMaxBatchBytes = 512.0 * 1024.0;
inline constexpr double kMinBatchBytes = 8.0 * 1024.0;
inline constexpr std::size_t kMaxBatchOps = 200;
inline constexpr double kProbeBaseMs = 2.0 * kSecondMs;      // recovery probing: 2 s · 2ⁿ …
inline constexpr double kProbeMaxMs = 300.0 * kSecondMs;     // … up to 5 min, with equal jitter

// What the platform says. Only `online: false` is believed (browsers report true on any interface); the rest are hints.
struct LinkReadings {
    std::optional<bool> online;
    std::string effective_type;         // "slow-2g", "2g", "3g", "4g" or anything else
    std::optional<double> rtt_ms;
    std::optional<double> downlink_mbps;
};

// One finished request, whatever became of it.
struct Exchange {
    enum class End {
        answered,   // an HTTP answer came from the server, whatever its status
        failed,     // no answer: network error, abort by the other side, truncated body
        timeout,    // no answer in time
        captive,    // somebody else answered (see looks_captive)
        cancelled,  // we gave up for our own reasons: says nothing about the link
    };
    End end = End::answered;
    double started_ms = 0;
    double ended_ms = 0;
    double bytes = 0;            // sent and received
    bool retried = false;        // not the first attempt of something in it: no time sample (Karn)
    int in_flight = 1;           // requests in flight while this one ran, itself included
};

struct Connectivity {
    Quality quality = Quality::good;    // what is reported; starts as good: unknown is not bad
    bool reading_offline = false;       // the platform says offline
    bool captive = false;               // a captive portal is suspected
    double srtt_ms = 0, rttvar_ms = 0;  // 0: no sample yet
    double rto_factor = 1;              // doubles with every timeout (RFC 6298 5.5), 1 again with a sample
    double goodput_fast = 0;            // bytes per second over about 3 samples; 0: none yet
    double goodput_slow = 0;            // over about 20
    double goodput_deviation = 0;       // mean absolute deviation of the slow one
    double goodput_at_ms = 0;
    double loss = 0;                    // share of requests without an answer, over about 8
    int failures_in_row = 0;
    int samples = 0;                    // exchanges seen, saturating
    Quality verdict = Quality::good;    // what the last measurements say …
    int verdict_count = 0;              // … and how often in a row, while it differs from `quality`
    double last_connected_ms = 0;       // last answer; 0: never
    double next_probe_ms = 0;           // when offline by failures: earliest next try
    int probe_failures = 0;
    double concurrency = 1;             // AIMD window, ≥ 1
    double batch_bytes = kMaxBatchBytes / 2;
    double batch_goodput = 0;           // bytes per second of wall time, as of the last growth of batch_bytes
    double server_batch_bytes = 0;      // largest batch the server takes, from answers and from 413s; 0: not known
    double refused_batch_bytes = 0;     // the part of it that 413s taught; 0: none came
    double last_failure_ms = 0;         // requests in flight at that moment fail with it: one event, not several
    double up_since_ms = 0;             // start of the present window of connectivity; 0: down or never up
    double window_ms = 0;               // learned length of such windows; 0: none ended yet
    double hint_rtt_ms = 0, hint_downlink_mbps = 0;  // 0: none

    friend bool operator==(const Connectivity&, const Connectivity&) = default;
};

// The next value of the estimators. now_ms and the exchange's times may jump: an exchange that seems to end before it began, or to last more than
// ten minutes, gives no time sample.
Connectivity after_readings(Connectivity link, const LinkReadings& readings, double now_ms);
Connectivity after_exchange(Connectivity link, const Exchange& exchange, double now_ms, Random& random);

// 413: a batch of this size was too large, half of it is the limit from now on. A limit the server states (protocol: maxBatchBytes) replaces an earlier
// stated one, but never what a 413 taught: a proxy in between may take less than the server says.
Connectivity after_too_large(Connectivity link, double batch_bytes);
Connectivity after_server_limit(Connectivity link, double max_batch_bytes);

// True for answers that a captive portal gives in the server's place: 511 (RFC 6585), a redirect where none is followed, or a 2xx of HTML where
// JSON was promised. content_type may carry parameters, in either letter case.
bool looks_captive(int status, std::string_view content_type, bool json_promised);

// True when there is any point in sending: not offline, or offline by failures alone and the time of the next probe has come.
// While offline only one request at a time may go (profile: max_concurrent 1).
bool may_try(const Connectivity& link, double now_ms);
// When may_try turns true by time alone; nullopt: it is true now, or the platform has to report online first.
std::optional<double> next_try_ms(const Connectivity& link, double now_ms);

// 0 … 1: one minus loss, less up to a half for round trips that vary as much as they last. 0 when offline.
double stability(const Connectivity& link);

// Goodput to count on, bytes per second: the slow average less its spread, never below a quarter of it; from hints or a default per quality when
// nothing was measured. > 0 always.
double expected_goodput(const Connectivity& link);

// How to send on this link.
struct Profile {
    double batch_bytes = kMaxBatchBytes;
    std::size_t batch_ops = kMaxBatchOps;
    int max_concurrent = 1;
    RetryStrategy retry_strategy = RetryStrategy::exponential;
    bool prioritize = false;    // order short windows by cost of delay per byte
};
Profile profile(const Connectivity& link, int concurrency_ceiling = kMaxConcurrency);

// RFC 6298, within [kMinRtoMs, kMaxRtoMs]; and RTO plus twice the time the bytes should take, within [kMinTimeoutMs, kMaxTimeoutMs].
double rto_ms(const Connectivity& link);
double timeout_ms(const Connectivity& link, double bytes);

// What is left of the present window of connectivity, as learned from earlier ones; nullopt: no window ended yet, or none is open.
// A window that has outlived its expectation is given a quarter of it. None is expected to be shorter than a single request may last (kMinTimeoutMs): batches
// cut to fit a flicker are mostly round trips, too small to show what the link carries, and so would stay as small.
std::optional<double> window_left_ms(const Connectivity& link, double now_ms);

// Bytes to plan for a span of time: 0.6 of what the expected goodput carries in it.
double bytes_within(const Connectivity& link, double span_ms);

enum class Weight { light, medium, heavy };
// offline: nothing. poor: light. good: light, medium. excellent: all.
bool is_sync_recommended(const Connectivity& link, Weight weight);

void persist(Members& m, Connectivity& link);   // what is lost is learned again

}  // namespace tidegate
