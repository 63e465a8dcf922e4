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

bool is_open(char c) { return c == '{' || c == '['; }

bool is_structural(char c) { return c == ',' || c == ':' || c == '{' || c == '}' || c == '[' || c == ']'; }

simd::Block load_part(std::string_view text, std::size_t at) {
    if (at + simd::kBlock <= text.size()) return simd::load(text.data() + at);
    char buffer[simd::kBlock];
    std::memset(buffer, ' ', sizeof buffer);
    if (at < text.size()) std::memcpy(buffer, text.data() + at, text.size() - at);
    return simd::load(buffer);
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
    budget_ = kDiffWorkFactor * (a.size() + b.size()) + 65536;
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
    path_.resize(path_length);
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
    if (options_->tests) ops_.test(a0, path_, old);
    ops_.replace(a0, path_, value);
    return true;
}

// Runs on while both texts are the same. On kDifference i and j are the first bytes that differ (or the ends).
Differ::Stop Differ::lockstep(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    simd::StringState strings;
    const std::uint32_t shift = j - i;  // modulo 2^32
    Frame* top = frames_ + (depth_ ? depth_ - 1 : 0);  // not read before a frame of this run is open
    std::size_t at = i;
    const auto note = [&](std::uint64_t commas) {
        top->index += static_cast<std::uint32_t>(simd::count(commas));
        top->mark_a = static_cast<std::uint32_t>(at) + static_cast<std::uint32_t>(simd::highest(commas)) + 1;
        top->mark_b = top->mark_a + shift;
        top->after = false;
    };
    for (;; at += simd::kBlock) {
        const std::size_t at_b = static_cast<std::uint32_t>(at) + shift;
        const std::size_t left = std::min<std::size_t>(span.a1 - at, span.b1 - at_b);
        const simd::Block x = load_part(a_, at), y = load_part(b_, at_b);
        std::uint64_t keep = left < simd::kBlock ? (1ull << left) - 1 : ~0ull;
        if (!simd::all_same(x, y)) {
            const std::uint64_t differ = ~simd::same(x, y) & keep;
            if (differ) keep = (differ & (~differ + 1)) - 1;
        }
        const std::uint64_t in = strings.step(x, keep);
        const std::uint64_t outside = keep & ~in;
        std::uint64_t commas = simd::where(x, ',') & outside;
        for (std::uint64_t brackets = simd::brackets(x) & outside; brackets; brackets &= brackets - 1) {
            const std::uint64_t before = (brackets & (~brackets + 1)) - 1;
            if (const std::uint64_t mine = commas & before) {
                if (depth_ <= span.floor) return refuse("a value", at), Stop::kFault;
                note(mine);
                commas &= ~before;
            }
            const std::uint32_t here = static_cast<std::uint32_t>(at) + static_cast<std::uint32_t>(simd::lowest(brackets));
            const char c = a_[here];
            if (is_open(c)) {
                if (depth_ > static_cast<std::size_t>(kMaxTextDepth) - 1) {
                    fault_ = {"json-depth", "no deeper nesting", here};
                    return Stop::kFault;
                }
                top = frames_ + depth_++;
                *top = {here, here + shift, here + 1, here + 1 + shift, 0, 0, static_cast<std::uint32_t>(ops_.ops()), c == '{', false};
            } else {
                if (depth_ <= span.floor) return refuse("a value", here), Stop::kFault;
                if (top->first_op != ops_.ops()) close_container(*top, here + 1, here + 1 + shift);
                rendered_ = std::min(rendered_, --depth_);
                if (depth_ == span.floor) {
                    i = here + 1;
                    j = i + shift;
                    return Stop::kEnd;
                }
                top = frames_ + depth_ - 1;
                top->mark_a = here + 1;
                top->mark_b = here + 1 + shift;
                top->after = true;
            }
        }
        if (commas) {
            if (depth_ <= span.floor) return refuse("a value", at), Stop::kFault;
            note(commas);
        }
        if (keep != ~0ull) {
            const int length = simd::lowest(~keep);
            i = static_cast<std::uint32_t>(at) + static_cast<std::uint32_t>(length);
            j = i + shift;
            in_string_ = in >> length & 1;
            return Stop::kDifference;
        }
    }
}

