#include "narrowlink/nat/lifetime_survey.hpp"
#include "two_nodes.hpp"

#include <gtest/gtest.h>

#include <gmock/gmock.h>

namespace narrowlink::direct::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t main_sockets = 1; // IPv4

/// Packets that no connection takes, but a pair is given: not of a probe's size.
std::vector<std::byte> junk(std::size_t size)
{
    return std::vector<std::byte>(size, std::byte{0x11});
}

/// The kinds of the probes of attempt `number` in `sent`.
std::vector<wire::ProbeKind> kinds(const std::deque<RecordedSockets::Sent>& sent,
                                   std::uint8_t number)
{
    nat::ProbeChannel channel{TwoNodes::credentials(number), wire::ProbeSender::gateway};
    std::vector<wire::ProbeKind> kinds;
    for (const auto& datagram : sent)
        if (datagram.bytes.size() >= wire::probe_size)
            if (const auto probe = channel.open(Bytes{datagram.bytes}.first(wire::probe_size)))
                kinds.push_back(probe->kind);
    return kinds;
}

} // namespace

// ---- ways

TEST(Node, OpensAWayToWhichThePairMoves)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    both.client.node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), here);
    both.agent.node.punch(both.now, TwoNodes::punch(1, {both.client.at(0)}), there);
    both.run_for(seconds{1});
    EXPECT_THAT(both.client.ways, ElementsAre(both.agent.at(0)));
    EXPECT_THAT(both.agent.ways, ElementsAre(both.client.at(0)));
    EXPECT_THAT(both.client.punched, ElementsAre(true));
    EXPECT_THAT(both.agent.punched, IsEmpty()) << "the client tells";
    EXPECT_EQ(here.pair().current(), path::CarrierKind::direct_udp);
    EXPECT_GT(here.pair().mtu(), path::MtuSearch::base) << "and finds its MTU";

    both.client.node.forget(both.now, here);
    EXPECT_EQ(both.client.node.way_count(), 0U);
    EXPECT_EQ(here.pair().current(), path::CarrierKind::websocket_relay);
}

TEST(Node, TakesAWayOverFromAnotherPair)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    both.client.node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), here);
    both.agent.node.punch(both.now, TwoNodes::punch(1, {both.client.at(0)}), there);
    both.run_for(seconds{1});
    TestPair next_here = both.client_pair(), next_there = both.agent_pair();
    both.client.node.forget(both.now, here);
    const auto punch = [&](std::uint8_t number) {
        both.client.node.punch(both.now, TwoNodes::punch(number, {both.agent.at(0)}), next_here);
        both.agent.node.punch(both.now, TwoNodes::punch(number, {both.client.at(0)}), next_there);
    };
    punch(2);
    both.introduce(next_here, next_there);
    both.run_for(seconds{3});
    EXPECT_EQ(next_there.pair().current(), path::CarrierKind::websocket_relay)
        << "the first pair was heard there a moment ago";
    both.run_for(seconds{3});
    punch(3);
    both.run_for(seconds{1});
    EXPECT_EQ(both.agent.node.way_count(), 1U);
    EXPECT_EQ(there.pair().current(), path::CarrierKind::websocket_relay);
    EXPECT_EQ(next_here.pair().current(), path::CarrierKind::direct_udp);
    EXPECT_EQ(next_there.pair().current(), path::CarrierKind::direct_udp);

    both.agent.node.forget(both.now, there);
    EXPECT_EQ(both.agent.node.way_count(), 1U) << "it is not theirs any more";
}

