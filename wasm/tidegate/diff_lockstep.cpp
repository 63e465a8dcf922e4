// The idea: as long as two texts are the same, a place in one is the same place in the other, so structure is tracked in a only:
// quotes, brackets and commas as bit masks of 64 bytes (simdjson, Langdale and Lemire 2019), frames for the open containers. Where
// the bytes differ, the innermost frame says what member that is; the difference is resolved there and lock-step goes on behind it.
// b needs no validation of its own where it equals a: the same bytes at the same place of the grammar are the same tokens.
#include <algorithm>
#include <cstring>

#include "tidegate/diff_engine.h"
#include "tidegate/json_value.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

using Blocks = LockstepBlocks;

bool is_open(char c) { return c == '{' || c == '['; }

bool is_structural(char c) { return c == ',' || c == ':' || c == '{' || c == '}' || c == '[' || c == ']'; }

// The inside of the key whose value begins at `value`, read backwards; not further than `limit`.
std::string_view key_before(std::string_view text, std::size_t value, std::size_t limit) {
    const auto back = [&](std::size_t at) {
        while (at > limit && is_space(text[at - 1])) --at;
        return at;
    };
    const std::size_t colon = back(value), end = colon > limit ? back(colon - 1) : limit;  // behind the closing quote
    for (std::size_t from = end > limit ? end - 1 : limit; from > limit;) {
        const std::size_t found = simd::find_last_byte(text.substr(limit, from - limit), '"');
        if (found == from - limit) break;
        const std::size_t quote = limit + found;
        std::size_t slashes = 0;
        while (quote - slashes > limit && text[quote - 1 - slashes] == '\\') ++slashes;
        if (slashes % 2 == 0) return text.substr(quote + 1, end - 2 - quote);
        from = quote;
    }
    return {};
}

// Reads on while a and b are the same, at most `most` whole blocks. A function of its own, so that its registers hold nothing else.
[[gnu::noinline]] void read_blocks(const char* a, const char* b, std::uint32_t most, simd::StringState& state, Blocks& blocks) {
    simd::StringState strings = state;
    std::uint32_t n = 0;
    blocks.length = simd::kBlock;
    while (n < most) {
        const simd::Block x = simd::load(a), y = simd::load(b);
        std::uint64_t keep = ~0ull;
        if (!simd::all_same(x, y)) {
            const std::uint64_t differ = ~simd::same(x, y);
            keep = (differ & (~differ + 1)) - 1;
        }
        const std::uint64_t in = strings.step(x, keep);
        blocks.commas[n] = simd::where(x, ',') & keep & ~in;
        blocks.brackets[n] = simd::brackets(x) & keep & ~in;
        ++n;
        if (keep != ~0ull) {
            blocks.length = static_cast<std::uint32_t>(simd::lowest(~keep));
            blocks.in_string = in >> blocks.length & 1;
            break;
        }
        a += simd::kBlock;
        b += simd::kBlock;
    }
    blocks.count = n;
    state = strings;
}

// The same for less than a block: what lies behind it differs.
void read_part(const char* a, const char* b, std::uint32_t length, simd::StringState& state, Blocks& blocks) {
    char x[simd::kBlock], y[simd::kBlock];
    std::memset(x, ' ', sizeof x);
    std::memset(y, 0, sizeof y);
    simd::copy_bytes(x, a, length);
    simd::copy_bytes(y, b, length);
    read_blocks(x, y, 1, state, blocks);
}

}  // namespace

void Differ::start(std::string_view a, std::string_view b, const DiffOptions& options) {
    a_ = a;
    b_ = b;
    options_ = &options;
    ops_.clear();
    path_.clear();
    fault_ = {};
    depth_ = rendered_ = lists_used_ = 0;
    commas_ = 0;
    spaces_skipped_ = 0;
    splits_ = 0;
    index_a_.forget();
    index_b_.forget();
    same_behind_ = static_cast<std::uint32_t>(a.size() - simd::common_suffix(a, b));
    budget_ = kDiffWorkFactor * (a.size() + b.size()) + 65536;
}

