#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

#include <cstdint>
#include <vector>

namespace narrowlink::io {

/// How hard dial() tries.
struct DialPace {
    Duration attempt_delay = std::chrono::milliseconds{250}; ///< RFC 8305 §5
    Duration fresh_attempt_after = std::chrono::seconds{1};  ///< to an address that keeps silent
    std::size_t most_in_flight = 4; ///< attempts to one address; the oldest makes room
};

/// Connects to the first of `addresses` that answers (Happy Eyeballs, RFC 8305): families take
/// turns, a next address is tried when the one before has failed or been silent for
/// `attempt_delay`.
///
/// Every silent address gets a fresh SYN each second beside the kernel's own, which come after 1,
/// 3, 7 and 15 s: a network that was silently gone is noticed within a second of its return.
///
/// The socket has TCP_NODELAY. Errors, the first that applies to any address:
/// errc::connection_refused, errc::timed_out (at the deadline), another error of connect(2),
/// errc::network_unreachable or errc::host_unreachable. Returns early when all have failed.
net::awaitable<tcp::socket> dial(std::vector<IpAddress> addresses, std::uint16_t port,
                                 Instant deadline, DialPace pace = {});

/// Resolves and connects. Errors also: ResolveError.
/// Requires: `target` outlives the await.
net::awaitable<tcp::socket> dial(const HostPort& target, Instant deadline);

/// A UDP socket connected to the first of `addresses` that has a route. Nothing is sent.
/// Errors: of the last address tried.
net::awaitable<udp::socket> dial_udp(std::vector<IpAddress> addresses, std::uint16_t port);

/// Resolves and connects. Errors also: ResolveError.
/// Requires: `target` outlives the await.
net::awaitable<udp::socket> dial_udp(const HostPort& target, Instant deadline);

} // namespace narrowlink::io
