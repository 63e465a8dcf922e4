// The batch frame of docs/protocol.md: one header line per op, then its body line. Newline-delimited JSON, as Elasticsearch's _bulk.
// Bodies are bytes and stay bytes; only the small header lines are JSON values here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/protocol.h"

namespace tidegate {

// One op as it goes into a batch.
struct WireOp {
    std::string id, key;  // key empty: the id is the key
    Action action = Action::update;
    std::string entity, entity_id;
    std::string if_match;      // entity-tag with quotes, or empty
    bool if_none_match = false;  // If-None-Match: *
    std::string after;         // id of an earlier op of this batch whose result's ETag is the precondition
    Codec codec = Codec::full;
    std::string group;
    std::string_view body;     // one JSON text; ignored for a delete
};

// Appends the frame's head line.
void append_head(std::string& frame);

// Appends one op. Raw CR and LF in the body become spaces: legal JSON has them between tokens only.
void append_op(std::string& frame, const WireOp& op);

// One result line of an answer. `body` points into the text it was parsed from.
struct WireResult {
    std::string id;
    std::int64_t status = 0;
    std::string etag;
    std::string entity_id;  // the id that the server knows the entity by, where it gave it another one
    bool missing = false;  // 412: the entity does not exist (any more)
    std::string problem_type, problem_text;
    std::optional<std::string_view> body;
};

struct WireAnswer {
    std::vector<WireResult> results;  // a result that is absent, or does not parse, means unknown, never done
    double idempotency_retention_s = 0;
    double max_batch_bytes = 0;
};

// Reads an answer. None where the text is not of this protocol at all (no head line): nothing in it counts.
std::optional<WireAnswer> parse_answer(std::string_view text);

// One change of a page (docs/protocol.md, "Pull"). `body` points into the text it was parsed from.
struct Change {
    std::string entity, entity_id, etag, key, content_type;  // content_type empty: application/json
    bool deleted = false;
    std::optional<std::string_view> body;
};

struct ChangePage {
    std::vector<Change> changes;
    std::string cursor;
    bool more = false;
};

// Reads a page. None where it was cut off or is not of this protocol: nothing of it counts.
std::optional<ChangePage> parse_changes(std::string_view text);

// A problem document's type and one sentence for a person; both empty when `text` is not one.
struct Problem {
    std::string type, text;
};
Problem parse_problem(std::string_view text);

}  // namespace tidegate
