#include "tidegate/diff.h"

#include <algorithm>

#include "tidegate/diff_engine.h"
#include "tidegate/simd.h"

namespace tidegate {

// `head` begins with a bracket, which is what stands in front of the first op; before any other it is a comma.
void PatchWriter::begin(std::uint32_t tag, std::string_view head) {
    marks_.push_back({tag, text_.size()});
    const bool first = text_.empty();
    char* const at = text_.room(head.size());
    simd::copy_bytes(at, head.data(), head.size());
    if (!first) *at = ',';
    text_.written(head.size());
}

void PatchWriter::with_value(std::uint32_t tag, std::string_view head, std::string_view path, std::string_view value) {
    begin(tag, head);
    text_.put(path).put("\",\"value\":");
    if (value[0] == '{' || value[0] == '[') text_.put_compact(value);
    else text_.put(value);
    text_.put('}');
}

void PatchWriter::remove(std::uint32_t tag, std::string_view path) {
    begin(tag, R"([{"op":"remove","path":")");
    text_.put(path).put("\"}");
}

void PatchWriter::move(std::uint32_t tag, std::string_view from, std::string_view path) {
    begin(tag, R"([{"op":"move","from":")");
    text_.put(from).put("\",\"path\":\"").put(path).put("\"}");
}

void PatchWriter::truncate(std::size_t ops) {
    if (ops >= marks_.size()) return;
    text_.shrink(marks_[ops].start);
    marks_.resize(ops);
}

void PatchWriter::take_back(std::uint32_t tag, std::size_t floor) {
    std::size_t ops = marks_.size();
    while (ops > floor && marks_[ops - 1].tag >= tag) --ops;
    truncate(ops);
}

void PatchWriter::clear() {
    text_.clear();
    marks_.clear();
}

std::string_view PatchWriter::finish() {
    if (text_.empty()) return "[]";
    text_.put(']');
    return text_.view();
}

JsonDiffer::JsonDiffer() = default;
JsonDiffer::~JsonDiffer() = default;

Result<std::string_view> JsonDiffer::patch(std::string_view base, std::string_view next, const DiffOptions& options) {
    if (next.size() > kMaxTextBytes) return validate_json(next, kMaxTextDepth, "next").error();
    std::string without_duplicates;
    if (!options.trusted_base) {
        const Result<std::string_view> valid = validate_json(base, kMaxTextDepth, "base");
        if (!valid) return valid.error();
        if (has_duplicate_keys(base)) base = without_duplicates = drop_duplicate_keys(base);
    }
    const std::string_view a = trim_space(base), b = trim_space(next);
    if (a.empty() || a.size() > kMaxTextBytes) return text_error({"json-syntax", "a value", 0}, "base");
    if (simd::same_bytes(a, b)) return std::string_view("[]");
    // A large document's memory is not kept.
    constexpr std::size_t kKeep = std::size_t{4} << 20;
    if (!engine_ || engine_->ops().capacity() > kKeep) engine_ = std::make_unique<Differ>();
    engine_->start(a, b, options);
    const auto run = [&] { return engine_->run(0, static_cast<std::uint32_t>(engine_->base().size()), 0, static_cast<std::uint32_t>(engine_->next().size())); };
    bool done = run();
    // Every place would be looked at closely: without the whitespace the texts are the same for long runs again.
    if (!done && engine_->reformatted()) {
        if (!engine_->start_compact(a, b, options)) return validate_json(next, kMaxTextDepth, "next").error();
        done = run();
        if (!done)
            if (const Result<std::string_view> valid = validate_json(next, kMaxTextDepth, "next"); !valid) return valid.error();
    }
    if (!done) {
        TextFault fault = engine_->fault();
        fault.at += static_cast<std::size_t>(b.data() - next.data());
        return text_error(fault, "next");
    }
    return engine_->ops().finish();
}

Result<std::string> diff_json_patch(std::string_view base, std::string_view next, const DiffOptions& options) {
    JsonDiffer differ;
    const Result<std::string_view> patch = differ.patch(base, next, options);
    if (!patch) return patch.error();
    return std::string(patch.value());
}

}  // namespace tidegate