TEST(Node, WhoForgesAnAddressNeitherTakesAWayNorGetsMoreThanTheThreefoldOfWhatHeSends)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair(), other = both.agent_pair();
    both.introduce(here, there);
    both.client.node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), here);
    both.agent.node.punch(both.now, TwoNodes::punch(1, {both.client.at(0)}), there);
    both.run_for(seconds{1});
    ASSERT_EQ(there.pair().current(), path::CarrierKind::direct_udp);

    // A punch of another client, which never arrived, from the client's address and from a third one.
    both.agent.node.punch(both.now, TwoNodes::punch(2, {}), other);
    nat::ProbeChannel lost{TwoNodes::credentials(2), wire::ProbeSender::client};
    const SocketAddress third = address("192.0.2.66:1000");
    for (const SocketAddress& from : {both.client.at(0), third}) {
        const auto packet = lost.seal({.kind = wire::ProbeKind::punch, .token = 1, .seen = {}}, both.random);
        both.agent.node.handle_train(both.now, both.agent.sockets.opened.begin()->first, from,
                                     {packet, packet.size()});
    }
    both.run_for(seconds{10});
    EXPECT_GT(both.bytes_to[third], 0U) << "it answers";
    EXPECT_LE(both.bytes_to[third], 3 * wire::probe_size);
    EXPECT_EQ(there.pair().current(), path::CarrierKind::direct_udp);
    EXPECT_EQ(here.pair().current(), path::CarrierKind::direct_udp);
}

TEST(Node, RestoresTheCarrierOfAWayThatIsFoundAgain)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    for (std::uint8_t attempt = 1; attempt <= 2; ++attempt) {
        both.client.node.punch(both.now, TwoNodes::punch(attempt, {both.agent.at(0)}), here);
        both.agent.node.punch(both.now, TwoNodes::punch(attempt, {both.client.at(0)}), there);
        both.run_for(seconds{1});
    }
    EXPECT_EQ(both.client.ways.size(), 2U);
    EXPECT_EQ(both.client.node.way_count(), 1U);
    EXPECT_EQ(here.carriers, 2U) << "the relay, and one";
}

TEST(Node, KeepsTheLastTwoWaysOfAClient)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    for (std::uint8_t attempt = 1; attempt <= 3; ++attempt) {
        control::Punch fresh = TwoNodes::punch(attempt, {both.agent.at(0)});
        fresh.fresh = true;
        both.client.node.punch(both.now, fresh, here);
        both.agent.node.punch(both.now, TwoNodes::punch(attempt, {both.client.at(attempt)}), there);
        both.run_for(seconds{5});
        EXPECT_EQ(both.client.ways.size(), attempt);
        EXPECT_EQ(both.client.node.way_count(), std::min<std::size_t>(attempt, 2));
    }
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + 2) << "one of each way";
    EXPECT_EQ(both.agent.node.way_count(), 3U);
}

// ---- packets

TEST(Node, GivesThePacketsAroundAnMtuProbeToThePair)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    both.client.node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), here);
    both.agent.node.punch(both.now, TwoNodes::punch(1, {both.client.at(0)}), there);
    both.run_for(seconds{1});

    constexpr std::size_t segment = 300;
    nat::ProbeChannel stranger{TwoNodes::credentials(1), wire::ProbeSender::client};
    wire::Probe question{.kind = wire::ProbeKind::size, .token = segment, .seen = {}};
    nat::ProbePacket probe{};
    for (int used = 0; used < 1'000; ++used) // the client's numbers are taken
        probe = stranger.seal(question, both.random);
    std::vector<std::byte> train = junk(5 * segment + 100);
    std::ranges::copy(probe, train.begin() + 2 * segment);
    const auto feed = [&](const SocketAddress& from) {
        const unsigned before = there.settled;
        both.agent.sockets.sent.clear();
        both.agent.node.handle_train(both.now, both.agent.sockets.opened.begin()->first, from,
                                     {train, segment});
        return there.settled - before;
    };
    EXPECT_EQ(feed(both.client.at(0)), 2U) << "before it, and behind it";
    EXPECT_THAT(kinds(both.agent.sockets.sent, 1), ElementsAre(wire::ProbeKind::fits));
    EXPECT_EQ(feed(both.client.at(0)), 2U);
    EXPECT_THAT(kinds(both.agent.sockets.sent, 1), IsEmpty()) << "it was a replay";

    std::ranges::fill(std::span{train}.subspan(2 * segment, segment), std::byte{0x11});
    EXPECT_EQ(feed(both.client.at(0)), 1U) << "all of one train stay together";
    EXPECT_EQ(feed(address("192.0.2.66:40001")), 0U) << "no probe has made this a way";
}

