#include "narrowlink/nat/lifetime_survey.hpp"

#include <gtest/gtest.h>

namespace narrowlink::nat {
namespace {

using namespace std::chrono_literals;

const SocketAddress mapped{*IpAddress::parse("203.0.113.1"), 40'000};

/// A node behind a NAT that forgets what was idle for `lifetime`.
class LifetimeSurveyTest : public testing::Test {
protected:
    void probe(unsigned socket, GatewaySocket at = {})
    {
        SocketAddress seen = mapped;
        seen.port = static_cast<std::uint16_t>(seen.port + socket);
        used_at[seen.port] = now;
        survey.handle_probe(now, {.socket = socket, .at = at, .seen = seen});
    }

    void run()
    {
        const auto step = survey.poll_request();
        ASSERT_TRUE(step);
        EXPECT_EQ(step->purpose, SurveyStep::Purpose::lifetime);
        EXPECT_FALSE(survey.poll_request());
        for (unsigned round = 0; round < step->rounds; ++round) {
            for (unsigned i = 0; i < step->sockets; ++i)
                if (!unheard)
                    probe(step->first_socket + i);
            now += idle_step_pause;
        }
        while (!survey.result()) {
            ASSERT_LT(survey.deadline(), begun + 10min);
            ASSERT_GE(survey.deadline(), now) << "a deadline that has passed would be a busy loop";
            now = survey.deadline();
            survey.handle_timeout(now);
            while (const auto packet = survey.poll_transmit()) {
                ++packets;
                EXPECT_EQ(packet->from, GatewaySocket{});
                const unsigned socket = packet->to.port - mapped.port;
                if (now - used_at.at(packet->to.port) < lifetime && socket != lost)
                    survey.handle_alive(now, socket);
            }
        }
        EXPECT_EQ(survey.deadline(), never);
    }

    const Instant begun{1'000s};
    Instant now = begun;
    LifetimeSurvey survey{begun};
    std::map<std::uint16_t, Instant> used_at;
    Duration lifetime = 10min;
    unsigned lost = 0; ///< the packet to this socket
    bool unheard = false;
    int packets = 0;
};

} // namespace

TEST_F(LifetimeSurveyTest, FindsTheTimesBetweenWhichAMappingGoes)
{
    lifetime = 30s;
    run();
    EXPECT_EQ(*survey.result(), (MappingLifetime{.alive_after = 25s, .gone_after = 55s}));
    EXPECT_EQ(packets, 4) << "one for each socket, which has sent two";
    EXPECT_LT(now - begun, 2min + 10s);
}

TEST_F(LifetimeSurveyTest, SaysWhatItHasSeenAtEitherEnd)
{
    run();
    EXPECT_EQ(*survey.result(), (MappingLifetime{.alive_after = 115s}));
}

TEST_F(LifetimeSurveyTest, AMappingMayBeGoneBeforeTheFirstQuestion)
{
    lifetime = 5s;
    run();
    EXPECT_EQ(*survey.result(), (MappingLifetime{.gone_after = 12s}));
}

TEST_F(LifetimeSurveyTest, ALostPacketInTheMiddleChangesNothing)
{
    lost = first_idle_socket + 1;
    run();
    EXPECT_EQ(*survey.result(), (MappingLifetime{.alive_after = 115s}));
}

TEST_F(LifetimeSurveyTest, SaysNothingWhenNoProbeHasArrived)
{
    unheard = true;
    run();
    EXPECT_EQ(*survey.result(), MappingLifetime{});
    EXPECT_EQ(packets, 0);
    EXPECT_LT(now - begun, 15s);
}

TEST_F(LifetimeSurveyTest, DoesNotBelieveInPacketsThatWereNotSent)
{
    for (unsigned i = 0; i < idle_sockets; ++i) {
        probe(first_idle_socket + i);
        survey.handle_alive(now, first_idle_socket + i);
    }
    survey.handle_alive(now, 0);
    survey.handle_alive(now, first_idle_socket + idle_sockets);
    lifetime = 5s;
    run();
    EXPECT_EQ(*survey.result(), (MappingLifetime{.gone_after = 12s}));
}

TEST_F(LifetimeSurveyTest, SendsOnlyToWhereAnIdleSocketWasSeenAtTheMainPort)
{
    probe(0);
    probe(first_idle_socket - 1);
    probe(first_idle_socket + idle_sockets);
    probe(first_idle_socket, {.address = 0, .port = 1});
    unheard = true;
    run();
    EXPECT_EQ(packets, 0);
}

TEST(KeepAliveInterval, IsHalfOfTheLifetimeWithinBounds)
{
    EXPECT_EQ(keep_alive_interval({}), 15s) << "unknown";
    EXPECT_EQ(keep_alive_interval({.alive_after = 115s}), 25s);
    EXPECT_EQ(keep_alive_interval({.alive_after = 25s, .gone_after = 55s}), 12'500ms);
    EXPECT_EQ(keep_alive_interval({.alive_after = 12s, .gone_after = 25s}), 6s);
    EXPECT_EQ(keep_alive_interval({.gone_after = 12s}), 5s);
}

} // namespace narrowlink::nat
