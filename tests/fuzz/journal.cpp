// Any rows of the outbox, one JSON text a line, read in windows: what a core makes of them is what another makes of them that was restored in between, from a snapshot of the
// first, and was given the rows behind it. The first byte is the size of a window, the second how many windows the snapshot stands for.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "require.h"
#include "tidegate/json.h"
#include "tidegate/planner.h"
#include "tidegate/snapshot.h"

using namespace tidegate;

namespace {

constexpr std::size_t kMostRows = 64;

// The rows as the store has them: in the order of their keys, which it gives.
std::vector<Json> rows_of(std::string_view input) {
    std::vector<Json> rows;
    while (!input.empty() && rows.size() < kMostRows) {
        const std::string_view line = input.substr(0, input.find('\n'));
        input.remove_prefix(std::min(input.size(), line.size() + 1));
        Result<Json> row = parse_json(line);
        if (!row.ok() || !row.value().is_object()) continue;
        row.value()["seq"] = rows.size() + 1;
        rows.push_back(std::move(row.value()));
    }
    return rows;
}

// Hands it a window; false where a row cannot be read: one that stands in for it is not in a snapshot.
bool read(Planner& planner, const std::vector<Json>& rows, std::size_t from, std::size_t window) {
    const std::size_t to = std::min(rows.size(), from + window);
    const Json input = object().set("nowMs", 1000).set("seed", from + 1).set("readings", object().set("online", false)).set("rows", std::vector<Json>(rows.begin() + static_cast<std::ptrdiff_t>(from), rows.begin() + static_cast<std::ptrdiff_t>(to))).set("more", to < rows.size());
    const Result<Plan> plan = planner.step(input);
    require(plan.ok());
    return plan.value().rejected.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::size_t window = 1 + data[0] % 16, windows = data[1] % 8;
    const std::vector<Json> rows = rows_of({reinterpret_cast<const char*>(data) + 2, size - 2});
    Planner whole;
    require(whole.restore("", Json::object()).ok());
    std::size_t from = 0;
    for (std::size_t i = 0; i < windows && from < rows.size(); ++i, from += window)
        if (!read(whole, rows, from, window)) return 0;
    const std::string snapshot = whole.snapshot();
    Planner resumed;
    const Result<std::uint64_t> known = resumed.restore(snapshot, Json::object());
    require(known.ok() && known.value() == std::min(from, rows.size()));
    require(resumed.snapshot() == snapshot);
    for (; from < rows.size(); from += window) {
        const bool readable = read(whole, rows, from, window);
        require(read(resumed, rows, from, window) == readable);
        if (!readable) return 0;
        require(whole.snapshot() == resumed.snapshot());
    }
    return 0;
}
