// The delta functions for JavaScript: plain C functions, numbers only. Inputs lie one behind the other in one buffer that JavaScript
// fills (delta_reserve), answers stay readable until the next call. wasm/delta.js is the other side.
#include <emscripten/emscripten.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tidegate/binary_delta.h"
#include "tidegate/canonical.h"
#include "tidegate/diff.h"
#include "tidegate/form.h"
#include "tidegate/hash.h"
#include "tidegate/json_text.h"
#include "tidegate/merge.h"
#include "tidegate/merge_text.h"
#include "tidegate/patch.h"

namespace {

using namespace tidegate;

// What every call answers: where the output is. ok 0: the output is {"code","path","message"}; 2: there is no output.
struct Answer {
    std::uint32_t ok, at, length;
    std::uint32_t extra_at, extra_length;  // clashes of a merge, or the table of a batch
};

enum Flag : unsigned { kTrusted = 1, kTests = 2, kSealed = 4, kPreferTheirs = 8, kChecksum = 16 };

// Room for inputs and outputs, kept from call to call. Above kKeep it is given back, so that one large document does not hold memory.
constexpr std::size_t kKeep = std::size_t{4} << 20;
std::unique_ptr<char[]> input;
std::size_t input_size = 0;
std::string output, extra;
std::string_view shown;  // the output, where it lies
JsonDiffer differ;
JsonPatcher patcher;
JsonMerger merger;
DiffOptions diff_settings;
MergeOptions merge_settings;
std::string id_keys;  // that the two above name, when they were told
std::vector<std::uint32_t> table;
std::vector<std::unique_ptr<DeltaStream>> streams;  // null: closed
Answer answer;

std::string_view taken(std::size_t& at, unsigned length) {
    at += length;
    return {input.get() + at - length, length};
}

const Answer* answered(std::uint32_t ok) {
    answer = {ok, static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(shown.data())), static_cast<std::uint32_t>(shown.size()),
              static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(extra.data())), static_cast<std::uint32_t>(extra.size())};
    return &answer;
}

void append_quoted(std::string& out, std::string_view characters) {
    out.push_back('"');
    append_escaped(out, characters);
    out.push_back('"');
}

std::string error_text(const Error& error) {
    std::string out = "{\"code\":";
    append_quoted(out, error.code);
    out += ",\"path\":";
    append_quoted(out, error.path);
    out += ",\"message\":";
    append_quoted(out, error.message);
    return out + "}";
}

const Answer* refused(const Error& error) {
    shown = output = error_text(error);
    return answered(0);
}

const Answer* give(Result<std::string>& result) {
    if (!result) return refused(result.error());
    shown = output = std::move(result.value());
    return answered(1);
}

const Answer* show(const Result<std::string_view>& result) {
    if (!result) return refused(result.error());
    shown = result.value();
    return answered(1);
}

std::uint64_t seal_of(unsigned low, unsigned high) { return std::uint64_t{high} << 32 | low; }

const DiffOptions& diff_options(unsigned flags, std::string_view base, unsigned seal_low, unsigned seal_high) {
    diff_settings.trusted_base = flags & kTrusted || (flags & kSealed && xxh64(base) == seal_of(seal_low, seal_high));
    diff_settings.tests = flags & kTests;
    return diff_settings;
}

}  // namespace

