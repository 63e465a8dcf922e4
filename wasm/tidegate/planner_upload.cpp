// Uploads: an op whose body is too large for one request goes by tus 1.0.0 (https://tus.io/protocols/resumable-upload), one request at a time.
//
//   POST     there is no upload yet. Under the op's key, so that a lost answer and the next one name the same upload
//   HEAD     an earlier request had no answer, or one that fits nowhere: how far it came is asked for, never assumed
//   PATCH    the next chunk. The one that ends the upload is answered like a PUT: the effect is there, with its ETag, or it is refused
//
// Every request is an attempt of its own, marked before it leaves and settled by one commit; between two of them the lane is free, so whatever is more urgent goes
// first. How far it came is stored with each answer, as a text of the shell's (sw/uploads.js), which writes and reads the headers. A kill leaves an op that is
// `unknown`, and that one asks. So does one that was refused at its end (planner_conflict.cpp): whether its last bytes stayed is the server's affair.
//
//   DELETE   its op left in the middle. Once in a drain, when something may be sent, until the server has answered
#include <algorithm>

#include "tidegate/fields.h"
#include "tidegate/planner.h"
#include "tidegate/say.h"

namespace tidegate {
namespace {

constexpr const char* kNotBegun = "new";
constexpr std::size_t kMaxAbandoned = 16;   // remembered at once: any other the server gives up by itself

}  // namespace

bool Op::upload_begun() const { return uploads() && extra->upload.front() != *kNotBegun; }

// The shell writes it in front of what else it keeps.
double Op::uploaded() const { return uploads() ? number_at_start(extra->upload) : 0; }

// What else it needs stands in the op's row, which was stored before this leaves.
void Planner::upload_request(const Batch& batch, Effect& send) const {
    const Op& op = *outbox_.find(batch.items.front().seq);
    send.method = !op.upload_begun() ? "POST" : batch.items.front().old_state != OpState::queued ? "HEAD" : "PATCH";
    send.detail = named(op);
    set(*send.detail, "bytes", batch.body_bytes);
    set(*send.detail, "entityId", id_there(op.lane->entity_id(), batch.items.front().server_id));
}

// What an answer says of the upload itself. False: it is one that any request may get, and 2xx of the last chunk is one of these.
bool Planner::settle_upload(const Batch& batch, const OutcomeIn& outcome, CommitSpec& spec) {
    Op& op = *outbox_.find(batch.items.front().seq);
    if (!op.uploads()) return false;
    std::string& upload = op.make_rare().upload;
    if (outcome.message.empty()) {
        const std::int64_t status = *outcome.status;
        const bool gone = status == 404 || status == 410;
        const bool large = status == 413 && outcome.sent_bytes > kMinBatchBytes;
        // tus: 409 it is at another offset, 423 somebody else writes it, 460 the bytes were damaged on their way.
        if (!op.upload_begun() || !(gone || large || status == 409 || status == 423 || status == 460)) return false;
        if (gone) upload = kNotBegun;
        if (large) link_ = after_too_large(link_, std::min(batch.body_bytes, outcome.sent_bytes));
        op_again(op, rule_on(425, ""), status, false, outcome, spec);
        return true;
    }
    origin_answered();
    const bool asked = batch.items.front().old_state != OpState::queued;
    outbox_.change(op, [&](Op& o) {
        upload = outcome.message;
        // A chunk of before may still be under way, until another one went in its place; at the end the effect may be there, and an empty PATCH asks for it.
        o.unknown = asked || o.uploaded() >= o.size_bytes;
        if (!asked) o.failures = o.attempts = 0;   // an answer to HEAD alone is no progress
        o.state = OpState::queued;
        if (!o.unknown) o.sends = 0;   // the next request repeats nothing
    });
    write_row(op, spec);
    return true;
}

// The op leaves the outbox before the end of its upload.
void Planner::abandon(std::uint64_t seq) {
    const Op* op = outbox_.find(seq);
    if (!op || !op->upload_begun() || abandoned_.size() >= kMaxAbandoned) return;
    abandoned_.push_back(say(op->rare().upload, "\n", op->lane->owner));
    core_dirty_ = true;
}

// One at a time, and with an owner's own credentials. Nobody waits for it, and nothing is concluded from what becomes of it.
void Planner::tell_abandoned() {
    for (; next_abandoned_ < abandoned_.size() && may_send() && gate().min_band; ++next_abandoned_) {
        const std::string& upload = abandoned_[next_abandoned_];
        std::string owner = upload.substr(upload.find('\n') + 1);
        if (shut_out(owner)) continue;
        Effect send;
        send.method = "DELETE";
        send.owner = std::move(owner);
        send.detail = object().set("upload", upload);
        send.timeout_ms = request_timeout_ms(0);
        emit_send(std::move(send), [this, next = next_abandoned_](const OutcomeIn& outcome) {
            next_abandoned_ = next + 1;
            if (!outcome.status && outcome.failure != "blocked") return;   // again in the next drain
            abandoned_[next].swap(abandoned_.back());
            abandoned_.pop_back();
            next_abandoned_ = next;
            core_dirty_ = true;
        }, "upload");
        next_abandoned_ = kMaxAbandoned;
        return;
    }
}

}  // namespace tidegate
