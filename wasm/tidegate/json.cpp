#include "tidegate/json.h"

namespace tidegate {

bool depth_within(std::string_view text, int max_depth) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth) return false;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return true;
}

Result<Json> parse_json(std::string_view text, int max_depth) {
    if (!depth_within(text, max_depth))
        return Error{"json-depth", "", "JSON nested deeper than " + std::to_string(max_depth) + " levels is not taken"};
    Json value = Json::parse(text.begin(), text.end(), nullptr, false);
    if (value.is_discarded()) return Error{"json-syntax", "", "not a JSON text"};
    return value;
}

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string quote_value(const Json& value) {
    std::string text = dump_json(value);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
}

}  // namespace tidegate