// A container with changes was left: when the ops for its inside cost more than replacing it, it is replaced.
void Differ::close_container(const Frame& frame, std::uint32_t end_a, std::uint32_t end_b) {
    const std::size_t spent = ops_.bytes_since(frame.first_op);
    const std::size_t whole = end_b - frame.open_b;
    constexpr std::size_t kReplaceFrame = sizeof R"({"op":"replace","path":"","value":},)" - 1;
    if (spent <= whole + kReplaceFrame) return;
    // The container's path is rendered: something inside of it was written.
    if (spent <= whole + kReplaceFrame + frame.path_length) return;
    ops_.truncate(frame.first_op);
    const std::string_view path = std::string_view(path_).substr(0, frame.path_length);
    if (options_->tests) ops_.test(frame.open_a, path, a_.substr(frame.open_a, end_a - frame.open_a));
    ops_.replace(frame.open_a, path, b_.substr(frame.open_b, whole));
}

void Differ::append_index(std::uint32_t index) {
    char digits[12];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + index % 10);
    while (index /= 10);
    path_.push_back('/');
    while (n) path_.push_back(digits[--n]);
}

// Appends the token of the frame's current member.
void Differ::append_token(const Frame& frame) {
    if (!frame.object) return append_index(frame.index);
    const std::size_t quote = skip_space(a_, frame.mark_a);
    const std::size_t end = quote < a_.size() ? string_end(a_, quote) : kNoOffset;
    path_.push_back('/');
    if (end != kNoOffset) append_pointer_token(path_, a_.substr(quote + 1, end - quote - 2));
}

// Makes path_ the path of frames_[frame].
void Differ::render(std::size_t frame, const Span& span) {
    for (std::size_t k = rendered_; k <= frame; ++k) {
        if (k > span.floor) {
            path_.resize(frames_[k - 1].path_length);
            append_token(frames_[k - 1]);
        }
        frames_[k].path_length = static_cast<std::uint32_t>(path_.size());
    }
    rendered_ = std::max(rendered_, frame + 1);
    path_.resize(frames_[frame].path_length);
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
    if (skip_whitespace_difference(i, j, span)) return true;
    // An array whose elements have no id is aligned by content as soon as one of them differs, the outermost first.
    for (std::size_t k = std::max(rendered_, span.floor + 1); k < depth_; ++k) {
        if (!frames_[k - 1].object && find_id(a_.substr(0, span.a1).substr(frames_[k].open_a), options_->id_keys).empty()) return rest_of_array(k - 1, i, j, span);
        render(k, span);
    }
    render(depth_ - 1, span);
    return resolve_member(i, j, span);
}

// The difference lies in the innermost container itself: in a key, in a scalar, or in what comes behind a value.
bool Differ::resolve_member(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    Frame& top = frames_[depth_ - 1];
    if (top.after) return behind_value(i, j, span);
    const std::string_view a = a_.substr(0, span.a1), b = b_.substr(0, span.b1);
    std::size_t pa = skip_space(a, top.mark_a), pb = skip_space(b, top.mark_b);
    if (pa >= a.size() || pb >= b.size()) return refuse("a value", pb);
    if (!top.object) {
        if (a[pa] == b[pb] && is_open(a[pa])) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
        return rest_of_array(depth_ - 1, i, j, span);
    }
    if (a[pa] != '"' || b[pb] != '"') return rest_of_object(i, j, span);
    const std::size_t ka = string_end(a, pa), kb = check_string(b, pb, fault_);
    if (ka == kNoOffset) return refuse("a key", pb);
    if (kb == kNoOffset) return false;
    const std::string_view key = a.substr(pa + 1, ka - pa - 2);
    if (!same_string(key, b.substr(pb + 1, kb - pb - 2))) return rest_of_object(i, j, span);
    pa = skip_space(a, ka);
    pb = skip_space(b, kb);
    if (pa >= a.size() || pb >= b.size() || b[pb] != ':') return refuse("a colon after the key", pb);
    pa = skip_space(a, pa + 1);
    pb = skip_space(b, pb + 1);
    if (pa >= a.size() || pb >= b.size()) return refuse("a value", pb);
    if (a[pa] == b[pb] && is_open(a[pa])) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
    return resolve_value(static_cast<std::uint32_t>(pa), static_cast<std::uint32_t>(pb), i, j, span);
}

