// What each kind of router does, seen from outside, against the table of tests/lab/README.md.

#include "nat.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace narrowlink::sim {
namespace {

using nat::Allocation;
using nat::Filtering;
using nat::Mapping;

SocketAddress at(std::string_view ip, std::uint16_t port)
{
    return {*IpAddress::parse(ip), port};
}

const SocketAddress main_port = at("198.51.100.2", 443);
const SocketAddress other_port = at("198.51.100.2", 8'444);
const SocketAddress other_address = at("198.51.100.3", 443);
const SocketAddress stranger = at("203.0.113.9", 5'000);
constexpr Instant start{std::chrono::hours{1}};

Nat make(std::string_view name, std::uint64_t seed = 1)
{
    const NatKind& kind = nat_kind(name);
    std::vector<IpAddress> external;
    for (unsigned i = 0; i < kind.addresses; ++i)
        external.push_back(IpAddress::v4(
            {std::byte{198}, std::byte{18}, std::byte{1}, static_cast<std::byte>(2 + i)}));
    return {kind, std::move(external), seed};
}

SocketAddress inside(std::uint16_t port)
{
    return at("192.168.1.2", port);
}

Mapping mapping_of(Nat& nat)
{
    const SocketAddress local = inside(50'000);
    const auto first = nat.outbound(start, local, main_port);
    const auto port = nat.outbound(start, local, other_port);
    const auto address = nat.outbound(start, local, other_address);
    if (first == local)
        return Mapping::none;
    if (first == port)
        return first == address ? Mapping::endpoint_independent : Mapping::address_dependent;
    return Mapping::address_and_port_dependent;
}

Filtering filtering_of(Nat& nat)
{
    const SocketAddress local = inside(50'001);
    const auto mapped = nat.outbound(start, local, main_port);
    EXPECT_EQ(nat.inbound(start, main_port, *mapped), local);
    if (nat.inbound(start, stranger, at("198.18.1.2", 1'023)))
        return Filtering::none;
    if (nat.inbound(start, other_address, *mapped) == local)
        return Filtering::endpoint_independent;
    return nat.inbound(start, other_port, *mapped) == local ? Filtering::address_dependent
                                                            : Filtering::address_and_port_dependent;
}

Allocation allocation_of(Nat& nat)
{
    std::vector<int> ports;
    bool preserves = true;
    for (std::uint16_t local = 51'000; local < 51'040; ++local) {
        ports.push_back(nat.outbound(start, inside(local), main_port)->port);
        preserves = preserves && ports.back() == local;
    }
    if (preserves)
        return Allocation::preserving;
    bool counts = true;
    for (std::size_t i = 1; i < ports.size(); ++i)
        counts = counts && ports[i] == ports[i - 1] + 1;
    if (counts)
        return Allocation::sequential;
    const auto [least, most] = std::ranges::minmax_element(ports);
    return *most - *least < 512 ? Allocation::block : Allocation::random;
}

struct Row {
    std::string_view name;
    Mapping mapping;
    Filtering filtering;
    Allocation allocation;
};

constexpr Mapping none = Mapping::none;
constexpr Mapping eim = Mapping::endpoint_independent;
constexpr Mapping adm = Mapping::address_dependent;
constexpr Mapping apdm = Mapping::address_and_port_dependent;
constexpr Filtering eif = Filtering::endpoint_independent;
constexpr Filtering adf = Filtering::address_dependent;
constexpr Filtering apdf = Filtering::address_and_port_dependent;
constexpr Allocation kept = Allocation::preserving;

constexpr Row table[]{
    {"public", none, Filtering::none, kept},
    {"public_firewall", none, apdf, kept},
    {"ipv6_firewall", none, apdf, kept},
    {"full_cone", eim, eif, kept},
    {"full_cone_hairpin", eim, eif, kept},
    {"address_restricted", eim, adf, kept},
    {"port_restricted", eim, apdf, kept},
    {"port_restricted_open_input", eim, apdf, kept},
    {"port_restricted_reject", eim, apdf, kept},
    {"endpoint_independent_random", eim, apdf, Allocation::random},
    {"address_dependent_random", adm, apdf, Allocation::random},
    {"symmetric_sequential", apdm, apdf, Allocation::sequential},
    {"symmetric_block", apdm, apdf, Allocation::block},
    {"symmetric_random", apdm, apdf, Allocation::random},
};

} // namespace

TEST(Nat, EachKindDoesWhatTheTableSays)
{
    for (const Row& row : table)
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            SCOPED_TRACE(row.name);
            Nat nat = make(row.name, seed);
            EXPECT_EQ(mapping_of(nat), row.mapping);
            EXPECT_EQ(filtering_of(nat), row.filtering);
            EXPECT_EQ(allocation_of(nat), row.allocation);
        }
    // The three others have tests of their own below.
    EXPECT_EQ(std::size(table) + 3, nat_kinds().size());
}

TEST(Nat, ABlockedOneLetsNothingOut)
{
    Nat nat = make("udp_blocked");
    EXPECT_FALSE(nat.outbound(start, inside(50'000), main_port));
    EXPECT_FALSE(nat.inbound(start, main_port, at("198.18.1.2", 50'000)));
}

TEST(Nat, OneThatAllowsWebPortsOnlyBlocksTheRest)
{
    Nat nat = make("udp_443_only");
    EXPECT_EQ(nat.outbound(start, inside(50'000), main_port), at("198.18.1.2", 50'000));
    EXPECT_FALSE(nat.outbound(start, inside(50'000), other_port));
    EXPECT_FALSE(nat.inbound(start, other_address, at("198.18.1.2", 50'000)));
    EXPECT_EQ(nat.inbound(start, main_port, at("198.18.1.2", 50'000)), inside(50'000));
}

TEST(Nat, APoolGivesEachFlowAnyOfItsAddresses)
{
    Nat nat = make("address_pool");
    std::set<IpAddress> seen;
    for (std::uint16_t port = 5'000; port < 5'100; ++port) {
        const auto mapped = nat.outbound(start, inside(50'000), at("203.0.113.1", port));
        ASSERT_TRUE(mapped);
        EXPECT_EQ(mapped->port, 50'000);
        EXPECT_EQ(nat.outbound(start, inside(50'000), at("203.0.113.1", port)), mapped);
        seen.insert(mapped->ip);
    }
    EXPECT_EQ(seen.size(), 4U);
}

TEST(Nat, TwoHostsWithOnePortGetDifferentMappings)
{
    for (const std::string_view name : {"full_cone", "port_restricted", "symmetric_block"}) {
        SCOPED_TRACE(name);
        Nat nat = make(name);
        const SocketAddress one = inside(50'000), two = at("192.168.1.3", 50'000);
        const auto mapped = nat.outbound(start, one, main_port);
        const auto second = nat.outbound(start, two, main_port);
        EXPECT_NE(mapped, second);
        EXPECT_EQ(nat.inbound(start, main_port, *mapped), one);
        EXPECT_EQ(nat.inbound(start, main_port, *second), two);
    }
}

TEST(Nat, AnUnsolicitedPacketSpoilsTheMappingOfAnOpenInput)
{
    Nat nat = make("port_restricted_open_input");
    const auto mapped = nat.outbound(start, inside(50'000), main_port);
    EXPECT_FALSE(nat.inbound(start, stranger, *mapped));
    const auto spoilt = nat.outbound(start, inside(50'000), stranger);
    ASSERT_TRUE(spoilt);
    EXPECT_NE(spoilt, mapped);
    EXPECT_FALSE(nat.inbound(start, stranger, *mapped)) << "which it was sent to before";
    EXPECT_EQ(nat.inbound(start, stranger, *spoilt), inside(50'000));
    EXPECT_EQ(nat.outbound(start, inside(50'000), other_port), mapped) << "others are as they were";
    EXPECT_EQ(nat.outbound(start, inside(50'001), stranger), at("198.18.1.2", 50'001))
        << "as are fresh sockets";
    // It is forgotten like any flow.
    EXPECT_EQ(nat.outbound(start + minutes{10}, inside(50'000), stranger), mapped);
}

TEST(Nat, AnUnsolicitedPacketSpoilsNothingElsewhere)
{
    for (const Row& row : table) {
        SCOPED_TRACE(row.name);
        Nat nat = make(row.name);
        if (nat.kind().open_input || row.mapping == apdm || row.mapping == adm)
            continue;
        const auto mapped = nat.outbound(start, inside(50'000), main_port);
        nat.inbound(start, stranger, *mapped);
        EXPECT_EQ(nat.outbound(start, inside(50'000), stranger), mapped);
    }
}

TEST(Nat, WhoSendsFirstIsNotPoisoned)
{
    Nat nat = make("port_restricted_open_input");
    const auto mapped = nat.outbound(start, inside(50'000), stranger);
    EXPECT_EQ(nat.inbound(start, stranger, *mapped), inside(50'000));
    EXPECT_EQ(nat.outbound(start, inside(50'000), stranger), mapped);
}

TEST(Nat, AMappingLastsAsLongAsItIsUsed)
{
    Nat nat = make("endpoint_independent_random");
    const auto mapped = nat.outbound(start, inside(50'000), main_port);
    EXPECT_FALSE(nat.inbound(start + seconds{31}, main_port, *mapped)) << "30 s before an answer";
    const auto next = nat.outbound(start + seconds{32}, inside(50'000), main_port);
    EXPECT_NE(next, mapped) << "random, so another";
    Instant now = start + seconds{32};
    EXPECT_TRUE(nat.inbound(now, main_port, *next));
    for (int i = 0; i < 10; ++i) {
        now += seconds{110};
        EXPECT_EQ(nat.outbound(now, inside(50'000), main_port), next);
    }
    EXPECT_TRUE(nat.inbound(now + seconds{119}, main_port, *next));
    EXPECT_FALSE(nat.inbound(now + seconds{240}, main_port, *next));

    nat.set_lifetime(seconds{3}, seconds{6});
    now += minutes{5};
    const auto brief = nat.outbound(now, inside(50'000), main_port);
    EXPECT_FALSE(nat.inbound(now + seconds{4}, main_port, *brief));
}

TEST(Nat, ARebootForgetsEveryMapping)
{
    for (const Row& row : table) {
        if (row.filtering == Filtering::none)
            continue;
        SCOPED_TRACE(row.name);
        Nat nat = make(row.name);
        const auto mapped = nat.outbound(start, inside(50'000), main_port);
        nat.reboot();
        if (!nat.kind().open_input) { // which that would poison
            EXPECT_FALSE(nat.inbound(start, main_port, *mapped));
        }
        const auto again = nat.outbound(start, inside(50'000), main_port);
        EXPECT_EQ(again == mapped, row.allocation == kept) << "only kept ports come back";
        EXPECT_EQ(nat.inbound(start, main_port, *again), inside(50'000));
    }
}

TEST(Nat, ACopyGoesItsOwnWay)
{
    Nat nat = make("symmetric_random");
    Nat copy = nat;
    const auto mapped = nat.outbound(start, inside(50'000), main_port);
    EXPECT_FALSE(copy.inbound(start, main_port, *mapped));
    EXPECT_EQ(copy.outbound(start, inside(50'000), main_port), mapped) << "from the same state";
}

} // namespace narrowlink::sim
