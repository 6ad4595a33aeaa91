#include "narrowlink/relay/datagram_table.hpp"

#include <gtest/gtest.h>

namespace narrowlink::relay {
namespace {

constexpr SessionId client{1}, agent{2}, other{3};
constexpr RelayTag client_tag{std::byte{1}}, agent_tag{std::byte{2}};
const SocketAddress client_at = *SocketAddress::parse("198.51.100.1:1000");
const SocketAddress agent_at = *SocketAddress::parse("203.0.113.2:2000");
const IpAddress ours = *IpAddress::parse("192.0.2.1");
const SocketAddress elsewhere = *SocketAddress::parse("203.0.113.2:2001");

class DatagramTableTest : public testing::Test {
protected:
    DatagramTableTest()
    {
        EXPECT_TRUE(table.add_pair(client, client_tag, agent, agent_tag));
        table.set_place(client, {client_at, ours});
        table.set_place(agent, {agent_at, ours});
    }

    /// Where it goes; nowhere has port 0.
    SocketAddress way(const SocketAddress& from, const RelayTag& tag)
    {
        const auto found = table.find(now, from, tag);
        return found.to == nullptr ? SocketAddress{} : found.to->address;
    }

    Instant now{std::chrono::seconds{1'000}};
    DatagramTable table;
};

} // namespace

TEST_F(DatagramTableTest, LeadsFromEachEndToTheOther)
{
    EXPECT_EQ(way(client_at, agent_tag), agent_at);
    EXPECT_EQ(way(agent_at, client_tag), client_at);
}

TEST_F(DatagramTableTest, TakesNothingFromElsewhereOrWithAnotherTag)
{
    EXPECT_EQ(way(elsewhere, client_tag), SocketAddress{});
    EXPECT_EQ(way(client_at, client_tag), SocketAddress{}) << "its own";
    table.set_place(other, {elsewhere, ours});
    EXPECT_EQ(way(elsewhere, agent_tag), SocketAddress{}) << "somebody else's pair";
    EXPECT_EQ(way(elsewhere, client_tag), SocketAddress{});
}

TEST_F(DatagramTableTest, FollowsANodeThatMoves)
{
    table.set_place(agent, {elsewhere, ours});
    EXPECT_EQ(way(client_at, agent_tag), elsewhere);
    EXPECT_EQ(way(elsewhere, client_tag), client_at);
    EXPECT_EQ(way(agent_at, client_tag), SocketAddress{});
}

TEST_F(DatagramTableTest, KeepsAnAddressForEachFamily)
{
    const SocketAddress six = *SocketAddress::parse("[2001:db8::2]:2000");
    table.set_place(agent, {six, ours});
    EXPECT_EQ(way(client_at, agent_tag), six) << "the latest";
    EXPECT_EQ(way(six, client_tag), client_at);
    EXPECT_EQ(way(agent_at, client_tag), client_at) << "the other one still sends";
}

TEST_F(DatagramTableTest, SendsNothingToAnAddressThatWasNotProvedLately)
{
    const Instant until = now + std::chrono::seconds{10};
    table.set_place(agent, {agent_at, ours, until});
    const SocketAddress six = *SocketAddress::parse("[2001:db8::2]:2000");
    table.set_place(agent, {six, ours, until + std::chrono::seconds{5}});
    table.set_place(agent, {agent_at, ours, until + std::chrono::seconds{10}});
    now = until;
    EXPECT_EQ(way(client_at, agent_tag), six) << "to be heard again does not make it the latest";
    now = until + std::chrono::seconds{5};
    EXPECT_EQ(way(client_at, agent_tag), agent_at) << "the one that is still good";
    now = until + std::chrono::seconds{10};
    EXPECT_EQ(way(client_at, agent_tag), SocketAddress{});
    table.set_place(agent, {agent_at, ours, now + std::chrono::seconds{10}});
    EXPECT_EQ(way(client_at, agent_tag), agent_at);
}

TEST_F(DatagramTableTest, SendsNothingToWhoHasProvedNoAddress)
{
    DatagramTable fresh;
    EXPECT_TRUE(fresh.add_pair(client, client_tag, agent, agent_tag));
    fresh.set_place(client, {client_at, ours});
    EXPECT_EQ(fresh.find(now, client_at, agent_tag).to, nullptr);
}

TEST_F(DatagramTableTest, AnAddressBelongsToWhoProvedItLast)
{
    table.set_place(other, {agent_at, ours});
    EXPECT_EQ(way(agent_at, client_tag), SocketAddress{});
    EXPECT_EQ(way(client_at, agent_tag), SocketAddress{}) << "the agent is nowhere now";
}

TEST_F(DatagramTableTest, ATagIsUsedOnceAtEachEnd)
{
    EXPECT_FALSE(table.add_pair(other, client_tag, agent, {std::byte{9}})) << "packets of the agent";
    EXPECT_FALSE(table.add_pair(client, {std::byte{9}}, other, agent_tag)) << "packets of the client";
    EXPECT_TRUE(table.add_pair(other, {std::byte{9}}, agent, agent_tag));
    EXPECT_EQ(way(client_at, agent_tag), agent_at);
}

TEST_F(DatagramTableTest, ForgetsPairsAndSessions)
{
    table.remove_pair(client, client_tag, agent, agent_tag);
    EXPECT_EQ(way(client_at, agent_tag), SocketAddress{});
    EXPECT_EQ(way(agent_at, client_tag), SocketAddress{});
    EXPECT_TRUE(table.add_pair(client, client_tag, agent, agent_tag));
    table.remove_session(agent);
    EXPECT_EQ(way(client_at, agent_tag), SocketAddress{});
    table.set_place(agent, {agent_at, ours});
    EXPECT_EQ(way(client_at, agent_tag), SocketAddress{}) << "its pairs went with its session";
}

} // namespace narrowlink::relay
