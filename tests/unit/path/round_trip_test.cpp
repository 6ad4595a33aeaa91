// What a pair makes of round trips: carriers that are much slower than another, and the way to and from them.

#include "two_pairs.hpp"

#include <gtest/gtest.h>

namespace narrowlink::path::test {
namespace {

using std::chrono::minutes;

} // namespace

// ---- slow carriers

TEST(Pair, LeavesACarrierOnWhichTheRoundTripIsMuchLonger)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.delays[TwoPairs::second] = milliseconds{100};
    ends.add(TwoPairs::second, TwoPairs::direct);
    std::size_t said = 0;
    const auto talk = [&](seconds time) {
        for (const Instant until = ends.now + time; ends.now < until;) {
            TwoPairs::say(ends.client, id, 100);
            said += 100;
            ends.run_for(milliseconds{100});
        }
    };
    talk(seconds{10});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
    ASSERT_EQ(ends.client.count<PathChanged>(), 3U) << "there and back";
    EXPECT_EQ(ends.client.find<PathChanged>()->reason, ChangeReason::slower);
    talk(seconds{30});
    ends.client.pair.handle_carrier_restored(ends.now, TwoPairs::second); // another attempt has found it
    EXPECT_TRUE(ends.client.pair.is_left_for_faster(TwoPairs::second));
    talk(seconds{30});
    EXPECT_EQ(ends.client.count<PathChanged>(), 3U) << "and it stays";
    EXPECT_EQ(TwoPairs::heard(ends.agent, id), said);

    ends.delays[TwoPairs::second] = milliseconds{10};
    EXPECT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::direct_udp; },
                         minutes{6}))
        << "it is not forgotten";
    talk(seconds{10});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}

TEST(Pair, ReturnsToASlowCarrierWhenTheOtherHasBecomeAsSlow)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.add(TwoPairs::second, TwoPairs::direct);
    // A download of somebody else fills the queue of the line, which both carriers share.
    ends.delays[TwoPairs::first] = ends.delays[TwoPairs::second] = milliseconds{100};
    for (int i = 0; i < 200; ++i) {
        TwoPairs::say(ends.client, id, 100);
        ends.run_for(milliseconds{100});
    }
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(ends.client.count<PathChanged>(), 4U) << "there, back and there again";
}

TEST(Pair, StaysOnADirectCarrierThatIsALittleSlower)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.delays[TwoPairs::second] = milliseconds{40};
    ends.add(TwoPairs::second, TwoPairs::direct);
    for (int i = 0; i < 100; ++i) {
        TwoPairs::say(ends.client, id, 1'000);
        ends.run_for(milliseconds{100});
    }
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::direct_udp);
}


// ---- carriers with longer round trips than the one in use

TEST(Pair, MovesToADirectCarrierWithAMuchLongerRoundTripThanTheRelay)
{
    for (const int direct_delay : {20, 40, 80, 150, 300}) {
        SCOPED_TRACE(direct_delay);
        TwoPairs ends;
        ends.delay = milliseconds{1};
        ASSERT_TRUE(ends.connect());
        const quic::StreamId id = ends.open();
        ends.run_for(seconds{1});
        ends.delays[TwoPairs::second] = milliseconds{direct_delay};
        ends.add(TwoPairs::second, TwoPairs::direct);
        EXPECT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::direct_udp; },
                             milliseconds{2 * direct_delay + 5}));
        ends.remove(TwoPairs::first); // it would go back, else
        TwoPairs::say(ends.client, id, 1'000);
        EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 1'000; },
                             milliseconds{3 * direct_delay + 5}));
        EXPECT_TRUE(ends.run([&] { return ends.client.pair.is_validated(TwoPairs::second); }));
        ends.run_for(seconds{2});
        EXPECT_LE(ends.agent.count_quic<quic::ConnectionIdRetired>(), 3U)
            << "validated, at once, and to forget the relay";
    }
}

TEST(Pair, AnswersThatComeTogetherCauseOneMigration)
{
    TwoPairs ends;
    ends.delay = milliseconds{1};
    ASSERT_TRUE(ends.connect());
    ends.run_for(seconds{1});
    ends.delays[TwoPairs::second] = milliseconds{150};
    ends.doubling.insert(TwoPairs::second);
    ends.add(TwoPairs::second, TwoPairs::direct);
    ASSERT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::direct_udp; }));
    ASSERT_GE(ends.client.count_quic<quic::PathAnsweredLate>(), 2U);
    ends.remove(TwoPairs::first); // it would go back, else
    ends.run_for(seconds{2});
    EXPECT_LE(ends.agent.count_quic<quic::ConnectionIdRetired>(), 3U)
        << "validated, at once, and to forget the relay";
}

TEST(Pair, WhatWasRecordedBeforeIsNoAnswer)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    TwoPairs::say(ends.agent, id, 1'000);
    ends.run_for(seconds{1});
    const TwoPairs::Train recorded = ends.last_to_client;
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.run_for(seconds{10}); // the agent gives up the connection ID of the recorded packet
    ASSERT_EQ(ends.agent.pair.current(), CarrierKind::direct_udp);
    ends.dead.insert(TwoPairs::second);
    ASSERT_TRUE(ends.run([&] { return ends.client.pair.current() == CarrierKind::websocket_relay; }));
    ends.run_for(milliseconds{2'500}); // the next validation has begun, and will fail
    ends.client.pair.handle_packets(ends.now, TwoPairs::second, recorded.bytes,
                                    recorded.segment_size);
    ends.run_for(milliseconds{100});
    EXPECT_EQ(ends.client.pair.current(), CarrierKind::websocket_relay);
    EXPECT_EQ(ends.client.count_quic<quic::PathAnsweredLate>(), 0U);
}

TEST(Pair, CongestionControlForgetsTheShorterRoundTripOfTheRelay)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    ends.delays[TwoPairs::second] = milliseconds{32};
    const auto download = [&](Duration time) {
        ends.run(
            [&] {
                TwoPairs::say(ends.agent, id, ends.agent.pair.connection().send_space(id));
                TwoPairs::take(ends.client, id);
                return false;
            },
            time);
    };
    download(milliseconds{200});
    ends.add(TwoPairs::second, TwoPairs::direct);
    download(milliseconds{500});
    for (End* end : {&ends.client, &ends.agent}) {
        EXPECT_EQ(end->pair.current(), CarrierKind::direct_udp);
        EXPECT_GE(end->pair.connection().statistics().shortest_rtt, milliseconds{64});
    }
    ASSERT_GE(ends.client.count<PathMeasured>(), 1U);
    for (const Event& event : ends.client.events)
        if (const auto* measured = std::get_if<PathMeasured>(&event);
            measured && measured->carrier == CarrierKind::direct_udp) {
            EXPECT_GE(measured->rtt, milliseconds{64});
        }
}

} // namespace narrowlink::path::test
