#pragma once

#include "narrowlink/base/bytes.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace narrowlink::wire {

/// What all connection IDs of one end of a pair begin with, so that the gateway can tell where a
/// datagram has to go; docs/protocol.md §11.
using RelayTag = std::array<std::byte, 4>;

/// The tag of a QUIC packet with a short header (RFC 9000 §17.3.1); empty for anything else. Packets
/// of a handshake have other connection IDs and never go this way.
std::optional<RelayTag> relay_tag_of(Bytes packet);

} // namespace narrowlink::wire
