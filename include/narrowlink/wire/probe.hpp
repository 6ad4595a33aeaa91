#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace narrowlink::wire {

/// The small packets that find out about NATs and open them, on the sockets that carry QUIC as
/// well; docs/protocol.md §10. To an onlooker they are QUIC packets with a short header: the id
/// stands where those have their connection ID, and the rest is random or sealed.
///
///     +----------------+---------------+----------------+-------------------+----------+
///     | 01 + 6 random  |    Id (8)     |   Nonce (12)   | Sealed body (59)  | Tag (16) |
///     +----------------+---------------+----------------+-------------------+----------+
///
/// All of them have one size, but for `size` probes, which random bytes make longer; so no answer is
/// longer than its question.

/// Chosen by the gateway; tells the receiver which key to open the packet with.
using ProbeId = std::array<std::byte, 8>;

inline constexpr std::size_t probe_body_size = 59;
inline constexpr std::size_t probe_head_size = 1 + std::tuple_size_v<ProbeId> + 12;
inline constexpr std::size_t probe_size = probe_head_size + probe_body_size + 16;

/// Who speaks: nobody accepts what it might have said itself.
enum class ProbeSender : std::uint8_t { gateway = 1, agent = 2, client = 3 };

enum class ProbeKind : std::uint8_t {
    survey = 1,   ///< node to gateway: from where do you see this?
    observed = 2, ///< gateway to node, where the survey came from: from there
    filter = 3,   ///< gateway to node, from a port that the node has not talked to
    sample = 4,   ///< node to gateway, of an attempt: where is this socket?
    punch = 16,   ///< node to node: does this arrive?
    answer = 17,  ///< node to node, where the punch came from
    confirm = 18, ///< node to node, where the answer came from: both directions are open
    size = 19,    ///< node to node, on a way: does a datagram of `token` bytes arrive?
    fits = 20,    ///< node to node, where the size probe came from: it does
};

/// What a packet says, once it is open.
struct Probe {
    ProbeSender sender = ProbeSender::gateway;
    ProbeKind kind = ProbeKind::survey;
    std::uint64_t sequence = 0;        ///< counts the sender's packets under one id
    std::uint32_t token = 0;           ///< of the question, repeated in the answer
    std::uint8_t socket = 0;           ///< which of a node's sockets, or of a gateway's ports
    std::uint16_t local_port = 0;      ///< of that socket, on a node
    std::optional<SocketAddress> seen; ///< where the receiver's packet came from
    /// Of the gateway, for the address it sees; a node repeats it in its next survey from there, and
    /// so proves that it is there. 0: none.
    std::uint64_t cookie = 0;

    bool operator==(const Probe&) const = default;
};

using ProbeBody = std::array<std::byte, probe_body_size>;

ProbeBody encode_probe(const Probe&);

/// Empty for an unknown sender, kind or address family.
std::optional<Probe> decode_probe(Bytes body);

/// The id of what may begin with a probe, by its size and first byte.
std::optional<ProbeId> probe_id(Bytes packet);

} // namespace narrowlink::wire
