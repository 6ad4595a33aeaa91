#pragma once

#include "narrowlink/base/address.hpp"

#include <optional>
#include <vector>

namespace narrowlink::io {

/// The unicast addresses of this host's interfaces that are up and connected: what others may reach it by. IPv4
/// first, otherwise in the order of the kernel, each once. Without loopback and without the
/// link-local addresses of IPv6 (RFC 4291 §2.5.6), which mean nothing without a zone.
///
/// A snapshot. Throws system_error with the code of getifaddrs(3).
std::vector<IpAddress> interface_addresses();

/// The networks those addresses are in, by the interfaces' netmasks, in the same order. A prefix of
/// full length stands for an address without a network.
std::vector<IpPrefix> connected_prefixes();

/// Where packets to the rest of the IPv4 Internet go first, as proc_net(5) has it in `route`.
std::optional<IpAddress> default_router();

} // namespace narrowlink::io
