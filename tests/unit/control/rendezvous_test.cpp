#include "narrowlink/control/rendezvous.hpp"
#include "samples.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SessionId client_id{1}, agent_id{2}, other_id{3};
const SocketAddress client_seen = *SocketAddress::parse("198.51.100.1:1000");
const SocketAddress other_seen = *SocketAddress::parse("198.51.100.1:1001");
const SocketAddress agent_seen = *SocketAddress::parse("203.0.113.2:2000");

class RendezvousTest : public testing::Test {
protected:
    RendezvousTest()
    {
        rendezvous.add_session(now, client_id, Role::client);
        rendezvous.add_session(now, agent_id, Role::agent);
        rendezvous.add_session(now, other_id, Role::client);
        drain();
    }

    void drain()
    {
        while (auto sent = rendezvous.poll_message()) {
            if (const auto* observe = std::get_if<Observe>(&sent->message))
                channels.emplace(sent->to, nat::ProbeChannel{observe->channel,
                                                             sent->to == agent_id
                                                                 ? wire::ProbeSender::agent
                                                                 : wire::ProbeSender::client});
            else if (const auto* punch = std::get_if<Punch>(&sent->message))
                punches.emplace_back(sent->to, *punch);
            else if (auto* none = std::get_if<Unreachable>(&sent->message))
                unreachable = std::move(none->message);
        }
    }

    /// A node says that it is there, and proves it.
    std::optional<wire::Probe> probe(SessionId from, SocketAddress at, std::size_t port = 0)
    {
        const auto answer = claim(from, at, port);
        return answer ? claim(from, at, port, answer->cookie) : answer;
    }

    std::optional<wire::Probe> claim(SessionId from, SocketAddress at, std::size_t port = 0,
                                     std::uint64_t cookie = 0, std::uint8_t socket = 0)
    {
        nat::ProbeChannel& channel = channels.at(from);
        const auto packet = channel.seal({.kind = wire::ProbeKind::survey,
                                          .token = 9,
                                          .socket = socket,
                                          .seen = {},
                                          .cookie = cookie},
                                         random);
        const auto answer = rendezvous.handle_datagram(
            now, {.port = port, .from = at, .at = at.ip.is_v4() ? gateway : gateway_v6}, packet);
        drain();
        if (!answer)
            return std::nullopt;
        return channel.open(*answer);
    }

    void pass(Duration time)
    {
        const Instant end = now + time;
        while (rendezvous.deadline() <= end) {
            now = std::max(now, rendezvous.deadline());
            rendezvous.handle_timeout(now);
            drain();
        }
        drain();
        now = end;
    }

    std::vector<nat::Candidate> candidates_of(SessionId session) const
    {
        for (const auto& [to, punch] : punches)
            if (to == session)
                return punch.candidates;
        return {};
    }

    const IpAddress gateway = *IpAddress::parse("192.0.2.1");
    const IpAddress gateway_v6 = *IpAddress::parse("2001:db8::1");
    SeededRandom random{1};
    Instant now = start;
    Rendezvous rendezvous{{.ports = {443, 8444}, .addresses = {}}, random};
    std::map<SessionId, nat::ProbeChannel> channels;
    std::vector<std::pair<SessionId, Punch>> punches;
    std::string unreachable; ///< what the client was told last
};

} // namespace

TEST_F(RendezvousTest, TellsANodeFromWhereItIsSeen)
{
    const auto answer = probe(client_id, client_seen, 1);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->kind, wire::ProbeKind::observed);
    EXPECT_EQ(answer->seen, client_seen);
    EXPECT_EQ(answer->socket, 1);
    EXPECT_EQ(answer->token, 9U);
}

