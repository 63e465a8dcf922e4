// The writer of VCDIFF. Compare first: blobs of which a part was edited are the same for long runs, at full memory speed. Where they
// differ, the next common run is looked for close by (bytes overwritten, inserted, deleted), and only when it is not there an index of
// the whole base is made, once (blocks of 16 bytes, as in rsync; Tridgell 1999).
#include <algorithm>
#include <cstring>
#include <vector>

#include "tidegate/binary_delta.h"
#include "tidegate/say.h"
#include "tidegate/simd.h"
#include "tidegate/vcdiff.h"

namespace tidegate {

namespace {

using namespace vcdiff;

constexpr std::size_t kAnchor = 32;         // bytes that must be equal for two places to be taken as the same
constexpr std::size_t kNearby = 64 * 1024;  // how far the next common run is looked for without the index
constexpr std::size_t kIndexBlock = 16;

// How many bytes a[i…] and b[j…] have in common.
std::size_t common_prefix(std::string_view a, std::size_t i, std::string_view b, std::size_t j) {
    const std::size_t n = std::min(a.size() - i, b.size() - j);
    const char *p = a.data() + i, *q = b.data() + j;
    std::size_t k = 0;
    for (; k + simd::kBlock <= n; k += simd::kBlock) {
        const simd::Block x = simd::load(p + k), y = simd::load(q + k);
        if (!simd::all_same(x, y)) return k + static_cast<std::size_t>(simd::lowest(~simd::same(x, y)));
    }
    while (k < n && p[k] == q[k]) ++k;
    return k;
}

std::size_t common_suffix(std::string_view a, std::size_t i, std::string_view b, std::size_t j, std::size_t limit) {
    std::size_t k = 0;
    while (k < limit && k < i && k < j && a[i - k - 1] == b[j - k - 1]) ++k;
    return k;
}

// The first place of `needle` (at least kAnchor bytes) in text[from, to + needle), or npos.
std::size_t find_anchor(std::string_view text, std::size_t from, std::size_t to, std::string_view needle) {
    if (text.size() < needle.size()) return std::string_view::npos;
    to = std::min(to, text.size() - needle.size() + 1);
    const std::size_t reach = needle.size() - 1;
    std::size_t i = from;
    for (; i + 16 <= to && i + reach + 16 <= text.size(); i += 16) {
        std::uint32_t hits = simd::pairs16(text.data() + i, needle.front(), text.data() + i + reach, needle.back());
        for (; hits; hits &= hits - 1) {
            const std::size_t at = i + static_cast<std::size_t>(__builtin_ctz(hits));
            if (std::memcmp(text.data() + at, needle.data(), needle.size()) == 0) return at;
        }
    }
    for (; i < to; ++i)
        if (std::memcmp(text.data() + i, needle.data(), needle.size()) == 0) return i;
    return std::string_view::npos;
}

// A run that both have: base[from, from + size) is next[at, at + size).
struct Match {
    std::size_t from = 0, at = 0, size = 0;
};

// Where in the base a block of 16 bytes is; of equal blocks the first.
class Index {
public:
    explicit Index(std::string_view base) : base_(base) {
        while ((std::size_t{1} << bits_) < base.size() / kIndexBlock * 2) ++bits_;
        slots_.assign(std::size_t{1} << bits_, 0);
        for (std::size_t i = 0; i + kIndexBlock <= base.size(); i += kIndexBlock) {
            std::uint32_t& slot = slots_[hash(base.data() + i)];
            if (slot == 0) slot = static_cast<std::uint32_t>(i + 1);
        }
    }
    // The place of the block at p, or npos.
    std::size_t find(const char* p) const {
        const std::uint32_t slot = slots_[hash(p)];
        return slot && std::memcmp(base_.data() + slot - 1, p, kIndexBlock) == 0 ? slot - 1 : std::string_view::npos;
    }

private:
    std::size_t hash(const char* p) const {
        std::uint64_t a, b;
        std::memcpy(&a, p, 8);
        std::memcpy(&b, p + 8, 8);
        return static_cast<std::size_t>((a * 0x9e3779b97f4a7c15ull ^ (b + (a >> 29)) * 0xc2b2ae3d27d4eb4full) >> (64 - bits_));
    }
    std::string_view base_;
    std::vector<std::uint32_t> slots_;
    int bits_ = 8;
};

class Matcher {
public:
    Matcher(std::string_view base, std::string_view next) : base_(base), next_(next), credit_(8 * (base.size() + next.size())) {}

