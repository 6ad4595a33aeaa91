// Theory of operation
//
// Goal: probes and QUIC on one socket, so that the hole which the probes open is the one that QUIC
// uses, and that either kind of packet keeps it open.
//
// Ingress. A datagram with the size of a probe and an id we know is one, whatever its seal says. So is
// a longer one with the id of the pair whose way it comes by: a probe of that way's MTU. Everything
// else belongs to the direct carrier of its source address; from other addresses nothing
// is taken, not even a packet that QUIC would call authentic: addresses become carriers by a probe.
//
// Egress runs timers, probes and trains in one loop, because all of them use the same sockets. A
// socket that would block stops the loop: the trains that follow wait in QUIC, where the congestion
// control counts them.
//
// Sockets. What does not need one of its own goes over the main ones. An attempt may have fresh ones:
// they are closed when it is over, but for the one that a way uses, which lasts as long as the way. A
// survey has its own, see SurveyRunner.
//
// Ways. They are named by our socket and the peer's address; those through the gateway, which all pairs
// share, also by the tag with which our connection IDs in that pair begin. A client keeps the last two that the puncher chose, an agent those from which it has heard
// the client last: path::Pair decides which of them is used.
//
// Meetings. A client without a direct path asks for another round of attempts, at growing intervals
// since the last attempt has failed.

