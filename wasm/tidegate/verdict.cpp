#include "tidegate/verdict.h"

namespace tidegate {
namespace {

struct Row {
    std::int64_t low, high;
    Ruling ruling;
};

// First match wins.
constexpr Row kTable[] = {
    {200, 299, {Verdict::done, false, false, ErrorClass::internal, ""}},
    {401, 401, {Verdict::auth, true, false, ErrorClass::auth, "Sign-in needed"}},
    {403, 403, {Verdict::dead, true, false, ErrorClass::auth, "Not allowed"}},
    {408, 408, {Verdict::again, false, false, ErrorClass::network, "Server timed out waiting"}},
    {409, 409, {Verdict::conflict, true, false, ErrorClass::conflict, "Changed on the server"}},
    {412, 412, {Verdict::conflict, true, false, ErrorClass::conflict, "Changed on the server"}},
    {413, 413, {Verdict::split, true, false, ErrorClass::validation, "Too large for the server"}},
    {415, 415, {Verdict::plain, true, false, ErrorClass::validation, "Form not taken by the server"}},
    {422, 422, {Verdict::dead, true, false, ErrorClass::validation, "Validation failed"}},
    {424, 424, {Verdict::dependency, true, false, ErrorClass::conflict, "An earlier change failed"}},
    {425, 425, {Verdict::again, false, false, ErrorClass::server, "Server not ready"}},
    {429, 429, {Verdict::refused, true, false, ErrorClass::server, "Server asks to slow down"}},
    {400, 499, {Verdict::dead, true, false, ErrorClass::validation, "Refused by the server"}},
    {502, 504, {Verdict::again, false, false, ErrorClass::server, "Server unavailable"}},
    {511, 511, {Verdict::again, false, false, ErrorClass::network, "Network wants a sign-in"}},
    {100, 599, {Verdict::again, false, true, ErrorClass::server, "Server error"}},
};

}  // namespace

Ruling rule_on(std::int64_t status, std::string_view problem_type) {
    if (status < 100 || status > 599) status = 500;
    if (status == 409 && problem_type == "urn:tidegate:in-progress")
        return {Verdict::in_progress, false, false, ErrorClass::server, "Still being processed by the server"};
    if (status == 422 && problem_type == "urn:tidegate:key-reused")
        return {Verdict::quarantine, true, false, ErrorClass::internal, "The server knows this key with another body"};
    for (const Row& row : kTable)
        if (status >= row.low && status <= row.high) return row.ruling;
    return kTable[sizeof(kTable) / sizeof(kTable[0]) - 1].ruling;
}

Ruling rule_on_failure(std::string_view failure) {
    if (failure == "timeout") return {Verdict::again, false, false, ErrorClass::network, "Network timeout"};
    if (failure == "auth") return {Verdict::auth, true, false, ErrorClass::auth, "Sign-in needed", true};
    if (failure == "blocked") return {Verdict::dead, true, false, ErrorClass::internal, "Endpoint not allowed"};
    if (failure == "too-large") return {Verdict::again, false, false, ErrorClass::server, "Answer too long to be read"};
    if (failure == "truncated") return {Verdict::again, false, false, ErrorClass::network, "Answer cut off"};
    if (failure == "aborted") return {Verdict::again, false, false, ErrorClass::network, "Request stopped"};
    return {Verdict::again, false, false, ErrorClass::network, "Network unreachable"};
}

}  // namespace tidegate
