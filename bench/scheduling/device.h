// One device for the benches: the core's own planner over a store that keeps payloads, on a clock that whoever runs it moves. Ops are creates, each of its
// own entity; so nothing that the planner stores is read back but payloads, and no commit fails.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/planner.h"

namespace bench {

inline constexpr double kStartMs = 1'795'262'400'000;   // what "now" begins with: 2026-11-21

// How a request ends: when, with which status (0: no answer came), with which Retry-After (seconds; 0: none).
struct Answer {
    double at_ms = 0;
    int status = 0;
    int retry_after = 0;
};
// A request leaves. Bytes are those of the frame, not compressed.
using Network = std::function<Answer(double now_ms, double bytes, double timeout_ms)>;

struct Request {
    double started_ms = 0, ended_ms = 0, bytes = 0;
    int status = 0;
    std::vector<std::size_t> ops;   // numbers that save() gave
};

class Device {
public:
    // state: {core?, settings?, rules?} as Planner::restore takes it.
    Device(Network network, const tidegate::Json& state, std::uint64_t seed);

    // Accepts a create of so many bytes; `extra` is put over its row. Answers its number: 0, 1, 2 … The planner hears of it with the next event.
    std::size_t save(double now_ms, std::uint32_t bytes, const tidegate::Json& extra = tidegate::Json::object());
    void event(double now_ms, tidegate::Json event);

    // When something is due by itself: an answer, or what the planner asked to be woken at. Infinity: nothing.
    double next_ms() const;
    // REQUIRES: now_ms is next_ms() or later. Does what is due first.
    void go_on(double now_ms);

    // Requests that have ended, in the order they did.
    const std::vector<Request>& requests() const { return requests_; }
    static std::string id_of(std::size_t op) { return "op-" + std::to_string(op); }

    tidegate::Json readings = {{"online", true}};
    std::function<tidegate::Json(double now_ms)> wake_event = [](double) { return tidegate::Json{{"type", "timer"}}; };

private:
    struct Flight {
        Request request;
        Answer answer;
        std::uint64_t effect = 0, answer_slot = 0;
        bool batch = true;
    };

    void run(double now_ms, tidegate::Json input);
    tidegate::Json load(const tidegate::Effect& effect);
    void send(double now_ms, const tidegate::Effect& effect);
    tidegate::Json arrive(Flight flight);

    tidegate::Planner planner_;
    Network network_;
    std::vector<tidegate::Json> rows_;   // not yet given to the planner
    std::vector<std::uint32_t> sizes_;   // of the bodies, by number
    std::vector<Flight> flights_;
    std::vector<Request> requests_;
    std::uint64_t seed_;
    bool idle_ = true;
    double wake_ms_;
};

}  // namespace bench
