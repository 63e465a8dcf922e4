// What an HTTP answer about one op means: the table of DESIGN.md section 4, row "answers", as data.
// Known-not-applied answers are 400, 401, 403, 404, 412, 413, 415, 422, 428, 429 and (batch) 424; every other failure is unknown: the
// retry repeats the same body under the same key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tidegate/protocol.h"

namespace tidegate {

enum class Verdict {
    done,        // 2xx
    conflict,    // 412, or any other 409
    again,       // wait and repeat; whether it was applied is unknown
    refused,     // wait and repeat; known not applied (429)
    in_progress, // 409 urn:tidegate:in-progress: wait, same key, not an attempt
    auth,        // 401, or no credentials: pause the owner's lanes
    split,       // 413
    plain,       // 415: drop compression or codec
    dependency,  // 424: the op before it failed; queued again
    quarantine,  // 422 on key reuse
    dead,        // other 4xx
};

struct Ruling {
    Verdict verdict;
    bool known_not_applied;
    bool counts;  // toward maxRetryAttempts, when the answer is about this op alone and others of the origin succeed
    ErrorClass error_class;
    const char* sentence;
    bool never_left = false;

    // Whether it ends all doubt about the op's key. A browser that loses a reused connection sends the same request again by itself (RFC 9112, section 9.3.1
    // lets it), and only the last copy's answer is heard: what is refused before keys are looked at tells nothing of the copy before it.
    bool speaks_for_key() const {
        return never_left || (known_not_applied && verdict != Verdict::auth && verdict != Verdict::split && verdict != Verdict::refused);
    }
};

// For what a captive portal answers in the server's place (looks_captive).
inline constexpr Ruling kPortal{Verdict::again, false, false, ErrorClass::network, "Network wants a sign-in"};

// The ruling for a status and a problem type. Statuses outside 100–599 are ruled as 500.
Ruling rule_on(std::int64_t status, std::string_view problem_type);

// The ruling for a request that had no answer: "network", "timeout", "aborted", "blocked", "truncated", "too-large" (the answer is longer than the shell reads)
// and "auth" (nobody could say what makes it the owner's, so it never left).
Ruling rule_on_failure(std::string_view failure);

}  // namespace tidegate
