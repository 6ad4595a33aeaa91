#pragma once

#include "narrowlink/base/address.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace narrowlink::access {

/// What a target's host is, in the one spelling that rules are compared with.
using Host = std::variant<IpAddress, std::string>;

/// Empty for what is neither an address nor a DNS name. Names whose last label is a number are
/// none: resolvers read `127.1`, `0x7f000001` and `2130706433` as addresses (inet_aton(3)), which
/// would dodge the rules for addresses.
std::optional<Host> parse_host(std::string_view text);

/// A DNS name in lower case without its final dot; empty for anything else.
std::optional<std::string> canonical_name(std::string_view text);

/// The address that a connection to `address` ends at, as far as it is known to everyone:
/// unspecified addresses are this host (Linux), 64:ff9b::/96 is IPv4 behind NAT64 (RFC 6052 §2.1).
IpAddress reached_by(const IpAddress& address);

} // namespace narrowlink::access