bool Differ::start_compact(std::string_view a, std::string_view b, const DiffOptions& options) {
    compact_.clear();
    compact_.room(a.size() + b.size() + 2 * kCompactSlack);
    compact_.put_compact(a);
    const std::size_t length = compact_.size();
    if (!compact_.put_compact(b)) return false;
    start(compact_.view().substr(0, length), compact_.view().substr(length), options);
    return true;
}

bool Differ::refuse(const char* expected, std::size_t at) {
    fault_ = {"json-syntax", expected, at};
    return false;
}

bool Differ::run(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1) {
    if (!is_open(a_[a0]) || b0 >= b1 || a_[a0] != b_[b0]) return scalar_pair(a0, a1, b0, b1);
    const Span span{a1, b1, depth_, ops_.ops()};
    const std::size_t path_length = path_.size();
    rendered_ = depth_;
    std::uint32_t i = a0, j = b0;
    for (;;) {
        const Stop stop = lockstep(i, j, span);
        if (stop == Stop::kFault) return false;
        if (stop == Stop::kEnd) break;
        if (!resolve(i, j, span)) return false;
    }
    path_.shrink(path_length);
    depth_ = span.floor;
    rendered_ = std::min(rendered_, depth_);
    if (j != b1) return refuse("nothing behind the value", j);
    return true;
}

// Values of different kinds, or scalars.
bool Differ::scalar_pair(std::uint32_t a0, std::uint32_t a1, std::uint32_t b0, std::uint32_t b1) {
    const std::size_t end = check_value(b_.substr(0, b1), b0, depth_left(), fault_);
    if (end == kNoOffset) return false;
    if (end != b1) return refuse("a comma or a closing bracket", end);
    const std::string_view old = a_.substr(a0, a1 - a0), value = b_.substr(b0, b1 - b0);
    if (same_value(old, value)) return true;
    if (options_->tests) ops_.test(a0, path_.view(), old);
    ops_.replace(a0, path_.view(), value);
    return true;
}

// Follows the brackets of `blocks` from block number `block` on. False when a frame below `guard` was closed or the limit is passed:
// then `at` is that bracket, and walk goes on behind it.
//
// A bracket costs no branch that could be guessed wrong: what an opening one does is always written, above the frames in use, what a
// closing one does is masked away for an opening one. A function of its own, so that its registers hold nothing else.
[[gnu::noinline]] bool Differ::walk(const char* a, Blocks& blocks, Walk& walk, const Frame* guard, const Frame* limit) {
    Frame* top = walk.top;
    std::uint32_t commas_so_far = walk.commas, at = walk.at, mark = walk.mark, n = walk.block;
    bool stopped = false;
    for (; n < blocks.count; ++n, at += simd::kBlock) {
        const std::uint64_t commas = blocks.commas[n];
        std::uint64_t brackets = blocks.brackets[n];
        for (; brackets; brackets &= brackets - 1) {
            const std::uint32_t bit = static_cast<std::uint32_t>(simd::lowest(brackets)), here = at + bit;
            const std::uint32_t before = commas_so_far + static_cast<std::uint32_t>(simd::count(commas & ((1ull << bit) - 1)));
            const std::uint32_t opens = static_cast<std::uint32_t>(a[here]) >> 1 & 1;  // { and [ have this bit, } and ] do not
            top->open_a = here;
            top->commas_before = top->commas_of_others = before;
            top[-2].commas_of_others += (before - top[-1].commas_before) & (opens - 1);
            top += static_cast<std::int32_t>(2 * opens) - 1;
            if (top >= guard && top <= limit) continue;
            blocks.brackets[n] = brackets & (brackets - 1);
            walk.bracket = here;
            stopped = true;
            break;
        }
        if (stopped) break;
        commas_so_far += static_cast<std::uint32_t>(simd::count(commas));
        const std::uint64_t structure = commas | blocks.brackets[n];
        mark = std::max(mark, structure ? at + static_cast<std::uint32_t>(simd::highest(structure)) + 1 : 0);
    }
    walk.top = top;
    walk.commas = commas_so_far;
    walk.at = at;
    walk.mark = mark;
    walk.block = n;
    return !stopped;
}

