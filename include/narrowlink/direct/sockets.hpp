#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"

#include <cstdint>
#include <optional>

namespace narrowlink::direct {

/// Names one UDP socket of a node; never used for another one.
enum class SocketId : std::uint64_t {};

/// What this room needs of the system: UDP sockets of one address family each, with ports that the
/// system chooses. Implemented by who drives a Node, and called from within its functions.
class Sockets {
public:
    virtual ~Sockets() = default;

    /// Its port; nothing where the system gives none.
    virtual std::optional<std::uint16_t> open(SocketId, bool v4) = 0;

    /// Nothing of it comes in any more.
    virtual void close(SocketId) = 0;

    /// A single probe, without waiting: what the system does not take is lost, like any datagram.
    /// `ttl`: TTL or hop limit; 0: the usual one.
    virtual void send(SocketId, const SocketAddress& to, Bytes datagram, std::uint8_t ttl) = 0;
};

} // namespace narrowlink::direct
