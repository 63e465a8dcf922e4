#include "tidegate/hash.h"

#include <doctest/doctest.h>

using namespace tidegate;

TEST_SUITE("hash") {
    // The reference implementation's results (xxHash 0.8.1, xxhsum -H64), lengths on both sides of every branch.
    TEST_CASE("xxh64 gives the published results") {
        CHECK(xxh64("") == 0xef46db3751d8e999ull);
        CHECK(xxh64("a") == 0xd24ec4f1a98c6e5bull);
        CHECK(xxh64("abc") == 0x44bc2cf5ad770999ull);
        CHECK(xxh64("Nobody inspects the spammish repetition") == 0xfbcea83c8a378bf1ull);
        CHECK(xxh64("", 1) != xxh64("", 0));
    }

    TEST_CASE("every byte and every length counts") {
        std::string text(100, 'x');
        for (std::size_t n = 1; n <= text.size(); ++n) {
            CHECK(xxh64(std::string_view(text).substr(0, n)) != xxh64(std::string_view(text).substr(0, n - 1)));
            std::string other = text;
            other[n - 1] = 'y';
            CHECK(xxh64(other) != xxh64(text));
        }
    }

    TEST_CASE("hex64 writes sixteen digits") {
        CHECK(hex64(0) == "0000000000000000");
        CHECK(hex64(0x0123456789abcdefull) == "0123456789abcdef");
    }
}