    // The next common run at or behind `at`, after one that ended at base[from]. size 0: there is none.
    Match next(std::size_t from, std::size_t at) {
        if (from <= base_.size()) {
            const std::size_t here = common_prefix(base_, from, next_, at);
            if (here >= kAnchor || (here && from + here == base_.size())) return {from, at, here};
            // Blobs that have only short runs in common would pay for the search at every one of them.
            if (credit_ >= kNearby) {
                const Match close = nearby(from, at);
                if (close.size) return close;
                credit_ -= kNearby;
            }
        }
        return anywhere(at);
    }

private:
    // Takes the one of three explanations that leaves the fewest new bytes.
    Match nearby(std::size_t from, std::size_t at) {
        Match best;
        const auto offer = [&](std::size_t i, std::size_t j) {
            if (best.size && j >= best.at) return;
            const std::size_t size = common_prefix(base_, i, next_, j);
            if (size >= 2 * kAnchor || (size >= kAnchor && (i + size == base_.size() || j + size == next_.size()))) best = {i, j, size};
        };
        // Overwritten: the same distance on in both.
        const std::size_t left = std::min({base_.size() - from, next_.size() - at, kNearby});
        for (std::size_t k = 0; k + kAnchor <= left; k += 16) {
            if (!simd::same16(base_.data() + from + k, next_.data() + at + k)) continue;
            const std::size_t back = common_suffix(base_, from + k, next_, at + k, k);
            offer(from + k - back, at + k - back);
            if (best.size) break;
        }
        // Deleted, or overwritten by fewer bytes: what next goes on with is found further on in the base.
        for (const std::size_t skip : {std::size_t{0}, std::size_t{1024}, std::size_t{4096}}) {
            if (best.size && best.at <= at + skip) break;
            if (at + skip + kAnchor > next_.size()) break;
            const std::size_t found = find_anchor(base_, from, from + kNearby, next_.substr(at + skip, kAnchor));
            if (found == std::string_view::npos) continue;
            const std::size_t back = common_suffix(base_, found, next_, at + skip, std::min(skip, found - from));
            offer(found - back, at + skip - back);
        }
        // Inserted, or overwritten by more bytes: what the base goes on with is found further on in next.
        for (const std::size_t skip : {std::size_t{0}, std::size_t{1024}, std::size_t{4096}}) {
            if (from + skip + kAnchor > base_.size()) break;
            const std::size_t found = find_anchor(next_, at, std::min(at + kNearby, best.size ? best.at + skip : next_.size()), base_.substr(from + skip, kAnchor));
            if (found == std::string_view::npos) continue;
            const std::size_t back = common_suffix(base_, from + skip, next_, found, std::min(skip, found - at));
            offer(from + skip - back, found - back);
        }
        return best;
    }

    Match anywhere(std::size_t at) {
        if (base_.size() < kAnchor) return {};
        if (!index_made_) {
            index_ = Index(base_);
            index_made_ = true;
        }
        const std::size_t start = at;
        for (; at + kAnchor <= next_.size(); ++at) {
            const std::size_t from = index_.find(next_.data() + at);
            if (from == std::string_view::npos) continue;
            const std::size_t size = common_prefix(base_, from, next_, at);
            const std::size_t back = common_suffix(base_, from, next_, at, at - start);
            if (size + back >= kAnchor) return {from - back, at - back, size + back};
        }
        return {};
    }

    std::string_view base_, next_;
    std::size_t credit_;  // bytes that searches close by may still look at in vain
    Index index_{std::string_view()};
    bool index_made_ = false;
};

void append_integer(std::string& out, std::uint32_t value) {
    char digits[5];
    int n = 0;
    do digits[n++] = static_cast<char>(value & 0x7f);
    while (value >>= 7);
    while (n > 1) out.push_back(static_cast<char>(digits[--n] | 0x80));
    out.push_back(digits[0]);
}

int integer_size(std::uint32_t value) {
    int n = 1;
    while (value >>= 7) ++n;
    return n;
}

// One window: the sections of section 4.3.
class WindowWriter {
public:
    explicit WindowWriter(std::size_t source_size) : source_size_(static_cast<std::uint32_t>(source_size)) {}