// The value of the current member differs; at least one side is a scalar.
bool Differ::resolve_value(std::uint32_t va, std::uint32_t vb, std::uint32_t& i, std::uint32_t& j, const Span& span) {
    Frame& top = frames_[depth_ - 1];
    const std::size_t ea = value_end(a_.substr(0, span.a1), va);
    const std::size_t eb = check_value(b_.substr(0, span.b1), vb, depth_left(), fault_);
    if (eb == kNoOffset) return false;
    if (ea == kNoOffset) return refuse("a value", eb);
    const std::string_view old = a_.substr(va, ea - va), value = b_.substr(vb, eb - vb);
    if (!same_value(old, value)) {
        append_token(top);
        // Another id: another element. The array around it is aligned from here on.
        const std::string_view token = std::string_view(path_).substr(top.path_length + 1);
        if (depth_ - 1 > span.floor && !frames_[depth_ - 2].object && is_id_key(token)) return rest_of_array(depth_ - 2, i, j, span);
        // `add` of a member that is there replaces it (RFC 6902 section 4.1), in four bytes less. Only members come here:
        // an element of an array that differs goes to rest_of_array.
        if (options_->tests) ops_.test(va, path_, old), ops_.replace(va, path_, value);
        else ops_.add(va, path_, value);
    }
    top.mark_a = static_cast<std::uint32_t>(ea);
    top.mark_b = static_cast<std::uint32_t>(eb);
    top.after = true;
    return behind_value(i, j, span);
}

// The value that ends at the frame's mark is done in both texts: a comma or the closing bracket follows.
bool Differ::behind_value(std::uint32_t& i, std::uint32_t& j, const Span& span) {
    Frame& top = frames_[depth_ - 1];
    const std::string_view a = a_.substr(0, span.a1), b = b_.substr(0, span.b1);
    const std::size_t pa = skip_space(a, top.mark_a), pb = skip_space(b, top.mark_b);
    const char close = top.object ? '}' : ']';
    if (pa >= a.size() || pb >= b.size() || (b[pb] != ',' && b[pb] != close))
        return refuse(top.object ? "a comma or }" : "a comma or ]", pb);
    if (a[pa] == b[pb]) return i = static_cast<std::uint32_t>(pa), j = static_cast<std::uint32_t>(pb), true;
    // One of them ends here: what the other still has is added or removed.
    top.mark_a = static_cast<std::uint32_t>(a[pa] == ',' ? pa + 1 : pa);
    top.mark_b = static_cast<std::uint32_t>(b[pb] == ',' ? pb + 1 : pb);
    top.after = false;
    ++top.index;
    return top.object ? rest_of_object(i, j, span) : rest_of_array(depth_ - 1, i, j, span);
}

// True when the child of b is one valid value and nothing else.
bool Differ::check_b(const Child& child, std::uint32_t end) {
    const std::size_t to = check_value(b_.substr(0, end), child.value, depth_left(), fault_);
    if (to == kNoOffset) return false;
    return to == child.value_end || refuse("a comma or a closing bracket", to);
}

}  // namespace tidegate
