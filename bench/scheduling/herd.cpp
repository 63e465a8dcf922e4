// A herd: all clients save one op within a second while the server is down; after two minutes it is back, for kCapacity requests a second. What is above that is
// turned away. The planners decide by themselves when to ask again: backoff, breaker, retry budget, Retry-After.
#include <algorithm>
#include <limits>
#include <memory>
#include <queue>

#include "chance.h"
#include "device.h"
#include "parts.h"

namespace bench {
namespace {

using tidegate::Json;

constexpr int kClients = 2000, kCapacity = 20;
constexpr double kOutageS = 120, kAnswerMs = 50, kLastS = 4 * 3600;

class Server {
public:
    explicit Server(const HerdKind& kind) : kind_(kind), requests_(static_cast<std::size_t>(kLastS) + 1), served_(requests_.size()) {}

    Answer ask(double now_ms) {
        const double at_s = (now_ms - kStartMs) / 1000;
        const std::size_t second = std::min(static_cast<std::size_t>(at_s), requests_.size() - 1);
        ++requests_[second];
        if (at_s < kOutageS) return {now_ms + kAnswerMs, kind_.down_status, 0};
        if (served_[second] == kCapacity) return {now_ms + kAnswerMs, kind_.full_status, kind_.retry_after};
        ++served_[second];
        return {now_ms + kAnswerMs, 200, 0};
    }

    // Of the seconds after the first one back.
    int peak() const { return *std::max_element(requests_.begin() + static_cast<std::ptrdiff_t>(kOutageS) + 1, requests_.end()); }
    int first_second() const { return requests_[static_cast<std::size_t>(kOutageS)]; }

private:
    HerdKind kind_;
    std::vector<int> requests_, served_;
};

}  // namespace

Json herd(const HerdKind& kind, std::uint64_t seed) {
    Server server(kind);
    Chance chance(seed);
    std::vector<std::unique_ptr<Device>> clients;
    using Due = std::pair<double, int>;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due;
    std::vector<double> saved_ms;
    for (int i = 0; i < kClients; ++i) {
        clients.push_back(std::make_unique<Device>([&server](double now_ms, double, double) { return server.ask(now_ms); }, Json::object(), seed * kClients + static_cast<std::uint64_t>(i)));
        saved_ms.push_back(kStartMs + chance.between(0, 1000));
        due.push({saved_ms.back(), i});
    }
    while (!due.empty() && due.top().first < kStartMs + kLastS * 1000) {
        const auto [now_ms, i] = due.top();
        due.pop();
        Device& client = *clients[static_cast<std::size_t>(i)];
        if (now_ms == saved_ms[static_cast<std::size_t>(i)]) {
            client.save(now_ms, 2000);
            client.event(now_ms, {{"type", "accept"}});
        } else {
            client.go_on(now_ms);
        }
        if (client.next_ms() < std::numeric_limits<double>::infinity()) due.push({client.next_ms(), i});
    }
    double requests = 0, most = 0, left = 0;
    std::vector<double> recovered;
    for (const auto& client : clients) {
        const double count = static_cast<double>(client->requests().size());
        requests += count;
        most = std::max(most, count);
        const bool there = count > 0 && client->requests().back().status == 200;
        left += !there;
        if (there) recovered.push_back((client->requests().back().ended_ms - kStartMs) / 1000 - kOutageS);
    }
    std::sort(recovered.begin(), recovered.end());
    return {{"peak", server.peak()}, {"firstSecond", server.first_second()}, {"requestsPerClient", requests / kClients}, {"mostRequests", most}, {"left", left},
            {"medianS", recovered[recovered.size() / 2]}, {"p99S", recovered[recovered.size() * 99 / 100]}, {"capacity", kCapacity}};
}

}  // namespace bench
