#include "narrowlink/nat/probe_channel.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace narrowlink::nat {
namespace {

class ProbeChannelTest : public testing::Test {
protected:
    SeededRandom random{1};
    ProbeCredentials credentials{.id = random.array<8>(), .key = random.array<32>()};
    ProbeChannel client{credentials, wire::ProbeSender::client};
    ProbeChannel agent{credentials, wire::ProbeSender::agent};
};

} // namespace

TEST_F(ProbeChannelTest, OpensWhatThePeerHasSealed)
{
    const wire::Probe probe{.kind = wire::ProbeKind::answer,
                            .token = 7,
                            .socket = 3,
                            .local_port = 40'000,
                            .seen = SocketAddress::parse("[2001:db8::1]:443")};
    const auto opened = agent.open(client.seal(probe, random));
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->sender, wire::ProbeSender::client);
    EXPECT_EQ(opened->sequence, 1U);
    EXPECT_EQ(opened->kind, probe.kind);
    EXPECT_EQ(opened->token, probe.token);
    EXPECT_EQ(opened->socket, probe.socket);
    EXPECT_EQ(opened->local_port, probe.local_port);
    EXPECT_EQ(opened->seen, probe.seen);
}

TEST_F(ProbeChannelTest, LooksLikeAShortHeaderPacketAndNeverTwiceTheSame)
{
    std::vector<ProbePacket> packets;
    for (int i = 0; i < 200; ++i)
        packets.push_back(client.seal({.seen = {}}, random));
    for (const ProbePacket& packet : packets) {
        EXPECT_EQ(packet[0] & std::byte{0xc0}, std::byte{0x40});
        EXPECT_EQ(wire::probe_id(packet), credentials.id);
    }
    for (std::size_t at = 9; at < wire::probe_size; ++at)
        EXPECT_TRUE(std::ranges::any_of(packets, [&](const ProbePacket& packet) {
            return packet[at] != packets[0][at];
        })) << "byte "
            << at << " is a fingerprint";
}

TEST_F(ProbeChannelTest, RefusesReplaysAndItsOwnWords)
{
    const ProbePacket packet = client.seal({.seen = {}}, random);
    EXPECT_TRUE(agent.open(packet));
    EXPECT_FALSE(agent.open(packet)) << "replayed";
    EXPECT_FALSE(client.open(packet)) << "reflected";
}

TEST_F(ProbeChannelTest, TakesPacketsInAnyOrderWithinTheWindow)
{
    std::vector<ProbePacket> packets;
    for (int i = 0; i < 60; ++i)
        packets.push_back(client.seal({.seen = {}}, random));
    std::ranges::reverse(packets);
    for (const ProbePacket& packet : packets)
        EXPECT_TRUE(agent.open(packet));
    for (const ProbePacket& packet : packets)
        EXPECT_FALSE(agent.open(packet));
    const ProbePacket late = client.seal({.seen = {}}, random);
    for (int i = 0; i < 100; ++i)
        EXPECT_TRUE(agent.open(client.seal({.seen = {}}, random)));
    EXPECT_FALSE(agent.open(late)) << "too old to know";
}

TEST_F(ProbeChannelTest, RefusesEveryDamage)
{
    const ProbePacket packet = client.seal({.seen = {}}, random);
    for (std::size_t at = 0; at < packet.size(); ++at)
        for (const std::byte flip : {std::byte{1}, std::byte{0x80}}) {
            ProbePacket damaged = packet;
            damaged[at] ^= flip;
            EXPECT_FALSE(agent.open(damaged)) << at;
        }
    EXPECT_FALSE(agent.open(Bytes{packet}.first(packet.size() - 1)));
    EXPECT_FALSE(agent.open({}));
    ProbeCredentials other = credentials;
    other.key[0] ^= std::byte{1};
    EXPECT_FALSE((ProbeChannel{other, wire::ProbeSender::agent}.open(packet)));
    EXPECT_TRUE(agent.open(packet)) << "and none of it has spoilt the window";
}

} // namespace narrowlink::nat
