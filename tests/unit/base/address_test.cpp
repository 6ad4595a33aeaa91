#include "narrowlink/base/address.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace narrowlink {
namespace {

using namespace std::string_view_literals;

TEST(IpAddress, ParsesEverySpellingAndFormatsOne)
{
    constexpr std::pair<std::string_view, std::string_view> table[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"192.0.2.1", "192.0.2.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:0db8::0001", "2001:db8::1"},
        {"fe80::1:2:3:4", "fe80::1:2:3:4"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"::ffff:192.0.2.1", "192.0.2.1"}, // IPv4-mapped, RFC 4291 §2.5.5.2
        {"::ffff:c000:201", "192.0.2.1"},
        {"0:0:0:0:0:FFFF:127.0.0.1", "127.0.0.1"},
    };
    for (const auto& [text, formatted] : table) {
        const auto address = IpAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(to_string(*address), formatted);
        EXPECT_EQ(IpAddress::parse(formatted), address);
        EXPECT_EQ(address->size(), address->is_v4() ? 4U : 16U);
    }
}

TEST(IpAddress, RefusesWhatOtherParsersGuess)
{
    for (const std::string_view text :
         std::initializer_list<std::string_view>{"",
                                                 " ",
                                                 "1",
                                                 "1.2.3",
                                                 "1.2.3.4.5",
                                                 "256.0.0.1",
                                                 "01.2.3.4",
                                                 "0x7f.0.0.1",
                                                 "1.2.3.4 ",
                                                 " 1.2.3.4",
                                                 "1.2.3.4/32",
                                                 "1.2.3.4:80",
                                                 "[::1]",
                                                 "::1%lo",
                                                 "fe80::1%1",
                                                 ":::",
                                                 "1::2::3",
                                                 "1:2:3:4:5:6:7:8:9",
                                                 "12345::",
                                                 "g::",
                                                 "localhost",
                                                 "::ffff:256.1.1.1",
                                                 "1.2.3.4\0"sv,
                                                 "::1\0"sv,
                                                 "\0"sv,
                                                 "127.0.0.1\0.example.com"sv})
        EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, AMappedAddressIsTheAddressItStandsFor)
{
    std::array<std::byte, 16> mapped{};
    mapped[10] = mapped[11] = std::byte{0xff};
    mapped[12] = std::byte{10};
    mapped[15] = std::byte{1};
    EXPECT_EQ(IpAddress::v6(mapped), IpAddress::parse("10.0.0.1"));
    EXPECT_TRUE(IpAddress::v6(mapped).is_v4());
    EXPECT_TRUE(IpPrefix::parse("10.0.0.0/8")->contains(IpAddress::v6(mapped)));

    mapped[9] = std::byte{1}; // no longer mapped
    EXPECT_FALSE(IpAddress::v6(mapped).is_v4());
    mapped[9] = mapped[10] = mapped[11] = {}; // IPv4-compatible, which is deprecated: stays IPv6
    EXPECT_FALSE(IpAddress::v6(mapped).is_v4());
}

TEST(IpAddress, TheFamiliesAreNeverEqual)
{
    EXPECT_NE(IpAddress::parse("0.0.0.0"), IpAddress::parse("::"));
    EXPECT_NE(IpAddress::parse("1.0.0.0"), IpAddress::parse("100::"));
}