// Runs on while both texts are the same. On kDifference i and j are the first bytes that differ (or the ends).
Differ::Stop Differ::lockstep(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    simd::StringState strings;
    Blocks blocks;
    const std::uint32_t shift = j - i;  // modulo 2^32
    const std::uint32_t end = std::min(span.a1, i + (span.b1 - j));
    Frame* fresh = frames_ + depth_;                            // from here on frames are of this run
    Frame* guard = frames_ + std::max(depth_, span.floor + 1);  // those below it may have changes inside
    Walk at{frames_ + depth_, commas_, i, 0, 0, 0};
    // Where the texts are the same to their ends nothing is left to find; only how long the open containers are may still count.
    std::uint32_t stop = span.floor == 0 && shift == static_cast<std::uint32_t>(b_.size() - a_.size()) ? same_behind_ : end;
    for (;;) {
        if (at.at >= stop && stop != end) {
            if (all_longer_than_ops(fresh, at.at + shift)) return i = span.a1, j = span.b1, Stop::kEnd;
            stop = end;
        }
        const std::uint32_t whole = std::min((end - at.at) / 64, (stop - at.at + 63) / 64);
        const char *const a = a_.data() + at.at, *const b = b_.data() + static_cast<std::uint32_t>(at.at + shift);
        if (whole) read_blocks(a, b, std::min(whole, Blocks::kMost), strings, blocks);
        else read_part(a, b, end - at.at, strings, blocks);
        at.block = 0;
        while (!walk(a_.data(), blocks, at, guard, frames_ + kMaxFrames)) {
            if (at.top > frames_ + kMaxFrames) {
                fault_ = {"json-depth", "no deeper nesting", at.bracket};
                return Stop::kFault;
            }
            // A container that was open when this run of lockstep began is closed.
            fresh = guard = at.top;
            depth_ = static_cast<std::size_t>(guard - frames_);
            rendered_ = std::min(rendered_, depth_);
            at.mark = at.bracket + 1;
            if (guard->first_op != ops_.ops()) close_container(*guard, at.mark, at.mark + shift);
            if (depth_ != span.floor) continue;
            commas_ = at.commas + static_cast<std::uint32_t>(simd::count(blocks.commas[at.block] & ((1ull << (at.bracket - at.at)) - 1)));
            i = at.mark;
            j = i + shift;
            return Stop::kEnd;
        }
        if (blocks.length != simd::kBlock) break;
    }
    for (Frame* f = fresh; f < at.top; ++f) {
        f->open_b = f->open_a + shift;
        f->first_op = static_cast<std::uint32_t>(ops_.ops());
    }
    i = at.at - simd::kBlock + blocks.length;
    j = i + shift;
    in_string_ = blocks.in_string;
    commas_ = at.commas;
    depth_ = static_cast<std::size_t>(at.top - frames_);
    if (at.mark) {
        after_ = a_[at.mark - 1] != ',' && !is_open(a_[at.mark - 1]);
        mark_a_ = at.mark;
        mark_b_ = at.mark + shift;
    }
    return Stop::kDifference;
}

// No container that is open below `limit` would be replaced whole, however soon it ends behind `here_b`.
bool Differ::all_longer_than_ops(const Frame* limit, std::uint32_t here_b) const {
    for (const Frame* f = frames_; f < limit; ++f)
        if (ops_.bytes_since(f->first_op) > here_b - f->open_b) return false;
    return true;
}

// A container with changes was left: when the ops for its inside cost more than replacing it, it is replaced.
void Differ::close_container(const Frame& frame, std::uint32_t end_a, std::uint32_t end_b) {
    const std::size_t spent = ops_.bytes_since(frame.first_op);
    const std::size_t whole = end_b - frame.open_b;
    if (spent <= whole + kReplaceFrame) return;
    // The container's path is rendered: something inside of it was written.
    if (spent <= whole + kReplaceFrame + frame.path_length) return;
    ops_.truncate(frame.first_op);
    const std::string_view path = path_.view().substr(0, frame.path_length);
    if (options_->tests) ops_.test(frame.open_a, path, a_.substr(frame.open_a, end_a - frame.open_a));
    ops_.replace(frame.open_a, path, b_.substr(frame.open_b, whole));
}

void Differ::append_index(std::uint32_t index) {
    std::uint32_t power = 1;
    while (index / power >= 10) power *= 10;
    path_.put('/');
    for (; power; power /= 10) path_.put(static_cast<char>('0' + index / power % 10));
}

