// Outages: carriers that vanish or fall silent, and streams that go on as soon as there is one again.

#include "two_pairs.hpp"

#include <gtest/gtest.h>

namespace narrowlink::path::test {
namespace {

using std::chrono::minutes;

/// A client that has looked for a sleeping agent on two carriers, until it had no connection ID
/// left for another path. What the agent acknowledges when it is awake tells of a round trip as
/// long as its sleep.
quic::StreamId search_for_sleeping_agent(TwoPairs& ends)
{
    EXPECT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    EXPECT_TRUE(ends.run([&] { return ends.agent.pair.current() == CarrierKind::direct_udp; }));
    ends.remove(TwoPairs::first);
    ends.add(TwoPairs::first, {.kind = CarrierKind::udp_relay, .mtu = 1'200, .paced = true});
    ends.run_for(seconds{3});
    TwoPairs::say(ends.client, id, 1'000);
    ends.run_for(ends.delay + milliseconds{2}); // before the agent has acknowledged them
    ends.agent_sleeps = true;
    ends.run_for(seconds{40});
    ends.agent_sleeps = false;
    return id;
}

} // namespace

TEST(Pair, SendsNothingAndAsksForNoTimerButTheLastWhileItHasNoCarrier)
{
    TwoPairs ends{{.resume_window = minutes{10}}};
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.remove(TwoPairs::first);
    TwoPairs::say(ends.client, id, 1'000);
    std::vector<std::byte> block(65'528);
    EXPECT_EQ(ends.client.pair.poll_transmit(ends.now, TwoPairs::first, block).size, 0U);
    EXPECT_EQ(ends.client.pair.deadline(), ends.now + minutes{10});
}

TEST(Pair, AStreamGoesOnAfterAMinuteWithoutACarrier)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    TwoPairs::say(ends.client, id, 100'000);
    ends.remove(TwoPairs::first);
    ends.run_for(minutes{1});
    EXPECT_LT(TwoPairs::heard(ends.agent, id), 100'000U);
    ends.add(TwoPairs::second, TwoPairs::relay);
    EXPECT_TRUE(
        ends.run([&] { return TwoPairs::heard(ends.agent, id) == 100'000; }, milliseconds{200}))
        << "ten round trips";
}

// Both ends have sent into the void until they noticed: the next probe timeouts are seconds away.
TEST(Pair, AStreamGoesOnAtOnceAlthoughProbesHaveBackedOff)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    for (const Duration unnoticed : {milliseconds{700}, milliseconds{2'000}, milliseconds{8'000}}) {
        SCOPED_TRACE(unnoticed / milliseconds{1});
        const std::size_t before = TwoPairs::heard(ends.agent, id);
        ends.is_losing = true;
        TwoPairs::say(ends.client, id, 50'000);
        ends.run_for(unnoticed);
        ends.remove(TwoPairs::first);
        ends.run_for(milliseconds{100});
        ends.is_losing = false;
        ends.add(TwoPairs::first, TwoPairs::relay);
        EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == before + 50'000; },
                             milliseconds{200}));
    }
}

// A client that only receives says something every two seconds, and acknowledges nothing with it.
TEST(Pair, TheAgentGoesOnAsSoonAsItHearsTheClientAgain)
{
    for (const int out : {1'200, 1'500, 1'900}) {
        TwoPairs ends;
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.add(TwoPairs::second, TwoPairs::direct);
        ends.run_for(seconds{3});
        TwoPairs::say(ends.agent, id, 1'000);
        ends.run_for(milliseconds{100});
        ends.dead.insert(TwoPairs::second);
        TwoPairs::say(ends.agent, id, 50'000);
        ends.run_for(milliseconds{out});
        ends.dead.clear();
        const Instant heard_before = ends.agent.pair.connection().last_authentic();
        ASSERT_TRUE(ends.run([&] {
            return ends.agent.pair.connection().last_authentic() > heard_before;
        }));
        EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.client, id) == 51'000; },
                             milliseconds{100}))
            << "five round trips, out for " << out << " ms";
    }
}

TEST(Pair, AStreamGoesOnSoonAlthoughTheProbeOnTheNewRelayIsLost)
{
    for (const bool from_agent : {false, true}) {
        TwoPairs ends;
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.is_losing = true;
        TwoPairs::say(from_agent ? ends.agent : ends.client, id, 50'000);
        ends.run_for(seconds{8});
        ends.remove(TwoPairs::first);
        ends.add(TwoPairs::second, TwoPairs::relay);
        ends.run_for(milliseconds{100});
        ends.is_losing = false;
        EXPECT_TRUE(ends.run(
            [&] {
                return TwoPairs::heard(from_agent ? ends.client : ends.agent, id) == 50'000;
            },
            seconds{1}))
            << "from agent: " << from_agent;
    }
}

// TCP keeps what it could not deliver: the packets arrive, as old as the outage was long.
TEST(Pair, ForgetsTheRoundTripOfAnOutageThatARelayHasSurvived)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.delays[TwoPairs::first] = seconds{4};
    TwoPairs::say(ends.client, id, 1'000);
    ends.run_for(seconds{4});
    ends.delays.clear();
    ends.run_for(seconds{2});
    ASSERT_EQ(TwoPairs::heard(ends.agent, id), 1'000U);
    EXPECT_LT(ends.client.pair.connection().statistics().probe_timeout, milliseconds{500});
    EXPECT_LT(ends.agent.pair.connection().statistics().probe_timeout, milliseconds{500});
    EXPECT_EQ(ends.client.count<PathChanged>(), 1U) << "nobody needs to know";
}

TEST(Pair, AStreamGoesOnAtOnceAfterOutagesInARow)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.is_losing = true;
    TwoPairs::say(ends.agent, id, 50'000);
    for (int outage = 0; outage < 8; ++outage) { // a back-off beyond the keep-alive interval
        ends.run_for(milliseconds{500});
        ends.remove(TwoPairs::first);
        ends.run_for(milliseconds{500});
        ends.add(TwoPairs::first, TwoPairs::relay);
    }
    ends.remove(TwoPairs::first);
    ends.is_losing = false;
    ends.add(TwoPairs::second, TwoPairs::relay);
    EXPECT_TRUE(
        ends.run([&] { return TwoPairs::heard(ends.client, id) == 50'000; }, milliseconds{200}));
}

// Each time a probe goes out and QUIC doubles its timeout. A client that never acknowledges anything but comes
// back again and again must not use up the time that there is.
TEST(Pair, OutagesWithoutEndDoNotExhaustTheClock)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.is_losing = true;
    TwoPairs::say(ends.agent, id, 50'000);
    for (int outage = 0; outage < 100; ++outage) {
        ends.run_for(milliseconds{100});
        ends.remove(TwoPairs::first);
        ends.add(TwoPairs::first, TwoPairs::relay);
    }
    ends.is_losing = false;
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.client, id) == 50'000; }, seconds{10}));
}

TEST(Pair, AStreamGoesOnAtOnceWhenARelayTakesOverThatWasDeadTooAndHasComeBack)
{
    for (const bool from_agent : {false, true}) {
        for (const int out : {400, 500, 800, 1'500, 3'000}) {
            TwoPairs ends;
            ASSERT_TRUE(ends.connect());
            const quic::StreamId id = ends.open();
            ends.add(TwoPairs::second, TwoPairs::direct);
            ASSERT_TRUE(
                ends.run([&] { return ends.agent.pair.current() == CarrierKind::direct_udp; }));
            ends.run_for(seconds{3});
            End& speaker = from_agent ? ends.agent : ends.client;
            End& listener = from_agent ? ends.client : ends.agent;

            // The client's host gets another address.
            ends.dead = {TwoPairs::first, TwoPairs::second};
            TwoPairs::say(speaker, id, 100'000);
            ends.run_for(milliseconds{out});
            ends.remove(TwoPairs::first);
            ends.run_for(milliseconds{100});
            ends.dead = {TwoPairs::second};
            ends.add(TwoPairs::first, TwoPairs::relay);
            EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(listener, id) == 100'000; },
                                 milliseconds{400}))
                << "from agent: " << from_agent << ", out for " << out << " ms";
        }
    }
}

// Each change of path costs the agent a connection ID of the client's, and the client gives it new ones
// only when it hears of that.
TEST(Pair, AnAgentWithoutConnectionIdsStillFindsTheClient)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ASSERT_TRUE(ends.run([&] { return ends.agent.pair.current() == CarrierKind::direct_udp; }));
    ends.dead_to_client = {TwoPairs::first, TwoPairs::second};
    TwoPairs::say(ends.client, id, 1'000);
    TwoPairs::say(ends.agent, id, 1'000);
    ends.run_for(seconds{40});
    ends.dead_to_client.clear();
    ends.dead = {TwoPairs::second};
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.client, id) == 1'000; }, seconds{8}));
}

TEST(Pair, AStreamGoesOnSoonAlthoughTheSearchForTheAgentHasUsedUpAllConnectionIds)
{
    TwoPairs ends;
    const quic::StreamId id = search_for_sleeping_agent(ends);
    TwoPairs::say(ends.client, id, 250'000);
    std::size_t heard = 0;
    EXPECT_TRUE(
        ends.run([&] { return (heard += TwoPairs::take(ends.agent, id)) == 251'000; }, seconds{4}))
        << heard;
    EXPECT_LT(ends.client.pair.connection().statistics().probe_timeout, seconds{1});
}

// What the agent says is heard, but on one of the carriers it hears nothing.
TEST(Pair, ADeadCarrierIsLeftSoonAlthoughTheSearchForTheAgentHasUsedUpAllConnectionIds)
{
    for (const CarrierId dead : {TwoPairs::first, TwoPairs::second}) {
        TwoPairs ends;
        const quic::StreamId id = search_for_sleeping_agent(ends);
        ends.dead_to_agent = {dead};
        TwoPairs::say(ends.client, id, 50'000);
        EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 51'000; }, seconds{8}))
            << "carrier " << static_cast<unsigned>(dead);
    }
}

TEST(Pair, AHandshakeGoesOnAfterAMomentWithoutACarrier)
{
    TwoPairs ends;
    ends.add(TwoPairs::first, TwoPairs::relay);
    ends.run_for(milliseconds{15});
    ends.remove(TwoPairs::first);
    ends.run_for(seconds{5});
    ends.add(TwoPairs::second, TwoPairs::relay);
    EXPECT_TRUE(ends.run([&] { return ends.client.find<quic::Connected>() != nullptr; }));
}

} // namespace narrowlink::path::test