TEST(Node, KnowsByTheTagToWhomAPacketFromTheGatewayBelongs)
{
    TwoNodes both;
    both.observe();
    both.settle();
    TestPair first = both.agent_pair(), second = both.agent_pair();
    constexpr wire::RelayTag first_tag{std::byte{1}}, second_tag{std::byte{2}};
    both.agent.node.relay(both.now, first, first_tag);
    EXPECT_EQ(both.agent.node.way_count(), 0U) << "the gateway has not answered yet";
    both.say_as_gateway(both.agent, {.kind = wire::ProbeKind::observed, .seen = {}});
    both.agent.node.relay(both.now, first, first_tag);
    both.agent.node.relay(both.now, second, second_tag);
    both.agent.node.relay(both.now, second, second_tag);
    EXPECT_EQ(both.agent.node.way_count(), 2U);
    EXPECT_EQ(both.agent.relays, 2U);

    std::vector<std::byte> train = junk(300); // three packets
    for (std::size_t packet = 0; packet < 3; ++packet) {
        train[packet * 100] = std::byte{0x40}; // a short header
        train[packet * 100 + 1] = std::byte{packet < 2 ? std::uint8_t{1} : std::uint8_t{2}};
        for (std::size_t i = 2; i < 5; ++i)
            train[packet * 100 + i] = std::byte{};
    }
    const unsigned before_first = first.settled, before_second = second.settled;
    both.agent.node.handle_train(both.now, both.agent.sockets.opened.begin()->first,
                                 gateway_address(), {train, 100});
    EXPECT_EQ(first.settled - before_first, 1U) << "two packets, one train";
    EXPECT_EQ(second.settled - before_second, 1U);

    constexpr wire::RelayTag other_tag{std::byte{3}};
    both.agent.node.relay(both.now, second, other_tag);
    EXPECT_EQ(both.agent.node.way_count(), 2U) << "instead of the one before";
    both.agent.node.forget(both.now, second);
    both.agent.node.forget(both.now, first);
    EXPECT_EQ(both.agent.node.way_count(), 0U);
}

// ---- sockets

TEST(Node, ClosesTheSocketsOfAnAttemptButTheOneThatItsWayUses)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    control::Punch fresh = TwoNodes::punch(1, {both.agent.at(0)});
    fresh.fresh = true;
    fresh.sockets = 5;
    both.client.node.punch(both.now, fresh, here);
    ASSERT_EQ(both.client.sockets.opened.size(), main_sockets + 5);
    const SocketAddress third = both.client.at(main_sockets + 2);
    // The agent knows of one of them only, and takes nothing from the others.
    both.agent.node.punch(both.now, TwoNodes::punch(1, {third}), there);
    both.run_for(seconds{6});
    ASSERT_FALSE(both.client.ways.empty());
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + 1);
    EXPECT_EQ(here.pair().current(), path::CarrierKind::direct_udp);

    both.client.node.forget(both.now, here);
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets);
}

TEST(Node, ClosesTheSocketsOfAnAttemptThatLedToNothing)
{
    TwoNodes both;
    TestPair here = both.client_pair();
    control::Punch fresh = TwoNodes::punch(1, {address("192.0.2.66:1000")});
    fresh.fresh = true;
    fresh.sockets = 200;
    both.client.node.punch(both.now, fresh, here);
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + 200);
    fresh.attempt = 2;
    both.client.node.punch(both.now, fresh, here);
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + 200) << "the next one begins";
    TestPair second = both.client_pair(), third = both.client_pair();
    fresh.channel = TwoNodes::credentials(2);
    both.client.node.punch(both.now, fresh, second);
    fresh.channel = TwoNodes::credentials(3);
    both.client.node.punch(both.now, fresh, third);
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + 512) << "of all attempts at once";
    both.run_for(seconds{5});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets);
    EXPECT_THAT(both.client.punched, ElementsAre(false, false, false));
}

