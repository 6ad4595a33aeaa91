#pragma once

#include "narrowlink/direct/node.hpp"
#include "support/seeded_random.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

namespace narrowlink::direct::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr UnixTime wall_clock{seconds{1'700'000'000}};

inline SocketAddress address(std::string_view text)
{
    return SocketAddress::parse(text).value();
}

/// The gateway's main port.
inline SocketAddress gateway_address()
{
    return address("198.51.100.2:443");
}

/// The sockets of a host, and what was sent from them.
class RecordedSockets final : public Sockets {
public:
    struct Sent {
        SocketId socket;
        SocketAddress to;
        std::vector<std::byte> bytes;
        std::uint8_t ttl;
    };

    std::optional<std::uint16_t> open(SocketId id, bool v4) override
    {
        if ((v4 ? v4_left : v6_left) == 0)
            return std::nullopt;
        --(v4 ? v4_left : v6_left);
        opened.emplace(id, ++last_port_);
        return last_port_;
    }

    void close(SocketId id) override { opened.erase(id); }

    void send(SocketId id, const SocketAddress& to, Bytes datagram, std::uint8_t ttl) override
    {
        sent.push_back({id, to, {datagram.begin(), datagram.end()}, ttl});
    }

    std::map<SocketId, std::uint16_t> opened; ///< with their ports
    std::deque<Sent> sent;
    std::size_t v4_left = 1'000, v6_left = 0;

private:
    std::uint16_t last_port_ = 40'000;
};

/// A pair that counts how often it was given packets, or carriers.
class TestPair final : public CarriedPair {
public:
    explicit TestPair(path::Pair pair) : pair_{std::move(pair)} {}

    path::Pair& pair() override { return pair_; }

    path::CarrierId next_carrier() override { return path::CarrierId{++carriers}; }

    void drain_events() override
    {
        while (pair_.poll_event())
            continue;
    }

    void settle() override
    {
        ++settled;
        drain_events();
    }

    std::uint32_t carriers = 0; ///< added so far
    unsigned settled = 0;

private:
    path::Pair pair_;
};

/// One node with what its core said.
class End final : Node::Owner {
public:
    End(control::Role role, std::string_view own, Random& random)
        : ip{*IpAddress::parse(own)}, node{role, sockets, *this, random}
    {
    }

    /// Number `number` of the sockets that are open, the oldest first.
    [[nodiscard]] SocketAddress at(std::size_t number) const
    {
        return {ip, std::next(sockets.opened.begin(), static_cast<std::ptrdiff_t>(number))->second};
    }

    IpAddress ip;
    RecordedSockets sockets;
    Node node;
    std::vector<SocketAddress> ways;            ///< that were opened
    std::vector<CarriedPair*> meetings;         ///< that were asked for
    std::vector<bool> punched;                  ///< the results of attempts
    std::vector<control::SurveyAnswer> answers; ///< for the gateway
    unsigned relays = 0;

private:
    void handle_meeting_due(CarriedPair& pair) override { meetings.push_back(&pair); }

    void handle_punched(CarriedPair&, std::uint32_t, bool opened) override
    {
        punched.push_back(opened);
    }

    void handle_way_opened(CarriedPair&, const nat::Puncher::Opened& opened) override
    {
        ways.push_back(opened.remote.address);
    }

    void handle_survey_answer(const control::SurveyAnswer& answer) override
    {
        answers.push_back(answer);
    }

    void handle_relay_opened(CarriedPair&, const SocketAddress&) override { ++relays; }
};

/// A client's and an agent's node on a network without delay and loss, where whatever has a TTL of
/// its own does not arrive; and the gateway's probe service, whose packets the test makes.
class TwoNodes {
public:
    TwoNodes()
        : client_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
        , agent_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
        , client{control::Role::client, "192.0.2.1", random}
        , agent{control::Role::agent, "192.0.2.2", random}
    {
    }

    TestPair client_pair()
    {
        return TestPair{*path::Pair::client(
            {}, {*quic::Credentials::load(client_identity), agent_identity.pin}, now, random)};
    }

    TestPair agent_pair()
    {
        return TestPair{path::Pair::server(
            {}, {*quic::Credentials::load(agent_identity), client_identity.pin}, now, random)};
    }

