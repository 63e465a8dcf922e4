// Where the memory of a history comes from. A history makes and drops millions of small JSON values in one thread, and the library's malloc takes a quarter of its time;
// here a block that is dropped is the next one of its size. Sanitizers and Wasm keep their own, so that every wrong access is still seen there.
#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

#ifdef __has_feature
#define TG_HAS_FEATURE(name) __has_feature(name)
#else
#define TG_HAS_FEATURE(name) 0
#endif
#if !defined(__EMSCRIPTEN__) && !defined(__SANITIZE_ADDRESS__) && !TG_HAS_FEATURE(address_sanitizer)

namespace {

constexpr std::size_t kStepBytes = 16, kLargestBytes = 1024, kPieceBytes = 1 << 18;

// Stands before each block: its list while it is used, the next of the list while it is not.
union alignas(16) Head {
    std::size_t list;
    Head* next;
};
constexpr std::size_t kLists = kLargestBytes / kStepBytes + 1;   // a block of this list is the library's

std::array<Head*, kLists> lists{};
char *fresh = nullptr, *fresh_end = nullptr;

Head* from_library(std::size_t bytes) {
    void* const found = std::malloc(bytes);
    if (!found) std::abort();
    return static_cast<Head*>(found);
}

Head* new_block(std::size_t list) {
    const std::size_t bytes = sizeof(Head) + list * kStepBytes;
    if (static_cast<std::size_t>(fresh_end - fresh) < bytes) {
        fresh = reinterpret_cast<char*>(from_library(kPieceBytes));
        fresh_end = fresh + kPieceBytes;
    }
    fresh += bytes;
    return reinterpret_cast<Head*>(fresh - bytes);
}

}  // namespace

void* operator new(std::size_t size) {
    std::size_t list = (size + kStepBytes - 1) / kStepBytes;
    Head* head;
    if (list >= kLists) {
        list = kLists;
        head = from_library(sizeof(Head) + size);
    } else if ((head = lists[list])) {
        lists[list] = head->next;
    } else {
        head = new_block(list);
    }
    head->list = list;
    return head + 1;
}

void operator delete(void* block) noexcept {
    if (!block) return;
    Head* const head = static_cast<Head*>(block) - 1;
    const std::size_t list = head->list;
    if (list == kLists) return std::free(head);
    head->next = lists[list];
    lists[list] = head;
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

#endif