TEST(Node, ClosesTheSocketsOfASurveyWhenItHasEnded)
{
    TwoNodes both;
    both.observe();
    both.settle();
    control::SurveyRequest request{.family = control::Family::v4,
                                   .step = {.purpose = nat::SurveyStep::Purpose::allocation,
                                            .first_socket = nat::first_sample_socket,
                                            .sockets = nat::sample_sockets,
                                            .to = {{0, 0}, {0, 1}}}};
    both.run_for(seconds{3}); // nothing but the main port is probed any more
    both.to_gateway.clear();
    both.client.node.survey(both.now, request);
    both.run_for(seconds{1});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + nat::sample_sockets);
    EXPECT_EQ(std::ranges::count(both.to_gateway, address("198.51.100.2:8444"),
                                 &RecordedSockets::Sent::to),
              nat::sample_sockets);
    both.client.node.handle_nat({.family = control::Family::v6, .text = {}});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + nat::sample_sockets);
    both.client.node.handle_nat({.family = control::Family::v4, .text = {}});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets);

    both.client.node.survey(both.now, request);
    both.run_for(seconds{9});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets + nat::sample_sockets);
    both.run_for(seconds{2});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets) << "the gateway has forgotten it";
}

TEST(Node, ReportsWhatHasArrivedAtTheFilterSocket)
{
    TwoNodes both;
    both.observe();
    both.settle();
    both.client.node.survey(both.now, {.family = control::Family::v4,
                                       .step = {.purpose = nat::SurveyStep::Purpose::filtering,
                                                .first_socket = nat::filter_socket,
                                                .to = {{0, 0}}}});
    both.settle();
    ASSERT_EQ(both.client.sockets.opened.size(), main_sockets + 1);
    nat::ProbeChannel gateway{TwoNodes::credentials(200), wire::ProbeSender::gateway};
    const auto packet =
        gateway.seal({.kind = wire::ProbeKind::filter, .socket = 1, .seen = {}}, both.random);
    both.client.node.handle_train(both.now, both.client.sockets.opened.rbegin()->first,
                                  address("198.51.100.2:8444"), {packet, packet.size()});
    both.run_for(milliseconds{200});
    EXPECT_THAT(both.client.answers, IsEmpty());
    both.run_for(milliseconds{200});
    const nat::FilterReport expected{.from_port = true, .answered = false};
    EXPECT_THAT(both.client.answers, ElementsAre(control::SurveyAnswer{control::Filtered{
                                         .family = control::Family::v4, .report = expected}}));
}

TEST(Node, TellsAtOnceWhatArrivesAtASocketThatWasLeftAlone)
{
    TwoNodes both;
    both.observe();
    both.run_for(seconds{2});
    both.to_gateway.clear();
    const auto step = nat::LifetimeSurvey{both.now}.poll_request();
    ASSERT_TRUE(step);
    both.client.node.survey(both.now, {.family = control::Family::v4, .step = *step});
    const auto probes = [&] {
        return std::ranges::count_if(both.to_gateway, [&](const auto& sent) {
            const auto socket = both.client.sockets.opened.find(sent.socket);
            return socket != both.client.sockets.opened.end() &&
                   socket->second != both.client.at(0).port;
        });
    };
    both.run_for(seconds{2});
    EXPECT_EQ(probes(), nat::idle_sockets);
    both.run_for(seconds{2});
    EXPECT_EQ(probes(), 2 * nat::idle_sockets);
    both.run_for(seconds{110});
    EXPECT_EQ(probes(), 2 * nat::idle_sockets);
    ASSERT_EQ(both.client.sockets.opened.size(), main_sockets + nat::idle_sockets);

    nat::ProbeChannel gateway{TwoNodes::credentials(200), wire::ProbeSender::gateway};
    const auto packet = gateway.seal({.kind = wire::ProbeKind::filter, .seen = {}}, both.random);
    both.client.node.handle_train(both.now, both.client.sockets.opened.rbegin()->first,
                                  gateway_address(), {packet, packet.size()});
    EXPECT_THAT(both.client.answers,
                ElementsAre(control::SurveyAnswer{control::MappingAlive{
                    .family = control::Family::v4,
                    .socket = nat::first_idle_socket + nat::idle_sockets - 1}}));
    both.run_for(seconds{20});
    EXPECT_EQ(both.client.sockets.opened.size(), main_sockets);
}