    /// The two have each other over the gateway's WebSockets, and are run from now on.
    void introduce(TestPair& here, TestPair& there)
    {
        for (TestPair* pair : {&here, &there})
            pair->pair().add_carrier(
                now, pair->next_carrier(),
                {.kind = path::CarrierKind::websocket_relay, .mtu = 16'368, .paced = false});
        couples_.push_back({&here, &there});
    }

    /// The credentials of attempt `number`.
    static nat::ProbeCredentials credentials(std::uint8_t number)
    {
        nat::ProbeCredentials made;
        made.id.fill(std::byte{number});
        made.key.fill(std::byte{number});
        return made;
    }

    /// An attempt that sends probes there.
    static control::Punch punch(std::uint8_t number, std::vector<SocketAddress> targets)
    {
        control::Punch message{.channel = credentials(number), .attempt = number};
        for (const SocketAddress& target : targets)
            message.candidates.push_back({target, nat::CandidateKind::observed});
        return message;
    }

    /// Both nodes know the gateway.
    void observe()
    {
        const control::Observe message{.channel = credentials(200),
                                       .ports = {443, 8'444, 8'445},
                                       .addresses = {gateway_address().ip}};
        client.node.observe(message, {});
        agent.node.observe(message, {});
    }

    /// A probe of the gateway arrives at the main socket of `end`.
    void say_as_gateway(End& end, const wire::Probe& probe)
    {
        nat::ProbePacket packet = gateway_channel_.seal(probe, random);
        end.node.handle_train(now, end.sockets.opened.begin()->first, gateway_address(),
                              {packet, packet.size()});
    }

    /// The gateway has seen both main sockets, and heard their proof.
    void place_both(std::uint64_t cookie = 1)
    {
        for (End* end : {&client, &agent})
            for (const std::uint64_t token : {std::uint64_t{0}, cookie}) {
                say_as_gateway(*end, {.kind = wire::ProbeKind::observed,
                                      .token = static_cast<std::uint32_t>(token),
                                      .seen = end->at(0),
                                      .cookie = cookie});
                settle();
            }
    }

    void run_for(Duration time)
    {
        const Instant end = now + time;
        for (;;) {
            settle();
            Instant next = std::min(client.node.deadline(), agent.node.deadline());
            for (const Couple& couple : couples_)
                next = std::min(
                    {next, couple.client->pair().deadline(), couple.agent->pair().deadline()});
            next = std::max(next, now + milliseconds{1}); // as drive::PairDriver
            if (next > end)
                break;
            now = next;
        }
        now = end;
        settle();
    }

    /// Until nothing happens at this time any more.
    void settle()
    {
        for (const Couple& couple : couples_)
            for (TestPair* pair : {couple.client, couple.agent})
                if (pair->pair().deadline() <= now)
                    pair->pair().handle_timeout(now);
        bool moved = true;
        while (moved) {
            for (End* end : {&client, &agent}) {
                end->node.handle_timeout(now);
                transmit(*end);
            }
            moved = deliver();
            for (const Couple& couple : couples_) {
                moved = relay(*couple.client, *couple.agent) || moved;
                moved = relay(*couple.agent, *couple.client) || moved;
            }
        }
    }

    SeededRandom random{1};
    Instant now{seconds{1'000}};
    crypto::Identity client_identity, agent_identity;
    End client, agent;
    std::vector<RecordedSockets::Sent> to_gateway;
    std::map<SocketAddress, std::size_t> bytes_to; ///< everything sent, by either end

private:
    struct Couple {
        TestPair *client, *agent;
    };

    static constexpr path::CarrierId relay_carrier{1};

    bool relay(TestPair& from, TestPair& to)
    {
        std::vector<std::byte> block(65'528);
        bool moved = false;
        for (;;) {
            const auto train = from.pair().poll_transmit(now, relay_carrier, block);
            from.drain_events();
            if (train.size == 0)
                return moved;
            to.pair().handle_packets(now, relay_carrier, Bytes{block}.first(train.size),
                                     train.segment_size);
            to.drain_events();
            moved = true;
        }
    }

    void transmit(End& end)
    {
        std::vector<std::byte> block(65'487);
        for (std::size_t idle = 0; idle < end.node.way_count();) {
            const Train train = end.node.poll_transmit(now, block);
            idle = train.size == 0 ? idle + 1 : 0;
            for (Bytes rest = Bytes{block}.first(train.size); !rest.empty();) {
                const Bytes datagram = rest.first(std::min(rest.size(), train.segment_size));
                end.sockets.send(train.way.socket, train.way.remote, datagram, 0);
                rest = rest.subspan(datagram.size());
            }
        }
    }

    bool deliver()
    {
        bool delivered = false;
        for (End* from : {&client, &agent}) {
            while (!from->sockets.sent.empty()) {
                const auto sent = std::move(from->sockets.sent.front());
                from->sockets.sent.pop_front();
                bytes_to[sent.to] += sent.bytes.size();
                if (sent.to.ip == gateway_address().ip)
                    to_gateway.push_back(sent);
                const auto port = from->sockets.opened.find(sent.socket);
                if (sent.ttl != 0 || port == from->sockets.opened.end())
                    continue;
                delivered = deliver(sent, {from->ip, port->second}) || delivered;
            }
        }
        return delivered;
    }

    bool deliver(const RecordedSockets::Sent& sent, const SocketAddress& from)
    {
        for (End* to : {&client, &agent})
            for (const auto& [id, port] : to->sockets.opened)
                if (sent.to == SocketAddress{to->ip, port}) {
                    const SocketId at = id;
                    to->node.handle_train(now, at, from, {sent.bytes, sent.bytes.size()});
                    return true;
                }
        return false;
    }

    std::vector<Couple> couples_;
    nat::ProbeChannel gateway_channel_{credentials(200), wire::ProbeSender::gateway};
};

} // namespace narrowlink::direct::test
