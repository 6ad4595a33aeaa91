// Theory of operation
//
// Goal: probes and QUIC on one socket, so that the hole which the probes open is the one that QUIC
// uses, and that either kind of packet keeps it open.
//
// Ingress. A datagram with the size of a probe and an id we know is one, whatever its seal says.
// Everything else belongs to the direct carrier of its source address; from other addresses nothing
// is taken, not even a packet that QUIC would call authentic: addresses become carriers by a probe.
//
// Egress runs timers, probes and trains in one loop, because all of them use the same sockets. A
// socket that would block stops the loop: the trains that follow wait in QUIC, where the congestion
// control counts them.
//
// Ways. A client keeps the last two that the puncher chose, an agent those from which it has heard
// the client last: path::Pair decides which of them is used.
//
// Meetings. A client without a direct path asks for another attempt, at growing intervals.

#include "narrowlink/drive/direct_node.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/task_scope.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

namespace narrowlink::drive {
namespace {

using namespace std::chrono_literals;

/// Fits every path that QUIC may use (RFC 9000 §14.1).
constexpr std::size_t direct_mtu = 1'200;
constexpr std::size_t train_size = 64 * direct_mtu;

/// Probes of all of the gateway's ports, then of the main one, so that the NAT keeps the mapping.
constexpr std::array<Duration, 3> survey_intervals{100ms, 300ms, 600ms};
constexpr Duration keep_alive_interval = 15s;

constexpr std::array<Duration, 5> meeting_intervals{1s, 5s, 30s, 120s, 600s};

constexpr std::size_t most_ways_of_client = 2;
constexpr std::size_t most_ways_of_agent = 4;

} // namespace

DirectNode::DirectNode(net::any_io_executor executor, control::Role role, Owner& owner,
                       Random& random)
    : role_{role}
    , owner_{&owner}
    , random_{&random}
    , egress_{executor}
    , block_(train_size)
{
    for (const char* any : {"0.0.0.0", "::"}) {
        try {
            auto udp = io::UdpSocket::open(executor, {*IpAddress::parse(any), 0});
            const SocketAddress local = udp.local_address();
            sockets_.push_back(std::make_unique<Socket>(Socket{std::move(udp), local}));
        } catch (const boost::system::system_error& error) {
            io::log_event(LogLevel::debug, "udp_unavailable", "address", any, "error",
                          error.code());
        }
    }
}

net::awaitable<void> DirectNode::run()
{
    io::TaskScope scope{co_await net::this_coro::executor, [](const std::exception_ptr&) {}};
    for (const auto& socket : sockets_)
        scope.spawn(ingress_loop(*socket));
    auto body = egress_loop();
    auto running = scope.run(std::move(body));
    co_await std::move(running);
}

DirectNode::Socket* DirectNode::socket_for(const SocketAddress& remote)
{
    for (const auto& socket : sockets_)
        if (socket->local.ip.is_v4() == remote.ip.is_v4())
            return socket.get();
    return nullptr;
}

std::vector<SocketAddress> DirectNode::own_addresses() const
{
    std::vector<SocketAddress> own;
    for (const IpAddress& ip : io::interface_addresses())
        for (const auto& socket : sockets_)
            if (socket->local.ip.is_v4() == ip.is_v4() && own.size() < control::max_candidates)
                own.push_back({ip, socket->local.port});
    return own;
}

// ---- in

net::awaitable<void> DirectNode::ingress_loop(Socket& socket)
{
    for (;;) {
        auto receiving = socket.udp.receive();
        const auto arrivals = co_await std::move(receiving);
        for (const io::UdpSocket::Arrival& arrival : arrivals)
            handle_train(arrival);
        egress_.set();
    }
}

void DirectNode::handle_train(const io::UdpSocket::Arrival& arrival)
{
    const std::size_t segment = arrival.segment_size;
    Bytes train = arrival.train;
    if (segment == wire::probe_size) {
        // Any of them may be a probe.
        while (!train.empty()) {
            const Bytes datagram = train.first(std::min(segment, train.size()));
            train = train.subspan(datagram.size());
            if (!handle_probe(arrival.from, datagram))
                handle_packets(arrival.from, datagram, datagram.size());
        }
        return;
    }
    // Only the last one may be shorter.
    const std::size_t last = train.size() % segment;
    if (last == wire::probe_size && handle_probe(arrival.from, train.last(last)))
        train = train.first(train.size() - last);
    if (!train.empty())
        handle_packets(arrival.from, train, segment);
}

bool DirectNode::handle_probe(const SocketAddress& from, Bytes datagram)
{
    const auto id = wire::probe_id(datagram);
    if (!id)
        return false;
    if (gateway_ && gateway_->channel.id() == *id) {
        if (gateway_->channel.open(datagram))
            gateway_->answered = true;
        return true;
    }
    const auto channel = channels_.find(*id);
    if (channel == channels_.end())
        return false;
    Peer& peer = peers_.at(channel->second);
    if (const auto probe = peer.channel.open(datagram))
        peer.puncher.handle_probe(io::now(), *probe, from);
    return true;
}

void DirectNode::handle_packets(const SocketAddress& from, Bytes train, std::size_t segment_size)
{
    const auto way = ways_.find(from);
    if (way == ways_.end())
        return;
    PairDriver& driver = *way->second.driver;
    driver.pair().handle_packets(io::now(), way->second.carrier, train, segment_size);
    driver.settle();
}

// ---- ways

void DirectNode::punch(const control::Punch& message, PairDriver& driver)
{
    if (sockets_.empty())
        return;
    const bool is_client = role_ == control::Role::client;
    const auto sender = is_client ? wire::ProbeSender::client : wire::ProbeSender::agent;
    nat::Puncher puncher{{.is_client = is_client,
                          .fire_in = std::chrono::milliseconds{message.fire_in_ms},
                          .candidates = message.candidates},
                         io::now()};
    const auto known = peers_.find(&driver);
    if (known == peers_.end()) {
        peers_.emplace(&driver, Peer{.channel = {message.channel, sender},
                                     .puncher = std::move(puncher),
                                     .ways = {}});
    } else {
        channels_.erase(known->second.channel.id());
        known->second.channel = {message.channel, sender};
        known->second.puncher = std::move(puncher);
    }
    peers_.at(&driver).has_candidates = !message.candidates.empty();
    channels_.insert_or_assign(message.channel.id, &driver);
    egress_.set();
}

void DirectNode::open_way(PairDriver& driver, Peer& peer, const nat::Puncher::Opened& opened)
{
    const SocketAddress& remote = opened.remote.address;
    io::log_event(LogLevel::debug, "way_opened", "remote", to_string(remote), "kind",
                  nat::to_string(opened.remote.kind), "rtt", opened.rtt.value_or(Duration{}));
    if (const auto known = ways_.find(remote); known != ways_.end()) {
        if (known->second.driver == &driver) {
            driver.pair().handle_carrier_restored(io::now(), known->second.carrier);
            driver.settle();
            return;
        }
        if (const auto other = peers_.find(known->second.driver); other != peers_.end())
            std::erase(other->second.ways, remote);
        close_way(*known->second.driver, remote);
    }
    const std::size_t most =
        role_ == control::Role::client ? most_ways_of_client : most_ways_of_agent;
    while (peer.ways.size() >= most) {
        close_way(driver, peer.ways.front());
        peer.ways.pop_front();
    }
    const path::CarrierId carrier = driver.next_carrier();
    ways_.emplace(remote, Way{&driver, carrier});
    peer.ways.push_back(remote);
    driver.pair().add_carrier(
        io::now(), carrier,
        {.kind = path::CarrierKind::direct_udp, .mtu = direct_mtu, .paced = true});
    driver.settle();
}

void DirectNode::close_way(PairDriver& driver, const SocketAddress& remote)
{
    const auto way = ways_.find(remote);
    if (way == ways_.end() || way->second.driver != &driver)
        return;
    const path::CarrierId carrier = way->second.carrier;
    ways_.erase(way);
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
    if (!gateway_->answered)
        return "UDP is blocked between this machine and the gateway";
    if (peer == peers_.end())
        return "the gateway has not made an attempt; the agent may be older than this client";
    if (!peer->second.has_candidates)
        return "UDP is blocked between the agent and the gateway";
    return "no probe got through between the two NATs";
}

void DirectNode::forget(PairDriver& driver)
{
    const auto peer = peers_.find(&driver);
    if (peer == peers_.end())
        return;
    for (const SocketAddress& remote : peer->second.ways)
        close_way(driver, remote);
    channels_.erase(peer->second.channel.id());
    peers_.erase(peer);
}

// ---- out

void DirectNode::observe(const control::Observe& message, const IpAddress& gateway)
{
    std::vector<IpAddress> addresses = message.addresses;
    if (addresses.empty())
        addresses.push_back(gateway);
    std::vector<SocketAddress> probed;
    for (const std::uint16_t port : message.ports)
        for (const IpAddress& ip : addresses)
            probed.push_back({ip, port});
    const auto sender = role_ == control::Role::client ? wire::ProbeSender::client
                                                       : wire::ProbeSender::agent;
    gateway_.emplace(Gateway{.channel = {message.channel, sender},
                             .probed = std::move(probed),
                             .addresses = addresses.size()});
    egress_.set();
}

void DirectNode::send_probe(nat::ProbeChannel& channel, const wire::Probe& probe,
                            const SocketAddress& to, std::uint8_t ttl)
{
    Socket* socket = socket_for(to);
    if (socket == nullptr)
        return;
    wire::Probe complete = probe;
    complete.local_port = socket->local.port;
    const nat::ProbePacket packet = channel.seal(complete, *random_);
    socket->udp.try_send(to, packet, packet.size(), {.from = {}, .ttl = ttl}); // what would block is lost, like any packet
}

void DirectNode::probe_gateway(Instant now)
{
    if (!gateway_ || now < gateway_->due)
        return;
    const bool all = gateway_->rounds < survey_intervals.size();
    const std::size_t count =
        all ? gateway_->probed.size() : std::min(gateway_->addresses, gateway_->probed.size());
    for (const SocketAddress& to : std::span{gateway_->probed}.first(count))
        send_probe(gateway_->channel, {.kind = wire::ProbeKind::survey, .seen = {}}, to);
    gateway_->due = now + (all ? survey_intervals[gateway_->rounds] : keep_alive_interval);
    ++gateway_->rounds;
}

void DirectNode::drive_peers(Instant now)
{
    for (auto& [driver, peer] : peers_) {
        peer.puncher.handle_timeout(now);
        while (const auto transmit = peer.puncher.poll_transmit())
            send_probe(peer.channel, transmit->probe, transmit->to, transmit->ttl);
        while (const auto event = peer.puncher.poll_event())
            if (const auto* opened = std::get_if<nat::Puncher::Opened>(&*event))
                open_way(*driver, peer, *opened);
        if (role_ == control::Role::client)
            arrange_meeting(now, *driver, peer);
    }
}

void DirectNode::arrange_meeting(Instant now, PairDriver& driver, Peer& peer)
{
    if (driver.pair().current() == path::CarrierKind::direct_udp &&
        !driver.pair().is_silent(now)) {
        peer.meet_at = never;
        peer.meetings = 0;
        return;
    }
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
    Instant next = gateway_ ? gateway_->due : never;
    for (const auto& [driver, peer] : peers_)
        next = std::min({next, peer.puncher.deadline(), peer.meet_at});
    return next;
}

net::awaitable<void> DirectNode::egress_loop()
{
    for (;;) {
        const Instant now = io::now();
        probe_gateway(now);
        drive_peers(now);
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
        const SocketAddress remote = it->first;
        PairDriver& driver = *it->second.driver;
        const auto train = driver.pair().poll_transmit(io::now(), it->second.carrier, block_);
        driver.drain_events();
        Socket* socket = socket_for(remote);
        if (train.size == 0 || socket == nullptr)
            continue;
        sent = true;
        Bytes rest = Bytes{block_}.first(train.size);
        for (;;) {
            rest = rest.subspan(socket->udp.try_send(remote, rest, train.segment_size));
            if (rest.empty())
                break;
            auto waiting = socket->udp.writable();
            co_await std::move(waiting);
        }
    }
    co_return sent;
}

} // namespace narrowlink::drive