// ---- meetings

TEST(Node, AsksForAnotherAttemptAtGrowingIntervals)
{
    TwoNodes both;
    TestPair here = both.client_pair();
    both.client.node.punch(both.now, TwoNodes::punch(1, {address("192.0.2.66:1000")}), here);
    both.run_for(seconds{3});
    ASSERT_THAT(both.client.punched, ElementsAre(false));
    both.client.meetings.clear();
    const auto next = [&] {
        const Instant before = both.now;
        while (both.client.meetings.empty() && both.now < before + std::chrono::hours{1})
            both.run_for(milliseconds{100});
        both.client.meetings.clear();
        return std::chrono::round<seconds>(both.now - before).count();
    };
    next();
    EXPECT_EQ(next(), 5);
    EXPECT_EQ(next(), 30);
    EXPECT_EQ(next(), 120);
    EXPECT_EQ(next(), 600);
    EXPECT_EQ(next(), 600);
    both.client.node.handle_network_changed(both.now);
    next(); // of before
    EXPECT_EQ(next(), 5) << "the network may be a better one";
}

TEST(Node, AsksForNoAttemptWhileThereIsADirectPath)
{
    TwoNodes both;
    TestPair here = both.client_pair(), there = both.agent_pair();
    both.introduce(here, there);
    both.client.node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), here);
    both.agent.node.punch(both.now, TwoNodes::punch(1, {both.client.at(0)}), there);
    both.run_for(seconds{3});
    ASSERT_EQ(here.pair().current(), path::CarrierKind::direct_udp);
    both.run_for(seconds{20});
    EXPECT_THAT(both.client.meetings, IsEmpty());
    EXPECT_THAT(both.agent.meetings, IsEmpty());
}

// ---- the gateway

TEST(Node, ProbesAllPortsAtFirstAndThenKeepsTheMainOne)
{
    TwoNodes both;
    both.observe();
    both.run_for(milliseconds{999});
    EXPECT_EQ(both.to_gateway.size(), 2U * 3 * 3) << "both nodes, three rounds of three";
    both.to_gateway.clear();
    both.place_both();
    EXPECT_EQ(both.to_gateway.size(), 2U) << "the proofs";
    both.to_gateway.clear();
    both.run_for(seconds{60});
    EXPECT_EQ(both.to_gateway.size(), 2U * 4);
    for (const auto& sent : both.to_gateway)
        EXPECT_EQ(sent.to, gateway_address());
}

