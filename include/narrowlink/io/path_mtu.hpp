#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

namespace narrowlink::io {

/// What the kernel knows of the largest IP packet that gets to `to`, in bytes (IP_MTU of ip(7)),
/// after it has sent one of that size with the DF bit, and waited `patience` for what routers say
/// to it (RFC 1191 §3). A path that swallows large packets in silence is not noticed; QUIC searches
/// for itself (RFC 8899).
///
/// The datagram means nothing to anybody: zeros. Errors: of socket(2) and connect(2).
net::awaitable<Result<unsigned>> path_mtu(SocketAddress to, Duration patience);

} // namespace narrowlink::io