TEST_F(RendezvousTest, IsSilentToStrangersReplaysAndForgeries)
{
    auto packet = channels.at(client_id).seal({.seen = {}}, random);
    EXPECT_TRUE(rendezvous.handle_datagram(now, {.from = client_seen, .at = {}}, packet));
    EXPECT_FALSE(rendezvous.handle_datagram(now, {.from = agent_seen, .at = {}}, packet)) << "replayed";
    packet = channels.at(client_id).seal({.seen = {}}, random);
    packet[50] ^= std::byte{1};
    EXPECT_FALSE(rendezvous.handle_datagram(now, {.from = client_seen, .at = {}}, packet)) << "forged";
    random.fill(packet);
    EXPECT_FALSE(rendezvous.handle_datagram(now, {.from = client_seen, .at = {}}, packet)) << "a stranger's";
    EXPECT_FALSE(rendezvous.handle_datagram(now, {.from = client_seen, .at = {}}, {}));
    rendezvous.remove_session(client_id);
    EXPECT_FALSE(probe(client_id, client_seen)) << "a session that has ended";
}

TEST_F(RendezvousTest, SendsBothEndsToEachOtherOnceTheyAreSeen)
{
    rendezvous.handle_rtt(client_id, milliseconds{20});
    rendezvous.handle_rtt(agent_id, milliseconds{100});
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(punches.empty()) << "the agent is not seen yet";
    EXPECT_TRUE(probe(agent_id, agent_seen));
    ASSERT_EQ(punches.size(), 2U);
    const auto& [first, for_client] = punches[0];
    const auto& [second, for_agent] = punches[1];
    EXPECT_EQ(first, client_id);
    EXPECT_EQ(second, agent_id);
    EXPECT_EQ(for_client.channel, for_agent.channel);
    EXPECT_EQ(for_client.client_key, std::nullopt);
    EXPECT_EQ(for_agent.client_key, pin_of(1));
    EXPECT_EQ(for_client.candidates,
              (std::vector<nat::Candidate>{{agent_seen, nat::CandidateKind::observed}}));
    EXPECT_EQ(for_agent.candidates,
              (std::vector<nat::Candidate>{{client_seen, nat::CandidateKind::observed}}));
    EXPECT_EQ(for_client.fire_in_ms, for_agent.fire_in_ms + 40) << "so that they fire together";
}

TEST_F(RendezvousTest, DoesNotWaitForeverForANodeThatCannotBeSeen)
{
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    EXPECT_TRUE(probe(client_id, client_seen));
    pass(seconds{2});
    ASSERT_EQ(punches.size(), 2U);
    EXPECT_TRUE(candidates_of(client_id).empty());
    EXPECT_FALSE(candidates_of(agent_id).empty());
}

TEST_F(RendezvousTest, ANodeIsWhereItGetsItsAnswers)
{
    const auto first = claim(client_id, client_seen);
    ASSERT_TRUE(first);
    EXPECT_NE(first->cookie, 0U);
    EXPECT_FALSE(rendezvous.poll_proved()) << "anybody can forge the source of a datagram";
    EXPECT_TRUE(claim(client_id, client_seen, 0, first->cookie + 1));
    EXPECT_FALSE(rendezvous.poll_proved()) << "a guess";
    EXPECT_TRUE(claim(client_id, client_seen, 1, first->cookie));
    EXPECT_FALSE(rendezvous.poll_proved()) << "other ports do not matter";
    EXPECT_TRUE(claim(client_id, client_seen, 0, first->cookie));
    const auto proved = rendezvous.poll_proved();
    ASSERT_TRUE(proved);
    EXPECT_EQ(proved->session, client_id);
    EXPECT_EQ(proved->address, client_seen);
    EXPECT_TRUE(claim(client_id, client_seen, 0, first->cookie));
    EXPECT_FALSE(rendezvous.poll_proved()) << "told once";
    pass(seconds{20});
    EXPECT_TRUE(claim(client_id, client_seen));
    EXPECT_FALSE(rendezvous.poll_proved()) << "this one may be forged";
    EXPECT_TRUE(claim(client_id, client_seen, 0, first->cookie));
    EXPECT_TRUE(rendezvous.poll_proved()) << "it is still there";
    EXPECT_TRUE(claim(client_id, client_seen, 0, first->cookie));
    EXPECT_FALSE(rendezvous.poll_proved());
    pass(seconds{240});
    const auto last = claim(client_id, client_seen, 0, first->cookie);
    ASSERT_TRUE(last);
    EXPECT_FALSE(rendezvous.poll_proved()) << "it was there minutes ago";
    EXPECT_NE(last->cookie, first->cookie);
    EXPECT_TRUE(claim(client_id, client_seen, 0, last->cookie));
    EXPECT_TRUE(rendezvous.poll_proved());

    const auto elsewhere = claim(client_id, other_seen, 0, first->cookie);
    ASSERT_TRUE(elsewhere);
    EXPECT_FALSE(rendezvous.poll_proved()) << "the cookie was for another address";
    EXPECT_TRUE(claim(client_id, other_seen, 0, elsewhere->cookie));
    EXPECT_EQ(rendezvous.poll_proved()->address, other_seen);
    EXPECT_NE(claim(agent_id, other_seen)->cookie, elsewhere->cookie) << "or for another node";
}

