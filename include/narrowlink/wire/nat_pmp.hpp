#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace narrowlink::wire {

/// What a router is asked over NAT-PMP (RFC 6886 §3.2): which address does your other side have?
/// Most routers with PCP answer it as well (RFC 6887, appendix A).
inline constexpr std::array<std::byte, 2> nat_pmp_request{std::byte{0}, std::byte{0}};
inline constexpr std::uint16_t nat_pmp_port = 5'351;

/// The address in the answer; empty for anything else, and for 0.0.0.0.
std::optional<IpAddress> decode_nat_pmp_answer(Bytes datagram);

} // namespace narrowlink::wire
