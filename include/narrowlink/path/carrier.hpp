#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace narrowlink::path {

/// What moves the packets of a connection.
enum class CarrierKind {
    websocket_relay, ///< in binary messages through the gateway
    udp_relay,       ///< as datagrams through the gateway
    direct_udp,      ///< as datagrams from node to node
};

std::string_view to_string(CarrierKind);

/// The better, the higher.
int rank(CarrierKind);

/// One carrier of one pair, numbered by its owner; never used again within the pair.
enum class CarrierId : std::uint32_t {};

/// What a pair has to know about a carrier to use it.
struct Carrier {
    CarrierKind kind = CarrierKind::websocket_relay;
    std::size_t mtu = 1'200; ///< largest QUIC packet it takes, in bytes
    bool paced = true;       ///< false where the carrier pushes back by itself
};

} // namespace narrowlink::path
