// Where all chance of a history comes from: one seed, one stream per purpose, so that switching one kind of fault off leaves the others as they were.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace sim {

// PCG32 (O'Neill 2014); the core uses another generator, so that no bug of one hides in the other.
class Rng {
public:
    explicit Rng(std::uint64_t seed = 1, std::uint64_t stream = 1) : inc_((stream << 1) | 1) {
        state_ = seed * 6364136223846793005ull + inc_;
        next();
        next();
    }
    std::uint32_t next() {
        const std::uint64_t old = state_;
        state_ = old * 6364136223846793005ull + inc_;
        const std::uint32_t shifted = static_cast<std::uint32_t>(((old >> 18) ^ old) >> 27);
        const std::uint32_t turn = static_cast<std::uint32_t>(old >> 59);
        return (shifted >> turn) | (shifted << ((32 - turn) & 31));
    }
    // A whole number in [0, n). REQUIRES: n > 0.
    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>((static_cast<std::uint64_t>(next()) * n) >> 32); }
    double unit() { return next() * (1.0 / 4294967296.0); }
    double between(double low, double high) { return low + (high - low) * unit(); }
    bool chance(double p) { return unit() < p; }

private:
    std::uint64_t state_ = 0, inc_;
};

// What can go wrong. Each class is on or off for a whole seed ("swarm testing", Groce et al. 2012).
enum class Fault {
    loss,          // the request never reaches the server
    lost_answer,   // the server commits, then the connection breaks
    resend,        // the browser sends the POST again by itself
    hang,          // nothing comes until the timeout, whether the server got it or not
    late,          // a request the client gave up on reaches the server much later
    truncate,      // an answer that ends too early, with and without an error
    garbage,       // an answer that is none
    captive,       // a sign-in page answers
    server_error,  // 500, 502, 503, 408 for the request, before or after the commit
    op_error,      // 4xx and 5xx for single ops
    too_large,     // 413
    auth,          // 401
    rate_limit,    // 429 and 503 with Retry-After
    offline,       // the device has no network, and says so
    quota,         // a transaction aborts although its requests succeeded
    store_read,    // a read of the store fails
    crash,         // a process dies between two instructions
    freeze,        // a process stands still while the others go on
    trap,          // the core's instance dies
    foreign,       // another client writes
    bad_input,     // malformed input to the core
    clock_jump,    // the wall clock is set
    owner_switch,  // another owner signs in, or nobody is
    task,          // the app runs jobs of its own, and some fail
    expired,       // headers expire, and the app's provider gives others, or none
    update,        // a new version of the app, whose documents have another form
    upload,        // blobs too large for one request, and what may become of their pieces
    ids,           // entities whose ids the server gives, and documents that name them
    count
};
inline constexpr int kFaults = static_cast<int>(Fault::count);
inline constexpr std::array<const char*, kFaults> kFaultNames = {
    "loss", "lost-answer", "resend", "hang", "late", "truncate", "garbage", "captive", "server-error", "op-error", "too-large", "auth",
    "rate-limit", "offline", "quota", "store-read", "crash", "freeze", "trap", "foreign", "bad-input", "clock-jump", "owner-switch", "task", "expired", "update", "upload", "ids"};

// One fault that happened: its class and how many of the class came before it.
struct FaultId {
    Fault fault;
    std::uint32_t n;
    friend bool operator==(const FaultId&, const FaultId&) = default;
};

// Decides which faults happen. A fault can be left out by name when a failure is shrunk; the others stay as they were.
class Dice {
public:
    Dice(std::uint64_t seed, std::uint32_t enabled, std::vector<FaultId> skipped) : enabled_(enabled), skipped_(static_cast<std::vector<FaultId>&&>(skipped)) {
        for (int i = 0; i < kFaults; ++i) rng_[static_cast<std::size_t>(i)] = Rng(seed, 100 + static_cast<std::uint64_t>(i));
    }
    bool roll(Fault fault, double p) {
        const auto i = static_cast<std::size_t>(fault);
        const bool hit = rng_[i].chance(p);
        if (!hit || quiet_ || !on(fault)) return false;
        const FaultId id{fault, counts_[i]++};
        for (const FaultId& skip : skipped_)
            if (skip == id) return false;
        if (recording) happened.push_back(id);
        return true;
    }
    Rng& rng(Fault fault) { return rng_[static_cast<std::size_t>(fault)]; }
    bool on(Fault fault) const { return (enabled_ >> static_cast<int>(fault)) & 1; }
    // From now on nothing goes wrong any more.
    void calm() { quiet_ = true; }
    bool is_calm() const { return quiet_; }

    bool recording = false;
    std::vector<FaultId> happened;

private:
    std::array<Rng, kFaults> rng_;
    std::array<std::uint32_t, kFaults> counts_{};
    std::uint32_t enabled_;
    std::vector<FaultId> skipped_;
    bool quiet_ = false;
};

}  // namespace sim
