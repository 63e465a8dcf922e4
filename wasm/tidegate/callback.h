// A function to be called later: what std::function is, for functions that are moved and never copied. (C++23 names it std::move_only_function.)
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace tidegate {

template <class... Args>
class Callback {
public:
    Callback() = default;
    template <class F, class = std::enable_if_t<!std::is_same_v<F, Callback>>>
    Callback(F function) : held_(std::make_unique<Of<F>>(std::move(function))) {}

    explicit operator bool() const { return held_ != nullptr; }
    // REQUIRES: it holds a function.
    void operator()(Args... args) const { held_->call(args...); }

private:
    struct Held {
        virtual ~Held() = default;
        virtual void call(Args... args) = 0;
    };
    template <class F>
    struct Of final : Held {
        explicit Of(F given) : function(std::move(given)) {}
        void call(Args... args) override { function(args...); }
        F function;
    };

    std::unique_ptr<Held> held_;
};

}  // namespace tidegate
