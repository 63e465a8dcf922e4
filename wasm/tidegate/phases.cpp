#include "tidegate/phases.h"

namespace tidegate {

const PhaseEdges& edges_of(Phase phase) {
    using enum Phase;
    static constexpr PhaseEdges kEdges[] = {
        /* validate */ {prepare, validate, validate, OpState::queued},
        /* prepare  */ {execute, validate, execute, OpState::queued},
        /* execute  */ {verify, execute, execute, OpState::sending},
        /* verify   */ {cleanup, execute, execute, OpState::sending},
        /* cleanup  */ {cleanup, cleanup, execute, OpState::sending},
    };
    return kEdges[static_cast<std::size_t>(phase)];
}

}  // namespace tidegate
