#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/io/asio.hpp"

namespace narrowlink::io {

/// Between our addresses and Asio's. An IPv4-mapped IPv6 address of Asio becomes IPv4, see
/// IpAddress; its zone identifier is dropped.
IpAddress from_asio(const net::ip::address&);
SocketAddress from_asio(const tcp::endpoint&);
SocketAddress from_asio(const udp::endpoint&);

net::ip::address to_asio(const IpAddress&);
tcp::endpoint to_tcp_endpoint(const SocketAddress&);
udp::endpoint to_udp_endpoint(const SocketAddress&);

} // namespace narrowlink::io
