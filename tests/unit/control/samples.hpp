#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"

#include <cstdint>

namespace narrowlink::control {

/// The clock does not start at zero.
inline constexpr Instant start{std::chrono::hours{1'000}};

template <class Id>
Id id_of(std::uint8_t n)
{
    Id id;
    id.bytes.back() = std::byte{n};
    return id;
}

inline crypto::Pin pin_of(std::uint8_t n)
{
    return id_of<crypto::Pin>(n);
}

inline wire::PairId pair_of(std::uint8_t n)
{
    return id_of<wire::PairId>(n);
}

inline InstanceId instance_of(std::uint8_t n)
{
    return id_of<InstanceId>(n);
}

inline Hello hello_of(std::uint8_t n)
{
    return {.version_min = 1,
            .version_max = 1,
            .features = {"alpha", "beta"},
            .key = pin_of(n),
            .instance = instance_of(n),
            .software = "narrowlink/test",
            .policies = {}};
}

/// splitmix64
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : state_{seed} {}

    void fill(MutableBytes block) override
    {
        for (std::byte& b : block)
            b = static_cast<std::byte>(draw() & 0xff);
    }

    std::uint64_t draw()
    {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

private:
    std::uint64_t state_;
};

} // namespace narrowlink::control
