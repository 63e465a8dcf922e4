#include "tidegate/wire.h"

#include "tidegate/fields.h"
#include "tidegate/say.h"

namespace tidegate {
namespace {

// Takes the next line off `rest`, without its line break.
std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
}

double number_of(const Json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_number() ? it->get<double>() : 0;
}

bool truth_of(const Json& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_boolean() && it->get<bool>();
}

Problem problem_of(const Json& object) {
    if (!object.is_object()) return {};
    Problem problem{text_field(object, "type"), text_field(object, "detail")};
    if (problem.text.empty()) problem.text = text_field(object, "title");
    return problem;
}

// True when the line was a result line.
bool read_result(const Json& line, std::string_view& rest, WireResult& out) {
    if (!line.is_object()) return false;
    out.id = text_field(line, "id");
    const double status = number_of(line, "status");
    if (out.id.empty() || !(status >= 100 && status <= 599)) return false;
    out.status = static_cast<std::int64_t>(status);
    out.etag = text_field(line, "etag");
    out.entity_id = text_field(line, "entityId");
    out.missing = truth_of(line, "missing");
    if (const auto it = line.find("problem"); it != line.end()) {
        const Problem problem = problem_of(*it);
        out.problem_type = problem.type;
        out.problem_text = problem.text;
    }
    if (truth_of(line, "body")) {
        if (rest.find('\n') == std::string_view::npos) return false;   // cut off
        out.body = take_line(rest);
    }
    return true;
}

}  // namespace

void append_head(std::string& frame) {
    frame += say("{\"protocol\":", kWireVersion, "}\n");
}

void append_op(std::string& frame, const WireOp& op) {
    Json line = Json::object();
    set(line, "id", op.id);
    if (!op.key.empty() && op.key != op.id) set(line, "key", op.key);
    set(line, "action", name_of(op.action));
    set(line, "entity", op.entity);
    set(line, "entityId", op.entity_id);
    if (!op.after.empty()) set(line, "after", op.after);
    else if (op.if_none_match) set(line, "ifNoneMatch", "*");
    else if (!op.if_match.empty()) set(line, "ifMatch", op.if_match);
    if (!op.group.empty()) set(line, "group", op.group);
    const bool has_body = op.action != Action::remove;
    if (has_body) {
        set(line, "codec", name_of(op.codec));
        set(line, "body", true);
    }
    frame += dump_json(line);
    frame += '\n';
    if (!has_body) return;
    const std::size_t start = frame.size();
    frame.append(op.body);
    for (std::size_t i = start; i < frame.size(); ++i)
        if (frame[i] == '\n' || frame[i] == '\r') frame[i] = ' ';
    frame += '\n';
}

std::optional<WireAnswer> parse_answer(std::string_view text) {
    std::string_view rest = text;
    const auto head = parse_json(take_line(rest));
    if (!head || !head.value().is_object() || number_of(head.value(), "protocol") != kWireVersion || !head.value().contains("results")) return std::nullopt;
    const Json& h = head.value();
    WireAnswer answer;
    answer.idempotency_retention_s = number_of(h, "idempotencyRetention");
    answer.max_batch_bytes = number_of(h, "maxBatchBytes");
    while (!rest.empty()) {
        const std::string_view line = take_line(rest);
        if (line.empty()) continue;
        const auto json = parse_json(line);
        WireResult result;
        if (json && read_result(json.value(), rest, result)) answer.results.push_back(std::move(result));
    }
    return answer;
}

std::optional<ChangePage> parse_changes(std::string_view text) {
    ChangePage page;
    bool ended = false;
    for (std::string_view rest = text; !rest.empty();) {
        const auto json = parse_json(take_line(rest));
        if (!json || !json.value().is_object() || ended) return std::nullopt;
        const Json& line = json.value();
        if (line.contains("cursor")) {
            page.cursor = text_field(line, "cursor");
            page.more = truth_of(line, "more");
            ended = !page.cursor.empty();
            continue;
        }
        Change change{text_field(line, "entity"), text_field(line, "entityId"), text_field(line, "etag"), text_field(line, "key"),
                      text_field(line, "contentType"), truth_of(line, "deleted"), std::nullopt};
        if (change.entity.empty() || change.entity_id.empty() || change.etag.empty()) return std::nullopt;
        if (truth_of(line, "body")) change.body = take_line(rest);
        page.changes.push_back(std::move(change));
    }
    if (!ended) return std::nullopt;
    return page;
}

Problem parse_problem(std::string_view text) {
    const auto json = parse_json(text);
    return json ? problem_of(json.value()) : Problem{};
}

}  // namespace tidegate
