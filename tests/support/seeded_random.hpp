#pragma once

#include "narrowlink/base/random.hpp"

#include <cstdint>
#include <random>

namespace narrowlink {

/// The same bytes in every run. Nothing that it makes is a secret.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : engine_{seed} {}

    void fill(MutableBytes block) override
    {
        for (std::byte& b : block)
            b = static_cast<std::byte>(engine_());
    }

    /// 0 … n − 1.
    std::uint64_t below(std::uint64_t n) { return engine_() % n; }

private:
    std::mt19937_64 engine_;
};

} // namespace narrowlink
