#include <doctest/doctest.h>

#include <string>

#include "tidegate/merge_text.h"
#include "tidegate/random.h"

using namespace tidegate;

namespace {

TextMerge merged(std::string_view base, std::string_view ours, std::string_view theirs, Side prefer = Side::ours) {
    return merge_text(base, ours, theirs, prefer).value();
}

std::string some_text(Random& random, int lines) {
    static const char* const kWords[] = {"pump", "valve", "rusty", "checked", "Zoë", "東京", "37.5", ",", "\n"};
    std::string out;
    for (int i = 0; i < lines * 4; ++i) out += std::string(kWords[random.next() % 9]) + (random.next() % 3 ? " " : "\n");
    return out;
}

std::string edited(Random& random, std::string text) {
    for (std::uint64_t n = random.next() % 4; n > 0 && !text.empty(); --n) {
        const std::size_t at = random.next() % text.size();
        if (random.next() % 2) text.insert(at, some_text(random, 1));
        else text.erase(at, 1 + random.next() % 12);
    }
    return text;
}

}  // namespace

TEST_SUITE("merge_text") {
    TEST_CASE("changes of different lines are both kept") {
        const TextMerge m = merged("one\ntwo\nthree\n", "one\n2\nthree\n", "one\ntwo\nthree\nfour\n");
        CHECK(m.text == "one\n2\nthree\nfour\n");
        CHECK(m.clashes.empty());
    }

    TEST_CASE("changes of different words in one line are both kept") {
        const TextMerge m = merged("the pump is old and leaks", "the pump is new and leaks", "the blue pump is old and leaks");
        CHECK(m.text == "the blue pump is new and leaks");
        CHECK(m.clashes.empty());
    }

    TEST_CASE("the same word changed by both is a clash, decided by prefer") {
        const TextMerge ours = merged("colour: red\nsize: 3\n", "colour: blue\nsize: 3\n", "colour: green\nsize: 4\n");
        CHECK(ours.text == "colour: blue\nsize: 4\n");
        REQUIRE(ours.clashes.size() == 1);
        CHECK(ours.clashes[0].base == "red");
        CHECK(ours.clashes[0].ours == "blue");
        CHECK(ours.clashes[0].theirs == "green");
        CHECK(ours.text.substr(ours.clashes[0].at, 4) == "blue");
        CHECK(merged("colour: red\nsize: 3\n", "colour: blue\nsize: 3\n", "colour: green\nsize: 4\n", Side::theirs).text == "colour: green\nsize: 4\n");
    }

    TEST_CASE("removed by one and changed by the other is a clash") {
        const TextMerge m = merged("a\nb\nc\n", "a\nc\n", "a\nB\nc\n");
        REQUIRE(m.clashes.size() == 1);
        CHECK(m.clashes[0].ours.empty());
    }

    TEST_CASE("the same change of both is taken once") {
        CHECK(merged("a b c", "a x c", "a x c").text == "a x c");
        CHECK(merged("a\n", "a\nb\n", "a\nb\n").text == "a\nb\n");
    }

    TEST_CASE("a side that changed nothing changes nothing, and swapping the sides with prefer gives the same text") {
        for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
            CAPTURE(seed);
            Random random(seed);
            const std::string base = some_text(random, 6), ours = edited(random, base), theirs = edited(random, base);
            CHECK(merged(base, ours, base).text == ours);
            CHECK(merged(base, base, theirs).text == theirs);
            CHECK(merged(base, ours, ours).text == ours);
            const TextMerge one = merged(base, ours, theirs, Side::ours), other = merged(base, theirs, ours, Side::theirs);
            CHECK(one.text == other.text);
            CHECK(one.clashes.size() == other.clashes.size());
        }
    }

    TEST_CASE("texts with nothing in common end in bounded work") {
        std::string a, b;
        for (int i = 0; i < 20000; ++i) a += std::to_string(i) + "\n", b += std::to_string(-i) + "x\n";
        CHECK(merged(a, b, a).text == b);
    }
}
