#include "two_pairs.hpp"

#include <gtest/gtest.h>

namespace narrowlink::path::test {
namespace {

using std::chrono::minutes;

/// The second carrier is in use, and delays packets ever longer.
void slow_down(TwoPairs& ends, quic::StreamId id, Duration delay)
{
    ends.run_for(seconds{3});
    ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);
    for (Duration now = ends.delay; now < delay; now += milliseconds{5}) {
        ends.delays[TwoPairs::second] = now;
        TwoPairs::say(ends.client, id, 100);
        ends.run_for(milliseconds{100});
    }
    ends.run_for(seconds{20});
    ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}

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

// ---- choice

TEST(Pair, MovesToABetterCarrierOnceThePeerHasAnswered)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
    ASSERT_TRUE(ends.run([&] {
        return ends.client.pair.current() == CarrierKind::direct_udp &&
               ends.agent.pair.current() == CarrierKind::websocket_relay;
    })) << "the agent follows, it does not lead";
    TwoPairs::say(ends.client, id, 1'000);
    ASSERT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; }));
    EXPECT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(ends.client.pair.mtu(), TwoPairs::direct.mtu);

    std::vector<std::byte> block(65'528);
    ends.run_for(seconds{1});
    TwoPairs::say(ends.client, id, 1'000);
    EXPECT_EQ(ends.client.pair.poll_transmit(ends.now, TwoPairs::first, block).size, 0U);
    EXPECT_EQ(ends.client.pair.poll_transmit(ends.now, TwoPairs::third, block).size, 0U);
    EXPECT_GT(ends.client.pair.poll_transmit(ends.now, TwoPairs::second, block).size, 0U);
}

TEST(Pair, StaysWhereItIsWhileABetterCarrierDoesNotAnswer)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.dead.insert(TwoPairs::second);
    ends.add(TwoPairs::second, TwoPairs::direct);
    for (std::size_t said = 10'000; said <= 100'000; said += 10'000) {
        TwoPairs::say(ends.client, id, 10'000);
        ASSERT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == said; },
                             milliseconds{100}));
        ends.run_for(seconds{1});
    }
    EXPECT_EQ(ends.client.count<PathChanged>(), 1U);
    EXPECT_GT(ends.trains_on_second, 0U) << "it has tried";

    ends.dead.clear();
    EXPECT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::direct_udp; },
                         seconds{60}))
        << "and tries again";
}

TEST(Pair, LeavesADirectCarrierThatHasFallenSilent)
{
    for (const bool upload : {true, false}) {
        TwoPairs ends;
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.add(TwoPairs::second, TwoPairs::direct);
        ends.run_for(seconds{3});
        ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
        ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);

        ends.dead.insert(TwoPairs::second);
        End& sender = upload ? ends.client : ends.agent;
        End& receiver = upload ? ends.agent : ends.client;
        TwoPairs::say(sender, id, 100'000);
        EXPECT_TRUE(
            ends.run([&] { return TwoPairs::heard(receiver, id) == 100'000; }, seconds{3}));
        EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
        EXPECT_EQ(ends.agent.pair.current(), CarrierKind::websocket_relay);

        ends.dead.clear();
        EXPECT_TRUE(
            ends.run([&] { return ends.agent.pair.current() == CarrierKind::direct_udp; },
                     seconds{10}))
            << "it comes back";
    }
}

TEST(Pair, NoticesThatAnIdleDirectCarrierIsDead)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{30});
    ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(ends.client.count<PathChanged>(), 2U) << "silence without a question is no silence";
    ends.dead.insert(TwoPairs::second);
    EXPECT_TRUE(
        ends.run([&] { return ends.client.pair.current() == CarrierKind::websocket_relay; },
                 seconds{3}));
}

TEST(Pair, TellsWhyItChangedAndWhatTheRoundTripIs)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.delays[TwoPairs::second] = milliseconds{3};
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{3});
    ends.dead.insert(TwoPairs::second);
    ends.run_for(seconds{5});
    ends.remove(TwoPairs::first);
    ends.remove(TwoPairs::second);
    std::vector<ChangeReason> reasons;
    std::vector<Duration> measured;
    for (const Event& event : ends.client.events) {
        if (const auto* change = std::get_if<PathChanged>(&event))
            reasons.push_back(change->reason);
        else if (const auto* first = std::get_if<PathMeasured>(&event))
            measured.push_back(first->rtt);
    }
    using enum ChangeReason;
    ASSERT_GE(reasons.size(), 4U);
    EXPECT_EQ(reasons[0], started);
    EXPECT_EQ(reasons[1], better);
    EXPECT_EQ(reasons[2], silent);
    EXPECT_EQ(reasons.back(), lost);
    ASSERT_GE(measured.size(), 2U);
    EXPECT_GE(measured[0], milliseconds{20}) << "on the relay";
    EXPECT_LE(measured[1], milliseconds{12}) << "on the direct path";
}

