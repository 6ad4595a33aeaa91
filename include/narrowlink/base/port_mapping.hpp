#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace narrowlink {

/// How a router is asked to forward a UDP port to this machine.
enum class PortMappingProtocol : std::uint8_t {
    nat_pmp, ///< RFC 6886; most routers with PCP answer it as well (RFC 6887 appendix A)
    pcp,     ///< RFC 6887
    upnp,    ///< UPnP-IGD, WANIPConnection
};

/// `nat-pmp`, `pcp` or `upnp`.
std::string_view to_string(PortMappingProtocol);

/// Which of them a node may use.
enum class PortMappingMode : std::uint8_t {
    off,
    nat_pmp,
    pcp,
    upnp,
    automatic, ///< NAT-PMP, then PCP, then UPnP
};

/// What to ask the router for: the UDP port `external` of its other side for this machine's port
/// `internal`.
struct RouterRequest {
    PortMappingProtocol protocol = PortMappingProtocol::nat_pmp;
    IpAddress router;
    std::uint16_t internal = 0;
    std::uint16_t external = 0; ///< a wish; the router may choose another one
    Duration lifetime{};        ///< whole seconds; 0: end the mapping
    /// Of PCP: the same for all requests about one mapping, and not to be guessed by others, who
    /// could end it (RFC 6887 §11.2).
    std::array<std::byte, 12> nonce{};

    [[nodiscard]] bool ends_mapping() const { return lifetime == Duration{}; }

    bool operator==(const RouterRequest&) const = default;
};

/// What the router has answered, unchecked.
struct RouterAnswer {
    IpAddress external_ip;      ///< of its other side
    std::uint16_t external = 0; ///< 0: it has told its address only
    Duration lifetime{};        ///< 0: for ever

    bool operator==(const RouterAnswer&) const = default;
};

/// A port that the router forwards to this node.
struct PortMapping {
    PortMappingProtocol protocol = PortMappingProtocol::nat_pmp;
    SocketAddress external;
    Duration lifetime{}; ///< as granted

    bool operator==(const PortMapping&) const = default;
};

} // namespace narrowlink
