#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::config {

/// A whole number and one unit: `250ms`, `15s`, `5m`, `2h`, `90d`.
std::optional<Duration> parse_duration(std::string_view text);

/// In the largest unit that leaves a whole number: `90s`, `2m`, `250ms`.
std::string format_duration(Duration);

/// A whole number of bytes, or of `B`, `KiB`, `MiB` or `GiB`: `64KiB`.
std::optional<std::size_t> parse_size(std::string_view text);

std::string format_size(std::size_t);

/// An IP address and a port to listen on: `0.0.0.0:443`, `[::]:443`. No names.
std::optional<SocketAddress> parse_socket_address(std::string_view text);

} // namespace narrowlink::config