TEST(Pair, LeavesADirectCarrierThatIsDeadInOneDirection)
{
    for (const bool to_agent : {true, false}) {
        TwoPairs ends;
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.add(TwoPairs::second, TwoPairs::direct);
        ends.run_for(seconds{3});
        ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
        (to_agent ? ends.dead_to_agent : ends.dead_to_client).insert(TwoPairs::second);
        TwoPairs::say(ends.client, id, 50'000);
        TwoPairs::say(ends.agent, id, 50'000);
        EXPECT_TRUE(ends.run(
            [&] {
                return TwoPairs::heard(ends.client, id) == 50'000 &&
                       TwoPairs::heard(ends.agent, id) == 50'000;
            },
            seconds{2}));
        EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
    }
}

// A client that only receives measures the round trip once in two seconds.
TEST(Pair, LeavesADirectCarrierSoonThatWasSlowBeforeItFellSilent)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    slow_down(ends, id, milliseconds{600});
    ends.delays.clear();
    ends.run_for(seconds{5});
    ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
    ASSERT_GT(ends.client.pair.connection().statistics().probe_timeout, milliseconds{1'500});

    ends.dead_to_client = {TwoPairs::second};
    TwoPairs::say(ends.agent, id, 50'000);
    EXPECT_TRUE(
        ends.run([&] { return TwoPairs::heard(ends.client, id) == 50'000; }, milliseconds{5'500}))
        << "two seconds until it asks, three until it leaves";
}

TEST(Pair, StaysOnADirectCarrierThatBecomesSlowLittleByLittle)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    slow_down(ends, id, seconds{2});
    TwoPairs::say(ends.client, id, 1'000);
    ends.run_for(seconds{20});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(ends.client.count<PathChanged>(), 2U);
}

TEST(Pair, StaysOnASilentCarrierWhenThereIsNoOther)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{3});
    ends.remove(TwoPairs::first);
    ends.dead.insert(TwoPairs::second);
    TwoPairs::say(ends.client, id, 1'000);
    ends.run_for(seconds{5});
    ends.dead.clear();
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; }, seconds{10}));
}

TEST(Pair, ACarrierThatDiesAgainAndAgainIsTakenLaterEachTimeUntilItHasWorkedForLong)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{5});
    const auto is_direct = [&] {
        return ends.client.pair.current() == CarrierKind::direct_udp;
    };
    const auto returns_after = [&] {
        EXPECT_TRUE(is_direct());
        ends.dead.insert(TwoPairs::second);
        TwoPairs::say(ends.client, id, 1'000);
        EXPECT_TRUE(ends.run([&] { return !is_direct(); }));
        ends.dead.clear();
        ends.run_for(milliseconds{100});
        const Instant from = ends.now;
        ends.client.pair.handle_carrier_restored(ends.now, TwoPairs::second);
        EXPECT_TRUE(ends.run(is_direct, seconds{60}));
        const Duration waited = ends.now - from;
        ends.run_for(seconds{5});
        return waited;
    };
    EXPECT_LT(returns_after(), seconds{2}) << "who drives it knows that it works";
    Duration longest{};
    for (int deaths = 2; deaths <= 5; ++deaths)
        longest = returns_after();
    EXPECT_GE(longest, seconds{8});
    ends.run_for(minutes{15});
    EXPECT_LT(returns_after(), seconds{2});
}

TEST(Pair, WhatWasTooLongForACarrierIsRepairedAsSoonAsThatIsKnown)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{5});
    ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);

    ends.narrow[TwoPairs::second] = 1'300;
    TwoPairs::say(ends.agent, id, 10'000); // the client has nothing to miss
    EXPECT_EQ(ends.agent.pair.doubtful_at(TwoPairs::first), never);
    EXPECT_TRUE(ends.run(
        [&] { return ends.now >= ends.agent.pair.doubtful_at(TwoPairs::second); }, seconds{1}));
    ends.run_for(seconds{4});
    EXPECT_LT(TwoPairs::heard(ends.client, id), 10'000U);
    ends.agent.pair.set_mtu(ends.now, TwoPairs::second, 1'200);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.client, id) == 10'000; },
                         milliseconds{200}));
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}