// Appends a key as a token of a JSON Pointer (RFC 6901).
void Differ::append_key(std::string_view inside) {
    path_.put('/');
    unsigned special = 0;
    for (const char c : inside) special |= static_cast<unsigned>(c == '\\') | static_cast<unsigned>(c == '~') | static_cast<unsigned>(c == '/');
    if (!special) {
        path_.put(inside);
        return;
    }
    std::string token;
    append_pointer_token(token, inside);
    path_.put(token);
}

// The number of the current member of an open container.
std::uint32_t Differ::index_in(std::size_t frame) const {
    const std::uint32_t commas = frame + 1 < depth_ ? frames_[frame + 1].commas_before : commas_;
    return commas - frames_[frame].commas_of_others;
}

Differ::Place Differ::place(std::size_t frame) const {
    const Frame& f = frames_[frame];
    const bool inner = frame + 1 < depth_;  // the current member is the next frame
    return {f.open_a, f.open_b, f.path_length, f.first_op, inner ? frames_[frame + 1].open_a : mark_a_,
            inner ? frames_[frame + 1].open_b : mark_b_, index_in(frame), is_object(frame)};
}

// Appends the token of the frame's current member.
void Differ::append_token(std::size_t frame) {
    if (!is_object(frame)) return append_index(index_in(frame));
    if (frame + 1 < depth_) return append_key(key_before(a_, frames_[frame + 1].open_a, frames_[frame].open_a));
    const std::size_t quote = skip_space(a_, mark_a_);
    const std::size_t end = quote < a_.size() ? string_end(a_, quote) : kNoOffset;
    append_key(end == kNoOffset ? std::string_view() : a_.substr(quote + 1, end - quote - 2));
}

// Makes path_ the path of frames_[frame].
void Differ::render(std::size_t frame, const Span& span) {
    for (std::size_t k = rendered_; k <= frame; ++k) {
        if (k > span.floor) {
            path_.shrink(frames_[k - 1].path_length);
            append_token(k - 1);
        }
        frames_[k].path_length = static_cast<std::uint32_t>(path_.size());
    }
    rendered_ = std::max(rendered_, frame + 1);
    path_.shrink(frames_[frame].path_length);
}

bool Differ::is_id_key(std::string_view inside) const {
    for (const std::string_view key : options_->id_keys)
        if (simd::same_bytes(key, inside)) return true;
    return false;
}

// Moves over whitespace that only one text has. True when both go on with the same byte.
bool Differ::skip_whitespace_difference(std::uint32_t& i, std::uint32_t& j, const Span& span) const {
    if (in_string_ || i >= span.a1 || j >= span.b1) return false;
    const bool space_a = is_space(a_[i]), space_b = is_space(b_[j]);
    if (!space_a && !space_b) return false;
    // Between two characters of one number or literal of a there must be none in b.
    const char before = a_[i - 1];
    if (!space_a && !is_structural(a_[i]) && !is_structural(before) && !is_space(before) && before != '"') return false;
    const std::size_t ia = skip_space(a_.substr(0, span.a1), i), jb = skip_space(b_.substr(0, span.b1), j);
    if (ia >= span.a1 || jb >= span.b1 || a_[ia] != b_[jb]) return false;
    i = static_cast<std::uint32_t>(ia);
    j = static_cast<std::uint32_t>(jb);
    return true;
}

bool Differ::resolve(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    if (depth_ <= span.floor) return refuse("a value", j);
    if (skip_whitespace_difference(i, j, span)) return ++spaces_skipped_ <= kFewSpaces;
    // An array whose elements have no id is aligned by content as soon as one of them differs, the outermost first.
    for (std::size_t k = std::max(rendered_, span.floor + 1); k < depth_; ++k) {
        if (!is_object(k - 1) && find_id(a_.substr(0, span.a1).substr(frames_[k].open_a), options_->id_keys).empty()) return rest_of_array(k - 1, i, j, span);
        render(k, span);
    }
    render(depth_ - 1, span);
    return resolve_member(i, j, span);
}

