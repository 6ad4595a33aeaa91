#include "narrowlink/nat/puncher.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

namespace narrowlink::nat {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SocketAddress client_address = *SocketAddress::parse("198.51.100.1:1000");
const SocketAddress agent_address = *SocketAddress::parse("203.0.113.2:2000");
const SocketAddress lan_address = *SocketAddress::parse("10.0.0.2:2000");

/// Two punchers and a network between them that a test may bend.
class Two {
public:
    Two(std::vector<Candidate> of_agent, std::vector<Candidate> of_client)
        : client_{{.is_client = true,
                    .targets = {.fire_in = milliseconds{50}, .candidates = std::move(of_agent)}},
                  now_}
        , agent_{{.is_client = false,
                   .targets = {.fire_in = milliseconds{60}, .candidates = std::move(of_client)}},
                 now_}
    {
    }

    /// Where a packet of `from` to `to` arrives from, or nothing when it does not.
    std::function<std::optional<SocketAddress>(bool from_client, SocketAddress to)> network =
        [](bool from_client, SocketAddress) {
            return from_client ? client_address : agent_address;
        };
    Duration delay = milliseconds{20};
    std::size_t sent = 0;
    std::multiset<SocketAddress> targets;

    void run(Duration time)
    {
        const Instant end = now_ + time;
        for (;;) {
            drain(client_, true);
            drain(agent_, false);
            const Instant next =
                std::min({client_.deadline(), agent_.deadline(),
                          packets_.empty() ? never : packets_.begin()->first});
            if (next > end)
                return;
            now_ = std::max(now_, next);
            while (!packets_.empty() && packets_.begin()->first <= now_) {
                const Packet packet = packets_.begin()->second;
                packets_.erase(packets_.begin());
                (packet.to_client ? client_ : agent_).handle_probe(now_, packet.probe, packet.from);
            }
            client_.handle_timeout(now_);
            agent_.handle_timeout(now_);
        }
    }

    std::vector<Puncher::Opened> client_opened, agent_opened;
    int client_failed = 0, agent_failed = 0;

    Puncher& agent() { return agent_; }

    [[nodiscard]] Instant now() const { return now_; }

private:
    struct Packet {
        bool to_client;
        wire::Probe probe;
        SocketAddress from;
    };

    void drain(Puncher& puncher, bool is_client)
    {
        while (const auto transmit = puncher.poll_transmit()) {
            ++sent;
            targets.insert(*transmit->to);
            if (const auto from = network(is_client, *transmit->to))
                packets_.emplace(now_ + delay, Packet{!is_client, transmit->probe, *from});
        }
        while (const auto event = puncher.poll_event()) {
            if (const auto* opened = std::get_if<Puncher::Opened>(&*event))
                (is_client ? client_opened : agent_opened).push_back(*opened);
            else
                ++(is_client ? client_failed : agent_failed);
        }
    }

