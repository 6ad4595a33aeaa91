#include "narrowlink/relay/table.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace narrowlink::relay {
namespace {

std::vector<std::byte> message_for(PairHandle handle, std::size_t payload = 250)
{
    Buffer buffer{wire::RelayHeader::size, payload};
    buffer.commit(payload);
    wire::prepend(buffer, {.segment_size = 100, .handle = handle});
    return {buffer.bytes().begin(), buffer.bytes().end()};
}

TEST(Table, SendsAMessageOnWithTheHandleOfItsReceiver)
{
    Table table;
    ASSERT_TRUE(table.add(PairHandle{1}, SessionId{7}, PairHandle{42}));
    auto message = message_for(PairHandle{1});
    const auto route = table.forward(message);
    ASSERT_TRUE(route);
    ASSERT_NE(*route, nullptr);
    EXPECT_EQ((*route)->to, SessionId{7});
    EXPECT_EQ(wire::decode_relay_frame(message)->header.handle, PairHandle{42});
    EXPECT_EQ((*route)->forwarded, (Volume{.packets = 3, .bytes = 250}));
}

TEST(Table, CountsAMessageWithoutARouteAndLeavesItAlone)
{
    Table table;
    auto message = message_for(PairHandle{1});
    const auto before = message;
    const auto route = table.forward(message);
    ASSERT_TRUE(route);
    EXPECT_EQ(*route, nullptr);
    EXPECT_EQ(message, before);
    EXPECT_EQ(table.strays(), (Volume{.packets = 3, .bytes = 250}));
}

TEST(Table, RefusesWhatIsNoRelayMessage)
{
    Table table;
    auto message = message_for(PairHandle{1});
    message[0] = std::byte{9};
    EXPECT_FALSE(table.forward(message));
}

TEST(Table, HasOneRoutePerHandleUntilItIsRemoved)
{
    Table table;
    EXPECT_TRUE(table.add(PairHandle{1}, SessionId{7}, PairHandle{42}));
    EXPECT_FALSE(table.add(PairHandle{1}, SessionId{8}, PairHandle{43}));
    EXPECT_EQ(table.find(PairHandle{1})->to, SessionId{7});
    EXPECT_TRUE(table.remove(PairHandle{1}));
    EXPECT_FALSE(table.remove(PairHandle{1}));
    EXPECT_EQ(table.find(PairHandle{1}), nullptr);
    EXPECT_EQ(table.size(), 0U);
}

} // namespace
} // namespace narrowlink::relay
