#include "tidegate/diff.h"

#include <algorithm>

#include "tidegate/diff_engine.h"

namespace tidegate {

void PatchWriter::begin(std::uint32_t tag, std::string_view op) {
    marks_.push_back({tag, text_.size()});
    text_.append(text_.empty() ? "[{\"op\":\"" : ",{\"op\":\"").append(op);
}

void PatchWriter::with_value(std::uint32_t tag, std::string_view op, std::string_view path, std::string_view value) {
    begin(tag, op);
    text_.append("\",\"path\":\"").append(path).append("\",\"value\":");
    append_compact(text_, value);
    text_.push_back('}');
}

void PatchWriter::remove(std::uint32_t tag, std::string_view path) {
    begin(tag, "remove");
    text_.append("\",\"path\":\"").append(path).append("\"}");
}

void PatchWriter::move(std::uint32_t tag, std::string_view from, std::string_view path) {
    begin(tag, "move");
    text_.append("\",\"from\":\"").append(from).append("\",\"path\":\"").append(path).append("\"}");
}

void PatchWriter::truncate(std::size_t ops) {
    if (ops >= marks_.size()) return;
    text_.resize(marks_[ops].start);
    marks_.resize(ops);
}

void PatchWriter::take_back(std::uint32_t tag, std::size_t floor) {
    std::size_t ops = marks_.size();
    while (ops > floor && marks_[ops - 1].tag >= tag) --ops;
    truncate(ops);
}

std::string PatchWriter::finish() {
    if (text_.empty()) return "[]";
    text_.push_back(']');
    return std::move(text_);
}

Result<std::string> diff_json_patch(std::string_view base, std::string_view next, const DiffOptions& options) {
    if (next.size() > kMaxTextBytes) return validate_json(next, kMaxTextDepth, "next").error();
    std::string without_duplicates;
    if (!options.trusted_base) {
        const Result<std::string_view> valid = validate_json(base, kMaxTextDepth, "base");
        if (!valid) return valid.error();
        if (has_duplicate_keys(base)) base = without_duplicates = drop_duplicate_keys(base);
    }
    const std::string_view a = trim_space(base), b = trim_space(next);
    if (a.empty() || a.size() > kMaxTextBytes) return text_error({"json-syntax", "a value", 0}, "base");
    if (a == b) return std::string("[]");
    Differ differ(a, b, options);
    if (!differ.run(0, static_cast<std::uint32_t>(a.size()), 0, static_cast<std::uint32_t>(b.size()))) {
        TextFault fault = differ.fault();
        fault.at += static_cast<std::size_t>(b.data() - next.data());
        return text_error(fault, "next");
    }
    return differ.ops().finish();
}

}  // namespace tidegate