extern "C" {

// A buffer of at least `bytes` bytes for the next call's inputs; null when there is no memory for it.
EMSCRIPTEN_KEEPALIVE char* delta_reserve(unsigned bytes) {
    if (bytes > input_size || (input_size > kKeep && bytes <= kKeep)) {
        input.reset();
        input_size = 0;
        const std::size_t size = bytes < 65536 ? 65536 : bytes + bytes / 4;
        input.reset(new (std::nothrow) char[size]);
        if (!input) return nullptr;
        input_size = size;
    }
    return input.get();
}

// The members that identify an element of an array, in order of preference, a NUL between them. None: the usual ones.
EMSCRIPTEN_KEEPALIVE void delta_id_keys(unsigned length) {
    id_keys.assign(input.get(), length);
    std::vector<std::string_view> keys = DiffOptions().id_keys;
    if (length > 0) keys.clear();
    for (std::string_view rest = id_keys; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\0'), rest.size());
        keys.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    merge_settings.id_keys = diff_settings.id_keys = std::move(keys);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_diff(unsigned base_length, unsigned next_length, unsigned flags, unsigned seal_low, unsigned seal_high) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), next = taken(at, next_length);
    return show(differ.patch(base, next, diff_options(flags, base, seal_low, seal_high)));
}

// One pair of many: the patches gather in the output, one behind the other. Pair by pair, because a document that was just copied in is
// still in the cache; what a batch saves is taking every patch out by itself.
EMSCRIPTEN_KEEPALIVE void delta_diff_add(unsigned base_length, unsigned next_length, unsigned flags, unsigned first) {
    if (first) {
        output.clear();
        table.clear();
    }
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), next = taken(at, next_length);
    const Result<std::string_view> patch = differ.patch(base, next, diff_options(flags & ~kSealed, {}, 0, 0));
    const std::size_t start = output.size();
    if (patch) output += patch.value();
    else output += error_text(patch.error());
    table.push_back(patch.ok());
    table.push_back(static_cast<std::uint32_t>(output.size() - start));
}

// What they made. The extra output is a table of 32 bit numbers: ok and length of each patch or error.
EMSCRIPTEN_KEEPALIVE const Answer* delta_diff_all() {
    shown = output;
    answered(1);
    answer.extra_at = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(table.data()));
    answer.extra_length = static_cast<std::uint32_t>(table.size());
    return &answer;
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_diff_merge_patch(unsigned base_length, unsigned next_length) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), next = taken(at, next_length);
    Result<std::optional<std::string>> patch = diff_merge_patch(base, next);
    if (!patch) return refused(patch.error());
    if (!patch.value()) return answered(2);
    shown = output = std::move(*patch.value());
    return answered(1);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_apply(unsigned document_length, unsigned patch_length, unsigned merge, unsigned flags, unsigned max_output) {
    std::size_t at = 0;
    const std::string_view document = taken(at, document_length), patch = taken(at, patch_length);
    const PatchOptions options{max_output ? max_output : kMaxPatchedBytes, (flags & kTrusted) != 0};
    return show(merge ? patcher.merge_patch(document, patch, options) : patcher.json_patch(document, patch, options));
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_merge3(unsigned base_length, unsigned ours_length, unsigned theirs_length, unsigned flags) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), ours = taken(at, ours_length), theirs = taken(at, theirs_length);
    merge_settings.prefer = flags & kPreferTheirs ? Side::theirs : Side::ours;
    merge_settings.trusted = flags & kTrusted;
    Result<MergeResult> result = merger.merge(base, ours, theirs, merge_settings);
    if (!result) return refused(result.error());
    shown = output = std::move(result.value().document);
    extra = "[";
    for (const Clash& clash : result.value().clashes) {
        extra += extra.size() > 1 ? ",{\"path\":" : "{\"path\":";
        append_quoted(extra, clash.path);
        const std::pair<const char*, const std::string*> sides[] = {{"base", &clash.base}, {"ours", &clash.ours}, {"theirs", &clash.theirs}};
        for (const auto& [name, value] : sides)
            if (!value->empty()) extra.append(",\"").append(name).append("\":").append(*value);
        extra += clash.winner == Side::ours ? ",\"winner\":\"ours\"}" : ",\"winner\":\"theirs\"}";
    }
    extra += "]";
    return answered(1);
}