    void add(std::string_view bytes) {
        if (bytes.empty()) return;
        const std::uint32_t size = static_cast<std::uint32_t>(bytes.size());
        instructions_.push_back(static_cast<char>(size <= 17 ? 1 + size : 1));
        if (size > 17) append_integer(instructions_, size);
        data_ += bytes;
        written_ += size;
    }

    void copy(std::uint32_t address, std::uint32_t size) {
        if (size == 0) return;
        const std::uint32_t here = source_size_ + written_;
        int mode = 0, cost = integer_size(address);
        std::uint32_t value = address;
        const auto offer = [&](int candidate, std::uint32_t v, int bytes) {
            if (bytes < cost) mode = candidate, value = v, cost = bytes;
        };
        offer(1, here - address, integer_size(here - address));
        for (int i = 0; i < kNear; ++i)
            if (address >= cache_.near(i)) offer(2 + i, address - cache_.near(i), integer_size(address - cache_.near(i)));
        const std::uint32_t slot = address % (kSame * 256);
        if (cache_.same(slot) == address) offer(2 + kNear + static_cast<int>(slot / 256), slot % 256, 1);
        const bool short_size = size >= 4 && size <= 18;
        instructions_.push_back(static_cast<char>(19 + 16 * mode + (short_size ? static_cast<int>(size) - 3 : 0)));
        if (!short_size) append_integer(instructions_, size);
        if (mode >= 2 + kNear) addresses_.push_back(static_cast<char>(value));
        else append_integer(addresses_, value);
        cache_.update(address);
        written_ += size;
    }

    void finish(std::string& out, std::size_t target_size, bool checksum, std::uint32_t sum) const {
        std::string head;
        append_integer(head, static_cast<std::uint32_t>(target_size));
        head.push_back(0);
        append_integer(head, static_cast<std::uint32_t>(data_.size()));
        append_integer(head, static_cast<std::uint32_t>(instructions_.size()));
        append_integer(head, static_cast<std::uint32_t>(addresses_.size()));
        if (checksum) {
            for (int shift = 24; shift >= 0; shift -= 8) head.push_back(static_cast<char>(sum >> shift & 0xff));
        }
        out.push_back(static_cast<char>((source_size_ ? kHasSource : 0) | (checksum ? kHasChecksum : 0)));
        if (source_size_) {
            append_integer(out, source_size_);
            append_integer(out, 0);
        }
        append_integer(out, static_cast<std::uint32_t>(head.size() + data_.size() + instructions_.size() + addresses_.size()));
        out.append(head).append(data_).append(instructions_).append(addresses_);
    }

private:
    std::uint32_t source_size_, written_ = 0;
    std::string data_, instructions_, addresses_;
    AddressCache cache_;
};

}  // namespace

Result<std::string> encode_delta(std::string_view base, std::string_view next, const BinaryDeltaOptions& options) {
    if (base.size() > kMaxBlobBytes || next.size() > kMaxBlobBytes)
        return Error{"delta-size", "", say("a blob has more than ", kMaxBlobBytes, " bytes")};
    std::string out("\xd6\xc3\xc4\0\0", 5);
    Matcher matcher(base, next);
    std::size_t from = 0;  // where in the base the last run ended
    // An empty blob has one empty window: the RFC takes none, xdelta3 does not.
    for (std::size_t start = 0; start == 0 || start < next.size(); start += kDeltaWindowBytes) {
        const std::size_t end = std::min(next.size(), start + kDeltaWindowBytes);
        WindowWriter window(base.size());
        std::uint32_t sum = 1;
        const auto count = [&](std::size_t begin, std::size_t behind) {
            if (options.checksum) sum = adler32(next.substr(begin, behind - begin), sum);
        };
        for (std::size_t at = start; at < end;) {
            Match match = matcher.next(from, at);
            if (match.size == 0 || match.at >= end) {
                window.add(next.substr(at, end - at));
                count(at, end);
                // A run found behind this window is looked for again from its own start.
                break;
            }
            match.size = std::min(match.size, end - match.at);
            window.add(next.substr(at, match.at - at));
            window.copy(static_cast<std::uint32_t>(match.from), static_cast<std::uint32_t>(match.size));
            count(at, match.at + match.size);
            at = match.at + match.size;
            from = match.from + match.size;
        }
        window.finish(out, end - start, options.checksum, sum);
    }
    return out;
}

}  // namespace tidegate