TEST(Pair, TheWorseCarrierIsUsedAtOnceWhenTheBetterIsRemoved)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{3});
    TwoPairs::say(ends.agent, id, 100'000);
    ends.run_for(milliseconds{15});
    ends.remove(TwoPairs::second);
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
    EXPECT_TRUE(
        ends.run([&] { return TwoPairs::heard(ends.client, id) == 100'000; }, seconds{1}));
}

TEST(Pair, UsesTheNewestOfTwoCarriersOfAKind)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::relay);
    TwoPairs::say(ends.client, id, 1'000);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; }));
    EXPECT_GT(ends.trains_on_second, 0U);
    EXPECT_EQ(ends.client.count<PathChanged>(), 1U)
        << "for whoever looks at the kind nothing has changed";
}

TEST(Pair, TheRelayOverUdpIsBetterThanTheOneOverWebSocketAndWorseThanADirectPath)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.add(TwoPairs::second, TwoPairs::udp_relay);
    ends.run_for(seconds{4});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::udp_relay);
    ends.add(TwoPairs::third, TwoPairs::direct);
    ends.run_for(seconds{2});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}

TEST(Pair, ADirectPathThatComesSoonDoesNotHaveToWaitForTheRelayOverUdp)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.add(TwoPairs::second, TwoPairs::udp_relay);
    ends.run_for(milliseconds{100});
    ends.add(TwoPairs::third, TwoPairs::direct);
    ends.run_for(milliseconds{100});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}

TEST(Pair, LeavesADeadPathForTheWebSocketBecauseOftenAllOfUdpIsDead)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::udp_relay);
    ends.add(TwoPairs::third, TwoPairs::direct);
    ends.run_for(seconds{3});
    ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);

    ends.dead = {TwoPairs::second, TwoPairs::third};
    TwoPairs::say(ends.client, id, 1'000);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; },
                         milliseconds{600}));
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);

    ends.dead = {TwoPairs::third};
    EXPECT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::udp_relay; },
                         seconds{60}))
        << "from there it tries what is better";
}

TEST(Pair, LeavesADeadPathAtOnceHoweverShortItsStayWas)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(milliseconds{200});
    ASSERT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
    ends.dead = {TwoPairs::second};
    TwoPairs::say(ends.client, id, 1'000);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; },
                         milliseconds{400}));
}

TEST(Pair, TellsEachChangeOfTheCarrierOnce)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ASSERT_EQ(ends.client.count<PathChanged>(), 1U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, CarrierKind::websocket_relay);
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{3});
    ASSERT_EQ(ends.client.count<PathChanged>(), 2U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, CarrierKind::direct_udp);
    ends.remove(TwoPairs::first);
    EXPECT_EQ(ends.client.count<PathChanged>(), 2U) << "it was not in use";
    ends.remove(TwoPairs::second);
    ASSERT_EQ(ends.client.count<PathChanged>(), 3U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, std::nullopt);
}

// ---- freeze and thaw

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

// ---- ends

TEST(Pair, EndsWhenNoCarrierCameWithinTheResumeWindow)
{
    TwoPairs ends{{.resume_window = minutes{3}}};
    ASSERT_TRUE(ends.connect());
    ends.remove(TwoPairs::first);
    ends.run_for(minutes{3} - milliseconds{1});
    EXPECT_EQ(ends.client.find<quic::Closed>(), nullptr);
    ends.run_for(milliseconds{1});
    ASSERT_NE(ends.client.find<quic::Closed>(), nullptr);
    EXPECT_EQ(ends.client.find<quic::Closed>()->reason, quic::Error::timed_out);
    EXPECT_EQ(ends.agent.find<quic::Closed>()->reason, quic::Error::timed_out);
    EXPECT_EQ(ends.client.pair.deadline(), never);
}

TEST(Pair, EachOutageHasTheWholeResumeWindow)
{
    TwoPairs ends{{.resume_window = minutes{3}}};
    ASSERT_TRUE(ends.connect());
    for (int outage = 0; outage < 3; ++outage) {
        ends.remove(TwoPairs::first);
        ends.run_for(minutes{2});
        ends.add(TwoPairs::first, TwoPairs::relay);
        ends.run_for(seconds{1});
    }
    EXPECT_EQ(ends.client.find<quic::Closed>(), nullptr);
}

TEST(Pair, EndsWhenThePeerIsSilentAlthoughThereIsACarrier)
{
    TwoPairs ends{{.silence_limit = seconds{60}}};
    ASSERT_TRUE(ends.connect());
    ends.run_for(minutes{5});
    ASSERT_EQ(ends.client.find<quic::Closed>(), nullptr) << "the keep-alive is an answer";
    const Instant heard_at = ends.client.pair.connection().last_authentic();
    ends.is_losing = true;
    ends.run([&] { return ends.client.find<quic::Closed>() != nullptr; }, minutes{5});
    ASSERT_NE(ends.client.find<quic::Closed>(), nullptr);
    EXPECT_EQ(ends.client.find<quic::Closed>()->reason, quic::Error::timed_out);
    EXPECT_GE(ends.now, heard_at + seconds{60});
    EXPECT_LE(ends.now, heard_at + seconds{61});
}

