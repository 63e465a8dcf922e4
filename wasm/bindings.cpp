// The door to JavaScript: one class, numbers and pointer + length only, nothing thrown. The only file that includes <emscripten/bind.h>.
//
// JSON and payloads are copied in by the caller (malloc, set, call, free) and copied out through out_ptr/out_len, which stay valid until the next call.
#include <emscripten/bind.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tidegate/planner.h"

// The C++ runtime would print why it stops, with all of printf. Nobody reads it here: the wrapper reports a trap.
extern "C" [[noreturn]] void abort_message(const char*, ...) { __builtin_trap(); }
// Embind would print the address of a type it does not know, with all of printf; the glue then names the method alone.
extern "C" int siprintf(char* out, const char*, ...) { return *out = 0; }
extern "C" int sprintf(char* out, const char*, ...) { return *out = 0; }

namespace {

using tidegate::Json;

std::string_view text_at(std::uintptr_t pointer, unsigned length) { return {reinterpret_cast<const char*>(pointer), length}; }

// What JavaScript holds. Every call answers true when `out` is a result, false when it is {code, path, message}.
class Door {
public:
    bool restore(std::uintptr_t snapshot, unsigned snapshot_length, std::uintptr_t state, unsigned state_length) {
        const auto parsed = tidegate::parse_json(text_at(state, state_length));
        if (!parsed) return refuse(parsed.error());
        const auto known = planner_.restore(text_at(snapshot, snapshot_length), parsed.value());
        if (!known) return refuse(known.error());
        return answer(tidegate::object().set("knownSeq", known.value()));
    }

    bool step(std::uintptr_t input, unsigned length) {
        const auto parsed = tidegate::parse_json(text_at(input, length));
        if (!parsed) return refuse(parsed.error());
        auto plan = planner_.step(parsed.value());
        if (!plan) return refuse(plan.error());
        return answer(tidegate::encode(plan.value()));
    }

    bool explain(std::uintptr_t id, unsigned length) {
        const auto found = planner_.explain(text_at(id, length));
        if (!found) return refuse(found.error());
        return answer(found.value());
    }

    void put(double slot, std::uintptr_t bytes, unsigned length) {
        planner_.put(static_cast<std::uint64_t>(slot), std::string(text_at(bytes, length)));
    }

    // Puts the bytes of a slot where out_ptr/out_len show them; false when there are none.
    bool take(double slot) {
        const std::string* bytes = planner_.bytes(static_cast<std::uint64_t>(slot));
        shown_ = bytes ? std::string_view(*bytes) : std::string_view();
        return bytes != nullptr;
    }

    void snapshot() {
        out_ = planner_.snapshot();
        shown_ = out_;
    }

    double known_seq() const { return static_cast<double>(planner_.known_seq()); }
    std::uintptr_t out_ptr() const { return reinterpret_cast<std::uintptr_t>(shown_.data()); }
    unsigned out_len() const { return static_cast<unsigned>(shown_.size()); }

private:
    bool answer(const Json& json) {
        out_ = tidegate::dump_json(json);
        shown_ = out_;
        return true;
    }
    bool refuse(const tidegate::Error& error) {
        answer(tidegate::object().set("code", error.code).set("path", error.path).set("message", error.message));
        return false;
    }

    tidegate::Planner planner_;
    std::string out_;
    std::string_view shown_;
};

int boundary_version() { return tidegate::kBoundaryVersion; }

}  // namespace

EMSCRIPTEN_BINDINGS(tidegate) {
    emscripten::class_<Door>("Door")
        .constructor<>()
        .function("restore", &Door::restore)
        .function("step", &Door::step)
        .function("explain", &Door::explain)
        .function("put", &Door::put)
        .function("take", &Door::take)
        .function("snapshot", &Door::snapshot)
        .function("knownSeq", &Door::known_seq)
        .function("outPtr", &Door::out_ptr)
        .function("outLen", &Door::out_len);
    emscripten::function("boundaryVersion", &boundary_version);
}
