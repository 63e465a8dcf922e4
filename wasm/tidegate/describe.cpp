#include "tidegate/describe.h"

#include "tidegate/say.h"

namespace tidegate {

void Decoder::take(const char* name, void* out, Reader reader, Need need) {
    if (error_) return;
    if (!here_->is_object()) return fail("wrong-type", "an object", *here_);
    const auto it = here_->find(name);
    if (path_.empty() && it != here_->end()) {
        ++known_;
        if (others_) others_->erase(name);
    }
    if (it != here_->end() && (!it->is_null() || need == Need::required)) return descend(name, *it, out, reader);
    if (need == Need::keeps_default) return;
    if (need == Need::required) {
        push(name);
        fail_text("missing", "this field is required");
        return pop();
    }
    const Json* parent = here_;
    here_ = nullptr;  // what an absent optional reads
    reader(*this, out);
    here_ = parent;
}

void Decoder::descend(const std::string& name, const Json& child, void* out, Reader reader) {
    const Json* parent = here_;
    push(name);
    here_ = &child;
    reader(*this, out);
    here_ = parent;
    pop();
}

std::size_t Decoder::read_word(const char* const* words, std::size_t count) {
    if (here_->is_string())
        for (std::size_t i = 0; i < count; ++i)
            if (here_->get_ref<const std::string&>() == words[i]) return i;
    std::string expected = "one of";
    for (std::size_t i = 0; i < count; ++i) expected += std::string(" ") + words[i];
    fail("wrong-value", expected, *here_);
    return count;
}

void Decoder::fail(const char* code, const std::string& expected, const Json& got) {
    fail_text(code, "expected " + expected + ", got " + quote_value(got));
}

void Decoder::fail_text(const char* code, const std::string& sentence) {
    if (error_) return;
    std::string pointer;
    for (const std::string& part : path_) pointer += "/" + part;
    error_ = Error{code, pointer, (path_.empty() ? std::string("input") : path_.back()) + ": " + sentence};
}

// Whole numbers are written as integers: what JavaScript prints, and shorter.
Json Encoder::number(double value) {
    if (value == std::floor(value) && std::fabs(value) < 9007199254740992.0) return static_cast<std::int64_t>(value);
    return value;
}

void Encoder::put(const char* name, const void* value, Writer writer) {
    if (text.back() != '{' && text.back() != '[') text += ',';
    if (*name) Sentence(text) << "\"" << name << "\":";
    writer(*this, value);
}

}  // namespace tidegate
