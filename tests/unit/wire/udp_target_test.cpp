#include "narrowlink/wire/udp_target.hpp"

#include <gtest/gtest.h>

namespace narrowlink::wire {
namespace {

TEST(UdpTarget, FormatsTheExamplesOfTheRfc) // RFC 9298 §2, §3.4
{
    EXPECT_EQ(format_udp_path({.host = "192.0.2.6", .port = 443}),
              "/.well-known/masque/udp/192.0.2.6/443/");
    EXPECT_EQ(format_udp_path({.host = "2001:db8::42", .port = 443}),
              "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/");
}

TEST(UdpTarget, ParsesWhatItFormats)
{
    for (const HostPort& target : {HostPort{"example.com", 53}, HostPort{"2001:db8::1", 65'535},
                                   HostPort{"10.0.0.1", 1}, HostPort{"_svc.a-b.example", 5060}})
        EXPECT_EQ(parse_udp_path(format_udp_path(target)), target);
}

TEST(UdpTarget, DecodesAnyPercentEncoding)
{
    EXPECT_EQ(parse_udp_path("/.well-known/masque/udp/%65xample%2ecom/53/"),
              (HostPort{"example.com", 53}));
    EXPECT_EQ(parse_udp_path("/.well-known/masque/udp/%3a%3A1/53/"), (HostPort{"::1", 53}));
}

TEST(UdpTarget, BringsSpellingsOfOneHostTogether)
{
    EXPECT_EQ(parse_udp_path("/.well-known/masque/udp/EXAMPLE.com/53/"),
              (HostPort{"example.com", 53}));
    EXPECT_EQ(parse_udp_path("/.well-known/masque/udp/0:0::1/53/"), (HostPort{"::1", 53}));
}

TEST(UdpTarget, RefusesEverythingElse)
{
    for (const std::string_view path : {
             "",
             "/",
             "/.well-known/masque/udp/",
             "/.well-known/masque/udp/example.com",
             "/.well-known/masque/udp/example.com/",
             "/.well-known/masque/udp/example.com/53",
             "/.well-known/masque/udp/example.com/0/",
             "/.well-known/masque/udp/example.com/65536/",
             "/.well-known/masque/udp/example.com/+53/",
             "/.well-known/masque/udp/example.com/53/x/",
             "/.well-known/masque/udp/example.com/53//",
             "/.well-known/masque/udp//53/",
             "/.well-known/masque/udp/a%2/53/",
             "/.well-known/masque/udp/a%zz/53/",
             "/.well-known/masque/udp/a%20b/53/",
             "/.well-known/masque/udp/%3A%3A1%00/53/",
             "/.well-known/masque/udp/[::1]/53/",
             "/.well-known/masque/udp/%5B::1%5D/53/",
             "/.well-known/masque/udp/fe80::1%25eth0/53/",
             "/.well-known/masque/udp/a%3Ab/53/",
             "/.well-known/masque/tcp/example.com/53/",
             "x/.well-known/masque/udp/example.com/53/",
         })
        EXPECT_FALSE(parse_udp_path(path)) << path;
}

TEST(UdpTarget, RefusesALongHostWithoutDecodingIt)
{
    EXPECT_FALSE(parse_udp_path("/.well-known/masque/udp/" + std::string(1'000'000, 'a') + "/53/"));
}

} // namespace
} // namespace narrowlink::wire