TEST_F(RendezvousTest, NobodyIsSentToAForgedAddress)
{
    const SocketAddress victim = *SocketAddress::parse("203.0.113.99:53");
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    EXPECT_TRUE(probe(agent_id, agent_seen));
    for (std::uint8_t socket = 0; socket < 10; ++socket)
        for (std::size_t port = 0; port < 2; ++port)
            claim(client_id, victim, port, 4'711, socket);
    rendezvous.handle(now, client_id, Candidates{.addresses = {}, .mapped = MappedPort{victim, "upnp"}});
    for (int i = 0; i < 100; ++i) {
        pass(milliseconds{200});
        rendezvous.handle(now, client_id, Meet{pair_of(1)});
        for (std::uint8_t socket = 0; socket < 10; ++socket)
            claim(client_id, victim, i % 2, 4'711, socket);
        rendezvous.handle(now, client_id, Punched{.pair = pair_of(1), .attempt = static_cast<std::uint32_t>(i)});
    }
    EXPECT_FALSE(punches.empty());
    for (const auto& [to, punch] : punches) {
        for (const nat::Candidate& candidate : punch.candidates)
            EXPECT_NE(candidate.address.ip, victim.ip);
        if (punch.spray) {
            EXPECT_EQ(std::ranges::count(punch.spray->addresses, victim.ip), 0);
        }
    }
}

TEST_F(RendezvousTest, OnlyTheFirstAddressOfTheGatewayIsAskedWhereANodeIs)
{
    const IpAddress second = *IpAddress::parse("192.0.2.2");
    rendezvous = Rendezvous{{.ports = {443, 8444}, .addresses = {gateway, second}}, random};
    channels.clear();
    rendezvous.add_session(now, client_id, Role::client);
    drain();
    // A NAT that maps by destination: each of the two sees another address.
    const auto ask = [&](const IpAddress& at, const SocketAddress& from, std::uint64_t cookie) {
        nat::ProbeChannel& channel = channels.at(client_id);
        const auto packet = channel.seal({.seen = {}, .cookie = cookie}, random);
        const auto answer = rendezvous.handle_datagram(now, {.from = from, .at = at}, packet);
        return answer ? channel.open(*answer)->cookie : 0;
    };
    std::uint64_t cookie = ask(gateway, client_seen, 0);
    EXPECT_EQ(ask(gateway, client_seen, cookie), cookie);
    EXPECT_EQ(rendezvous.poll_proved()->address, client_seen);
    EXPECT_NE(ask(second, other_seen, cookie), cookie);
    EXPECT_EQ(ask(gateway, client_seen, 0), cookie) << "it asks for nothing new";
    ask(second, other_seen, ask(second, other_seen, 0));
    EXPECT_FALSE(rendezvous.poll_proved());
}

TEST_F(RendezvousTest, AGatewayBehindANatDoesNotKnowItsOwnAddress)
{
    rendezvous = Rendezvous{{.ports = {443, 8444}, .addresses = {gateway}}, random};
    channels.clear();
    rendezvous.add_session(now, client_id, Role::client);
    drain();
    nat::ProbeChannel& channel = channels.at(client_id);
    const IpAddress inside = *IpAddress::parse("10.0.0.4");
    std::uint64_t cookie = 0;
    for (int i = 0; i < 2; ++i) {
        const auto packet = channel.seal({.seen = {}, .cookie = cookie}, random);
        const auto answer = rendezvous.handle_datagram(now, {.from = client_seen, .at = inside}, packet);
        ASSERT_TRUE(answer);
        cookie = channel.open(*answer)->cookie;
    }
    const auto proved = rendezvous.poll_proved();
    ASSERT_TRUE(proved);
    EXPECT_EQ(proved->at, inside) << "what comes from the peer leaves from there";
}

/// The same with a gateway of both address families.
class RendezvousOfBothFamilies : public RendezvousTest {
protected:
    RendezvousOfBothFamilies()
    {
        rendezvous = Rendezvous{{.ports = {443, 8444},
                                 .addresses = {gateway, gateway_v6}},
                                random};
        channels.clear();
        rendezvous.add_session(now, client_id, Role::client);
        rendezvous.add_session(now, agent_id, Role::agent);
        drain();
    }

    const SocketAddress client_seen_v6 = *SocketAddress::parse("[2001:db8:1::1]:1000");
    const SocketAddress agent_seen_v6 = *SocketAddress::parse("[2001:db8:2::1]:2000");
};

TEST_F(RendezvousOfBothFamilies, WaitsForTheOtherFamilyOfWhoHasIt)
{
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    rendezvous.handle(now, agent_id, Candidates{{*SocketAddress::parse("192.168.1.7:2000")}});
    rendezvous.handle(now, client_id, Candidates{{*SocketAddress::parse("192.168.1.9:1000"), client_seen_v6}});
    EXPECT_TRUE(probe(agent_id, agent_seen));
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(punches.empty());
    now += milliseconds{20};
    EXPECT_TRUE(probe(client_id, client_seen_v6));
    EXPECT_EQ(punches.size(), 2U) << "the agent has IPv4 only, and has said so";
    EXPECT_EQ(candidates_of(agent_id).size(), 2U);
}

TEST_F(RendezvousOfBothFamilies, DoesNotWaitLongForTheOtherFamily)
{
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    rendezvous.handle(now, client_id, Candidates{{client_seen_v6}});
    EXPECT_TRUE(probe(agent_id, agent_seen_v6));
    EXPECT_TRUE(probe(client_id, client_seen_v6));
    EXPECT_TRUE(punches.empty()) << "the agent has not said what it has";
    pass(milliseconds{300});
    EXPECT_EQ(punches.size(), 2U);
}

TEST_F(RendezvousOfBothFamilies, SaysThatThereIsNoCommonFamily)
{
    rendezvous.handle(now, client_id, Candidates{{client_seen_v6}});
    rendezvous.handle(now, agent_id, Candidates{{*SocketAddress::parse("192.168.1.7:2000")}});
    EXPECT_TRUE(probe(agent_id, agent_seen));
    EXPECT_TRUE(probe(client_id, client_seen_v6));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    pass(seconds{2});
    rendezvous.handle(now, client_id,
                      Punched{.pair = pair_of(1), .attempt = 1, .opened = false});
    pass(seconds{8});
    EXPECT_EQ(unreachable, "one side has IPv4 only, the other IPv6 only");
}

TEST_F(RendezvousTest, TriesAtOnceWhenANodeThatWasTakenForBlockedIsSeen)
{
    rendezvous.handle(now, client_id, Candidates{{*SocketAddress::parse("192.168.1.7:1000")}});
    rendezvous.handle(now, agent_id, Candidates{{*SocketAddress::parse("192.168.1.7:2000")}});
    EXPECT_TRUE(probe(client_id, client_seen));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    pass(seconds{3});
    ASSERT_FALSE(punches.empty());
    rendezvous.handle(now, client_id,
                      Punched{.pair = pair_of(1), .attempt = punches.back().second.attempt});
    pass(seconds{1});
    ASSERT_EQ(unreachable, "UDP is blocked at this machine and at the agent");
    punches.clear();
    EXPECT_TRUE(probe(agent_id, agent_seen));
    ASSERT_EQ(punches.size(), 2U) << "both ends, and without a wait";
    EXPECT_EQ(candidates_of(client_id),
              (std::vector<nat::Candidate>{{agent_seen, nat::CandidateKind::observed}}));
}

/// Its first probes or their answers were lost.
TEST_F(RendezvousTest, TriesAgainWhenANodeIsSeenOnlyAfterTheFirstAttempt)
{
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    EXPECT_TRUE(probe(client_id, client_seen));
    pass(seconds{2});
    ASSERT_EQ(punches.size(), 2U) << "in vain";
    punches.clear();
    EXPECT_TRUE(probe(agent_id, agent_seen));
    pass(seconds{2});
    ASSERT_EQ(punches.size(), 2U);
    EXPECT_FALSE(candidates_of(client_id).empty());
    punches.clear();
    rendezvous.handle(now, client_id,
                      Punched{.pair = pair_of(1), .attempt = 2, .opened = true});
    pass(seconds{20});
    EXPECT_TRUE(punches.empty()) << "that has led to a path";
}

/// Surveys do not wait for the proof, and an attempt without it would lead nowhere.
TEST_F(RendezvousTest, TriesAtOnceWhenANodeIsSeenThatWasOnlySurveyed)
{
    rendezvous.handle(now, client_id, Candidates{{*SocketAddress::parse("192.168.1.7:1000")}});
    rendezvous.handle(now, agent_id, Candidates{{*SocketAddress::parse("192.168.1.7:2000")}});
    EXPECT_TRUE(probe(agent_id, agent_seen));
    pass(milliseconds{600});
    for (const std::size_t port : {0U, 1U}) {
        EXPECT_TRUE(probe(agent_id, agent_seen, port));
        EXPECT_TRUE(claim(client_id, client_seen, port));
    }
    pass(seconds{5}); // nothing comes from their other sockets
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    pass(seconds{5});
    ASSERT_TRUE(punches.empty());
    ASSERT_TRUE(unreachable.empty()) << "nothing is in the way";
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_EQ(punches.size(), 2U) << "both ends, and without a wait";
}

TEST_F(RendezvousTest, PassesOnOwnAddressesOnlyBehindTheSameNat)
{
    const SocketAddress own = *SocketAddress::parse("192.168.1.7:2000");
    rendezvous.handle(now, agent_id, Candidates{{own}});
    for (const bool same : {false, true}) {
        punches.clear();
        const SocketAddress at = same ? SocketAddress{client_seen.ip, 2000} : agent_seen;
        EXPECT_TRUE(probe(client_id, client_seen));
        EXPECT_TRUE(probe(agent_id, at));
        rendezvous.add_pair(now, {pin_of(same ? 1 : 2), pair_of(1)}, client_id, agent_id);
        drain();
        const auto candidates = candidates_of(client_id);
        EXPECT_EQ(std::ranges::count(candidates, own, &nat::Candidate::address), same ? 1 : 0)
            << "else a node could have others send to whom it likes";
    }
}

TEST_F(RendezvousTest, PassesOnNoAddressesOfOthersBehindTheSameNat)
{
    Candidates hostile;
    for (const char* address : {"203.0.113.99:53", "127.0.0.1:53", "224.0.0.251:5353", "0.0.0.0:9",
                                "255.255.255.255:9", "169.254.169.254:80", "192.168.1.7:2000"})
        hostile.addresses.push_back(*SocketAddress::parse(address));
    rendezvous.handle(now, agent_id, hostile);
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(probe(agent_id, other_seen));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    drain();
    EXPECT_EQ(candidates_of(client_id),
              (std::vector<nat::Candidate>{{other_seen, nat::CandidateKind::observed},
                                           {hostile.addresses.back(), nat::CandidateKind::host}}));
}

TEST_F(RendezvousTest, TellsNeighboursOfAnAddressThatIsLearntLater)
{
    const SocketAddress own = *SocketAddress::parse("192.168.1.7:2000");
    const SocketAddress inside = *SocketAddress::parse("100.64.0.3:2000");
    rendezvous.handle(now, agent_id, Candidates{{own}});
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(probe(agent_id, {client_seen.ip, 2000}));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    drain();
    EXPECT_EQ(punches.size(), 2U);
    punches.clear();
    rendezvous.handle(now, agent_id, Candidates{{own, inside}});
    pass(seconds{2});
    EXPECT_EQ(punches.size(), 2U);
    const auto candidates = candidates_of(client_id);
    EXPECT_EQ(std::ranges::count(candidates, nat::Candidate{inside, nat::CandidateKind::inside}), 1);
    punches.clear();
    for (int i = 0; i < 100; ++i)
        rendezvous.handle(now, agent_id, Candidates{{own}});
    pass(seconds{2});
    EXPECT_LE(punches.size(), 4U);
}

TEST_F(RendezvousTest, TakesSamplesOnlyFromWhereTheirEndIsSeen)
{
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(probe(agent_id, agent_seen));
    ASSERT_EQ(punches.size(), 2U);
    nat::ProbeChannel forger{punches[0].second.channel, wire::ProbeSender::agent};
    const auto packet = forger.seal({.kind = wire::ProbeKind::sample, .seen = {}}, random);
    EXPECT_FALSE(rendezvous.handle_datagram(now, {.from = client_seen, .at = {}}, packet));
    EXPECT_FALSE(rendezvous.poll_message());
}

TEST_F(RendezvousTest, TriesAgainWhenAskedButNotTooOften)
{
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(probe(agent_id, agent_seen));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    drain();
    for (int i = 0; i < 100; ++i) {
        rendezvous.handle(now, client_id, Meet{pair_of(1)});
        pass(milliseconds{50});
        rendezvous.handle(now, client_id,
                          Punched{.pair = pair_of(1), .attempt = punches.back().second.attempt});
        pass(milliseconds{50});
    }
    EXPECT_GE(punches.size(), 2U * 4);
    EXPECT_LE(punches.size(), 2U * 6);
    EXPECT_NE(punches[0].second.channel, punches[2].second.channel) << "each attempt has its key";
    punches.clear();
    rendezvous.handle(now, other_id, Meet{pair_of(1)});
    pass(seconds{10});
    EXPECT_TRUE(punches.empty()) << "it is not its pair";
}

TEST_F(RendezvousTest, TellsBothEndsWhenAnEndsAddressHasChanged)
{
    EXPECT_TRUE(probe(client_id, client_seen));
    EXPECT_TRUE(probe(agent_id, agent_seen));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    drain();
    pass(seconds{10});
    punches.clear();
    EXPECT_TRUE(probe(agent_id, agent_seen));
    EXPECT_TRUE(punches.empty()) << "nothing has changed";
    const SocketAddress moved = *SocketAddress::parse("203.0.113.2:2001");
    EXPECT_TRUE(probe(agent_id, moved));
    ASSERT_EQ(punches.size(), 2U);
    EXPECT_EQ(candidates_of(client_id)[0].address, moved);
}

TEST_F(RendezvousTest, ForgetsPairsAndSessions)
{
    EXPECT_TRUE(probe(client_id, client_seen));
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, agent_id);
    rendezvous.remove_session(agent_id);
    pass(seconds{10});
    rendezvous.handle(now, client_id, Meet{pair_of(1)});
    pass(seconds{10});
    EXPECT_TRUE(punches.empty());
    EXPECT_EQ(rendezvous.deadline(), never);
    rendezvous.add_pair(now, {pin_of(1), pair_of(1)}, client_id, SessionId{77});
    EXPECT_EQ(rendezvous.deadline(), never) << "an agent without the feature";
}

} // namespace narrowlink::control
