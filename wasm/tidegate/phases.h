// The phases of a batch, as one table: what it passes through from being chosen to being forgotten, and where a failure or a kill leads its ops.
//
//   validate   Chosen and looked at; bytes asked for. Its ops' rows say what they said before, so both edges lead back to choosing anew.
//   prepare    Bytes are formed, and one commit marks every op as sent and stores what it is sent as. Refused, the mark is taken back; killed, either the commit
//              is not there, or it is and nobody knows whether the request left: that is taken for a cut in `execute`.
//   execute    On its way. Whatever ends it without an answer leaves its ops `unknown`: the same bodies go again under the same keys.
//   verify     The answer is read against what was sent: a result for every op, versions, refusals, conflicts. Nothing of it is stored yet, so it is asked for again.
//              Inside one step, so nobody sees a batch in it. That the server still has what it acknowledged is looked at by every pull of the following day
//              (planner_verify.cpp): `verify` is shown while the first of these has not come to its end and no batch is under way.
//   cleanup    What the answer says is being stored, in one commit that is tried again until it is; the last to leave. Killed before, it is asked for again: the
//              server knows the keys, and says the same.
//
// No edge forgets a request that may have left, and none presumes what is not stored. The table is pure; planner_send.cpp and planner_settle.cpp walk it.
#pragma once

#include "tidegate/protocol.h"

namespace tidegate {

struct PhaseEdges {
    Phase next;     // itself: the last
    Phase failed;   // the store or the network refused
    Phase killed;   // as the rows tell the next drain
    OpState rows;   // what the rows of its ops say while it lasts; `queued`: what they said before
};

const PhaseEdges& edges_of(Phase phase);

}  // namespace tidegate