TEST(Pair, CarriersOverUdpDoNotMeanThatTheNetworkIsThere)
{
    for (const bool direct : {true, false}) {
        TwoPairs ends;
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.add(TwoPairs::second, direct ? TwoPairs::direct : TwoPairs::udp_relay);
        ends.run_for(seconds{5});
        ASSERT_NE(ends.agent.pair.current(), CarrierKind::websocket_relay);
        ends.is_losing = true;
        TwoPairs::say(ends.client, id, 1'000);
        TwoPairs::say(ends.agent, id, 1'000);
        ends.remove(TwoPairs::first); // both sessions have noticed
        ends.run_for(minutes{5});
        ends.is_losing = false;
        ends.add(TwoPairs::third, TwoPairs::relay);
        EXPECT_TRUE(ends.run(
            [&] {
                return TwoPairs::heard(ends.agent, id) == 1'000 &&
                       TwoPairs::heard(ends.client, id) == 1'000;
            },
            seconds{10}));
        EXPECT_EQ(ends.client.find<quic::Closed>(), nullptr);
    }
}

TEST(Pair, WhoHasSleptHasNotBeenLeftByThePeer)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.run_for(seconds{1});
    ends.now += minutes{5}; // nobody runs
    ends.client.pair.handle_timeout(ends.now);
    ends.agent.pair.handle_timeout(ends.now);
    TwoPairs::say(ends.agent, id, 1'000);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.client, id) == 1'000; }, seconds{10}));
}

TEST(Pair, TimeWithoutACarrierIsNotThePeersSilence)
{
    TwoPairs ends{{.resume_window = minutes{10}, .silence_limit = seconds{60}}};
    ASSERT_TRUE(ends.connect());
    ends.remove(TwoPairs::first);
    ends.run_for(minutes{9});
    ends.is_losing = true;
    ends.add(TwoPairs::first, TwoPairs::relay);
    ends.run_for(seconds{59});
    EXPECT_EQ(ends.client.find<quic::Closed>(), nullptr);
    ends.run_for(seconds{2});
    EXPECT_NE(ends.client.find<quic::Closed>(), nullptr);
}

TEST(Pair, AnAgentSaysWhenItHearsNothingOverUdp)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.run_for(seconds{30});
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 0U) << "a WebSocket has its own watch";
    ends.add(TwoPairs::second, TwoPairs::direct);
    const auto talk = [&] {
        for (int i = 0; i < 100; ++i) {
            TwoPairs::say(ends.client, id, 100);
            ends.run_for(milliseconds{100});
        }
    };
    talk();
    ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 0U) << "it hears something all the time";
    ends.dead.insert(TwoPairs::second);
    ends.dead_to_agent.insert(TwoPairs::first);
    ends.run_for(milliseconds{600});
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 1U);
    ends.run_for(seconds{20});
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 1U) << "once";
    ends.dead.clear();
    ends.dead_to_agent.clear();
    talk();
    ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);
    ends.run_for(seconds{2});
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 2U) << "and again";
    ends.run_for(minutes{1});
    EXPECT_EQ(ends.agent.count<PathQuiet>(), 2U) << "keep-alives are always far apart";
    EXPECT_EQ(ends.client.count<PathQuiet>(), 0U);
}

TEST(Pair, AnAgentThatNobodyEverTalksToEndsAsWell)
{
    TwoPairs ends{{.silence_limit = seconds{60}}};
    ends.agent.pair.add_carrier(ends.now, TwoPairs::first, TwoPairs::relay);
    ends.run_for(seconds{61});
    ASSERT_NE(ends.agent.find<quic::Closed>(), nullptr);
}

TEST(Pair, ACloseIsToldToThePeerAndThenNothingIsDue)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.client.pair.close(ends.now, quic::h3_no_error);
    ASSERT_TRUE(ends.run([&] { return ends.agent.find<quic::Closed>() != nullptr; }));
    EXPECT_EQ(ends.agent.find<quic::Closed>()->reason, quic::Error::closed_by_peer);
    EXPECT_EQ(ends.client.find<quic::Closed>()->reason, quic::Error::closed_locally);
    EXPECT_EQ(ends.client.pair.deadline(), never);
    EXPECT_EQ(ends.agent.pair.deadline(), never);
}

} // namespace narrowlink::path::test
