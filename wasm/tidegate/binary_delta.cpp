// The reader of VCDIFF. The writer is binary_delta_encode.cpp.
#include "tidegate/binary_delta.h"

#include <algorithm>
#include <cstring>

#include "tidegate/say.h"
#include "tidegate/simd.h"
#include "tidegate/vcdiff.h"

namespace tidegate {

namespace vcdiff {

std::uint32_t adler32(std::string_view bytes, std::uint32_t sum) {
    constexpr std::uint32_t kModulus = 65521;
    std::uint64_t a = sum & 0xffff, b = sum >> 16;
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    while (p != end) {
        const char* const step = p + std::min<std::size_t>(static_cast<std::size_t>(end - p), 1 << 20);  // far from 64 bits
        for (; step - p >= 256; p += 256) {
            const simd::ByteSums sums = simd::byte_sums_of_256(p);
            b += 256 * a + sums.weighted;
            a += sums.sum;
        }
        for (; p != step; ++p) {
            a += static_cast<unsigned char>(*p);
            b += a;
        }
        a %= kModulus;
        b %= kModulus;
    }
    return static_cast<std::uint32_t>(b << 16 | a);
}

}  // namespace vcdiff

namespace {

using namespace vcdiff;

constexpr std::array<Entry, 256> kTable = make_code_table();

// Reads one section; once something was not there, everything after it is refused too.
class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}
    bool ok() const { return ok_; }
    bool done() const { return at_ == bytes_.size(); }
    std::size_t at() const { return at_; }
    std::size_t left() const { return bytes_.size() - at_; }

    std::uint8_t byte() {
        if (at_ >= bytes_.size()) return fail();
        return static_cast<std::uint8_t>(bytes_[at_++]);
    }
    // Section 2: seven bits a byte, highest first. Values above 2^32 - 1 are refused.
    std::uint32_t integer() {
        std::uint64_t value = 0;
        for (int i = 0; i < 5; ++i) {
            const std::uint8_t b = byte();
            value = value << 7 | (b & 0x7fu);
            if (!(b & 0x80)) return value > 0xffffffffu ? fail() : static_cast<std::uint32_t>(value);
        }
        return fail();
    }
    std::string_view take(std::size_t n) {
        if (n > bytes_.size() - at_) {
            fail();
            return {};
        }
        at_ += n;
        return bytes_.substr(at_ - n, n);
    }

private:
    std::uint8_t fail() {
        ok_ = false;
        at_ = bytes_.size();
        return 0;
    }
    std::string_view bytes_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

Error refuse(const char* code, std::string message) { return Error{code, "", std::move(message)}; }

struct Window {
    std::string_view source;  // the segment copies address first
    bool own_target = false;  // the segment lies in the result itself, at `source_at`
    std::size_t source_at = 0, source_size = 0;
    std::uint32_t target_size = 0;
    bool checked = false;
    std::uint32_t checksum = 0;
    std::string_view data, instructions, addresses;
};

// The longest application header and the longest window, as a delta, that a stream waits for.
constexpr std::size_t kMaxAppHeaderBytes = 64 * 1024, kMaxWindowDeltaBytes = kMaxBlobBytes;
// No header of a window, up to the length of its target, is longer: an indicator and four integers.
constexpr std::size_t kLongestWindowHead = 1 + 4 * 5;

class Decoder {
public:
    Decoder(std::string_view base, std::size_t max_output) : base_(base), max_(max_output) {}

    Result<std::string> run(std::string_view delta) {
        in_ = Reader(delta);
        Error problem = header();
        while (problem.code.empty() && !in_.done()) problem = window();
        if (!problem.code.empty()) return problem;
        return std::move(out_);
    }

    // The header and the first window of `delta`, as far as they are whole: what it makes is in `made`, what was read in `used`.
    Error run_next(std::string_view delta, std::string_view& made, std::size_t& used) {
        in_ = Reader(delta);
        out_.clear();
        streaming_ = true;
        Error problem;
        if (!begun_ && header_is_whole()) {
            problem = header();
            begun_ = true;
        }
        if (begun_ && problem.code.empty() && window_is_whole(problem)) problem = window();
        if (!problem.code.empty()) out_.clear();   // half a window, or one whose checksum is wrong, is no result
        made = out_;
        used = in_.at();
        more_ = begun_ && problem.code.empty() && window_is_whole(problem);
        return problem;
    }
    bool begun() const { return begun_; }
    bool more() const { return more_; }

private:
    bool header_is_whole() const {
        Reader r = in_;
        r.take(4);
        const bool named = r.byte() & kAppHeader;
        if (!r.ok()) return false;
        if (!named) return true;
        const std::uint32_t size = r.integer();
        if (!r.ok()) return in_.left() >= 10;   // an integer of more than five bytes: header() refuses it
        return size > kMaxAppHeaderBytes || size <= r.left();
    }

