// A growing text for hot paths: appending short pieces costs no call, and the memory is kept from use to use.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "tidegate/json_text.h"
#include "tidegate/simd.h"

namespace tidegate {

class TextBuffer {
public:
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::string_view view() const { return {data_.get(), size_}; }
    std::size_t capacity() const { return capacity_; }
    void clear() { size_ = 0; }
    // REQUIRES: size <= this->size().
    void shrink(std::size_t size) { size_ = size; }

    // Room for `bytes` more; what is written behind size() counts once `written` says so.
    char* room(std::size_t bytes) {
        if (capacity_ - size_ < bytes) grow(bytes);
        return data_.get() + size_;
    }
    void written(std::size_t bytes) { size_ += bytes; }

    TextBuffer& put(std::string_view text) {
        simd::copy_bytes(room(text.size()), text.data(), text.size());
        size_ += text.size();
        return *this;
    }
    TextBuffer& put(char c) {
        *room(1) = c;
        ++size_;
        return *this;
    }

    // A value without the whitespace between its tokens; see write_compact.
    bool put_compact(std::string_view value) {
        char* const from = room(value.size() + kCompactSlack);
        char* to = from;
        const bool fine = write_compact(to, value);
        size_ += static_cast<std::size_t>(to - from);
        return fine;
    }

private:
    void grow(std::size_t bytes) {
        const std::size_t capacity = (size_ + bytes) * 2 + 1024;
        std::unique_ptr<char[]> larger(new char[capacity]);
        simd::copy_bytes(larger.get(), data_.get(), size_);
        data_ = std::move(larger);
        capacity_ = capacity;
    }

    std::unique_ptr<char[]> data_;
    std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace tidegate
