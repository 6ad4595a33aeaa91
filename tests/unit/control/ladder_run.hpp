#pragma once

#include "../nat/model_nat.hpp"
#include "narrowlink/control/rendezvous.hpp"
#include "narrowlink/nat/puncher.hpp"
#include "samples.hpp"
#include "support/seeded_random.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::control {

using namespace std::chrono_literals;

/// A pair behind two model NATs, with a Rendezvous in the middle and 10 ms from anywhere to
/// anywhere: everything that looks for a direct path but sockets.
class LadderRun {
public:
    static constexpr SessionId client{1}, agent{2};

    LadderRun(std::string_view client_kind, std::string_view agent_kind, std::uint32_t seed)
        : random_{seed}
        , rendezvous_{{.ports = {443, 8'444, 8'445, 8'446}, .addresses = {}}, random_}
        , nodes_{Node{client, nat::model::Nat{nat::model::recipe(client_kind), seed}, 1},
                 Node{agent, nat::model::Nat{nat::model::recipe(agent_kind), seed + 1'000}, 2}}
    {
    }

    /// `together`: the pair comes up with the sessions, else when both are known well.
    void run(bool together, Duration time)
    {
        rendezvous_.add_session(now, client, Role::client, "client");
        rendezvous_.add_session(now, agent, Role::agent, "agent");
        settle();
        if (!together)
            pass(10s);
        rendezvous_.add_pair(now, {pin_of(1), pair_of(1)}, client, agent);
        settle();
        pass(time);
    }

    /// The router of this node forwards a port to its main socket, and `external` is what it says
    /// of itself: by default the address that it has.
    void map_port(SessionId id, std::uint16_t port, std::optional<IpAddress> external = {})
    {
        Node& n = node(id);
        const SocketAddress own = moved({n.nat.host(), 50'000}, n.site);
        const IpAddress outside = moved({n.nat.external(), port}, n.site).ip;
        n.mapped = port;
        n.candidates = {{own}, MappedPort{{external.value_or(outside), port}, "nat-pmp"}};
        rendezvous_.handle(now, id, n.candidates);
        settle();
    }

    /// It does not, but says so.
    void forget_port(SessionId id) { node(id).mapped.reset(); }

    /// Time passes.
    void wait(Duration time) { pass(time); }

    void meet(Duration time)
    {
        opened.reset();
        rendezvous_.handle(now, client, Meet{pair_of(1)});
        settle();
        pass(time);
    }

    /// Another pair of the same two nodes comes up.
    void add_pair(std::uint8_t number)
    {
        rendezvous_.add_pair(now, {pin_of(number), pair_of(number)}, client, agent);
        settle();
    }

    /// Begin or end of an attempt with many sockets, at the client, in the order of time.
    struct Spraying {
        wire::PairId pair;
        bool begins; ///< else it has ended
    };

    Instant now = start;
    std::vector<Spraying> spraying;
    std::optional<Instant> opened; ///< at the client
    std::vector<Punch> punches;    ///< to the client
    std::vector<std::string> unreachable;
    std::size_t packets = 0; ///< from either end, to the other
    /// Most of one attempt of one end.
    std::size_t most_packets = 0;

private:
    struct Node {
        SessionId id;
        nat::model::Nat nat;
        std::uint8_t site;
        std::optional<nat::ProbeChannel> gateway = {};
        std::optional<nat::ProbeChannel> peer = {};
        std::optional<nat::Puncher> puncher = {};
        std::uint32_t attempt = 0;
        wire::PairId pair = {};
        bool sprays = false;
        bool reported = false, fresh = false;
        std::vector<std::uint16_t> ports = {};               ///< of the attempt, by number
        std::map<unsigned, std::uint16_t> survey_ports = {}; ///< the main one is 0
        nat::FilterReport report = {};
        std::uint16_t last_port = 50'000;
        std::size_t sent = 0;
        Candidates candidates = {};
        std::optional<std::uint16_t> mapped = {};
        std::set<SocketAddress> redirected = {}; ///< have sent to the mapped port: a flow each
        std::uint64_t cookie = 0;
        std::optional<IpAddress> external = {};
    };

    struct Packet {
        SocketAddress from, to;
        nat::ProbePacket bytes;
        std::uint8_t ttl = 0;
    };

    static constexpr Duration trip = 10ms;

    Node& node(SessionId id) { return nodes_[id == client ? 0 : 1]; }

    void at(Instant time, std::function<void()> action)
    {
        actions_.emplace(time, std::move(action));
    }

    void pass(Duration time)
    {
        const Instant end = now + time;
        for (;;) {
            Instant next = std::min(rendezvous_.deadline(),
                                    actions_.empty() ? never : actions_.begin()->first);
            for (const Node& n : nodes_)
                if (n.puncher)
                    next = std::min(next, n.puncher->deadline());
            if (next > end)
                break;
            now = std::max(now, next);
            while (!actions_.empty() && actions_.begin()->first <= now) {
                const auto action = std::move(actions_.begin()->second);
                actions_.erase(actions_.begin());
                action();
            }
            rendezvous_.handle_timeout(now);
            for (Node& n : nodes_)
                if (n.puncher)
                    n.puncher->handle_timeout(now);
            settle();
        }
        now = end;
    }

    void settle()
    {
        while (auto sent = rendezvous_.poll_message())
            at(now + trip,
               [this, sent = std::move(*sent)] { receive(node(sent.to), sent.message); });
        while (const auto transmit = rendezvous_.poll_transmit())
            at(now + trip, [this, t = *transmit] {
                arrive({gateway_socket(t.port), t.to, t.packet});
            });
        for (Node& n : nodes_)
            settle(n);
    }

    void settle(Node& n)
    {
        if (!n.puncher)
            return;
        while (const auto transmit = n.puncher->poll_transmit()) {
            const SocketAddress to = transmit->to.value_or(gateway_socket(0));
            const std::uint16_t port = n.fresh ? n.ports.at(transmit->socket) : 50'000;
            if (transmit->to) {
                ++packets;
                most_packets = std::max(most_packets, ++n.sent);
            }
            send(n, *n.peer, transmit->probe, port, to, transmit->ttl);
        }
        while (const auto event = n.puncher->poll_event()) {
            const bool success = std::holds_alternative<nat::Puncher::Opened>(*event);
            if (n.id != client || std::exchange(n.reported, true))
                continue;
            if (success && !opened)
                opened = now;
            if (n.sprays)
                spraying.push_back({n.pair, false});
            const Punched punched{.pair = n.pair, .attempt = n.attempt, .opened = success};
            at(now + trip, [this, punched] { rendezvous_.handle(now, client, punched); });
        }
    }

    static SocketAddress gateway_socket(std::size_t port)
    {
        return nat::model::address("198.51.100.2",
                                   port == 0 ? 443 : static_cast<std::uint16_t>(8'443 + port));
    }

    /// The models share one external address; here each has its own.
    static SocketAddress moved(SocketAddress address, std::uint8_t site)
    {
        auto bytes = address.ip.bytes();
        bytes[2] = std::byte{site};
        return {IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}), address.port};
    }

    void send(Node& n, nat::ProbeChannel& channel, wire::Probe probe, std::uint16_t port,
              SocketAddress to, std::uint8_t ttl = 0)
    {
        probe.local_port = port;
        const nat::ProbePacket bytes = channel.seal(probe, random_);
        auto mapped = n.nat.send(port, to);
        if (mapped && port == 50'000 && n.redirected.contains(to))
            mapped->port = *n.mapped;
        if (!mapped || (ttl != 0 && ttl < 10))
            return;
        const SocketAddress from = moved(*mapped, n.site);
        at(now + trip, [this, from, to, bytes] { arrive({from, to, bytes}); });
    }

    void arrive(const Packet& packet)
    {
        for (std::size_t port = 0; port < 4; ++port)
            if (packet.to == gateway_socket(port)) {
                const auto answer = rendezvous_.handle_datagram(
                    now, {.port = port, .from = packet.from, .at = packet.to.ip, .ttl = 60},
                    packet.bytes);
                if (answer)
                    at(now + trip,
                       [this, back = Packet{packet.to, packet.from, *answer}] { arrive(back); });
                return;
            }
        for (Node& n : nodes_)
            if (packet.to.ip.bytes()[2] == std::byte{n.site})
                arrive(n, packet);
    }

    void arrive(Node& n, const Packet& packet)
    {
        if (n.mapped && packet.to.port == *n.mapped) {
            n.redirected.insert(packet.from);
            deliver(n, packet, 50'000);
            return;
        }
        const SocketAddress to = moved(packet.to, 1);
        for (std::uint16_t port = 50'000; port <= n.last_port; ++port) {
            if (!n.nat.receive(packet.from, to, port))
                continue;
            deliver(n, packet, port);
            return;
        }
    }

    void deliver(Node& n, const Packet& packet, std::uint16_t port)
    {
        if (n.gateway && wire::probe_id(packet.bytes) == n.gateway->id()) {
            const auto probe = n.gateway->open(packet.bytes);
            if (probe && probe->kind == wire::ProbeKind::observed)
                prove(n, *probe, packet.from, port);
            if (probe && n.survey_ports.contains(1) && n.survey_ports.at(1) == port)
                (probe->kind == wire::ProbeKind::filter ? n.report.from_port : n.report.answered) =
                    true;
        } else if (n.peer && wire::probe_id(packet.bytes) == n.peer->id()) {
            const auto probe = n.peer->open(packet.bytes);
            const auto socket = std::ranges::find(n.ports, port);
            if (probe && n.fresh && socket != n.ports.end())
                n.puncher->handle_probe(now, *probe, packet.from,
                                        static_cast<unsigned>(socket - n.ports.begin()));
            else if (probe && !n.fresh && port == 50'000)
                n.puncher->handle_probe(now, *probe, packet.from);
        }
    }

    /// As direct::GatewayProbes.
    void prove(Node& n, const wire::Probe& probe, const SocketAddress& gateway, std::uint16_t port)
    {
        const bool is_main = port == 50'000;
        if (is_main ? gateway != gateway_socket(0) || n.cookie == probe.cookie
                    : !n.external || probe.seen->ip == *n.external)
            return;
        if (is_main) {
            n.cookie = probe.cookie;
            n.external = probe.seen->ip;
        }
        const auto socket = std::ranges::find(n.survey_ports, port, &std::pair<const unsigned, std::uint16_t>::second);
        send(n, *n.gateway,
             {.socket = static_cast<std::uint8_t>(is_main ? 0 : socket->first),
              .seen = {},
              .cookie = probe.cookie},
             port, gateway);
    }

    void receive(Node& n, const Message& message)
    {
        const auto sender = n.id == client ? wire::ProbeSender::client : wire::ProbeSender::agent;
        if (const auto* observe = std::get_if<Observe>(&message)) {
            n.gateway.emplace(observe->channel, sender);
            if (n.candidates.addresses.empty())
                n.candidates.addresses = {moved({n.nat.host(), 50'000}, n.site)};
            rendezvous_.handle(now, n.id, n.candidates);
            send(n, *n.gateway, {.seen = {}}, 50'000, gateway_socket(0));
        } else if (const auto* request = std::get_if<SurveyRequest>(&message)) {
            follow(n, request->step);
        } else if (const auto* punch = std::get_if<Punch>(&message)) {
            n.pair = punch->pair;
            n.sprays = punch->sockets > 1;
            if (n.id == client) {
                punches.push_back(*punch);
                if (n.sprays)
                    spraying.push_back({n.pair, true});
            }
            begin(n, *punch, sender);
        } else if (const auto* aim = std::get_if<Aim>(&message)) {
            if (aim->attempt == n.attempt)
                n.puncher->aim(now, {.fire_in = std::chrono::milliseconds{aim->fire_in_ms},
                                     .candidates = aim->candidates,
                                     .spray = aim->spray});
        } else if (const auto* why = std::get_if<Unreachable>(&message)) {
            unreachable.push_back(why->message);
        }
    }

    void follow(Node& n, const nat::SurveyStep& step)
    {
        Duration delay{};
        n.report = {.answered = false};
        for (unsigned round = 0; round < step.rounds; ++round)
            for (unsigned socket = step.first_socket; socket < step.first_socket + step.sockets;
                 ++socket)
                for (const nat::GatewaySocket to : step.to) {
                    if (!n.survey_ports.contains(socket))
                        n.survey_ports[socket] =
                            socket == 0 ? std::uint16_t{50'000} : ++n.last_port;
                    at(now + (delay += 5ms), [this, &n, socket, to] {
                        send(n, *n.gateway,
                             {.socket = static_cast<std::uint8_t>(socket), .seen = {}},
                             n.survey_ports.at(socket), gateway_socket(to.port));
                    });
                }
        if (step.purpose == nat::SurveyStep::Purpose::filtering)
            at(now + delay + 300ms, [this, &n] {
                rendezvous_.handle(now, n.id, Filtered{Family::v4, n.report});
            });
    }

    void begin(Node& n, const Punch& punch, wire::ProbeSender sender)
    {
        n.peer.emplace(punch.channel, sender);
        n.attempt = punch.attempt;
        n.reported = false;
        n.fresh = punch.fresh;
        n.sent = 0;
        n.ports.clear();
        for (unsigned i = 0; punch.fresh && i < punch.sockets; ++i)
            n.ports.push_back(++n.last_port);
        n.puncher.emplace(
            nat::PunchPlan{.is_client = n.id == client,
                           .targets = {.fire_in = std::chrono::milliseconds{punch.fire_in_ms},
                                       .candidates = punch.candidates,
                                       .spray = punch.spray},
                           .sockets = punch.sockets,
                           .first_ttl = punch.first_ttl,
                           .retry_ttl = punch.retry_ttl,
                           .retry_after = std::chrono::milliseconds{punch.retry_after_ms},
                           .packets = punch.packets,
                           .time = std::chrono::milliseconds{punch.time_ms},
                           .samples = punch.sample,
                           .waits = punch.wait},
            now);
        n.puncher->handle_timeout(now);
    }

    SeededRandom random_;
    Rendezvous rendezvous_;
    std::array<Node, 2> nodes_;
    std::multimap<Instant, std::function<void()>> actions_;
};

} // namespace narrowlink::control
