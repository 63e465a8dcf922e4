#include "tidegate/merge_text.h"

#include <algorithm>
#include <cstdint>

#include "tidegate/hash.h"
#include "tidegate/json_text.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"

namespace tidegate {

namespace {

enum class Unit { line, word };

// A text as tokens: where each begins, and a hash to compare by.
struct Tokens {
    std::string_view text;
    std::vector<std::uint32_t> starts;  // and the end of the text
    std::vector<std::uint64_t> hashes;
    std::size_t size() const { return hashes.size(); }
    std::string_view range(std::size_t from, std::size_t to) const { return text.substr(starts[from], starts[to] - starts[from]); }
};

bool is_word(char c) {
    const char lower = static_cast<char>(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

std::size_t token_end(std::string_view text, std::size_t at, Unit unit) {
    if (unit == Unit::line) return std::min(text.size(), at + simd::find_byte(text.substr(at), '\n') + 1);
    if (is_word(text[at])) {
        while (at < text.size() && is_word(text[at])) ++at;
        return at;
    }
    for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;) ++at;
    return at;
}

Tokens read_tokens(std::string_view text, Unit unit) {
    Tokens tokens{text, {}, {}};
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = token_end(text, at, unit);
        tokens.starts.push_back(static_cast<std::uint32_t>(at));
        tokens.hashes.push_back(xxh64(text.substr(at, end - at)));
        at = end;
    }
    tokens.starts.push_back(static_cast<std::uint32_t>(text.size()));
    return tokens;
}

// base[base_from, base_to) became other[from, to), counted in tokens.
struct Hunk {
    std::size_t base_from, base_to, from, to;
};

// The differences of a[a0, a1) and b[b0, b1), shortest edit script (Myers 1986, the greedy algorithm with its trace kept).
class Differences {
public:
    Differences(const Tokens& a, const Tokens& b) : a_(a), b_(b) {}

    std::vector<Hunk> find() {
        std::size_t head = 0, tail = 0;
        const std::size_t least = std::min(a_.size(), b_.size());
        while (head < least && same(head, head)) ++head;
        while (tail < least - head && same(a_.size() - 1 - tail, b_.size() - 1 - tail)) ++tail;
        const std::size_t n = a_.size() - head - tail, m = b_.size() - head - tail;
        if (n == 0 && m == 0) return {};
        if (n == 0 || m == 0 || !trace(head, n, m)) return {{head, head + n, head, head + m}};
        return walk_back(head, n, m);
    }

private:
    bool same(std::size_t i, std::size_t j) const {
        return a_.hashes[i] == b_.hashes[j] && simd::same_bytes(a_.range(i, i + 1), b_.range(j, j + 1));
    }

    static constexpr std::uint32_t kNowhere = 0xffffffff;

    // rows_[d][k + d]: how far in a diagonal k comes with d differences, or kNowhere. False when there are too many.
    bool trace(std::size_t head, std::size_t n, std::size_t m) {
        n_ = static_cast<std::ptrdiff_t>(n);
        m_ = static_cast<std::ptrdiff_t>(m);
        const std::ptrdiff_t most = std::min<std::ptrdiff_t>(n_ + m_, static_cast<std::ptrdiff_t>(kMaxTextChanges));
        for (std::ptrdiff_t d = 0; d <= most; ++d) {
            rows_.emplace_back(static_cast<std::size_t>(2 * d + 1), kNowhere);
            for (std::ptrdiff_t k = -d; k <= d; k += 2) {
                const Edit edit = d == 0 ? Edit{0, false} : best(d, k);
                if (edit.x < 0) continue;
                std::ptrdiff_t x = edit.x, y = x - k;
                while (x < n_ && y < m_ && same(head + static_cast<std::size_t>(x), head + static_cast<std::size_t>(y))) ++x, ++y;
                rows_.back()[static_cast<std::size_t>(k + d)] = static_cast<std::uint32_t>(x);
                if (x == n_ && y == m_) return true;
            }
        }
        return false;
    }

    // The single edit by which d differences come furthest on diagonal k: where in a it ends, and whether it adds a token of b.
    struct Edit {
        std::ptrdiff_t x;  // -1: there is none
        bool adds;
    };
    Edit best(std::ptrdiff_t d, std::ptrdiff_t k) const {
        const std::ptrdiff_t above = at(d - 1, k + 1), left = at(d - 1, k - 1);
        Edit edit{-1, false};
        if (above >= 0 && above - k <= m_) edit = {above, true};
        if (left >= 0 && left + 1 <= n_ && left + 1 > edit.x) edit = {left + 1, false};
        return edit;
    }
    std::ptrdiff_t at(std::ptrdiff_t d, std::ptrdiff_t k) const {
        if (k < -d || k > d) return -1;
        const std::uint32_t x = rows_[static_cast<std::size_t>(d)][static_cast<std::size_t>(k + d)];
        return x == kNowhere ? -1 : static_cast<std::ptrdiff_t>(x);
    }