// The extra output lists the clashes, one behind the other: four 32 bit numbers (at, lengths of base, ours, theirs), then the three texts.
EMSCRIPTEN_KEEPALIVE const Answer* delta_merge_text(unsigned base_length, unsigned ours_length, unsigned theirs_length, unsigned flags) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), ours = taken(at, ours_length), theirs = taken(at, theirs_length);
    Result<TextMerge> result = merge_text(base, ours, theirs, flags & kPreferTheirs ? Side::theirs : Side::ours);
    if (!result) return refused(result.error());
    shown = output = std::move(result.value().text);
    extra.clear();
    for (const TextClash& clash : result.value().clashes) {
        for (const std::size_t number : {clash.at, clash.base.size(), clash.ours.size(), clash.theirs.size()})
            for (int shift = 0; shift < 32; shift += 8) extra.push_back(static_cast<char>(number >> shift & 0xff));
        extra.append(clash.base).append(clash.ours).append(clash.theirs);
    }
    return answered(1);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_canonicalize(unsigned length) {
    std::size_t at = 0;
    Result<std::string> form = canonicalize(taken(at, length));
    return give(form);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_canonical_hash(unsigned length) {
    std::size_t at = 0;
    const Result<std::uint64_t> hash = canonical_hash(taken(at, length));
    if (!hash) return refused(hash.error());
    shown = output = hex64(hash.value());
    return answered(1);
}

// The seal of a text that is fit to be trusted: valid, no key twice. Its xxh64.
EMSCRIPTEN_KEEPALIVE const Answer* delta_seal(unsigned length) {
    std::size_t at = 0;
    const std::string_view text = taken(at, length);
    const Result<std::string_view> valid = validate_json(text, kMaxTextDepth, "document");
    if (!valid) return refused(valid.error());
    if (has_duplicate_keys(text)) return refused({"duplicate-key", "", "a document with a key twice cannot be sealed"});
    shown = output = hex64(xxh64(text));
    return answered(1);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_encode(unsigned base_length, unsigned next_length, unsigned flags) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), next = taken(at, next_length);
    Result<std::string> delta = encode_delta(base, next, {(flags & kChecksum) != 0});
    return give(delta);
}

// The form in which the outbox would send `next` over `base` (no bytes: there is none), and whether compressed on a link of so many bytes per second (blobs
// never are: most are compressed already). The output is the body, none for `full`; the extra output says {"codec","compress"}.
EMSCRIPTEN_KEEPALIVE const Answer* delta_form(unsigned base_length, unsigned next_length, unsigned blob, double bytes_per_second) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), next = taken(at, next_length);
    Form form;
    if (!blob) {
        Result<Form> chosen = choose_form(base.empty() ? std::nullopt : std::optional(base), next);
        if (!chosen) return refused(chosen.error());
        form = std::move(chosen.value());
    } else if (!base.empty()) {
        Result<std::string> delta = encode_delta(base, next);
        if (!delta) return refused(delta.error());
        if (delta_pays(delta.value().size(), next.size())) form = {Codec::vcdiff, std::move(delta.value())};
    }
    shown = output = std::move(form.body);
    const std::size_t size = form.codec == Codec::full ? next.size() : output.size();
    extra.assign("{\"codec\":\"").append(name_of(form.codec)).append("\",\"compress\":");
    extra += !blob && worth_compressing(static_cast<double>(size), bytes_per_second) ? "true}" : "false}";
    return answered(1);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_decode(unsigned base_length, unsigned delta_length, unsigned max_output) {
    std::size_t at = 0;
    const std::string_view base = taken(at, base_length), delta = taken(at, delta_length);
    Result<std::string> result = apply_delta(base, delta, max_output ? max_output : kMaxBlobBytes);
    return give(result);
}

// A delta in pieces: open with the base, push what comes (and nothing, as long as the extra length says that there is more), end; close frees what it holds.
EMSCRIPTEN_KEEPALIVE unsigned delta_stream_open(unsigned base_length, unsigned max_output) {
    std::size_t at = 0;
    const std::size_t place = static_cast<std::size_t>(std::find(streams.begin(), streams.end(), nullptr) - streams.begin());
    if (place == streams.size()) streams.emplace_back();
    streams[place] = std::make_unique<DeltaStream>(std::string(taken(at, base_length)), max_output ? max_output : kMaxBlobBytes);
    return static_cast<unsigned>(place);
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_stream_push(unsigned stream, unsigned length) {
    std::size_t at = 0;
    show(streams[stream]->push(taken(at, length)));
    answer.extra_length = streams[stream]->more();
    return &answer;
}

EMSCRIPTEN_KEEPALIVE const Answer* delta_stream_end(unsigned stream) { return show(streams[stream]->end()); }

EMSCRIPTEN_KEEPALIVE void delta_stream_close(unsigned stream) { streams[stream].reset(); }

}  // extern "C"
