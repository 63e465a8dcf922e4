// Uploads: an op whose body is too large for one request goes by tus 1.0.0 (https://tus.io/protocols/resumable-upload), one request at a time.
//
//   POST     there is no upload yet. Under the op's key, so that a lost answer and the next one name the same upload
//   HEAD     an earlier request had no answer, or one that fits nowhere: how far it came is asked for, never assumed
//   PATCH    the next chunk. The one that ends the upload is answered like a PUT: the effect is there, with its ETag, or it is refused
//
// Every request is an attempt of its own, marked before it leaves and settled by one commit; between two of them the lane is free, so whatever is more urgent goes
// first. How far it came is stored with each answer, as a text of the shell's (sw/uploads.js), which writes and reads the headers. A kill leaves an op that is
// `unknown`, and that one asks.
#include "tidegate/planner.h"

namespace tidegate {
namespace {

constexpr const char* kNotBegun = "new";

}  // namespace

// What else it needs stands in the op's row, which was stored before this leaves.
void Planner::upload_request(const Batch& batch, Effect& send) const {
    const Op& op = *outbox_.find(batch.items.front().seq);
    send.method = op.rare().upload == kNotBegun ? "POST" : op.unknown ? "HEAD" : "PATCH";
    send.detail = named(op);
    (*send.detail)["bytes"] = batch.body_bytes;
}

// What an answer says of the upload itself. False: it is one that any request may get, and 2xx of the last chunk is one of these.
bool Planner::settle_upload(const Batch& batch, const OutcomeIn& outcome, CommitSpec& spec) {
    Op& op = *outbox_.find(batch.items.front().seq);
    if (!op.uploads()) return false;
    std::string& upload = op.make_rare().upload;
    if (outcome.message.empty()) {
        const std::int64_t status = *outcome.status;
        const bool gone = status == 404 || status == 410;
        const bool large = status == 413 && batch.body_bytes > kMinBatchBytes;
        // tus: 409 it is at another offset, 423 somebody else writes it, 460 the bytes were damaged on their way.
        if (upload == kNotBegun || !(gone || large || status == 409 || status == 423 || status == 460)) return false;
        if (gone) upload = kNotBegun;
        if (large) link_ = after_too_large(link_, batch.body_bytes);
        op_again(op, rule_on(425, ""), status, false, outcome, spec);
        return true;
    }
    origin_answered();
    outbox_.change(op, [&](Op& o) {
        if (!o.unknown) o.failures = o.attempts = 0;   // an answer to HEAD alone is no progress
        upload = outcome.message;
        o.unknown = false;
        o.state = OpState::queued;
        o.sends = 0;   // the next request repeats nothing
    });
    write_row(op, spec);
    return true;
}

}  // namespace tidegate