    // False as long as more has to come. What can never become a window within the limits is a problem at once.
    bool window_is_whole(Error& problem) const {
        Reader r = in_;
        if (r.done()) return false;
        if (r.byte() & (kHasSource | kHasTarget)) r.integer(), r.integer();
        const std::uint32_t size = r.integer();
        Reader body = r;
        const std::uint32_t target = body.integer();
        if (!body.ok()) return in_.left() >= kLongestWindowHead || (r.ok() && size <= r.left());   // malformed: read_window() says how
        if (target > max_ - total_) problem = too_large();
        else if (size > kMaxWindowDeltaBytes) problem = refuse("delta-limit", say("a window of the delta has more than ", kMaxWindowDeltaBytes, " bytes"));
        return problem.code.empty() && size <= r.left();
    }

    Error too_large() const { return refuse("delta-limit", say("the result would have more than ", max_, " bytes")); }

    Error window() {
        Window window;
        const Error problem = read_window(window);
        return problem.code.empty() ? write_window(window) : problem;
    }

    Error header() {
        if (in_.take(4) != std::string_view("\xd6\xc3\xc4\0", 4)) return refuse("delta-syntax", "not a VCDIFF delta of version 0");
        const std::uint8_t indicator = in_.byte();
        if (!in_.ok()) return refuse("delta-syntax", "the header is cut");
        if (indicator & kSecondary) return refuse("delta-unsupported", "secondary compression is not read");
        if (indicator & kCodeTable) return refuse("delta-unsupported", "a code table of its own is not read");
        if (indicator & ~kAppHeader) return refuse("delta-syntax", "the header indicator has unknown bits");
        if (indicator & kAppHeader) {
            const std::uint32_t size = in_.integer();
            if (streaming_ && size > kMaxAppHeaderBytes) return refuse("delta-limit", say("the application header has more than ", kMaxAppHeaderBytes, " bytes"));
            in_.take(size);
        }
        return in_.ok() ? Error{} : refuse("delta-syntax", "the header is cut");
    }

    Error read_window(Window& w) {
        const std::uint8_t indicator = in_.byte();
        if (indicator & ~(kHasSource | kHasTarget | kHasChecksum) || (indicator & kHasSource && indicator & kHasTarget))
            return refuse("delta-syntax", say("the window indicator ", indicator, " is not known"));
        if (indicator & (kHasSource | kHasTarget)) {
            w.source_size = in_.integer();
            w.source_at = in_.integer();
            w.own_target = indicator & kHasTarget;
            if (w.own_target && streaming_) return refuse("delta-unsupported", "a window that copies from the result cannot be streamed");
            const std::size_t available = w.own_target ? out_.size() : base_.size();
            if (in_.ok() && (w.source_size > available || w.source_at > available - w.source_size))
                return refuse("delta-syntax", "the window's source segment lies outside of the base");
            if (in_.ok() && !w.own_target) w.source = base_.substr(w.source_at, w.source_size);
        }
        Reader body(in_.take(in_.integer()));
        w.target_size = body.integer();
        const std::uint8_t compressed = body.byte();
        const std::uint32_t data = body.integer(), instructions = body.integer(), addresses = body.integer();
        w.checked = indicator & kHasChecksum;
        for (int i = 0; w.checked && i < 4; ++i) w.checksum = w.checksum << 8 | body.byte();
        w.data = body.take(data);
        w.instructions = body.take(instructions);
        w.addresses = body.take(addresses);
        if (!in_.ok() || !body.ok()) return refuse("delta-syntax", "a window is cut");
        if (!body.done()) return refuse("delta-syntax", "a window is longer than its sections");
        if (compressed) return refuse("delta-unsupported", "secondary compression is not read");
        return {};
    }

    Error write_window(const Window& w) {
        if (w.target_size > max_ - total_) return too_large();
        total_ += w.target_size;
        const std::size_t start = out_.size();
        out_.reserve(start + w.target_size);
        sum_ = 1;
        checked_ = w.checked;
        Reader data(w.data), instructions(w.instructions), addresses(w.addresses);
        AddressCache cache;
        while (!instructions.done()) {
            const Entry& entry = kTable[instructions.byte()];
            for (const Instruction& one : {entry.first, entry.second}) {
                if (one.kind == kNoop) continue;
                const std::uint32_t size = one.size ? one.size : instructions.integer();
                if (!instructions.ok()) return refuse("delta-syntax", "an instruction is cut");
                if (size > w.target_size - (out_.size() - start)) return refuse("delta-syntax", "the instructions make more than the window announces");
                if (one.kind == kAdd) {
                    append(data.take(size));
                } else if (one.kind == kRun) {
                    const std::size_t before = out_.size();
                    out_.append(size, static_cast<char>(data.byte()));
                    count(before);
                } else {
                    const std::uint32_t here = static_cast<std::uint32_t>(w.source_size + (out_.size() - start));
                    const std::uint32_t address = read_address(addresses, cache, one.mode, here);
                    if (!addresses.ok() || address >= here) return refuse("delta-syntax", "a copy begins outside of what is there");
                    copy(w, start, address, size);
                }
                if (!data.ok()) return refuse("delta-syntax", "the data section is too short");
            }
        }
        if (out_.size() - start != w.target_size) return refuse("delta-syntax", "the instructions make less than the window announces");
        if (!data.done() || !addresses.done()) return refuse("delta-syntax", "a section is longer than the instructions use");
        if (w.checked && sum_ != w.checksum)
            return refuse("delta-checksum", "the result is not what was encoded: another base, or damage");
        return {};
    }

