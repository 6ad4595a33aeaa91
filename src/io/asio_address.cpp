#include "narrowlink/io/asio_address.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace narrowlink::io {

IpAddress from_asio(const net::ip::address& address)
{
    if (address.is_v4())
        return IpAddress::v4(std::bit_cast<std::array<std::byte, 4>>(address.to_v4().to_bytes()));
    return IpAddress::v6(std::bit_cast<std::array<std::byte, 16>>(address.to_v6().to_bytes()));
}

SocketAddress from_asio(const tcp::endpoint& endpoint)
{
    return {from_asio(endpoint.address()), endpoint.port()};
}

SocketAddress from_asio(const udp::endpoint& endpoint)
{
    return {from_asio(endpoint.address()), endpoint.port()};
}

net::ip::address to_asio(const IpAddress& address)
{
    const auto bytes = std::bit_cast<net::ip::address_v6::bytes_type>(address.bytes());
    if (!address.is_v4())
        return net::ip::address_v6{bytes};
    net::ip::address_v4::bytes_type first_four{};
    std::copy_n(bytes.begin(), first_four.size(), first_four.begin());
    return net::ip::address_v4{first_four};
}

tcp::endpoint to_tcp_endpoint(const SocketAddress& address)
{
    return {to_asio(address.ip), address.port};
}

udp::endpoint to_udp_endpoint(const SocketAddress& address)
{
    return {to_asio(address.ip), address.port};
}

} // namespace narrowlink::io
