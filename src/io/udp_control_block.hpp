#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <netinet/in.h>
#include <sys/socket.h>

namespace narrowlink::io {

/// ECN's part of the TOS byte and of the traffic class (RFC 3168 §5).
inline constexpr std::uint8_t ecn_bits = 3;

/// Ancillary data (cmsg(3)) of one message. Room for all that we send or receive with one.
struct ControlBlock {
    static constexpr std::size_t capacity =
        CMSG_SPACE(sizeof(in6_pktinfo)) + 3 * CMSG_SPACE(sizeof(int));

    alignas(cmsghdr) std::array<std::byte, capacity> bytes;
};

} // namespace narrowlink::io
