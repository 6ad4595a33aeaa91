#include "two_pairs.hpp"

#include <gtest/gtest.h>

namespace narrowlink::path::test {
namespace {

using std::chrono::minutes;

constexpr CarrierId third{3};

} // namespace

// ---- choice

TEST(Pair, SendsOnlyOnTheCarrierInUse)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    ends.add(TwoPairs::second, TwoPairs::direct);
    std::vector<std::byte> block(65'528);
    const quic::StreamId id =
        *ends.client.pair.connection().open({quic::Request::Kind::tcp, {"localhost", 22}});
    TwoPairs::say(ends.client, id, 1'000);
    EXPECT_EQ(ends.client.pair.poll_transmit(ends.now, TwoPairs::first, block).size, 0U);
    EXPECT_EQ(ends.client.pair.poll_transmit(ends.now, third, block).size, 0U);
    EXPECT_GT(ends.client.pair.poll_transmit(ends.now, TwoPairs::second, block).size, 0U);
}

TEST(Pair, PrefersDirectToUdpRelayToWebSocketRelay)
{
    TwoPairs ends;
    Pair& pair = ends.client.pair;
    EXPECT_EQ(pair.current(), std::nullopt);
    pair.add_carrier(ends.now, third,
                     {.kind = CarrierKind::udp_relay, .mtu = 1'400, .paced = true});
    EXPECT_EQ(pair.current(), CarrierKind::udp_relay);
    pair.add_carrier(ends.now, TwoPairs::first, TwoPairs::relay);
    EXPECT_EQ(pair.current(), CarrierKind::udp_relay);
    pair.add_carrier(ends.now, TwoPairs::second, TwoPairs::direct);
    EXPECT_EQ(pair.current(), CarrierKind::direct_udp);
    EXPECT_EQ(pair.mtu(), TwoPairs::direct.mtu);
    pair.remove_carrier(ends.now, TwoPairs::second);
    EXPECT_EQ(pair.current(), CarrierKind::udp_relay);
    pair.remove_carrier(ends.now, third);
    EXPECT_EQ(pair.current(), CarrierKind::websocket_relay);
    EXPECT_EQ(pair.mtu(), TwoPairs::relay.mtu);
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

TEST(Pair, TellsEachChangeOfTheCarrierOnce)
{
    TwoPairs ends;
    ends.add(TwoPairs::first, TwoPairs::relay);
    ASSERT_EQ(ends.client.count<PathChanged>(), 1U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, CarrierKind::websocket_relay);
    ends.add(TwoPairs::second, TwoPairs::direct);
    ASSERT_EQ(ends.client.count<PathChanged>(), 2U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, CarrierKind::direct_udp);
    ends.remove(TwoPairs::first);
    EXPECT_EQ(ends.client.count<PathChanged>(), 2U) << "it was not in use";
    ends.remove(TwoPairs::second);
    ASSERT_EQ(ends.client.count<PathChanged>(), 3U);
    EXPECT_EQ(ends.client.find<PathChanged>()->carrier, std::nullopt);
}

TEST(Pair, AStreamGoesOnOverAnotherCarrier)
{
    TwoPairs ends;
    ASSERT_TRUE(ends.connect());
    const quic::StreamId id = ends.open();
    TwoPairs::say(ends.client, id, 100'000);
    ends.add(TwoPairs::second, TwoPairs::direct);
    ends.remove(TwoPairs::first);
    EXPECT_TRUE(ends.run([&] { return TwoPairs::heard(ends.agent, id) == 100'000; }));
    EXPECT_GT(ends.trains_on_second, 0U);
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
