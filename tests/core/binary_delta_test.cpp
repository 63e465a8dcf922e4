#include "tidegate/binary_delta.h"

#include <doctest/doctest.h>

#include "delta_support.h"
#include "tidegate/vcdiff.h"

using namespace tidegate;
using namespace tidegate::delta_test;

namespace {

std::string random_bytes(Random& random, std::size_t size, unsigned alphabet = 256) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random.next() % alphabet);
    return out;
}

std::string edited(Random& random, std::string bytes, int edits) {
    for (int i = 0; i < edits; ++i) {
        const std::size_t at = random.next() % (bytes.size() + 1), size = random.next() % 300;
        const std::string fresh = random_bytes(random, size);
        switch (random.next() % 3) {
            case 0: bytes.insert(at, fresh); break;
            case 1: bytes.erase(at, size); break;
            default: bytes.replace(at, std::min(size, bytes.size() - at), fresh);
        }
    }
    return bytes;
}

void check_round_trip(const std::string& base, const std::string& next) {
    for (const bool checksum : {true, false}) {
        const Result<std::string> delta = encode_delta(base, next, {checksum});
        REQUIRE(delta.ok());
        const Result<std::string> back = apply_delta(base, delta.value());
        REQUIRE(back.ok());
        REQUIRE(back.value() == next);
    }
}

// What the stream makes of the delta in pieces of these sizes, or the error's code after "!".
std::string streamed(const std::string& base, std::string_view delta, Random& random, std::size_t most, std::size_t max_output = kMaxBlobBytes) {
    DeltaStream stream(base, max_output);
    std::string out;
    while (!delta.empty()) {
        const std::size_t size = std::min<std::size_t>(delta.size(), 1 + random.next() % most);
        std::string_view piece = delta.substr(0, size);
        do {
            const Result<std::string_view> made = stream.push(piece);
            if (!made.ok()) {
                CHECK(stream.push("").error().code == made.error().code);
                return "!" + made.error().code;
            }
            out += made.value();
            piece = {};
        } while (stream.more());
        delta.remove_prefix(size);
    }
    const Result<std::string_view> end = stream.end();
    return end.ok() ? out : "!" + end.error().code;
}

}  // namespace

