#include "tidegate/wire.h"

#include <doctest/doctest.h>

#include "tidegate/verdict.h"

using namespace tidegate;

TEST_CASE("a frame is a header line and a body line per op, and a delete has no body") {
    std::string frame;
    append_head(frame);
    WireOp create;
    create.id = "1";
    create.action = Action::create;
    create.entity = "E";
    create.entity_id = "a";
    create.if_none_match = true;
    create.body = "{\"x\":\n1}";
    append_op(frame, create);
    WireOp gone;
    gone.id = "2";
    gone.key = "2.2";
    gone.action = Action::remove;
    gone.entity = "E";
    gone.entity_id = "b";
    gone.if_match = "\"7\"";
    append_op(frame, gone);
    CHECK(frame ==
          "{\"protocol\":1}\n"
          "{\"action\":\"create\",\"body\":true,\"codec\":\"full\",\"entity\":\"E\",\"entityId\":\"a\",\"id\":\"1\",\"ifNoneMatch\":\"*\"}\n"
          "{\"x\": 1}\n"
          "{\"action\":\"delete\",\"entity\":\"E\",\"entityId\":\"b\",\"id\":\"2\",\"ifMatch\":\"\\\"7\\\"\",\"key\":\"2.2\"}\n");
}

TEST_CASE("an answer's results and bodies are read; what does not parse is skipped") {
    const auto answer = parse_answer(
        "{\"protocol\":1,\"results\":4,\"maxBatchBytes\":50,\"idempotencyRetention\":7}\n"
        "{\"id\":\"a\",\"status\":201,\"etag\":\"\\\"1\\\"\"}\n"
        "{\"id\":\"b\",\"status\":412,\"etag\":\"\\\"7\\\"\",\"problem\":{\"type\":\"urn:x\",\"title\":\"T\"},\"body\":true}\n"
        "{\"n\":9007199254740993}\n"
        "garbage\n"
        "{\"id\":\"c\",\"status\":9999}\n");
    REQUIRE(answer.has_value());
    REQUIRE(answer.value().results.size() == 2);
    CHECK(answer.value().results[1].body == "{\"n\":9007199254740993}");
    CHECK(answer.value().results[1].problem_text == "T");
    CHECK(answer.value().max_batch_bytes == 50);
    CHECK(answer.value().idempotency_retention_s == 7);
}

TEST_CASE("a text without a head is no answer at all") {
    for (const char* text : {"", "{}", "<html>", "{\"id\":\"a\",\"status\":200}\n", "{\"protocol\":2,\"results\":0}\n"}) CHECK_FALSE(parse_answer(text).has_value());
}

TEST_CASE("a body promised and cut off leaves its op without a result") {
    const auto answer = parse_answer("{\"protocol\":1,\"results\":1}\n{\"id\":\"a\",\"status\":412,\"body\":true}\n");
    REQUIRE(answer.has_value());
    CHECK(answer.value().results.empty());
}

TEST_CASE("verdicts: every status has one, and the known-not-applied ones are exactly those of the design") {
    const std::int64_t known[] = {400, 401, 403, 404, 409, 412, 413, 415, 422, 424, 428, 429};
    for (std::int64_t status = 100; status <= 599; ++status) {
        const Ruling r = rule_on(status, "");
        CHECK((r.verdict == Verdict::done) == (status >= 200 && status <= 299));
        bool listed = false;
        for (const std::int64_t k : known) listed = listed || k == status;
        if (listed) CHECK(r.known_not_applied);
        if (status >= 500 || status == 408 || status == 425) {
            CHECK(r.verdict == Verdict::again);
            CHECK_FALSE(r.known_not_applied);
        }
        const bool alone = (status >= 500 && (status < 502 || status > 504) && status != 511) || status < 200 || (status >= 300 && status < 400);
        if (r.counts) CHECK(alone);
    }
    CHECK(rule_on(409, "urn:tidegate:in-progress").verdict == Verdict::in_progress);
    CHECK(rule_on(422, "urn:tidegate:key-reused").verdict == Verdict::quarantine);
    CHECK(rule_on(-1, "").verdict == Verdict::again);
    CHECK(rule_on_failure("timeout").verdict == Verdict::again);
    CHECK(std::string(rule_on_failure("timeout").sentence) == "Network timeout");
    // A 401 tells nothing of a copy that the browser sent before; what never left has no copies.
    CHECK(rule_on_failure("auth").verdict == Verdict::auth);
    CHECK(rule_on_failure("auth").speaks_for_key());
    CHECK_FALSE(rule_on(401, "").speaks_for_key());
}