    Instant now_{seconds{1'000}};
    Puncher client_, agent_;
    std::multimap<Instant, Packet> packets_;
};

std::vector<Candidate> observed(SocketAddress address)
{
    return {{address, CandidateKind::observed}};
}

} // namespace

TEST(Puncher, OpensAWayWithAHandfulOfProbes)
{
    Two two{observed(agent_address), observed(client_address)};
    two.run(seconds{10});
    ASSERT_EQ(two.client_opened.size(), 1U);
    EXPECT_EQ(two.client_opened[0].remote.address, agent_address);
    EXPECT_EQ(two.client_opened[0].rtt, milliseconds{40});
    ASSERT_EQ(two.agent_opened.size(), 1U);
    EXPECT_EQ(two.agent_opened[0].remote.address, client_address);
    EXPECT_LE(two.sent, 20U);
    EXPECT_EQ(two.client_failed + two.agent_failed, 0);
}

TEST(Puncher, FiltersThatLetOnlyAnswersInAreOpenedFromInside)
{
    // Each side's NAT lets in only what comes from where it has sent something to.
    Two two{observed(agent_address), observed(client_address)};
    std::set<bool> open;
    two.network = [&](bool from_client, SocketAddress) -> std::optional<SocketAddress> {
        open.insert(from_client);
        if (!open.contains(!from_client))
            return std::nullopt;
        return from_client ? client_address : agent_address;
    };
    two.run(seconds{10});
    EXPECT_EQ(two.client_opened.size(), 1U);
    EXPECT_EQ(two.agent_opened.size(), 1U);
}

TEST(Puncher, FindsAnAddressThatOnlyThePeerCanSee)
{
    const SocketAddress unforeseen = *SocketAddress::parse("203.0.113.2:54321");
    Two two{observed(agent_address), observed(client_address)};
    two.network = [&](bool from_client, SocketAddress to) -> std::optional<SocketAddress> {
        if (from_client)
            return to == unforeseen ? std::optional{client_address} : std::nullopt;
        return unforeseen; // the agent's NAT takes another port towards this peer
    };
    two.run(seconds{10});
    ASSERT_EQ(two.client_opened.size(), 1U);
    EXPECT_EQ(two.client_opened[0].remote, (Candidate{unforeseen, CandidateKind::reflexive}));
}

TEST(Puncher, WaitsAMomentForABetterCandidate)
{
    for (const bool lan_works : {true, false}) {
        Two two{{{agent_address, CandidateKind::observed}, {lan_address, CandidateKind::host}},
                observed(client_address)};
        two.network = [&](bool from_client, SocketAddress to) -> std::optional<SocketAddress> {
            if (from_client)
                return to == lan_address && !lan_works ? std::nullopt : std::optional{client_address};
            return agent_address;
        };
        two.run(seconds{10});
        ASSERT_EQ(two.client_opened.size(), 1U);
        EXPECT_EQ(two.client_opened[0].remote.address, agent_address);
    }
}

TEST(Puncher, GivesUpWhenNothingArrives)
{
    Two two{observed(agent_address), observed(client_address)};
    two.network = [](bool, SocketAddress) { return std::nullopt; };
    two.run(seconds{60});
    EXPECT_EQ(two.client_failed, 1);
    EXPECT_EQ(two.agent_failed, 1);
    EXPECT_LE(two.sent, 30U);
    EXPECT_TRUE(two.client_opened.empty());
}

TEST(Puncher, SurvivesTheLossOfEveryThirdProbe)
{
    for (std::size_t phase = 0; phase < 30; ++phase) {
        Two two{observed(agent_address), observed(client_address)};
        std::size_t count = phase;
        two.network = [&](bool from_client, SocketAddress) -> std::optional<SocketAddress> {
            if (++count % 3 == 0)
                return std::nullopt;
            return from_client ? client_address : agent_address;
        };
        two.run(seconds{10});
        EXPECT_EQ(two.client_opened.size(), 1U) << phase;
        EXPECT_EQ(two.agent_opened.size(), 1U) << phase;
    }
}

TEST(Puncher, APeerThatLiesCannotMakeItACannon)
{
    Two two{observed(agent_address), observed(client_address)};
    std::size_t sent = 0;
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        const auto from = SocketAddress{*IpAddress::parse("192.0.2.1"), static_cast<std::uint16_t>(i)};
        two.agent().handle_probe(two.now() + milliseconds{i / 10},
                                 {.kind = wire::ProbeKind::punch, .token = i, .seen = {}}, from);
        while (two.agent().poll_transmit())
            ++sent;
        while (two.agent().poll_event()) {
        }
    }
    EXPECT_LE(sent, Puncher::most_probes);
}

TEST(Puncher, SpraysEachPortOnceAtALimitedRate)
{
    for (const auto order : {Spray::Order::sequential, Spray::Order::random}) {
        const Spray spray{
            .addresses = {agent_address.ip}, .first = 20'000, .count = 600, .step = 1, .order = order};
        Puncher puncher{{.is_client = true,
                         .targets = {.fire_in = {}, .candidates = {}, .spray = spray},
                         .packets = 600,
                         .time = seconds{5}},
                        Instant{seconds{1}}};
        std::multiset<std::uint16_t> ports;
        Instant now{seconds{1}};
        for (; now < Instant{seconds{2}}; now = puncher.deadline()) {
            puncher.handle_timeout(now);
            while (const auto transmit = puncher.poll_transmit())
                ports.insert(transmit->to->port);
        }
        EXPECT_EQ(ports.size(), packets_per_second);
        for (; now != never; now = puncher.deadline()) {
            puncher.handle_timeout(now);
            while (const auto transmit = puncher.poll_transmit())
                ports.insert(transmit->to->port);
        }
        EXPECT_EQ(ports.size(), 600U);
        EXPECT_EQ(std::set<std::uint16_t>(ports.begin(), ports.end()).size(), 600U);
        EXPECT_EQ(*ports.begin(), 20'000);
        EXPECT_EQ(*ports.rbegin(), 20'599);
    }
}

TEST(Puncher, OpensWithLimitedTtlFromEachSocketAndTellsWhichOneWorks)
{
    Puncher puncher{{.is_client = false,
                     .targets = {.fire_in = milliseconds{40}, .candidates = observed(client_address)},
                     .sockets = 16,
                     .first_ttl = 4,
                     .retry_ttl = 64},
                    Instant{seconds{1}}};
    std::map<unsigned, std::vector<int>> ttls;
    const auto drain = [&] {
        while (const auto transmit = puncher.poll_transmit())
            ttls[transmit->socket].push_back(transmit->ttl);
    };
    Instant now{seconds{1}};
    for (; now < Instant{milliseconds{2'500}}; now = puncher.deadline()) {
        puncher.handle_timeout(now);
        drain();
    }
    EXPECT_EQ(ttls.size(), 16U);
    for (const auto& [socket, of_socket] : ttls)
        EXPECT_EQ(of_socket, (std::vector<int>{4, 64})) << socket;
    ttls.clear();
    puncher.handle_probe(now, {.kind = wire::ProbeKind::punch, .token = 5, .seen = {}},
                         client_address, 11);
    drain();
    EXPECT_EQ(ttls.size(), 1U);
    EXPECT_TRUE(ttls.contains(11)) << "answered from where it came to";
    const auto event = puncher.poll_event();
    ASSERT_TRUE(event);
    EXPECT_EQ(std::get<Puncher::Opened>(*event).socket, 11U);
}

TEST(Puncher, SamplesAndWaitsForItsTargets)
{
    Puncher puncher{{.is_client = true, .targets = {}, .samples = true, .waits = true},
                    Instant{seconds{1}}};
    puncher.handle_timeout(Instant{seconds{1}});
    const auto sample = puncher.poll_transmit();
    ASSERT_TRUE(sample);
    EXPECT_EQ(sample->probe.kind, wire::ProbeKind::sample);
    EXPECT_FALSE(sample->to);
    EXPECT_FALSE(puncher.poll_transmit());
    puncher.aim(Instant{milliseconds{1'030}},
                {.fire_in = milliseconds{10}, .candidates = observed(agent_address)});
    puncher.handle_timeout(Instant{milliseconds{1'040}});
    const auto punch = puncher.poll_transmit();
    ASSERT_TRUE(punch);
    EXPECT_EQ(punch->to, agent_address);

    Puncher forgotten{{.is_client = true, .targets = {}, .waits = true}, Instant{seconds{1}}};
    forgotten.handle_timeout(Instant{seconds{1}} + Puncher::aim_limit);
    const auto event = forgotten.poll_event();
    ASSERT_TRUE(event);
    EXPECT_TRUE(std::holds_alternative<Puncher::Failed>(*event));
    EXPECT_TRUE(forgotten.is_over());
}

} // namespace narrowlink::nat