TEST(SocketAddress, PutsBracketsAroundIpv6)
{
    EXPECT_EQ(to_string(SocketAddress{*IpAddress::parse("192.0.2.1"), 80}), "192.0.2.1:80");
    EXPECT_EQ(to_string(SocketAddress{*IpAddress::parse("2001:db8::1"), 65'535}),
              "[2001:db8::1]:65535");
}

TEST(IpPrefix, ParsesBlocksAndBareAddresses)
{
    constexpr std::pair<std::string_view, std::string_view> table[] = {
        {"0.0.0.0/0", "0.0.0.0/0"},          {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.128.0.0/9", "10.128.0.0/9"},    {"192.0.2.1/32", "192.0.2.1/32"},
        {"192.0.2.1", "192.0.2.1/32"},       {"::/0", "::/0"},
        {"2001:db8::/32", "2001:db8::/32"},  {"2001:db8::1", "2001:db8::1/128"},
        {"fe80::/10", "fe80::/10"},          {"::ffff:10.0.0.0", "10.0.0.0/32"},
        {"::ffff:10.0.0.0/8", "10.0.0.0/8"},
    };
    for (const auto& [text, formatted] : table) {
        const auto prefix = IpPrefix::parse(text);
        ASSERT_TRUE(prefix) << text;
        EXPECT_EQ(to_string(*prefix), formatted);
    }
}

TEST(IpPrefix, RefusesHostBitsAndNonsense)
{
    for (const std::string_view text :
         std::initializer_list<std::string_view>{"",
                                                 "/",
                                                 "/8",
                                                 "10.0.0.0/",
                                                 "10.0.0.1/8",
                                                 "10.64.0.0/9",
                                                 "192.0.2.1/31",
                                                 "10.0.0.0/33",
                                                 "::/129",
                                                 "2001:db8::1/64",
                                                 "10.0.0.0/-1",
                                                 "10.0.0.0/+8",
                                                 "10.0.0.0/8 ",
                                                 "10.0.0.0/ 8",
                                                 "10.0.0.0/8/8",
                                                 "10.0.0.0/0x8",
                                                 "10.0.0.0/99999999999",
                                                 "10/8",
                                                 "example.com/8",
                                                 "10.0.0.0/8\0"sv,
                                                 "::ffff:10.0.0.0/104"})
        EXPECT_FALSE(IpPrefix::parse(text)) << text;
}

TEST(IpPrefix, ContainsExactlyItsBlock)
{
    struct Row {
        std::string_view prefix, inside, outside;
    };

    constexpr Row table[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.128.0.0/9", "10.128.0.0", "10.127.255.255"},
        {"192.0.2.0/31", "192.0.2.1", "192.0.2.2"},
        {"192.0.2.7/32", "192.0.2.7", "192.0.2.6"},
        {"0.0.0.0/0", "255.255.255.255", "::"},
        {"::/0", "ffff::", "0.0.0.0"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"2001:db8::1/128", "2001:db8::1", "2001:db8::2"},
        {"::/96", "::1.2.3.4", "1.2.3.4"},
    };
    for (const Row& row : table) {
        const auto prefix = IpPrefix::parse(row.prefix);
        ASSERT_TRUE(prefix) << row.prefix;
        EXPECT_TRUE(prefix->contains(*IpAddress::parse(row.inside))) << row.prefix;
        EXPECT_FALSE(prefix->contains(*IpAddress::parse(row.outside))) << row.prefix;
    }
}

TEST(HostPort, ParsesNamesAndAddresses)
{
    const std::pair<std::string_view, HostPort> table[] = {
        {"example.com:80", {"example.com", 80}},
        {"EXAMPLE.Com:80", {"example.com", 80}},
        {"example.com.:80", {"example.com", 80}},
        {"localhost:1", {"localhost", 1}},
        {"_svc.a-b.example:5060", {"_svc.a-b.example", 5060}},
        {"192.0.2.1:65535", {"192.0.2.1", 65'535}},
        {"[2001:DB8::0:1]:443", {"2001:db8::1", 443}},
        {"[::]:22", {"::", 22}},
        {"[::ffff:192.0.2.1]:22", {"192.0.2.1", 22}},
        {"a:0080", {"a", 80}},
    };
    for (const auto& [text, expected] : table) {
        const auto parsed = HostPort::parse(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(*parsed, expected);
        EXPECT_EQ(HostPort::parse(to_string(*parsed)), parsed);
    }
}

TEST(HostPort, RefusesEverythingElse)
{
    for (const std::string_view text : std::initializer_list<std::string_view>{"",
                                                                               ":",
                                                                               ":80",
                                                                               "example.com",
                                                                               "example.com:",
                                                                               "example.com:0",
                                                                               "a:65536",
                                                                               "a:99999999",
                                                                               "a:-1",
                                                                               "a:+1",
                                                                               "a:1 ",
                                                                               "a: 1",
                                                                               "a:0x50",
                                                                               "a:80:",
                                                                               "a:b:80",
                                                                               "::1:80",
                                                                               "2001:db8::1",
                                                                               "[]:80",
                                                                               "[:80",
                                                                               "[::1:80",
                                                                               "[::1]80",
                                                                               "[::1]",
                                                                               "[::1]]:80",
                                                                               "[[::1]]:80",
                                                                               "[::1%lo]:80",
                                                                               "[x]:80",
                                                                               "a b:80",
                                                                               "a/b:80",
                                                                               "a@b:80",
                                                                               "a%00:80",
                                                                               ".:80",
                                                                               ".a:80",
                                                                               "a..:80",
                                                                               "a..b:80",
                                                                               "..:80",
                                                                               "caf\xc3\xa9:80",
                                                                               "*:80",
                                                                               "a\n:80",
                                                                               "a:80\n",
                                                                               "http://a:80",
                                                                               "a\0:80"sv,
                                                                               "a\0b:80"sv,
                                                                               "\0:80"sv,
                                                                               "a:80\0"sv,
                                                                               "a:8\0"
                                                                               "0"sv,
                                                                               "[::1\0]:80"sv,
                                                                               "[\0::1]:80"sv})
        EXPECT_FALSE(HostPort::parse(text)) << text;
}

TEST(HostPort, TakesNamesUpTo253Characters)
{
    EXPECT_TRUE(HostPort::parse(std::string(253, 'a') + ":80"));
    EXPECT_TRUE(HostPort::parse(std::string(253, 'a') + ".:80")) << "the root label does not count";
    EXPECT_FALSE(HostPort::parse(std::string(254, 'a') + ":80"));
}

} // namespace
} // namespace narrowlink
