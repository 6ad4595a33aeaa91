#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/nat/behaviour.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace narrowlink::nat {

/// One of the gateway's UDP sockets, by number: U0…U3 are address 0, V0 and V1 address 1. Port 0 of
/// either is the main port, that of HTTP/3.
struct GatewaySocket {
    unsigned address = 0;
    unsigned port = 0;

    auto operator<=>(const GatewaySocket&) const = default;
};

/// How many UDP ports the gateway has, of one address family.
struct GatewayPorts {
    unsigned first = 4;  ///< on its first address
    unsigned second = 0; ///< on its second address; 0: it has none

    [[nodiscard]] bool contains(GatewaySocket socket) const
    {
        return socket.address < 2 && socket.port < (socket.address == 0 ? first : second);
    }
};

/// Numbers of the node's sockets in a survey.
inline constexpr unsigned mapping_socket = 0; ///< S1
inline constexpr unsigned filter_socket = 1;  ///< S2
inline constexpr unsigned first_sample_socket = 2;
inline constexpr unsigned sample_sockets = 12;

/// A probe of the node as the gateway received it, authenticated.
struct Observation {
    unsigned socket = 0;          ///< of the node's sockets, which one
    std::uint16_t local_port = 0; ///< of that socket, as the node says; 0: it does not
    GatewaySocket at;             ///< where it arrived
    SocketAddress seen;           ///< where it came from: the mapped address
    std::uint8_t ttl = 0;         ///< TTL or hop limit that was left; 0: unknown
};

/// Which packets arrived at S2, which has sent to U0 only, as the node says.
struct FilterReport {
    bool from_port = false;    ///< from U1: the address is known, the port is not
    bool from_address = false; ///< from V0: neither is
    /// The answer to the probe itself, from U0. If that did not arrive either, what is missing may
    /// as well have been lost.
    bool answered = true;

    bool operator==(const FilterReport&) const = default;
};

/// All that is known about the way to one node.
struct Evidence {
    GatewayPorts gateway;
    std::vector<IpAddress> own_addresses;      ///< of the node's interfaces, as the node says
    std::vector<Observation> observations;     ///< of several copies of one probe the first counts
    std::optional<FilterReport> filter_report; ///< of the packets to where S2 was seen at U0
    bool poison_tested = false;                ///< S2 has been told to send to U1 after that
    /// Ports that mappings of this very node had earlier, at the same external address.
    std::vector<std::uint16_t> remembered_ports;
};

/// How a NAT chooses ports.
struct PortPattern {
    Allocation allocation = Allocation::unknown;
    int delta = 0;           ///< of sequential
    std::uint16_t first = 0; ///< of block
    std::uint16_t last = 0;  ///< of block, inclusive

    bool operator==(const PortPattern&) const = default;
};

/// Judges ports of successive new mappings: unknown for fewer than 12, otherwise sequential, block
/// or random. `remembered` ports make the borders of a block more precise, in any order.
PortPattern classify_ports(std::span<const std::uint16_t> ports,
                           std::span<const std::uint16_t> remembered = {});

/// Routers a packet has passed, if it started with 64, 128 or 255; 0 for an unknown TTL.
unsigned hops_of(std::uint8_t ttl);

/// Puts it all together. What there is no evidence for stays unknown; a node that lies gets a wrong
/// answer about itself and nothing else.
Behaviour classify(const Evidence&);

} // namespace narrowlink::nat
