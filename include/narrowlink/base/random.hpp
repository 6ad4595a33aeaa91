#pragma once

#include "narrowlink/base/bytes.hpp"

#include <array>

namespace narrowlink {

/// Where cores get their random bytes from: crypto::SystemRandom in the programs, a seeded
/// generator in simulations.
class Random {
public:
    virtual ~Random() = default;
    virtual void fill(MutableBytes block) = 0;

    template <std::size_t N>
    std::array<std::byte, N> array()
    {
        std::array<std::byte, N> block;
        fill(block);
        return block;
    }

    std::uint64_t u64()
    {
        const auto block = array<8>();
        return Reader{block}.u64();
    }
};

} // namespace narrowlink
