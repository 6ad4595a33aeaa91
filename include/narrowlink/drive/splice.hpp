#pragma once

#include "narrowlink/drive/stream.hpp"

namespace narrowlink::drive {

/// Joins a TCP connection and a stream until both directions have ended. A half-close or a reset of
/// one side becomes a half-close or a reset of the other.
///
/// Returns how it ended, empty for a clean end of both directions. Throws operation_aborted only.
net::awaitable<ErrorCode> splice(tcp::socket socket, Stream& stream);

/// Joins a connected UDP socket and a connect-udp stream, until the stream ends or nothing has
/// been sent in either direction for `idle_timeout`.
net::awaitable<void> splice(udp::socket socket, Stream& stream, Duration idle_timeout);

} // namespace narrowlink::drive
