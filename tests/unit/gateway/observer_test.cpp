#include "observer.hpp"

#include <gtest/gtest.h>

namespace narrowlink::gateway {
namespace {

const IpAddress loopback = *IpAddress::parse("127.0.0.1");

/// Holds a port of the machine, that nobody else can open then.
struct Ports : testing::Test {
    io::UdpSocket take() { return io::UdpSocket::open(loop.get_executor(), {loopback, 0}, {}); }

    /// Ports that were free a moment ago.
    std::vector<std::uint16_t> find_free(std::size_t count)
    {
        std::vector<io::UdpSocket> sockets;
        std::vector<std::uint16_t> ports;
        for (std::size_t i = 0; i < count; ++i)
            ports.push_back(sockets.emplace_back(take()).local_address().port);
        return ports;
    }

    Observer observe(std::vector<std::uint16_t> ports, std::vector<IpAddress> listen = {loopback})
    {
        return {loop.get_executor(), {.listen = std::move(listen), .ports = std::move(ports)}};
    }

    net::io_context loop;
};

TEST_F(Ports, NodesProbeTheOnesThatCouldBeOpened)
{
    const auto ports = find_free(3);
    const auto taken = io::UdpSocket::open(loop.get_executor(), {loopback, ports[1]}, {});
    const Observer observer = observe(ports);
    EXPECT_TRUE(observer.is_active());
    EXPECT_EQ(observer.ports(), (std::vector{ports[0], ports[2]}));
}

TEST_F(Ports, WithoutTheMainOneThereIsNoService)
{
    const auto ports = find_free(2);
    const auto taken = io::UdpSocket::open(loop.get_executor(), {loopback, ports[0]}, {});
    const Observer observer = observe(ports);
    EXPECT_FALSE(observer.is_active());
    EXPECT_TRUE(observer.ports().empty());
}

TEST_F(Ports, OneThatIsOpenAtOneOfTwoAddressesIsUsed)
{
    const auto ports = find_free(2);
    const Observer observer = observe(ports, {loopback, *IpAddress::parse("192.0.2.1")});
    EXPECT_EQ(observer.ports(), ports);
}

} // namespace
} // namespace narrowlink::gateway
