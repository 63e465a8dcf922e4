// Any text as a control message: what is taken is exact. Numbers come back as they went in or are refused (2^53 + 1 is not 2^53, 1e400 is no
// number), half a surrogate pair is refused, and a message that decodes says the same after encode and decode.
#include <cstdint>
#include <string_view>
#include <vector>

#include "require.h"
#include "tidegate/json.h"
#include "tidegate/json_text.h"
#include "tidegate/json_value.h"
#include "tidegate/protocol.h"
#include "tidegate/retry_after.h"
#include "tidegate/wire.h"

using namespace tidegate;

namespace {

template <class T>
void round_trip(const Json& json) {
    Result<T> value = decode<T>(json);
    if (!value.ok()) {
        require(!value.error().code.empty() && !value.error().message.empty());
        return;
    }
    const Json again = encode(value.value());
    Result<T> second = decode<T>(again);
    require(second.ok() && encode(second.value()) == again);
}

// Integers that 64 bits hold are exact: the text that was read and the text that is written mean the same.
void exact(std::string_view text, const Json& json) {
    if (json.is_number_integer()) require(same_value(trim_space(text), dump_json(json)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const double now_ms = 1.7e12;
    if (const auto wait = parse_retry_after(text, now_ms)) require(*wait >= 0 && *wait <= kMaxRetryAfterMs);
    parse_answer(text);
    parse_changes(text);
    const Result<Json> parsed = parse_json(text);
    if (!parsed.ok()) return 0;
    require(validate_json(text).ok());
    const Json& json = parsed.value();
    exact(text, json);
    const std::string dumped = dump_json(json);
    const Result<Json> again = parse_json(dumped);
    require(again.ok() && dump_json(again.value()) == dumped);
    round_trip<OpRow>(json);
    round_trip<EventIn>(json);
    round_trip<OutcomeIn>(json);
    round_trip<CommandIn>(json);
    std::vector<std::string> unknown;
    Result<Settings> settings = patch_settings(Settings{}, json, unknown);
    if (settings.ok()) round_trip<Settings>(encode(settings.value()));
    return 0;
}
