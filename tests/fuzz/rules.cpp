// Any text as rules, a zero byte, any text as the fields of an op: rules that are taken give the same finite points every time, and
// what they were read from reads again.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "require.h"
#include "tidegate/json.h"
#include "tidegate/priority.h"

using namespace tidegate;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t border = input.find('\0');
    const Result<Json> json = parse_json(input.substr(0, border));
    if (!json.ok()) return 0;
    const Result<RuleSet> rules = RuleSet::parse(json.value(), "/rules");
    if (!rules.ok()) {
        require(rules.error().path.rfind("/rules", 0) == 0);
        return 0;
    }
    const Result<RuleSet> again = RuleSet::parse(rules.value().source());
    require(again.ok() && again.value().size() == rules.value().size() && again.value().fields() == rules.value().fields());
    const Result<Json> fields = parse_json(border == std::string_view::npos ? "{}" : input.substr(border + 1));
    if (!fields.ok()) return 0;
    const double points = rules.value().points(fields.value());
    require(std::isfinite(points) && points == again.value().points(fields.value()));
    return 0;
}
