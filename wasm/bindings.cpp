// The door to JavaScript: a handful of functions, numbers and pointer + length only, nothing thrown. The only file that includes <emscripten/bind.h>.
// Functions, not a class: Embind's handles of objects are 3 kB of glue (decision 0003); the class is Planner in wasm/index.js.
//
// JSON and payloads are copied in by the caller (malloc, set, call, free) and copied out through out_ptr/out_len, which stay valid until the next call.
#include <emscripten/bind.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tidegate/planner.h"
#include "tidegate/say.h"

// The C++ runtime would print why it stops, with all of printf. Nobody reads it here: the wrapper reports a trap.
extern "C" [[noreturn]] void abort_message(const char*, ...) { __builtin_trap(); }
// Embind would print the address of a type it does not know, with all of printf; the glue then names the method alone.
extern "C" int siprintf(char* out, const char*, ...) { return *out = 0; }
extern "C" int sprintf(char* out, const char*, ...) { return *out = 0; }

namespace {

using tidegate::Json;

std::string_view text_at(std::uintptr_t pointer, unsigned length) { return {reinterpret_cast<const char*>(pointer), length}; }

// One planner to an instance: what has trapped is thrown away with its memory (wasm/load.js). Calls that answer bool show a result in out when it is
// true, and {code, path, message} when it is false.
struct Door {
    tidegate::Planner planner;
    std::string out;
    std::string_view shown;
};
Door& door() {
    static Door* const made = new Door;   // never destroyed: an instance ends with its memory
    return *made;
}

bool answer(std::string json) {
    door().out = std::move(json);
    door().shown = door().out;
    return true;
}
bool refuse(const tidegate::Error& error) {
    answer(tidegate::dump_json(tidegate::object().set("code", error.code).set("path", error.path).set("message", error.message)));
    return false;
}

bool restore(std::uintptr_t snapshot, unsigned snapshot_length, std::uintptr_t state, unsigned state_length) {
    const auto parsed = tidegate::parse_json(text_at(state, state_length));
    if (!parsed) return refuse(parsed.error());
    const auto known = door().planner.restore(text_at(snapshot, snapshot_length), parsed.value());
    if (!known) return refuse(known.error());
    return answer(tidegate::say("{\"knownSeq\":", known.value(), "}"));
}

bool step(std::uintptr_t input, unsigned length) {
    const auto parsed = tidegate::parse_json(text_at(input, length));
    if (!parsed) return refuse(parsed.error());
    auto plan = door().planner.step(parsed.value());
    if (!plan) return refuse(plan.error());
    return answer(tidegate::encode_text(plan.value()));
}

void put(double slot, std::uintptr_t bytes, unsigned length) {
    door().planner.put(static_cast<std::uint64_t>(slot), std::string(text_at(bytes, length)));
}

// Puts the bytes of a slot where out_ptr/out_len show them; false when there are none.
bool take(double slot) {
    const std::string* bytes = door().planner.bytes(static_cast<std::uint64_t>(slot));
    door().shown = bytes ? std::string_view(*bytes) : std::string_view();
    return bytes != nullptr;
}

std::uintptr_t out_ptr() { return reinterpret_cast<std::uintptr_t>(door().shown.data()); }
unsigned out_len() { return static_cast<unsigned>(door().shown.size()); }
int boundary_version() { return tidegate::kBoundaryVersion; }

}  // namespace

EMSCRIPTEN_BINDINGS(tidegate) {
    using emscripten::function;
    using emscripten::internal::TypeID;
    // To the glue (cmake/embind_plain.js) booleans and unsigned numbers are something else than numbers. Embind's own list of types, with their names, is 700 bytes of a
    // first visit, and left out where that can be done (CMakeLists.txt).
    emscripten::internal::_embind_register_bool(TypeID<bool>::get(), "", sizeof(bool), true, false);
    emscripten::internal::_embind_register_integer(TypeID<unsigned>::get(), "", sizeof(unsigned), 0, UINT32_MAX);
    emscripten::internal::_embind_register_integer(TypeID<std::uintptr_t>::get(), "", sizeof(std::uintptr_t), 0, UINTPTR_MAX);
    function("restore", &restore);
    function("step", &step);
    function("put", &put);
    function("take", &take);
    function("outPtr", &out_ptr);
    function("outLen", &out_len);
    function("boundaryVersion", &boundary_version);
}