// The difference lies in the innermost container itself: in a key, in a scalar, or in what comes behind a value.
bool Differ::resolve_member(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    if (after_) return behind_value(i, j, span);
    const std::string_view a = a_.substr(0, span.a1), b = b_.substr(0, span.b1);
    std::size_t pa = skip_space(a, mark_a_), pb = skip_space(b, mark_b_);
    if (pa >= a.size() || pb >= b.size()) return refuse("a value", pb);
    if (!is_object(depth_ - 1)) {
        if (a[pa] == b[pb] && is_open(a[pa])) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
        return rest_of_array(depth_ - 1, i, j, span);
    }
    if (a[pa] != '"' || b[pb] != '"') return rest_of_object(i, j, span);
    const std::size_t ka = string_end(a, pa);
    if (ka == kNoOffset) return refuse("a key", pb);
    const std::string_view key = a.substr(pa + 1, ka - pa - 2);
    std::size_t kb = pb + (ka - pa);
    if (ka > i) {  // else the key lies in what is the same
        kb = check_string(b, pb, fault_);
        if (kb == kNoOffset) return false;
        if (!same_string(key, b.substr(pb + 1, kb - pb - 2))) return rest_of_object(i, j, span);
    }
    pa = skip_space(a, ka);
    pb = skip_space(b, kb);
    if (pa >= a.size() || pb >= b.size() || b[pb] != ':') return refuse("a colon after the key", pb);
    pa = skip_space(a, pa + 1);
    pb = skip_space(b, pb + 1);
    if (pa >= a.size() || pb >= b.size()) return refuse("a value", pb);
    if (a[pa] == b[pb] && is_open(a[pa])) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
    return resolve_value(key, static_cast<std::uint32_t>(pa), static_cast<std::uint32_t>(pb), i, j, span);
}

// The value of the current member differs; at least one side is a scalar.
bool Differ::resolve_value(std::string_view key, std::uint32_t va, std::uint32_t vb, std::uint32_t& i, std::uint32_t& j, const Span& span) {
    const std::size_t ea = value_end(a_.substr(0, span.a1), va);
    const std::size_t eb = check_value(b_.substr(0, span.b1), vb, depth_left(), fault_);
    if (eb == kNoOffset) return false;
    if (ea == kNoOffset) return refuse("a value", eb);
    const std::string_view old = a_.substr(va, ea - va), value = b_.substr(vb, eb - vb);
    if (!same_value(old, value)) {
        // Another id: another element. The array around it is aligned from here on.
        if (depth_ - 1 > span.floor && !is_object(depth_ - 2) && is_id_key(key)) return rest_of_array(depth_ - 2, i, j, span);
        append_key(key);
        // `add` of a member that is there replaces it (RFC 6902 section 4.1), in four bytes less. Only members come here:
        // an element of an array that differs goes to rest_of_array.
        if (options_->tests) ops_.test(va, path_.view(), old), ops_.replace(va, path_.view(), value);
        else ops_.add(va, path_.view(), value);
    }
    mark_a_ = static_cast<std::uint32_t>(ea);
    mark_b_ = static_cast<std::uint32_t>(eb);
    after_ = true;
    return behind_value(i, j, span);
}

// The value that ends at the mark is done in both texts: a comma or the closing bracket follows.
bool Differ::behind_value(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    const std::string_view a = a_.substr(0, span.a1), b = b_.substr(0, span.b1);
    const std::size_t pa = skip_space(a, mark_a_), pb = skip_space(b, mark_b_);
    const bool object = is_object(depth_ - 1);
    if (pa >= a.size() || pb >= b.size() || (b[pb] != ',' && b[pb] != (object ? '}' : ']')))
        return refuse(object ? "a comma or }" : "a comma or ]", pb);
    if (a[pa] == b[pb]) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
    // One of them ends here: what the other still has is added or removed.
    mark_a_ = static_cast<std::uint32_t>(a[pa] == ',' ? pa + 1 : pa);
    mark_b_ = static_cast<std::uint32_t>(b[pb] == ',' ? pb + 1 : pb);
    after_ = false;
    ++commas_;
    return object ? rest_of_object(i, j, span) : rest_of_array(depth_ - 1, i, j, span);
}

// True when the child of b is one valid value and nothing else.
bool Differ::check_b(const Child& child, std::uint32_t end) {
    const std::size_t to = check_value(b_.substr(0, end), child.value, depth_left(), fault_);
    if (to == kNoOffset) return false;
    return to == child.value_end || refuse("a comma or a closing bracket", to);
}

}  // namespace tidegate