    // Section 5.3.
    static std::uint32_t read_address(Reader& addresses, AddressCache& cache, std::uint8_t mode, std::uint32_t here) {
        std::uint32_t address;
        if (mode == 0) address = addresses.integer();
        else if (mode == 1) address = here - addresses.integer();
        else if (mode < 2 + kNear) address = cache.near(mode - 2) + addresses.integer();
        else address = cache.same(static_cast<std::uint32_t>(mode - 2 - kNear) * 256 + addresses.byte());
        cache.update(address);
        return address;
    }

    // Takes the checksum piece by piece, while each is in the cache. REQUIRES: room for the bytes, which may lie in out_ itself.
    void append(std::string_view bytes) {
        constexpr std::size_t kPiece = 64 * 1024;
        for (std::size_t at = 0; at < bytes.size(); at += kPiece) {
            const std::size_t before = out_.size();
            out_.append(bytes.data() + at, std::min(kPiece, bytes.size() - at));
            count(before);
        }
    }
    void count(std::size_t from) {
        if (checked_) sum_ = adler32(std::string_view(out_).substr(from), sum_);
    }

    // A copy may begin in the source segment and run on into the target, and it may read what it writes (section 3).
    void copy(const Window& w, std::size_t start, std::uint32_t address, std::uint32_t size) {
        if (address < w.source_size) {
            const std::size_t n = std::min<std::size_t>(size, w.source_size - address);
            append({(w.own_target ? out_.data() + w.source_at : w.source.data()) + address, n});
            size -= static_cast<std::uint32_t>(n);
            address += static_cast<std::uint32_t>(n);
        }
        std::size_t from = start + (address - w.source_size);
        while (size) {
            const std::size_t n = std::min<std::size_t>(size, out_.size() - from);
            append({out_.data() + from, n});
            from += n;
            size -= static_cast<std::uint32_t>(n);
        }
    }

    std::string_view base_;
    Reader in_{{}};
    std::size_t max_, total_ = 0;   // bytes of all windows so far
    std::string out_;
    bool streaming_ = false, begun_ = false, more_ = false;
    std::uint32_t sum_ = 1;  // of this window so far
    bool checked_ = false;
};

}  // namespace

Result<std::string> apply_delta(std::string_view base, std::string_view delta, std::size_t max_output) {
    max_output = std::min(max_output, kMaxBlobBytes);
    if (base.size() > kMaxBlobBytes) return refuse("delta-size", say("the base has more than ", kMaxBlobBytes, " bytes"));
    return Decoder(base, max_output).run(delta);
}

struct DeltaStream::State {
    std::string base, pending;   // what came of the delta, and from `at` on was not read
    std::size_t at = 0;
    Decoder decoder;
    Error problem;

    State(std::string b, std::size_t max_output) : base(std::move(b)), decoder(base, std::min(max_output, kMaxBlobBytes)) {}
};

DeltaStream::DeltaStream(std::string base, std::size_t max_output) : state_(std::make_unique<State>(std::move(base), max_output)) {
    if (state_->base.size() > kMaxBlobBytes) state_->problem = refuse("delta-size", say("the base has more than ", kMaxBlobBytes, " bytes"));
}

DeltaStream::~DeltaStream() = default;

Result<std::string_view> DeltaStream::push(std::string_view piece) {
    State& s = *state_;
    if (!s.problem.code.empty()) return s.problem;
    if (!piece.empty()) {
        s.pending.erase(0, s.at);
        s.at = 0;
        s.pending.append(piece);
    }
    std::string_view made;
    std::size_t used = 0;
    s.problem = s.decoder.run_next(std::string_view(s.pending).substr(s.at), made, used);
    s.at += used;
    if (!s.problem.code.empty() && made.empty()) return s.problem;
    return made;
}

bool DeltaStream::more() const { return state_->decoder.more(); }

Result<std::string_view> DeltaStream::end() {
    State& s = *state_;
    if (s.problem.code.empty() && (!s.decoder.begun() || s.at < s.pending.size())) s.problem = refuse("delta-syntax", s.decoder.begun() ? "a window is cut" : "the header is cut");
    if (!s.problem.code.empty()) return s.problem;
    return std::string_view();
}

}  // namespace tidegate
