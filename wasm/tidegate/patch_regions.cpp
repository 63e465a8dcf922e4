#include "tidegate/patch_regions.h"

#include <algorithm>

#include "tidegate/json_text.h"
#include "tidegate/patch_ops.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

constexpr std::size_t kPasses = 4, kFreeBytes = 4096;  // what may be looked at: the document so many times, and some more
constexpr std::size_t kMoreThanDocument = 256;         // room for what a patch adds

// The closing quote of the string whose inside begins at `at`; kNoOffset when it has escapes.
std::size_t plain_end(std::string_view text, std::size_t at) {
    const auto wanted = [](char c) { return c == '"' || c == '\\'; };
    for (std::uint32_t hits = 0; hits == 0 && text.size() - at >= 16; at += 16) {
        hits = simd::string_ends16(text.data() + at);
        if (hits) at += static_cast<std::size_t>(__builtin_ctz(hits)) - 16;
    }
    while (at < text.size() && !wanted(text[at])) ++at;
    return at < text.size() && text[at] == '"' ? at : kNoOffset;
}

}  // namespace

void PatchRegions::start(std::string_view document, bool unique) {
    document_ = document;
    budget_ = kPasses * document.size() + kFreeBytes;
    levels_.clear();
    regions_.clear();
    tree_.start(unique ? std::string_view() : document);
    if (!unique) regions_.push_back({0, static_cast<std::uint32_t>(document.size()), {{}, document, -1}});
}

bool PatchRegions::spend(std::size_t units) {
    budget_ -= std::min(budget_, units);
    return budget_ > 0;
}

PatchRegions::Found PatchRegions::region(const Tokens& tokens, std::size_t count) {
    const Walked walked = walk(tokens, count);
    return {walked.region ? &walked.region->item : make(walked.at, walked.used), walked.used};
}

PatchItem* PatchRegions::value(const Tokens& tokens, bool member) {
    const Walked parent = walk(tokens, tokens.size() - 1);
    if (parent.region || parent.used + 1 != tokens.size() || (member && document_[parent.at] != '{')) return nullptr;
    if (!seek(parent.used, parent.at, tokens.back())) return nullptr;
    const std::uint32_t at = levels_.back().value;
    Region* const known = region_at(at);
    return known ? &known->item : make(at, levels_.size());
}

// Follows the path as far as it leads: through `count` tokens, to a region, or to a container where the next token was not found.
PatchRegions::Walked PatchRegions::walk(const Tokens& tokens, std::size_t count) {
    std::size_t level = 0;
    while (level < count && level < levels_.size() && simd::same_bytes(levels_[level].token, tokens[level])) ++level;
    for (std::uint32_t at = level ? levels_[level - 1].value : 0;; at = levels_[level++].value) {
        Region* const known = region_at(at);
        if (known || level == count || !seek(level, at, tokens[level])) return {at, level, known};
    }
}

// Makes `token` the current member of the container that opens at `container`. False: it is no container, the member is not there, its
// key is written with escapes, or it was too far to look.
bool PatchRegions::seek(std::size_t level, std::uint32_t container, std::string_view token) {
    const bool object = document_[container] == '{';
    if (!object && document_[container] != '[') return false;
    const bool fresh = level == levels_.size();
    if (fresh) levels_.push_back({static_cast<std::uint32_t>(skip_space(document_, container + 1)), 0, 0, {}});
    Level found = levels_[level];
    const std::size_t wanted = object ? 0 : read_index(token, document_.size());
    bool there = false;
    if (object) {
        const std::size_t from = fresh ? found.first : next_member(leave(level));
        there = find_member(found, from, document_.size(), token) || (!fresh && find_member(found, found.first, found.value, token));
    } else if (wanted != kNoOffset) {
        const bool back = fresh || wanted <= found.index;
        const std::size_t from = back ? found.first : next_member(leave(level));
        found.index = back ? 0 : found.index + 1;
        there = find_element(found, from, wanted);
    }
    levels_.resize(level);
    found.token = token;
    if (there) levels_.push_back(found);
    return there;
}

