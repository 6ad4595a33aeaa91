#pragma once

#include "narrowlink/base/address.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::wire {

/// The `:path` of a connect-udp request: the default template of RFC 9298 §2,
/// `/.well-known/masque/udp/{target_host}/{target_port}/`. The colons of an IPv6 address become
/// `%3A`.
std::string format_udp_path(const HostPort& target);

/// Empty for any other path, for a host or a port that HostPort::parse() refuses, and for an IPv6
/// address with brackets or a zone.
std::optional<HostPort> parse_udp_path(std::string_view path);

} // namespace narrowlink::wire
