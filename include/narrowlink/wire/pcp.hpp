#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/time.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace narrowlink::wire {

/// The port of a PCP server, RFC 6887 §19.1; that of NAT-PMP, too.
inline constexpr std::uint16_t pcp_port = 5'351;

using PcpNonce = std::array<std::byte, 12>;

/// A request of the Port Control Protocol, version 2, opcode MAP, for UDP (RFC 6887 §7.1, §11.1).
struct PcpMapRequest {
    static constexpr std::size_t size = 60;

    IpAddress client; ///< from which it is sent
    PcpNonce nonce{}; ///< the same for all requests about one mapping
    std::uint16_t internal = 0;
    std::uint16_t external = 0; ///< a wish
    Duration lifetime{};        ///< whole seconds; 0: end the mapping
};

std::array<std::byte, PcpMapRequest::size> encode(const PcpMapRequest&);

/// The response to a PcpMapRequest (RFC 6887 §7.2, §11.1).
struct PcpMapResponse {
    static constexpr std::uint8_t success = 0;

    std::uint8_t result = success; ///< another one (§7.4) is a refusal, and the rest means little
    PcpNonce nonce{};
    std::uint16_t internal = 0;
    SocketAddress external; ///< which the router forwards
    Duration lifetime{};    ///< of the mapping, or until asking again makes sense

    bool operator==(const PcpMapResponse&) const = default;
};

/// Empty for what is no such response: another version (a server of NAT-PMP answers with its own),
/// an answer without the opcode's data, another protocol than UDP.
std::optional<PcpMapResponse> decode_pcp_map_response(Bytes datagram);

} // namespace narrowlink::wire
