// Virtual time: a heap of things to come. Equal times happen in the order they were asked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sim {

class Timeline {
public:
    double now() const { return now_; }
    void start_at(double ms) { now_ = ms; }

    void at(double ms, std::function<void()> run) {
        events_.push_back({ms < now_ ? now_ : ms, next_++, std::move(run)});
        std::push_heap(events_.begin(), events_.end(), later);
    }
    void in(double ms, std::function<void()> run) { at(now_ + ms, std::move(run)); }

    // Runs the next event that is due by `until_ms`; false when there is none.
    bool run_next(double until_ms) {
        if (events_.empty() || events_.front().ms > until_ms) return false;
        std::pop_heap(events_.begin(), events_.end(), later);
        Event event = std::move(events_.back());
        events_.pop_back();
        now_ = event.ms;
        event.run();
        return true;
    }
    void advance_to(double ms) { now_ = std::max(now_, ms); }

private:
    struct Event {
        double ms;
        std::uint64_t order;
        std::function<void()> run;
    };
    static bool later(const Event& a, const Event& b) { return a.ms != b.ms ? a.ms > b.ms : a.order > b.order; }
    std::vector<Event> events_;
    std::uint64_t next_ = 0;
    double now_ = 0;
};

}  // namespace sim
