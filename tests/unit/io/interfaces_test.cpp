#include "narrowlink/io/interfaces.hpp"

#include "network_namespace.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace narrowlink::io {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpAddress ip(std::string_view text)
{
    return IpAddress::parse(text).value();
}

IpPrefix prefix(std::string_view text)
{
    return IpPrefix::parse(text).value();
}

TEST(Interfaces, EveryAddressIsOursAndInAConnectedPrefix)
{
    boost::asio::io_context loop;
    const auto prefixes = connected_prefixes();
    for (const IpAddress& address : interface_addresses()) {
        SCOPED_TRACE(to_string(address));
        EXPECT_TRUE(std::ranges::any_of(prefixes, [&](auto& p) { return p.contains(address); }));
        boost::asio::ip::udp::socket socket{
            loop, {boost::asio::ip::make_address(to_string(address)), 0}}; // throws if not ours
        for (const char* other : {"127.0.0.0/8", "224.0.0.0/4", "::1", "fe80::/10", "ff00::/8"})
            EXPECT_FALSE(prefix(other).contains(address));
    }
}

TEST(Interfaces, Ipv4ComesFirstAndEachOnce)
{
    const auto is_v4 = [](const IpAddress& address) { return address.is_v4(); };
    const auto addresses = interface_addresses();
    EXPECT_TRUE(std::ranges::is_partitioned(addresses, is_v4));
    EXPECT_EQ(std::set(addresses.begin(), addresses.end()).size(), addresses.size());
    const auto prefixes = connected_prefixes();
    EXPECT_EQ(std::set(prefixes.begin(), prefixes.end()).size(), prefixes.size());
    for (const IpPrefix& p : prefixes)
        EXPECT_EQ(IpPrefix::parse(to_string(p)), p) << "no host bits";
}

TEST(Interfaces, FollowWhatTheHostHas)
{
    const auto body = [] {
        EXPECT_THAT(interface_addresses(), IsEmpty());
        test::set_up("lo");
        test::add_address("lo", ip("198.51.100.7"), 32);
        EXPECT_THAT(interface_addresses(), IsEmpty()) << "nobody else reaches lo";
        {
            test::Tap tap;
            test::add_address(test::tap_name, ip("fd00::12:3"), 109);
            EXPECT_THAT(interface_addresses(), ElementsAre(ip("192.0.2.1"), ip("fd00::12:3")));
            EXPECT_THAT(connected_prefixes(),
                        ElementsAre(prefix("192.0.2.0/24"), prefix("fd00::10:0/109")));
            test::add_address(test::tap_name, ip("fd00::13:3"), 109);
            EXPECT_EQ(interface_addresses().size(), 3u);
            EXPECT_EQ(connected_prefixes().size(), 2u) << "the same network";
            test::add_address(test::tap_name, ip("192.0.2.9"), 31);
            EXPECT_EQ(connected_prefixes().front(), prefix("192.0.2.8/31"));
            tap.set_down();
            EXPECT_THAT(interface_addresses(), IsEmpty());
        }
        EXPECT_THAT(connected_prefixes(), IsEmpty());
    };
    if (!test::in_network_namespace(body))
        GTEST_SKIP() << "needs root";
}

} // namespace
} // namespace narrowlink::io
