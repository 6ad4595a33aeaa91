#pragma once

#include "narrowlink/base/random.hpp"

#include <random>

namespace narrowlink {

class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : generator_{seed} {}

    void fill(MutableBytes block) override
    {
        for (std::byte& b : block)
            b = static_cast<std::byte>(generator_() & 0xff);
    }

private:
    std::mt19937_64 generator_;
};

} // namespace narrowlink
