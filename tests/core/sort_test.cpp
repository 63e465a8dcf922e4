#include "tidegate/sort.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tidegate/random.h"

using namespace tidegate;

namespace {

// The rule in other words: a stable sort of the numbers by their keys.
std::vector<std::uint32_t> stably(const std::vector<double>& keys) {
    std::vector<std::uint32_t> order(keys.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return keys[a] < keys[b]; });
    return order;
}

}  // namespace

TEST_CASE("the order of keys is that of a stable sort, whatever they are") {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Random random(7);
    std::vector<std::vector<double>> all = {{}, {3}, {2, 1}, {5, 5, 5}, {0.0, -0.0, 0.0, -1}, {kInfinity, 1, -kInfinity, kInfinity}, {1e308, -1e308, 5e-324, -5e-324, 0}};
    const double ranges[] = {1, 2, 100, 2048, 2049, 1e6, 4.2e6, 4.3e6, 4294967295.0, 4294967297.0, 1e15};
    for (const double range : ranges)
        for (const double first : {0.0, 1'795'262'400'000.0, -range / 2}) {
            std::vector<double> whole, parts;
            for (int i = 0; i < 3000; ++i) {
                whole.push_back(first + std::floor(random.between(0, range)));
                parts.push_back(first + random.between(0, range));
            }
            all.push_back(std::move(whole));
            all.push_back(std::move(parts));
        }
    for (const std::vector<double>& keys : all) CHECK(order_of(keys) == stably(keys));
}

TEST_CASE("the order of keys is that of a stable sort, however they are spread and whether they are few or many") {
    Random random(8);
    const auto ordered = [](const std::vector<double>& keys, bool spread) {
        const auto [least, most] = std::minmax_element(keys.begin(), keys.end());
        std::vector<std::uint32_t> order(keys.size());
        CHECK(order_spread(keys, *least, *most, order) == spread);
        if (spread) CHECK(order == stably(keys));
        CHECK(order_of(keys) == stably(keys));
    };
    for (const std::size_t count : {2u, 9u, 1000u, 32768u, 32769u}) {
        const auto keys_of = [&](const auto& key) {
            std::vector<double> keys(count);
            for (std::size_t i = 0; i < count; ++i) keys[i] = key(i);
            return keys;
        };
        const bool few = count <= 32768, several = count > 9;
        const double width = static_cast<double>(count);
        ordered(keys_of([&](std::size_t) { return 1'795'262'400'000.0 + std::floor(random.between(0, 6e8)); }), few);
        ordered(keys_of([&](std::size_t i) { return -static_cast<double>(i); }), few);                                    // falling
        ordered(keys_of([&](std::size_t i) { return static_cast<double>(i % 2); }), few);                                 // two keys
        ordered(keys_of([&](std::size_t i) { return 0.1 * std::floor(random.between(0, width)) + (i == 0 ? -1 : 0); }), few);
        ordered(keys_of([&](std::size_t) { return 7.0; }), false);                                                        // one key has no spread
        ordered(keys_of([&](std::size_t i) { return i == 0 ? 4e9 : std::floor(random.between(0, width)); }), few && !several);    // all but one close together
        ordered(keys_of([&](std::size_t i) { return i == 0 ? 4e18 : random.between(0, width); }), few && !several);
        ordered(keys_of([&](std::size_t i) { return (i % 2 ? 0 : 4e9) + std::floor(random.between(0, width)); }), few && !several);
        ordered(keys_of([&](std::size_t i) { return i % 2 ? -1.7e308 : 1.7e308; }), false);                               // farther apart than a double goes
        ordered(keys_of([&](std::size_t i) { return i % 2 ? 0.0 : 5e-324; }), false);
    }
}
