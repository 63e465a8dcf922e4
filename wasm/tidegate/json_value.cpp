#include "tidegate/json_value.h"

#include <algorithm>
#include <cstring>

#include "tidegate/hash.h"
#include "tidegate/simd.h"
#include "tidegate/sort.h"

namespace tidegate {

namespace {

bool same_object(std::string_view a, const std::vector<Child>& as, std::string_view b, const std::vector<Child>& bs);

bool same_container(std::string_view a, std::string_view b) {
    std::vector<Child> as, bs;
    if (split(a, 0, as) == kNoOffset || split(b, 0, bs) == kNoOffset) return false;
    if (a[0] == '{') return same_object(a, as, b, bs);
    if (as.size() != bs.size()) return false;
    for (std::size_t i = 0; i < as.size(); ++i)
        if (!same_value(value_of(a, as[i]), value_of(b, bs[i]))) return false;
    return true;
}

bool same_object(std::string_view a, const std::vector<Child>& as, std::string_view b, const std::vector<Child>& bs) {
    const std::vector<KeyedChild> x = members_by_key(a, as), y = members_by_key(b, bs);
    if (x.size() != y.size()) return false;
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (x[i].key != y[i].key) return false;
        if (!same_value(value_of(a, as[x[i].index]), value_of(b, bs[y[i].index]))) return false;
    }
    return true;
}

// A number's significant digits (at most 18, read as one integer), its sign and its decimal point.
std::uint64_t digits_hash(std::uint64_t digits, std::int64_t point, bool negative) {
    return mix64(digits * 0x9e3779b97f4a7c15ull + (static_cast<std::uint64_t>(point) << 1 | (negative ? 1u : 0u)));
}

// Equal for equal decimals. Short integers, the common case, without a Decimal.
std::uint64_t number_hash(std::string_view number) {
    const bool negative = number[0] == '-';
    std::uint64_t value = 0;
    std::size_t at = negative ? 1 : 0;
    const std::size_t first = at;
    for (; at < number.size() && at - first < 18 && number[at] >= '0' && number[at] <= '9'; ++at) value = value * 10 + static_cast<std::uint64_t>(number[at] - '0');
    if (at == number.size()) {
        if (value == 0) return digits_hash(0, 0, false);
        while (value % 10 == 0) value /= 10;
        return digits_hash(value, static_cast<std::int64_t>(at - first), negative);
    }
    const Decimal d = read_decimal(number);
    if (!d.huge && d.digits.size() <= 18) {
        value = 0;
        for (const char c : d.digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
        return digits_hash(value, d.point, d.negative);
    }
    if (d.huge) return xxh64(number, 3);
    return xxh64(d.digits, (static_cast<std::uint64_t>(d.point) << 1 | (d.negative ? 1u : 0u)) + 5);
}

// Hashes the value at `at` and moves behind it. Members are summed, so their order does not count.
std::uint64_t hash_at(std::string_view text, std::size_t& at, int depth) {
    at = skip_space(text, at);
    const char c = at < text.size() ? text[at] : '\0';
    const std::size_t from = at;
    if (c == '"') {
        const std::size_t end = string_end(text, at);
        at = end == kNoOffset ? text.size() : end;
        return end == kNoOffset ? 1 : string_hash(text.substr(from + 1, end - from - 2));
    }
    if (c != '{' && c != '[') {
        const std::size_t end = value_end(text, at);
        at = end == kNoOffset ? text.size() : end;
        const std::string_view word = text.substr(from, at - from);
        return c == '-' || (c >= '0' && c <= '9') ? number_hash(word) : xxh64(word, 7);
    }
    const char close = c == '{' ? '}' : ']';
    std::uint64_t sum = c == '{' ? 11 : 13;
    if (depth >= kMaxTextDepth) {
        at = text.size();
        return sum;
    }
    at = skip_space(text, at + 1);
    while (at < text.size() && text[at] != close) {
        if (c == '{') {
            const std::uint64_t key = hash_at(text, at, depth + 1);
            at = skip_space(text, at);
            if (at < text.size() && text[at] == ':') ++at;
            const std::uint64_t value = hash_at(text, at, depth + 1);
            sum += mix64(key + 0x9e3779b97f4a7c15ull * value);
        } else {
            sum = mix64(sum + 0x9e3779b97f4a7c15ull * hash_at(text, at, depth + 1));
        }
        at = skip_space(text, at);
        if (at < text.size() && text[at] == ',') ++at;
        else break;
        at = skip_space(text, at);
    }
    if (at < text.size()) ++at;
    return mix64(sum);
}

// Two different texts of this kind are two different numbers: no exponent, no zero at the end of a fraction, not -0.
bool shortest(std::string_view number) {
    bool fraction = false;
    for (const char c : number) {
        if (c == '.') fraction = true;
        else if (c == 'e' || c == 'E') return false;
    }
    return number[0] != '-' || number != "-0" ? !fraction || number.back() != '0' : false;
}

}  // namespace

std::vector<KeyedChild> members_by_key(std::string_view text, const std::vector<Child>& members) {
    std::vector<KeyedChild> all(members.size());
    for (std::uint32_t i = 0; i < members.size(); ++i) {
        append_unescaped(all[i].key, key_of(text, members[i]));
        all[i].index = i;
    }
    sort_all(all.begin(), all.end(), [](const KeyedChild& x, const KeyedChild& y) {
        const int c = x.key.compare(y.key);
        return c != 0 ? c < 0 : x.index > y.index;
    });
    all.erase(std::unique(all.begin(), all.end(), [](const KeyedChild& x, const KeyedChild& y) { return x.key == y.key; }), all.end());
    return all;
}

void pair_members(std::string_view a, const std::vector<Child>& as, std::string_view b, const std::vector<Child>& bs, MemberPairs& pairs) {
    std::vector<std::int32_t>& of_b = pairs.of_b;
    std::vector<char>& used = pairs.used;
    of_b.assign(bs.size(), -1);
    used.assign(as.size(), 0);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> index;  // by hash of the key; only for large objects
    if (as.size() > 24 && bs.size() > 1) {
        for (std::uint32_t k = 0; k < as.size(); ++k) index.push_back({string_hash(key_of(a, as[k])), k});
        sort_all(index.begin(), index.end());
    }
    std::size_t hint = 0;
    const auto same_key = [&](std::size_t k, std::string_view key) { return !used[k] && same_string(key_of(a, as[k]), key); };
    for (std::size_t m = 0; m < bs.size(); ++m) {
        const std::string_view key = key_of(b, bs[m]);
        std::size_t found = as.size();
        if (hint < as.size() && same_key(hint, key)) {
            found = hint;
        } else if (index.empty()) {
            for (found = 0; found < as.size() && !same_key(found, key);) ++found;
        } else {
            const std::uint64_t hash = string_hash(key);
            auto it = std::lower_bound(index.begin(), index.end(), std::pair<std::uint64_t, std::uint32_t>{hash, 0});
            while (it != index.end() && it->first == hash && !same_key(it->second, key)) ++it;
            if (it != index.end() && it->first == hash) found = it->second;
        }
        if (found == as.size()) continue;
        of_b[m] = static_cast<std::int32_t>(found);
        used[found] = 1;
        hint = found + 1;
    }
}

std::string_view find_id(std::string_view text, const std::vector<std::string_view>& id_keys) {
    std::string_view id;
    std::size_t best = id_keys.size();
    std::size_t at = text.empty() || text[0] != '{' ? text.size() : skip_space(text, 1);
    while (at < text.size() && text[at] == '"') {
        const std::size_t key_end = string_end(text, at);
        if (key_end == kNoOffset) break;
        const std::string_view key = text.substr(at + 1, key_end - at - 2);
        at = skip_space(text, key_end);
        if (at >= text.size() || text[at] != ':') break;
        const std::size_t value = skip_space(text, at + 1);
        const std::size_t end = value_end(text, value);
        if (end == kNoOffset) break;
        const auto is_key = [&](std::string_view id_key) { return simd::same_bytes(id_key, key); };
        const auto rank = static_cast<std::size_t>(std::find_if(id_keys.begin(), id_keys.end(), is_key) - id_keys.begin());
        if (rank < best && (text[value] == '"' || text[value] == '-' || (text[value] >= '0' && text[value] <= '9'))) {
            best = rank;
            id = text.substr(value, end - value);
            if (rank == 0) break;
        }
        at = skip_space(text, end);
        if (at >= text.size() || text[at] != ',') break;
        at = skip_space(text, at + 1);
    }
    return id;
}

Decimal read_decimal(std::string_view number) {
    Decimal d;
    std::size_t at = 0;
    if (!number.empty() && number[0] == '-') {
        d.negative = true;
        at = 1;
    }
    std::int64_t whole = 0;
    bool fraction = false;
    for (; at < number.size() && number[at] != 'e' && number[at] != 'E'; ++at) {
        if (number[at] == '.') {
            fraction = true;
            continue;
        }
        if (!fraction) ++whole;
        d.digits.push_back(number[at]);
    }
    std::int64_t exponent = 0;
    if (at < number.size()) {
        ++at;
        const bool down = at < number.size() && number[at] == '-';
        if (at < number.size() && (number[at] == '-' || number[at] == '+')) ++at;
        while (at < number.size() && number[at] == '0') ++at;
        d.huge = number.size() - at > 15;
        for (; at < number.size() && !d.huge; ++at) exponent = exponent * 10 + (number[at] - '0');
        if (down) exponent = -exponent;
    }
    const std::size_t first = std::min(d.digits.find_first_not_of('0'), d.digits.size());
    d.digits.erase(0, first);
    while (!d.digits.empty() && d.digits.back() == '0') d.digits.pop_back();
    if (d.digits.empty()) return Decimal{};
    d.point = whole - static_cast<std::int64_t>(first) + exponent;
    return d;
}

bool same_number(std::string_view a, std::string_view b) {
    if (simd::same_bytes(a, b)) return true;
    if (shortest(a) && shortest(b)) return false;
    const Decimal x = read_decimal(a), y = read_decimal(b);
    if (x.huge || y.huge) return false;
    return x.negative == y.negative && x.point == y.point && x.digits == y.digits;
}

bool same_string(std::string_view a, std::string_view b) {
    if (simd::same_bytes(a, b)) return true;
    if (!a.empty() && !b.empty() && a[0] != b[0] && a[0] != '\\' && b[0] != '\\') return false;
    if (simd::find_byte(a, '\\') == a.size() && simd::find_byte(b, '\\') == b.size()) return false;
    std::string x, y;
    append_unescaped(x, a);
    append_unescaped(y, b);
    return x == y;
}

bool same_value(std::string_view a, std::string_view b) {
    if (simd::same_bytes(a, b)) return true;
    if (a.empty() || b.empty()) return false;
    const auto numeric = [](char c) { return c == '-' || (c >= '0' && c <= '9'); };
    if (numeric(a[0]) && numeric(b[0])) return same_number(a, b);
    if (a[0] != b[0]) return false;
    if (a[0] == '"') return same_string(a.substr(1, a.size() - 2), b.substr(1, b.size() - 2));
    if (a[0] == '{' || a[0] == '[') return same_container(a, b);
    return false;
}

std::uint64_t string_hash(std::string_view inside) {
    if (simd::find_byte(inside, '\\') == inside.size()) return xxh64(inside, 1);
    std::string characters;
    append_unescaped(characters, inside);
    return xxh64(characters, 1);
}

std::uint64_t value_hash(std::string_view value) {
    std::size_t at = 0;
    return hash_at(value, at, 0);
}

}  // namespace tidegate
