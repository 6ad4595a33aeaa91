#include "narrowlink/wire/forwarded_for.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace narrowlink::wire {
namespace {

std::string client(std::string_view peer, std::string_view field,
                   const std::vector<std::string_view>& trusted = {"10.0.0.0/8", "fd00::/8"})
{
    std::vector<IpPrefix> prefixes;
    for (const std::string_view text : trusted)
        prefixes.push_back(*IpPrefix::parse(text));
    return to_string(forwarded_client(*IpAddress::parse(peer), field, prefixes));
}

TEST(ForwardedFor, CountsForNothingFromAPeerThatIsNotTrusted)
{
    EXPECT_EQ(client("192.0.2.1", "198.51.100.7"), "192.0.2.1");
    EXPECT_EQ(client("10.0.0.1", "198.51.100.7", {}), "10.0.0.1");
}

TEST(ForwardedFor, TellsWhoATrustedProxyHeardFrom)
{
    EXPECT_EQ(client("10.0.0.1", "198.51.100.7"), "198.51.100.7");
    EXPECT_EQ(client("fd00::1", "2001:db8::7"), "2001:db8::7");
}

TEST(ForwardedFor, StopsAtTheRightmostHopThatIsNotTrusted)
{
    EXPECT_EQ(client("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
    EXPECT_EQ(client("10.0.0.1", "10.9.9.9, 198.51.100.7"), "198.51.100.7");
}

TEST(ForwardedFor, TellsTheFirstHopWhenAllAreTrusted)
{
    EXPECT_EQ(client("10.0.0.1", "10.0.0.3 ,\t10.0.0.2"), "10.0.0.3");
}

TEST(ForwardedFor, TakesEverySpellingProxiesUse)
{
    EXPECT_EQ(client("10.0.0.1", "198.51.100.7:4711"), "198.51.100.7");
    EXPECT_EQ(client("10.0.0.1", "[2001:db8::7]"), "2001:db8::7");
    EXPECT_EQ(client("10.0.0.1", "[2001:db8::7]:4711"), "2001:db8::7");
    EXPECT_EQ(client("10.0.0.1", "::ffff:198.51.100.7"), "198.51.100.7");
}

TEST(ForwardedFor, StopsAtWhatIsNoAddress)
{
    for (const std::string_view field :
         {"", " ", ",", "unknown", "198.51.100.7,", "198.51.100.7, _x", "198.51.100.7 10.0.0.2",
          "[2001:db8::7", "[2001:db8::7]x"})
        EXPECT_EQ(client("10.0.0.1", field), "10.0.0.1") << field;
    EXPECT_EQ(client("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2"), "10.0.0.2");
}

} // namespace
} // namespace narrowlink::wire
