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

/// Who drives carriers asks the one in use only, until it is told.
TEST(Pair, TellsThatAnyCarrierMayHaveSomethingToSendWhenAnotherOneHasComeIntoUse)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    Pair& pair = ends.agent.pair;
    (void)pair.take_wake();
    pair.remove_carrier(ends.now, TwoPairs::first);
    EXPECT_TRUE(pair.take_wake());
    pair.add_carrier(ends.now, TwoPairs::second, TwoPairs::relay);
    EXPECT_TRUE(pair.take_wake());
    EXPECT_FALSE(pair.take_wake());
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
