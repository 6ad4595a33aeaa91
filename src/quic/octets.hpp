#pragma once

#include "narrowlink/base/bytes.hpp"

#include <cstdint>

namespace narrowlink::quic {

/// Bytes as the C libraries spell them.
inline std::uint8_t* octets(MutableBytes bytes)
{
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

inline const std::uint8_t* octets(Bytes bytes)
{
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

} // namespace narrowlink::quic