#include "narrowlink/drive/direct_node.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/together.hpp"
#include "narrowlink/nat/lifetime_survey.hpp"

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace narrowlink::drive {
namespace {

using namespace std::chrono_literals;

/// What one system call sends: no IPv4 or IPv6 datagram may be longer, udp(7).
constexpr std::size_t train_size = 65'487;

/// Probes of all of the gateway's ports, then of the main one, so that the NAT keeps the mapping.
constexpr std::array<Duration, 3> survey_intervals{100ms, 300ms, 600ms};
constexpr std::array<Duration, 5> meeting_intervals{1s, 5s, 30s, 120s, 600s};

/// Of all attempts at once; descriptors are few on some systems.
constexpr std::size_t most_attempt_sockets = 512;

constexpr std::size_t most_ways_of_client = 2;
constexpr std::size_t most_ways_of_agent = 4;

} // namespace

DirectNode::DirectNode(net::any_io_executor executor, control::Role role, Owner& owner,
                       Random& random, PortMappingMode port_mapping)
    : role_{role}
    , owner_{&owner}
    , random_{&random}
    , egress_{executor}
    , sockets_{executor,
               [this](DirectSocket& socket, const io::UdpSocket::Arrival& arrival) {
                   handle_train(socket, arrival);
                   egress_.set();
               }}
    , survey_{sockets_, *this}
    , mapper_{executor, port_mapping, [this] { owner_->handle_addresses_changed(); }}
    , block_(train_size)
{
}

net::awaitable<void> DirectNode::run()
{
    auto egress = egress_loop();
    auto mapping = mapper_.run();
    auto body = io::together(std::move(egress), std::move(mapping));
    auto running = sockets_.run(std::move(body));
    co_await std::move(running);
}

control::Candidates DirectNode::candidates() const
{
    control::Candidates candidates;
    std::vector<SocketAddress>& own = candidates.addresses;
    for (const IpAddress& ip : io::interface_addresses())
        if (const auto socket = sockets_.main(ip.is_v4());
            socket != nullptr && own.size() < control::max_candidates)
            own.push_back({ip, socket->local.port});
    const auto socket = sockets_.main(true);
    const auto& external = mapper_.external_ip();
    if (const PortMapping* mapping = mapper_.public_mapping())
        candidates.mapped = {mapping->external, std::string{to_string(mapping->protocol)}};
    else if (mapper_.mapping() && own.size() < control::max_candidates)
        own.push_back(mapper_.mapping()->external);
    else if (socket && external && !nat::is_public(*external) &&
             own.size() < control::max_candidates)
        own.push_back({*external, socket->local.port}); // most routers keep the port
    return candidates;
}

// ---- in

void DirectNode::handle_train(DirectSocket& socket, const io::UdpSocket::Arrival& arrival)
{
    const std::size_t segment = arrival.segment_size;
    Bytes train = arrival.train;
    // Packets of one way between probes stay together.
    std::size_t begin = 0;
    std::optional<WayName> name;
    const auto finish = [&](std::size_t end) {
        if (name && end > begin)
            deliver(*name, train.subspan(begin, end - begin), arrival);
        name.reset();
    };
    for (std::size_t at = 0; at < train.size();) {
        const Bytes datagram = train.subspan(at, std::min(segment, train.size() - at));
        const auto here = way_of(socket, arrival.from, datagram);
        if (here != name) {
            finish(at);
            begin = at;
            name = here;
        }
        const auto way = here ? ways_.find(*here) : ways_.end();
        const auto* of_way = way == ways_.end() ? nullptr : probe_id_of(way->second);
        const bool may_be_probe =
            datagram.size() == wire::probe_size || (of_way && wire::probe_id(datagram) == *of_way);
        if (may_be_probe && handle_probe(socket, arrival.from, datagram)) {
            finish(at);
            begin = at + datagram.size();
        }
        at += datagram.size();
    }
    finish(train.size());
}

bool DirectNode::is_gateway(const SocketAddress& address) const
{
    return gateway_ && !gateway_->ports.empty() && address.port == gateway_->ports.front() &&
           std::ranges::find(gateway_->addresses, address.ip) != gateway_->addresses.end();
}

std::optional<DirectNode::WayName> DirectNode::way_of(const DirectSocket& socket,
                                                      const SocketAddress& from,
                                                      Bytes datagram) const
{
    if (!is_gateway(from))
        return WayName{.socket = socket.id, .remote = from};
    const auto tag = wire::relay_tag_of(datagram);
    if (!tag)
        return std::nullopt;
    return WayName{.socket = socket.id, .remote = from, .tag = *tag};
}

void DirectNode::deliver(const WayName& name, Bytes train, const io::UdpSocket::Arrival& arrival)
{
    const auto way = ways_.find(name);
    if (way == ways_.end())
        return;
    PairDriver& driver = *way->second.driver;
    driver.pair().handle_packets(io::now(), way->second.carrier, train, arrival.segment_size,
                                 arrival.ecn);
    driver.settle();
}

const wire::ProbeId* DirectNode::probe_id_of(const Way& way) const
{
    const auto peer = peers_.find(way.driver);
    return peer == peers_.end() ? nullptr : &peer->second.channel.id();
}

bool DirectNode::handle_probe(DirectSocket& socket, const SocketAddress& from, Bytes datagram)
{
    const auto id = wire::probe_id(datagram);
    if (!id)
        return false;
    if (gateway_ && gateway_->channel.id() == *id) {
        handle_gateway_probe(socket, from, datagram);
        return true;
    }
    const auto channel = channels_.find(*id);
    if (channel == channels_.end())
        return false;
    Peer& peer = peers_.at(channel->second);
    const auto probe = peer.channel.open(datagram.first(wire::probe_size));
    if (probe && (probe->kind == wire::ProbeKind::size || probe->kind == wire::ProbeKind::fits)) {
        handle_size_probe(*probe, {socket.id, from}, peer, datagram.size());
        return true;
    }
    const bool is_ours = peer.fresh ? socket.number < peer.sockets.size() &&
                                          peer.sockets[socket.number].get() == &socket
                                    : socket.use == DirectSocket::Use::main;
    if (probe && is_ours)
        peer.puncher.handle_probe(io::now(), *probe, from, peer.fresh ? socket.number : 0);
    return true;
}

void DirectNode::handle_gateway_probe(DirectSocket& socket, const SocketAddress& from,
                                      Bytes datagram)
{
    const auto probe = gateway_->channel.open(datagram);
    if (!probe)
        return;
    gateway_->answered = true;
    if (socket.use == DirectSocket::Use::main && probe->kind == wire::ProbeKind::observed &&
        is_gateway(from)) {
        gateway_->latest = from;
        std::uint64_t& cookie = gateway_->cookie(from.ip.is_v4());
        if (std::exchange(cookie, probe->cookie) != probe->cookie)
            gateway_->due = io::now(); // it wants proof
    }
    constexpr std::size_t most_answers = control::max_candidates * control::max_probe_ports;
    if (socket.use == DirectSocket::Use::main && probe->seen &&
        gateway_->answers.size() < most_answers)
        gateway_->answers.insert_or_assign(from, *probe->seen);
    if (socket.use == DirectSocket::Use::survey)
        survey_.handle_probe(socket, *probe);
}

void DirectNode::handle_size_probe(const wire::Probe& probe, const WayName& name, Peer& peer,
                                   std::size_t size)
{
    const auto found = ways_.find(name);
    if (found == ways_.end() || probe_id_of(found->second) != &peer.channel.id())
        return;
    Way& way = found->second;
    if (!way.mtu_search)
        return;
    if (probe.kind == wire::ProbeKind::fits) {
        if (way.mtu_search->handle_answer(io::now(), probe.token))
            way.driver->pair().set_mtu(way.carrier, way.mtu_search->mtu());
    } else if (probe.token == size) {
        send_probe(peer.channel, *way.socket,
                   {.kind = wire::ProbeKind::fits, .token = probe.token, .seen = {}}, name.remote);
    }
}

// ---- ways

void DirectNode::punch(const control::Punch& message, PairDriver& driver)
{
    if (sockets_.empty())
        return;
    nat::Puncher puncher{{.is_client = role_ == control::Role::client,
                          .targets = {.fire_in = std::chrono::milliseconds{message.fire_in_ms},
                                      .candidates = message.candidates,
                                      .spray = message.spray},
                          .sockets = message.sockets,
                          .first_ttl = message.first_ttl,
                          .retry_ttl = message.retry_ttl,
                          .retry_after = std::chrono::milliseconds{message.retry_after_ms},
                          .packets = message.packets,
                          .time = std::chrono::milliseconds{message.time_ms},
                          .samples = message.sample,
                          .waits = message.wait},
                         io::now()};
    Peer& peer = begin_attempt(message, driver, std::move(puncher));
    peer.attempt = message.attempt;
    peer.attempt_ways = 0;
    peer.reported = false;
    peer.unreachable.clear();
    peer.has_candidates = message.wait || message.spray || !message.candidates.empty();
    peer.meet_at = never;
    channels_.insert_or_assign(message.channel.id, &driver);
    open_sockets(message, driver, peer);
    egress_.set();
}

DirectNode::Peer& DirectNode::begin_attempt(const control::Punch& message, PairDriver& driver,
                                            nat::Puncher puncher)
{
    const auto sender =
        role_ == control::Role::client ? wire::ProbeSender::client : wire::ProbeSender::agent;
    const auto known = peers_.find(&driver);
    if (known == peers_.end())
        return peers_
            .emplace(&driver, Peer{.channel = {message.channel, sender},
                                   .puncher = std::move(puncher),
                                   .ways = {},
                                   .sockets = {},
                                   .unreachable = {}})
            .first->second;
    Peer& peer = known->second;
    close_sockets(peer);
    channels_.erase(peer.channel.id());
    peer.channel = {message.channel, sender};
    peer.puncher = std::move(puncher);
    return peer;
}

void DirectNode::open_sockets(const control::Punch& message, PairDriver& driver, Peer& peer)
{
    peer.fresh = message.fresh;
    if (!message.fresh)
        return;
    for (unsigned number = 0; number < message.sockets; ++number) {
        if (attempt_sockets_ == most_attempt_sockets)
            return;
        auto socket =
            sockets_.open(message.family == control::Family::v4, DirectSocket::Use::attempt);
        if (!socket)
            return;
        ++attempt_sockets_;
        socket->number = number;
        socket->driver = &driver;
        peer.sockets.push_back(std::move(socket));
    }
}

bool DirectNode::is_used(const DirectSocket& socket) const
{
    return std::ranges::any_of(ways_,
                               [&](const auto& way) { return way.first.socket == socket.id; });
}

/// Those that carry a way stay with it.
void DirectNode::close_sockets(Peer& peer)
{
    attempt_sockets_ -= peer.sockets.size();
    for (const auto& socket : peer.sockets)
        if (!is_used(*socket))
            UdpSockets::close(*socket);
    peer.sockets.clear();
}

std::shared_ptr<DirectSocket> DirectNode::socket_of(const Peer& peer, unsigned number,
                                                    const SocketAddress& to)
{
    if (!peer.fresh)
        return sockets_.main(to.ip.is_v4());
    return number < peer.sockets.size() ? peer.sockets[number] : nullptr;
}

void DirectNode::aim(const control::Aim& aim, PairDriver& driver)
{
    const auto peer = peers_.find(&driver);
    if (peer == peers_.end() || peer->second.attempt != aim.attempt)
        return;
    peer->second.puncher.aim(io::now(), {.fire_in = std::chrono::milliseconds{aim.fire_in_ms},
                                         .candidates = aim.candidates,
                                         .spray = aim.spray});
    egress_.set();
}

void DirectNode::handle_unreachable(const control::Unreachable& message, PairDriver& driver)
{
    const auto known = peers_.find(&driver);
    if (known != peers_.end())
        known->second.unreachable = message.message;
    else
        unreachable_[&driver] = message.message;
}

void DirectNode::open_way(PairDriver& driver, Peer& peer,
                          const std::shared_ptr<DirectSocket>& socket,
                          const nat::Puncher::Opened& opened)
{
    const SocketAddress& remote = opened.remote.address;
    const WayName name{socket->id, remote};
    io::log_event(LogLevel::debug, "way_opened", "remote", to_string(remote), "kind",
                  nat::to_string(opened.remote.kind), "rtt", opened.rtt.value_or(Duration{}));
    if (const auto known = ways_.find(name); known != ways_.end()) {
        if (known->second.driver == &driver) {
            driver.pair().handle_carrier_restored(io::now(), known->second.carrier);
            driver.settle();
            return;
        }
        if (const auto other = peers_.find(known->second.driver); other != peers_.end())
            std::erase(other->second.ways, name);
        close_way(*known->second.driver, name);
    }
    // All of one attempt stay: the client may have chosen any of them.
    const std::size_t most =
        std::max(role_ == control::Role::client ? most_ways_of_client : most_ways_of_agent,
                 ++peer.attempt_ways);
    while (peer.ways.size() >= most) {
        close_way(driver, peer.ways.front());
        peer.ways.pop_front();
    }
    const path::CarrierId carrier = driver.next_carrier();
    ways_.emplace(name, Way{&driver, carrier, socket,
                            path::MtuSearch{io::now(), remote.ip.is_v4()}});
    peer.ways.push_back(name);
    driver.pair().add_carrier(
        io::now(), carrier,
        {.kind = path::CarrierKind::direct_udp, .mtu = path::MtuSearch::base, .paced = true});
    driver.settle();
}

void DirectNode::relay(PairDriver& driver, const wire::RelayTag& tag)
{
    if (!gateway_ || !gateway_->latest)
        return;
    const SocketAddress& remote = *gateway_->latest;
    const auto socket = sockets_.main(remote.ip.is_v4());
    if (!socket)
        return;
    const WayName name{.socket = socket->id, .remote = remote, .tag = tag};
    if (const auto known = ways_.find(name); known != ways_.end()) {
        driver.pair().handle_carrier_restored(io::now(), known->second.carrier);
        driver.settle();
        return;
    }
    io::log_event(LogLevel::debug, "udp_relay_offered", "gateway", to_string(remote));
    close_relay(driver);
    const path::CarrierId carrier = driver.next_carrier();
    ways_.emplace(name, Way{&driver, carrier, socket, {}});
    driver.pair().add_carrier(io::now(), carrier,
                              {.kind = path::CarrierKind::udp_relay,
                               .mtu = path::MtuSearch::base,
                               .paced = true});
    driver.settle();
}

void DirectNode::close_relay(PairDriver& driver)
{
    const auto way = std::ranges::find_if(ways_, [&](const auto& entry) {
        return entry.second.driver == &driver && entry.first.tag != wire::RelayTag{};
    });
    if (way != ways_.end())
        close_way(driver, WayName{way->first});
}

void DirectNode::close_way(PairDriver& driver, const WayName& name)
{
    const auto way = ways_.find(name);
    if (way == ways_.end() || way->second.driver != &driver)
        return;
    const path::CarrierId carrier = way->second.carrier;
    const std::shared_ptr<DirectSocket> socket = way->second.socket;
    ways_.erase(way);
    const auto peer = peers_.find(&driver);
    const bool in_attempt =
        peer != peers_.end() &&
        std::ranges::find(peer->second.sockets, socket) != peer->second.sockets.end();
    if (socket->use == DirectSocket::Use::attempt && !in_attempt && !is_used(*socket))
        UdpSockets::close(*socket);
    driver.pair().remove_carrier(io::now(), carrier);
    driver.settle();
}

std::string DirectNode::obstacle(PairDriver& driver) const
{
    const auto peer = peers_.find(&driver);
    if (sockets_.empty())
        return "this machine lets no UDP socket be opened";
    if (!gateway_)
        return "the gateway has no probe service, or it is older than this client";
    if (!gateway_->answered && gateway_->rounds <= survey_intervals.size())
        return "the gateway has not answered over UDP yet";
    if (!gateway_->answered)
        return "UDP is blocked between this machine and the gateway";
    if (const auto why = unreachable_.find(&driver);
        peer == peers_.end() && why != unreachable_.end())
        return why->second;
    if (peer != peers_.end() && !peer->second.unreachable.empty())
        return peer->second.unreachable;
    if (peer == peers_.end())
        return "the gateway has not made an attempt; the agent may be older than this client";
    if (!peer->second.has_candidates)
        return "UDP is blocked between the agent and the gateway";
    return "no probe got through between the two NATs";
}

void DirectNode::forget(PairDriver& driver)
{
    unreachable_.erase(&driver);
    close_relay(driver);
    const auto peer = peers_.find(&driver);
    if (peer == peers_.end())
        return;
    for (const WayName& name : peer->second.ways)
        close_way(driver, name);
    close_sockets(peer->second);
    channels_.erase(peer->second.channel.id());
    peers_.erase(peer);
}

// ---- out

void DirectNode::observe(const control::Observe& message, const IpAddress& gateway)
{
    std::vector<IpAddress> addresses = message.addresses;
    if (addresses.empty())
        addresses.push_back(gateway);
    const auto sender =
        role_ == control::Role::client ? wire::ProbeSender::client : wire::ProbeSender::agent;
    gateway_.emplace(Gateway{.channel = {message.channel, sender},
                             .ports = message.ports,
                             .addresses = std::move(addresses),
                             .answers = {}});
    for (const control::Family family : {control::Family::v4, control::Family::v6})
        survey_.end(family);
    if (const auto socket = sockets_.main(true))
        mapper_.begin(socket->local.port);
    egress_.set();
}

void DirectNode::handle_network_changed()
{
    lifetimes_.clear();
    if (gateway_) {
        gateway_->rounds = 0;
        gateway_->due = io::now();
    }
    for (auto& [driver, peer] : peers_)
        peer.meetings = 0;
    if (const auto socket = sockets_.main(true))
        mapper_.begin(socket->local.port);
    owner_->handle_addresses_changed();
    egress_.set();
}

std::map<SocketAddress, SocketAddress> DirectNode::gateway_answers() const
{
    return gateway_ ? gateway_->answers : std::map<SocketAddress, SocketAddress>{};
}

void DirectNode::survey(const control::SurveyRequest& request)
{
    if (gateway_)
        survey_.handle_request(io::now(), request);
    egress_.set();
}

void DirectNode::handle_nat(const control::NatDescription& nat)
{
    io::log_event(LogLevel::debug, "nat_surveyed", "family", static_cast<unsigned>(nat.family),
                  "nat", nat.text);
    if (nat.behaviour)
        lifetimes_[nat.family] = nat.behaviour->lifetime;
    survey_.end(nat.family);
}

void DirectNode::handle_survey_answer(const control::SurveyAnswer& answer)
{
    owner_->handle_survey_answer(answer);
}

void DirectNode::send_survey_probe(DirectSocket& socket, nat::GatewaySocket to)
{
    if (to.port >= gateway_->ports.size())
        return;
    unsigned address = 0;
    for (const IpAddress& ip : gateway_->addresses)
        if (ip.is_v4() == socket.local.ip.is_v4() && address++ == to.address)
            send_probe(gateway_->channel, socket,
                       {.kind = wire::ProbeKind::survey,
                        .socket = static_cast<std::uint8_t>(socket.number),
                        .seen = {}},
                       {ip, gateway_->ports[to.port]});
}

void DirectNode::send_probe(nat::ProbeChannel& channel, DirectSocket& socket,
                            const wire::Probe& probe, const SocketAddress& to, std::uint8_t ttl)
{
    wire::Probe complete = probe;
    complete.local_port = socket.local.port;
    const nat::ProbePacket packet = channel.seal(complete, *random_);
    // What would block is lost, like any packet.
    socket.udp.try_send(to, packet, packet.size(), {.from = {}, .ttl = ttl});
}

void DirectNode::send_size_probe(nat::ProbeChannel& channel, DirectSocket& socket,
                                 const SocketAddress& to, std::size_t size)
{
    const nat::ProbePacket packet = channel.seal({.kind = wire::ProbeKind::size,
                                                  .token = static_cast<std::uint32_t>(size),
                                                  .local_port = socket.local.port,
                                                  .seen = {}},
                                                 *random_);
    padded_.resize(size);
    std::ranges::copy(packet, padded_.begin());
    random_->fill(MutableBytes{padded_}.subspan(packet.size()));
    socket.udp.try_send(to, padded_, size); // what the interface does not take is an answer, too
}

void DirectNode::search_mtu(Instant now, const WayName& name, Way& way)
{
    const auto peer = peers_.find(way.driver);
    if (peer == peers_.end() || !way.mtu_search)
        return;
    const std::size_t before = way.mtu_search->mtu();
    way.mtu_search->handle_timeout(now);
    while (const auto size = way.mtu_search->poll_transmit())
        send_size_probe(peer->second.channel, *way.socket, name.remote, *size);
    if (way.mtu_search->mtu() != before)
        way.driver->pair().set_mtu(way.carrier, way.mtu_search->mtu());
}

void DirectNode::probe_gateway(Instant now)
{
    if (!gateway_ || now < gateway_->due)
        return;
    const bool all = gateway_->rounds < survey_intervals.size();
    const std::size_t ports = all ? gateway_->ports.size() : 1;
    for (const std::uint16_t port : std::span{gateway_->ports}.first(ports))
        for (const IpAddress& ip : gateway_->addresses)
            if (const auto socket = sockets_.main(ip.is_v4()))
                send_probe(gateway_->channel, *socket,
                           {.kind = wire::ProbeKind::survey,
                            .seen = {},
                            .cookie = gateway_->cookie(ip.is_v4())},
                           {ip, port});
    gateway_->due = now + (all ? survey_intervals[gateway_->rounds] : keep_alive_interval());
    ++gateway_->rounds;
}

/// Between probes to the gateway once it knows everything: no mapping may end meanwhile.
Duration DirectNode::keep_alive_interval() const
{
    Duration shortest = nat::keep_alive_interval({});
    if (!lifetimes_.empty())
        shortest = Duration::max();
    for (const auto& [family, lifetime] : lifetimes_)
        shortest = std::min(shortest, nat::keep_alive_interval(lifetime));
    return shortest;
}

void DirectNode::drive_peers(Instant now)
{
    for (auto& [driver, peer] : peers_) {
        peer.puncher.handle_timeout(now);
        while (const auto packet = peer.puncher.poll_transmit())
            transmit(peer, *packet);
        while (const auto event = peer.puncher.poll_event())
            handle_event(*driver, peer, *event);
        if (peer.puncher.is_over() && !peer.sockets.empty())
            close_sockets(peer);
        if (role_ == control::Role::client)
            arrange_meeting(now, *driver, peer);
    }
}

void DirectNode::transmit(Peer& peer, const nat::Puncher::Transmit& packet)
{
    if (packet.to) {
        if (const auto socket = socket_of(peer, packet.socket, *packet.to))
            send_probe(peer.channel, *socket, packet.probe, *packet.to, packet.ttl);
        return;
    }
    if (!gateway_ || gateway_->ports.empty() || peer.sockets.empty())
        return;
    DirectSocket& socket = *peer.sockets.front();
    for (const IpAddress& ip : gateway_->addresses)
        if (ip.is_v4() == socket.local.ip.is_v4()) {
            send_probe(peer.channel, socket, packet.probe, {ip, gateway_->ports.front()});
            return;
        }
}

void DirectNode::handle_event(PairDriver& driver, Peer& peer, const nat::Puncher::Event& event)
{
    const auto* opened = std::get_if<nat::Puncher::Opened>(&event);
    if (opened != nullptr)
        if (const auto socket = socket_of(peer, opened->socket, opened->remote.address))
            open_way(driver, peer, socket, *opened);
    report(driver, peer, opened != nullptr);
}

void DirectNode::report(PairDriver& driver, Peer& peer, bool opened)
{
    if (role_ == control::Role::client && !std::exchange(peer.reported, true))
        owner_->handle_punched(driver, peer.attempt, opened);
}

void DirectNode::arrange_meeting(Instant now, PairDriver& driver, Peer& peer)
{
    if (driver.pair().current() == path::CarrierKind::direct_udp && !driver.pair().is_silent(now)) {
        peer.meet_at = never;
        peer.meetings = 0;
        return;
    }
    if (!peer.puncher.is_over())
        return; // the gateway goes on by itself when this attempt has failed
    if (peer.meet_at == never)
        peer.meet_at = now + meeting_intervals[peer.meetings];
    if (now < peer.meet_at)
        return;
    peer.meetings = std::min(peer.meetings + 1, meeting_intervals.size() - 1);
    peer.meet_at = now + meeting_intervals[peer.meetings];
    owner_->handle_meeting_due(driver);
}

Instant DirectNode::deadline() const
{
    Instant next = std::min(gateway_ ? gateway_->due : never, survey_.deadline());
    for (const auto& [driver, peer] : peers_)
        next = std::min({next, peer.puncher.deadline(), peer.meet_at});
    for (const auto& [name, way] : ways_)
        if (way.mtu_search)
            next = std::min(next, way.mtu_search->deadline());
    return next;
}

net::awaitable<void> DirectNode::egress_loop()
{
    for (;;) {
        const Instant now = io::now();
        probe_gateway(now);
        survey_.handle_timeout(now);
        drive_peers(now);
        for (auto& [name, way] : ways_)
            search_mtu(now, name, way);
        auto round = send_one_round();
        if (co_await std::move(round)) {
            co_await net::post(net::use_awaitable); // packets may have come in meanwhile
            continue;
        }
        auto waiting = egress_.wait_until(deadline());
        co_await std::move(waiting);
    }
}

/// One train of each way. False when none had any.
net::awaitable<bool> DirectNode::send_one_round()
{
    bool sent = false;
    for (std::size_t left = ways_.size(); left > 0 && !ways_.empty(); --left) {
        auto it = ways_.upper_bound(last_served_);
        if (it == ways_.end())
            it = ways_.begin();
        last_served_ = it->first;
        const SocketAddress remote = it->first.remote;
        const std::shared_ptr<DirectSocket> socket = it->second.socket;
        PairDriver& driver = *it->second.driver;
        const auto train = driver.pair().poll_transmit(io::now(), it->second.carrier, block_);
        if (train.segment_size > path::MtuSearch::base && it->second.mtu_search)
            it->second.mtu_search->handle_large_packets(io::now());
        driver.drain_events();
        if (train.size == 0)
            continue;
        sent = true;
        Bytes rest = Bytes{block_}.first(train.size);
        const io::UdpSocket::SendOptions mark{.from = {}, .ecn = train.ecn};
        for (;;) {
            rest = rest.subspan(socket->udp.try_send(remote, rest, train.segment_size, mark));
            if (rest.empty() || !ways_.contains(last_served_))
                break; // sent, or the way was closed meanwhile
            auto waiting = socket->udp.writable();
            try {
                co_await std::move(waiting);
            } catch (const boost::system::system_error&) {
                if (socket->udp.is_open())
                    throw;
            }
        }
    }
    co_return sent;
}

} // namespace narrowlink::drive