// Looks for a member among those that begin in [at, end).
bool PatchRegions::find_member(Level& level, std::size_t at, std::size_t end, std::string_view key) {
    while (at < end && document_[at] == '"') {
        const std::size_t close = plain_end(document_, at + 1);
        if (close == kNoOffset) return false;
        const std::string_view here = document_.substr(at + 1, close - at - 1);
        std::size_t value = skip_space(document_, close + 1);
        if (value >= document_.size() || document_[value] != ':') return false;
        value = skip_space(document_, value + 1);
        if (value >= document_.size()) return false;
        if (simd::same_bytes(here, key)) {
            level.value = static_cast<std::uint32_t>(value);
            return true;
        }
        const std::size_t behind = value_end(document_, value);
        if (behind == kNoOffset || !spend(behind - at)) return false;
        at = next_member(behind);
    }
    return false;
}

// Looks for element `index`; `at` is where element level.index begins.
bool PatchRegions::find_element(Level& level, std::size_t at, std::size_t index) {
    for (; at < document_.size() && document_[at] != ']'; ++level.index) {
        if (level.index == index) {
            level.value = static_cast<std::uint32_t>(at);
            return true;
        }
        const std::size_t behind = value_end(document_, at);
        if (behind == kNoOffset || !spend(behind - at)) return false;
        at = next_member(behind);
    }
    return false;
}

// The offset behind the current member of a level; the levels inside it are left. From the innermost place on, so nothing is read twice.
std::size_t PatchRegions::leave(std::size_t level) {
    std::size_t at = value_end(document_, levels_.back().value);
    if (at != kNoOffset) spend(at - levels_.back().value);
    for (; levels_.size() > level + 1; levels_.pop_back()) {
        if (at == kNoOffset) continue;
        const std::size_t from = at;
        at = container_end(document_, at);
        if (at != kNoOffset) spend(at - from);
    }
    return at;
}

// Where the member behind the one that ended before `at` begins; kNoOffset when there is none.
std::size_t PatchRegions::next_member(std::size_t at) const {
    if (at == kNoOffset) return at;
    at = skip_space(document_, at);
    return at < document_.size() && document_[at] == ',' ? skip_space(document_, at + 1) : kNoOffset;
}

PatchRegions::Region* PatchRegions::region_at(std::uint32_t start) {
    if (regions_.empty() || regions_.back().start < start) return nullptr;
    const auto at = std::lower_bound(regions_.begin(), regions_.end(), start, [](const Region& r, std::uint32_t offset) { return r.start < offset; });
    return at->start == start ? &*at : nullptr;
}

// Makes the value at `start`, which lies `level` levels deep, a region; those that lie in it become part of its text. When too much of
// the document was read already, all of it.
PatchItem* PatchRegions::make(std::uint32_t start, std::size_t level) {
    levels_.resize(std::min(level, levels_.size()));
    std::size_t end = value_end(document_, start);
    if (end == kNoOffset) end = document_.size();
    const auto before = [](const Region& r, std::uint32_t offset) { return r.start < offset; };
    const auto first = std::lower_bound(regions_.begin(), regions_.end(), start, before);
    const auto last = std::lower_bound(first, regions_.end(), static_cast<std::uint32_t>(end), before);
    spend(end - start + static_cast<std::size_t>(regions_.end() - first));
    Region made{start, static_cast<std::uint32_t>(end), {{}, document_.substr(start, end - start), -1}};
    if (first != last) {
        scratch_.clear();
        std::size_t from = start;
        for (auto r = first; r != last; from = r++->end) {
            tree_.append(scratch_, document_.substr(from, r->start - from));
            tree_.append(scratch_, r->item);
        }
        tree_.append(scratch_, document_.substr(from, end - from));
        made.item.text = tree_.keep(scratch_.view());
    }
    return &regions_.insert(regions_.erase(first, last), made)->item;
}

void PatchRegions::write(TextBuffer& out) {
    out.clear();
    out.room(document_.size() + kMoreThanDocument);
    std::size_t from = 0;
    for (const Region& region : regions_) {
        tree_.append(out, document_.substr(from, region.start - from));
        tree_.append(out, region.item);
        from = region.end;
    }
    tree_.append(out, document_.substr(from));
}

}  // namespace tidegate