TEST_SUITE("binary delta") {
    TEST_CASE("vcdiff-targeted: positive deltas decode to their target, negative ones are refused") {
        const Json vectors = read_fixture_json("vcdiff-targeted.json");
        int positive = 0, negative = 0;
        for (const auto& vector : vectors.items()) {
            const auto part = [&](const char* name) { return vector.value()[name].is_string() ? from_base64(vector.value()[name].get<std::string>()) : std::string(); };
            const Result<std::string> result = apply_delta(part("source"), part("delta"));
            CAPTURE(vector.key());
            if (vector.key().rfind("negative", 0) == 0) {
                CHECK_FALSE(result.ok());
                ++negative;
            } else {
                REQUIRE_MESSAGE(result.ok(), result.error().message);
                CHECK(result.value() == part("target"));
                ++positive;
            }
        }
        CHECK(positive == 26);
        CHECK(negative == 33);
    }

    TEST_CASE("every edit comes back, at every size around the limits of the search") {
        Random random(5);
        for (const std::size_t size : {0u, 1u, 15u, 16u, 31u, 32u, 33u, 63u, 64u, 65u, 1000u, 20000u}) {
            for (int round = 0; round < 60; ++round) {
                const std::string base = random_bytes(random, size, round % 2 ? 256 : 3);
                check_round_trip(base, edited(random, base, static_cast<int>(random.next() % 6)));
            }
            check_round_trip(random_bytes(random, size), random_bytes(random, size));
        }
    }

    TEST_CASE("small edits of a large blob cost little more than what is new") {
        Random random(6);
        const std::string base = random_bytes(random, 1 << 20);
        std::string next = base;
        next.replace(1000, 50, random_bytes(random, 50));
        next.insert(300000, random_bytes(random, 700));
        next.erase(600000, 2000);
        next.replace(900000, 500, random_bytes(random, 900));
        const std::string delta = encode_delta(base, next).value();
        CHECK(delta.size() < 50 + 700 + 900 + 100);
        CHECK(apply_delta(base, delta).value() == next);
    }

    TEST_CASE("a part moved far away is copied from where it was") {
        Random random(7);
        const std::string base = random_bytes(random, 400000);
        const std::string next = base.substr(300000) + base.substr(0, 300000);
        const std::string delta = encode_delta(base, next).value();
        CHECK(delta.size() < 100);
        CHECK(apply_delta(base, delta).value() == next);
    }

    TEST_CASE("targets of several windows come back") {
        std::string base(kDeltaWindowBytes + 12345, 'a');
        for (std::size_t i = 0; i < base.size(); i += 97) base[i] = static_cast<char>(i >> 8);
        std::string next = base;
        next.insert(kDeltaWindowBytes - 10, "inserted across the border of two windows");
        const std::string delta = encode_delta(base, next).value();
        CHECK(delta.size() < 300);
        CHECK(apply_delta(base, delta).value() == next);
    }

    TEST_CASE("a wrong base is noticed, and so is damage") {
        Random random(8);
        const std::string base = random_bytes(random, 5000);
        const std::string next = edited(random, base, 3);
        std::string other = base;
        other[2500] = static_cast<char>(other[2500] + 1);
        const std::string delta = encode_delta(base, next).value();
        CHECK(apply_delta(other, delta).error().code == "delta-checksum");
        for (std::size_t i = 0; i < delta.size(); ++i) {
            std::string damaged = delta;
            damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
            const Result<std::string> result = apply_delta(base, damaged);
            CHECK((!result.ok() || result.value() == next));
        }
        for (std::size_t n = 0; n < delta.size(); ++n)
            if (n != 5) CHECK_FALSE(apply_delta(base, std::string_view(delta).substr(0, n)).ok());
    }

    TEST_CASE("vcdiff-targeted in pieces: the same targets and refusals, but for windows that copy from the result") {
        const Json vectors = read_fixture_json("vcdiff-targeted.json");
        Random random(10);
        int same = 0, from_target = 0;
        for (const auto& vector : vectors.items()) {
            const auto part = [&](const char* name) { return vector.value()[name].is_string() ? from_base64(vector.value()[name].get<std::string>()) : std::string(); };
            const Result<std::string> whole = apply_delta(part("source"), part("delta"));
            CAPTURE(vector.key());
            for (const std::size_t most : {1u, 7u, 100000u}) {
                const std::string made = streamed(part("source"), part("delta"), random, most);
                if (made == "!delta-unsupported" && (whole.ok() || whole.error().code != "delta-unsupported")) ++from_target;
                else if (whole.ok()) CHECK(made == whole.value());
                else CHECK(made.substr(0, 7) == "!delta-");
                same += whole.ok() && made == whole.value();
            }
        }
        CHECK(same + from_target >= 26 * 3);
        CHECK(from_target < 26);
    }

    TEST_CASE("a stream gives what the whole gives, for every cut and damaged delta too, and lets each window go when it is made") {
        Random random(11);
        for (int round = 0; round < 200; ++round) {
            const std::string base = random_bytes(random, 3000, round % 2 ? 256 : 3), next = edited(random, base, 3);
            const std::string delta = encode_delta(base, next).value();
            CHECK(streamed(base, delta, random, 1 + random.next() % 50) == next);
            const std::string cut = delta.substr(0, random.next() % delta.size());
            const Result<std::string> whole = apply_delta(base, cut);
            // The header alone is a delta of nothing for both.
            CHECK(streamed(base, cut, random, 20) == (whole.ok() ? whole.value() : "!" + whole.error().code));
            std::string damaged = delta;
            damaged[random.next() % damaged.size()] ^= static_cast<char>(1 + random.next() % 255);
            const Result<std::string> of_damaged = apply_delta(base, damaged);
            const std::string made = streamed(base, damaged, random, 20);
            if (of_damaged.ok()) CHECK((made == of_damaged.value() || made == "!delta-unsupported"));
            else CHECK(made[0] == '!');
        }
        const std::string large = random_bytes(random, kDeltaWindowBytes * 2 + 1000, 4);
        const std::string delta = encode_delta("", large).value();
        DeltaStream stream("");
        std::string out;
        std::size_t most = 0, times = 0;
        std::string_view piece = delta;   // all at once
        do {
            const auto made = stream.push(piece);
            REQUIRE(made.ok());
            out += made.value();
            most = std::max(most, made.value().size());
            times += !made.value().empty();
            piece = {};
        } while (stream.more());
        CHECK(stream.end().ok());
        CHECK((out == large));
        CHECK(times == 3);
        CHECK(most <= kDeltaWindowBytes);
    }

    TEST_CASE("a stream gives nothing of a window that is wrong, and all of those before it") {
        Random random(13);
        const std::string large = random_bytes(random, kDeltaWindowBytes + 5000);
        std::string delta = encode_delta("", large).value();
        delta[delta.size() - 2000] = static_cast<char>(delta[delta.size() - 2000] ^ 1);   // among the data of the last window
        DeltaStream stream("");
        const auto first = stream.push(delta);
        REQUIRE(first.ok());
        CHECK((first.value() == std::string_view(large).substr(0, kDeltaWindowBytes)));
        REQUIRE(stream.more());
        CHECK(stream.push("").error().code == "delta-checksum");
        CHECK_FALSE(stream.more());
        CHECK_FALSE(stream.end().ok());
    }

    TEST_CASE("a stream refuses what passes its limits before it has all come") {
        Random random(12);
        const std::string delta = encode_delta("", random_bytes(random, 100000)).value();
        DeltaStream stream("", 99999);
        CHECK(stream.push(std::string_view(delta).substr(0, 40)).error().code == "delta-limit");
        const std::string app_header("\xd6\xc3\xc4\0\4\x84\x80\1", 8);   // 65 537 bytes of it
        CHECK(streamed("", app_header, random, 3) == "!delta-limit");
        const std::string window("\xd6\xc3\xc4\0\0\0\x81\x80\x80\x80\1\1", 12);   // of 2^28 + 1 bytes that make one
        CHECK(streamed("", window, random, 3) == "!delta-limit");
        const std::string endless = std::string("\xd6\xc3\xc4\0\0\0", 6) + std::string(30, '\xff');   // an integer without end
        CHECK(streamed("", endless, random, 1) == "!delta-syntax");
        CHECK(streamed("", "PKPKPKPK", random, 1) == "!delta-syntax");
        CHECK(streamed("", "", random, 1) == "!delta-syntax");
    }

    TEST_CASE("a delta cannot make more than it is allowed to") {
        // A run of 2^31 bytes, in a window that says so.
        const std::string size("\x88\x80\x80\x80\0", 5);
        const std::string bomb = std::string("\xd6\xc3\xc4\0\0\0\x10", 7) + size + std::string("\0\1\6\0x\0", 6) + size;
        CHECK(apply_delta("", bomb).error().code == "delta-limit");
        const std::string delta = encode_delta("", std::string(1000, 'x')).value();
        CHECK(apply_delta("", delta, 999).error().code == "delta-limit");
        CHECK(apply_delta("", delta, 1000).ok());
    }

    TEST_CASE("what other encoders may use and we do not is refused by name") {
        CHECK(apply_delta("", std::string("\xd6\xc3\xc4\0\1", 5)).error().code == "delta-unsupported");
        CHECK(apply_delta("", std::string("\xd6\xc3\xc4\0\2", 5)).error().code == "delta-unsupported");
        CHECK(apply_delta("", "PK").error().code == "delta-syntax");
    }

    TEST_CASE("adler32 gives the published result and agrees with a plain loop") {
        CHECK(vcdiff::adler32("Wikipedia") == 0x11e60398u);
        CHECK(vcdiff::adler32("") == 1u);
        Random random(9);
        for (const std::size_t size : {15u, 16u, 5551u, 5552u, 5553u, 100000u}) {
            std::string bytes = random_bytes(random, size);
            if (size == 100000u) bytes.assign(size, '\xff');
            std::uint32_t a = 1, b = 0;
            for (const char c : bytes) {
                a = (a + static_cast<unsigned char>(c)) % 65521;
                b = (b + a) % 65521;
            }
            CHECK(vcdiff::adler32(bytes) == (b << 16 | a));
        }
    }
}