TEST(Node, ProbesTheGatewayLessAndLessOftenUntilThatHasHeardWhereTheNodeIs)
{
    TwoNodes both;
    const auto sent_in = [&](Duration time) {
        both.to_gateway.clear();
        both.run_for(time);
        return both.to_gateway.size() / 2;
    };
    both.observe();
    both.run_for(milliseconds{999});
    EXPECT_EQ(sent_in(seconds{10}), 6U) << "after 1.0, 1.3, 1.9, 3.1, 5.5 and 10.3 s";
    EXPECT_EQ(sent_in(std::chrono::minutes{10}), 40U) << "nobody answers";

    // The proof is lost; it is repeated, and then the gateway has heard it.
    for (End* end : {&both.client, &both.agent})
        both.say_as_gateway(*end, {.kind = wire::ProbeKind::observed, .seen = end->at(0), .cookie = 4'711});
    EXPECT_EQ(sent_in(milliseconds{1'000}), 3U) << "at once, after 0.3 and 0.9 s";
    nat::ProbeChannel gateway{TwoNodes::credentials(200), wire::ProbeSender::gateway};
    const auto proof = gateway.open(both.to_gateway.back().bytes);
    ASSERT_TRUE(proof);
    EXPECT_EQ(proof->cookie, 4'711U);
    for (End* end : {&both.client, &both.agent})
        both.say_as_gateway(*end, {.kind = wire::ProbeKind::observed,
                                   .token = proof->token,
                                   .seen = end->at(0),
                                   .cookie = 4'711});
    EXPECT_EQ(sent_in(milliseconds{14'800}), 0U);
    EXPECT_EQ(sent_in(milliseconds{200}), 1U);

    for (End* end : {&both.client, &both.agent})
        end->node.handle_network_changed(both.now);
    EXPECT_EQ(sent_in(milliseconds{999}), 3U * 3);
    EXPECT_EQ(sent_in(seconds{10}), 6U) << "it may not have heard from where the node is now";
}

TEST(Node, ProbesTheGatewayAsOftenAsTheShortestMappingNeeds)
{
    TwoNodes both;
    both.observe();
    both.run_for(seconds{2});
    std::uint64_t cookie = 1;
    const auto rounds_in_ten_minutes = [&] {
        both.place_both(cookie++);
        both.run_for(seconds{60}); // the round that was due before
        both.to_gateway.clear();
        both.run_for(std::chrono::minutes{10});
        return std::ranges::count(both.to_gateway, both.client.sockets.opened.begin()->first,
                                  &RecordedSockets::Sent::socket) /
               2; // the agent's socket has the same number
    };
    const auto tell = [&](control::Family family, seconds alive_after) {
        for (End* end : {&both.client, &both.agent})
            end->node.handle_nat(
                {.family = family,
                 .text = {},
                 .behaviour = nat::Behaviour{.lifetime = {.alive_after = alive_after}}});
    };
    EXPECT_EQ(rounds_in_ten_minutes(), 40) << "not known";
    tell(control::Family::v4, seconds{115});
    EXPECT_EQ(rounds_in_ten_minutes(), 24);
    tell(control::Family::v6, seconds{25});
    EXPECT_EQ(rounds_in_ten_minutes(), 48);
    both.client.node.handle_network_changed(both.now);
    both.agent.node.handle_network_changed(both.now);
    EXPECT_EQ(rounds_in_ten_minutes(), 40) << "it is another one";
}

TEST(Node, ProvesWhereItIsWhenTheGatewayAsks)
{
    TwoNodes both;
    both.observe();
    both.run_for(seconds{2});
    both.to_gateway.clear();
    const wire::Probe answer{
        .kind = wire::ProbeKind::observed, .seen = address("203.0.113.1:1000"), .cookie = 4'711};
    both.say_as_gateway(both.client, answer);
    both.settle();
    ASSERT_EQ(both.to_gateway.size(), 1U) << "at once";
    nat::ProbeChannel gateway{TwoNodes::credentials(200), wire::ProbeSender::gateway};
    const auto probe = gateway.open(both.to_gateway.front().bytes);
    ASSERT_TRUE(probe);
    EXPECT_EQ(probe->cookie, 4'711U);
    EXPECT_EQ(probe->local_port, both.client.at(0).port);
    EXPECT_EQ(both.client.node.gateway_answers().at(gateway_address()), answer.seen);

    both.say_as_gateway(both.client, answer);
    both.settle();
    EXPECT_EQ(both.to_gateway.size(), 1U) << "it has that";
}

TEST(Node, ProvesAtMostTenTimesASecond)
{
    TwoNodes both;
    both.observe();
    both.run_for(seconds{2});
    both.to_gateway.clear();
    wire::Probe answer{
        .kind = wire::ProbeKind::observed, .seen = address("203.0.113.1:1000"), .cookie = 1};
    for (int i = 0; i < 1'000; ++i) { // another cookie each millisecond
        ++answer.cookie;
        both.say_as_gateway(both.client, answer);
        both.run_for(milliseconds{1});
    }
    EXPECT_GE(both.to_gateway.size(), 9U);
    EXPECT_LE(both.to_gateway.size(), 12U);
}

TEST(Node, ProvesAnAddressThatOnlyOtherSocketsHaveAFewTimes)
{
    TwoNodes both;
    both.observe();
    wire::Probe answer{
        .kind = wire::ProbeKind::observed, .seen = address("203.0.113.1:1000"), .cookie = 1};
    both.say_as_gateway(both.client, answer);
    both.run_for(seconds{2});
    both.client.node.survey(both.now, {.family = control::Family::v4,
                                       .step = {.purpose = nat::SurveyStep::Purpose::allocation,
                                                .first_socket = nat::first_sample_socket,
                                                .to = {{0, 0}}}});
    both.settle();
    both.to_gateway.clear();
    const SocketId socket = both.client.sockets.opened.rbegin()->first;
    nat::ProbeChannel gateway{TwoNodes::credentials(200), wire::ProbeSender::gateway};
    for (int used = 0; used < 10; ++used) // those numbers were for the main socket
        (void)gateway.seal(answer, both.random);
    const auto proofs = [&](std::string_view seen) {
        both.to_gateway.clear();
        for (int i = 0; i < 10; ++i) {
            answer.seen = address(seen);
            answer.cookie = 4'711;
            const auto packet = gateway.seal(answer, both.random);
            both.client.node.handle_train(both.now, socket, gateway_address(), {packet, packet.size()});
        }
        both.settle();
        return both.to_gateway.size();
    };
    EXPECT_EQ(proofs("203.0.113.1:1001"), 0U) << "where the main socket is, too";
    EXPECT_EQ(proofs("203.0.113.2:1001"), 3U);
    EXPECT_EQ(both.to_gateway.front().socket, socket);
    EXPECT_EQ(proofs("203.0.113.2:1002"), 0U) << "it has that";
}

TEST(Node, BearsAGatewayThatNamesNoPort)
{
    TwoNodes both;
    both.client.node.observe({.channel = TwoNodes::credentials(200), .ports = {}, .addresses = {}},
                             gateway_address().ip);
    both.run_for(seconds{40});
    EXPECT_THAT(both.to_gateway, IsEmpty());
}

TEST(Node, SendsNoMorePunchesForManyPairsThanForOne)
{
    TwoNodes both;
    std::deque<TestPair> pairs;
    for (std::uint8_t number = 1; number <= 20; ++number) {
        control::Punch message = TwoNodes::punch(number, {});
        message.spray = nat::Spray{.addresses = {*IpAddress::parse("203.0.113.1")}, .count = 60'000};
        message.time_ms = 10'000;
        both.client.node.punch(both.now, message, pairs.emplace_back(both.client_pair()));
    }
    both.run_for(seconds{4});
    std::size_t bytes = 0;
    for (const auto& [to, sent] : both.bytes_to)
        bytes += sent;
    EXPECT_GE(bytes / wire::probe_size, 4 * nat::packets_per_second);
    EXPECT_LE(bytes / wire::probe_size, 5 * nat::packets_per_second + 1) << "one second's are saved up";
}

TEST(Node, DoesNotScanTheNetworksOfItsHost)
{
    TwoNodes both;
    TestPair here = both.client_pair();
    control::Punch message = TwoNodes::punch(1, {address("203.0.113.1:1000")});
    message.candidates.push_back({address("192.168.1.9:22"), nat::CandidateKind::host});
    message.candidates.push_back({address("192.168.2.9:22"), nat::CandidateKind::host});
    message.candidates.push_back({address("224.0.0.251:5353"), nat::CandidateKind::observed});
    const std::vector connected{*IpPrefix::parse("192.168.1.0/24")};
    both.client.node.punch(both.now, message, here, connected);
    both.run_for(seconds{3});
    std::vector<SocketAddress> sent_to;
    for (const auto& [to, bytes] : both.bytes_to)
        sent_to.push_back(to);
    EXPECT_THAT(sent_to, ElementsAre(address("192.168.1.9:22"), address("203.0.113.1:1000")));
}

TEST(Node, SaysWhatIsInTheWay)
{
    TwoNodes both;
    TestPair pair = both.client_pair();
    const auto why = [&] { return both.client.node.obstacle(pair); };
    EXPECT_EQ(why(), "the gateway has no probe service, or it is older than this client");
    both.observe();
    EXPECT_EQ(why(), "the gateway has not answered over UDP yet");
    both.run_for(seconds{2});
    EXPECT_EQ(why(), "UDP is blocked between this machine and the gateway");
    both.say_as_gateway(both.client, {.kind = wire::ProbeKind::observed, .seen = {}});
    EXPECT_EQ(why(),
              "the gateway has not made an attempt; the agent may be older than this client");
    both.client.node.handle_unreachable({.pair = {}, .message = "both are lost"}, pair);
    EXPECT_EQ(why(), "both are lost");
    both.client.node.punch(both.now, TwoNodes::punch(1, {}), pair);
    EXPECT_EQ(why(), "UDP is blocked between the agent and the gateway");
    both.client.node.punch(both.now, TwoNodes::punch(2, {address("192.0.2.66:1000")}), pair);
    EXPECT_EQ(why(), "the two sides are trying to open one");
    both.run_for(seconds{4});
    EXPECT_EQ(why(), "no probe got through between the two NATs");
    both.client.node.handle_unreachable({.pair = {}, .message = "it counts"}, pair);
    EXPECT_EQ(why(), "it counts");
    both.client.node.punch(both.now, TwoNodes::punch(3, {address("192.0.2.66:1000")}), pair);
    EXPECT_EQ(why(), "no probe got through between the two NATs") << "another attempt";
}

TEST(Node, DoesNothingWhereNoSocketCanBeHad)
{
    SeededRandom random{1};
    TwoNodes both;

    struct Silent final : Node::Owner {
        void handle_meeting_due(CarriedPair&) override { ADD_FAILURE(); }

        void handle_punched(CarriedPair&, std::uint32_t, bool) override { ADD_FAILURE(); }

        void handle_survey_answer(const control::SurveyAnswer&) override { ADD_FAILURE(); }
    } owner;

    RecordedSockets sockets;
    sockets.v4_left = 0;
    Node node{control::Role::client, sockets, owner, random};
    TestPair pair = both.client_pair();
    node.observe({.channel = TwoNodes::credentials(200), .ports = {443}, .addresses = {}},
                 gateway_address().ip);
    node.punch(both.now, TwoNodes::punch(1, {both.agent.at(0)}), pair);
    for (int second = 0; second < 10; ++second)
        node.handle_timeout(both.now += seconds{1});
    EXPECT_THAT(sockets.sent, IsEmpty());
    EXPECT_THAT(node.candidates(std::vector{both.client.ip}).addresses, IsEmpty());
    EXPECT_EQ(node.obstacle(pair), "this machine lets no UDP socket be opened");
}

TEST(Node, TellsWhereItMayBeReached)
{
    TwoNodes both;
    const Node& node = both.client.node;
    const std::uint16_t port = node.main_port(true);
    const std::vector own{both.client.ip, *IpAddress::parse("2001:db8::1")};
    EXPECT_THAT(node.candidates(own).addresses, ElementsAre(both.client.at(0)))
        << "there is no IPv6 socket";

    PortMapping mapping{.external = address("203.0.113.9:5000")};
    const auto mapped = node.candidates(own, mapping);
    EXPECT_THAT(mapped.addresses, ElementsAre(both.client.at(0)));
    ASSERT_TRUE(mapped.mapped);
    EXPECT_EQ(mapped.mapped->external, mapping.external);

    mapping.external = address("100.64.0.9:5000");
    const auto inside = node.candidates(own, mapping);
    EXPECT_THAT(inside.addresses, ElementsAre(both.client.at(0), mapping.external));
    EXPECT_FALSE(inside.mapped);
    EXPECT_THAT(node.candidates(own, {}, mapping.external.ip).addresses,
                ElementsAre(both.client.at(0), SocketAddress{mapping.external.ip, port}));
    EXPECT_THAT(node.candidates(own, {}, *IpAddress::parse("203.0.113.9")).addresses,
                ElementsAre(both.client.at(0)));
    EXPECT_EQ(node.candidates(std::vector<IpAddress>(100, both.client.ip)).addresses.size(),
              control::max_candidates);
}

} // namespace narrowlink::direct::test
