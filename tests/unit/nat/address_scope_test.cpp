#include "narrowlink/nat/address_scope.hpp"

#include <gtest/gtest.h>

#include <array>

namespace narrowlink::nat {
namespace {

bool allows(CandidateKind kind, std::string_view ip)
{
    const std::array connected{*IpPrefix::parse("192.168.1.0/24"), *IpPrefix::parse("2001:db8::/64")};
    return nat::may_probe({{*IpAddress::parse(ip), 1'000}, kind}, connected);
}

} // namespace

TEST(AddressScope, PublicAddressesAreNotThoseOfPrivateNetworksAndCarriers)
{
    for (const char* ip : {"10.0.0.1", "172.31.0.1", "192.168.0.1", "100.64.0.1", "100.127.0.1",
                           "127.0.0.1", "169.254.0.1", "fd00::1"})
        EXPECT_FALSE(is_public(*IpAddress::parse(ip))) << ip;
    for (const char* ip : {"100.128.0.1", "172.32.0.1", "203.0.113.1"})
        EXPECT_TRUE(is_public(*IpAddress::parse(ip))) << ip;
}

TEST(AddressScope, PrivateAddressesAreProbedInOurOwnNetworksOnly)
{
    EXPECT_TRUE(allows(CandidateKind::host, "192.168.1.9"));
    EXPECT_TRUE(allows(CandidateKind::host, "2001:db8::9"));
    for (const char* ip : {"192.168.2.9", "10.0.0.1", "203.0.113.1", "127.0.0.1", "224.0.0.1"})
        EXPECT_FALSE(allows(CandidateKind::host, ip)) << ip;
    EXPECT_TRUE(allows(CandidateKind::inside, "100.64.0.9"));
    for (const char* ip : {"192.168.1.9", "203.0.113.1", "100.128.0.1"})
        EXPECT_FALSE(allows(CandidateKind::inside, ip)) << ip;
}

TEST(AddressScope, WhatTheGatewayHasSeenIsProbedUnlessItIsNoHost)
{
    for (const CandidateKind kind : {CandidateKind::observed, CandidateKind::host_v6,
                                     CandidateKind::mapped, CandidateKind::reflexive}) {
        for (const char* ip : {"203.0.113.1", "10.0.0.1", "127.0.0.1", "2001:db8:9::1", "::1"})
            EXPECT_TRUE(allows(kind, ip)) << ip;
        for (const char* ip : {"0.0.0.0", "224.0.0.251", "239.255.255.250", "255.255.255.255",
                               "169.254.169.254", "::", "ff02::fb", "fe80::1"})
            EXPECT_FALSE(allows(kind, ip)) << ip;
    }
}

} // namespace narrowlink::nat
