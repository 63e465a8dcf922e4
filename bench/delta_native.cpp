// The diff of bench/delta.mjs, native: the same documents, the same code, compiled by the C++ compiler of the machine. Prints microseconds of CPU time
// per document, one number a round.
//
//   delta_native FILE ROUNDS      FILE: pairs, each two lengths (32 bit, little-endian) and the two texts
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "tidegate/diff.h"

int main(int argc, char** argv) {
    std::FILE* file = argc == 3 ? std::fopen(argv[1], "rb") : nullptr;
    if (!file) return 2;
    std::vector<std::string> texts;
    for (std::uint32_t lengths[2]; std::fread(lengths, 4, 2, file) == 2;)
        for (const std::uint32_t length : lengths) {
            std::string text(length, '\0');
            if (std::fread(text.data(), 1, length, file) != length) return 2;
            texts.push_back(text);
        }
    std::fclose(file);
    tidegate::JsonDiffer differ;
    tidegate::DiffOptions options;
    options.trusted_base = true;
    std::size_t bytes = 0;
    for (int round = std::atoi(argv[2]) + 3; round > 0; --round) {
        const std::clock_t start = std::clock();
        for (std::size_t i = 0; i + 1 < texts.size(); i += 2) bytes += differ.patch(texts[i], texts[i + 1], options).value().size();
        const double us = 1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        std::printf("%.3f\n", us / (static_cast<double>(texts.size()) / 2));
    }
    return bytes == 0;
}
