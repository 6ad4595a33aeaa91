#pragma once

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

} // namespace narrowlink::control