    std::vector<Hunk> walk_back(std::size_t head, std::size_t n, std::size_t m) const {
        std::vector<Hunk> hunks;
        std::ptrdiff_t k = static_cast<std::ptrdiff_t>(n) - static_cast<std::ptrdiff_t>(m);
        for (std::ptrdiff_t d = static_cast<std::ptrdiff_t>(rows_.size()) - 1; d > 0; --d) {
            const Edit edit = best(d, k);
            const std::size_t base_to = head + static_cast<std::size_t>(edit.x);
            const std::size_t other_to = head + static_cast<std::size_t>(edit.x - k);
            const Hunk one{edit.adds ? base_to : base_to - 1, base_to, edit.adds ? other_to - 1 : other_to, other_to};
            if (!hunks.empty() && hunks.back().base_from == one.base_to && hunks.back().from == one.to) hunks.back().base_from = one.base_from, hunks.back().from = one.from;
            else hunks.push_back(one);
            k += edit.adds ? 1 : -1;
        }
        std::reverse(hunks.begin(), hunks.end());
        return hunks;
    }

    std::ptrdiff_t n_ = 0, m_ = 0;
    const Tokens &a_, &b_;
    std::vector<std::vector<std::uint32_t>> rows_;
};

class TextMerger {
public:
    explicit TextMerger(Side prefer) : prefer_(prefer) {}

    void merge(std::string_view base, std::string_view ours, std::string_view theirs, Unit unit) {
        const Tokens b = read_tokens(base, unit), o = read_tokens(ours, unit), t = read_tokens(theirs, unit);
        const std::vector<Hunk> x = Differences(b, o).find(), y = Differences(b, t).find();
        std::size_t at = 0, i = 0, j = 0;  // tokens of base that are done, hunks that are done
        while (i < x.size() || j < y.size()) {
            const std::size_t from = std::min(i < x.size() ? x[i].base_from : b.size(), j < y.size() ? y[j].base_from : b.size());
            std::size_t to = from;
            const std::size_t first_x = i, first_y = j;
            // Hunks that overlap or touch belong together.
            for (bool grown = true; grown;) {
                grown = false;
                for (; i < x.size() && x[i].base_from <= to; ++i) to = std::max(to, x[i].base_to), grown = true;
                for (; j < y.size() && y[j].base_from <= to; ++j) to = std::max(to, y[j].base_to), grown = true;
            }
            merged_.text += b.range(at, from);
            region(b.range(from, to), side(o, x, first_x, i, from, to), side(t, y, first_y, j, from, to), unit);
            at = to;
        }
        merged_.text += b.range(at, b.size());
    }

    TextMerge take() { return std::move(merged_); }

private:
    // What one side made of base[from, to): its hunks there, and base between them.
    static std::string_view side(const Tokens& tokens, const std::vector<Hunk>& hunks, std::size_t first, std::size_t end, std::size_t from, std::size_t to) {
        const std::size_t before = first ? hunks[first - 1].to + (from - hunks[first - 1].base_to) : from;
        const std::size_t behind = end ? hunks[end - 1].to + (to - hunks[end - 1].base_to) : to;
        return tokens.range(before, behind);
    }

    void region(std::string_view base, std::string_view ours, std::string_view theirs, Unit unit) {
        if (ours == theirs || theirs == base) {
            merged_.text += ours;
        } else if (ours == base) {
            merged_.text += theirs;
        } else if (unit == Unit::line && !base.empty()) {
            merge(base, ours, theirs, Unit::word);
        } else {
            merged_.clashes.push_back({merged_.text.size(), std::string(base), std::string(ours), std::string(theirs), prefer_});
            merged_.text += prefer_ == Side::ours ? ours : theirs;
        }
    }

    Side prefer_;
    TextMerge merged_;
};

}  // namespace

Result<TextMerge> merge_text(std::string_view base, std::string_view ours, std::string_view theirs, Side prefer) {
    for (const std::string_view text : {base, ours, theirs})
        if (text.size() > kMaxTextBytes) return Error{"json-size", "", say("a text has more than ", kMaxTextBytes, " bytes")};
    TextMerger merger(prefer);
    merger.merge(base, ours, theirs, Unit::line);
    return merger.take();
}

}  // namespace tidegate
