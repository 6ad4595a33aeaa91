// Theory of operation
//
// The loops of src/drive/direct_node.cpp and src/drive/survey_runner.cpp as callbacks. Constants
// and the order of steps are those of the originals and have to follow them. Not played: the
// question to the home's router (NAT-PMP), and sockets that would block.

#include "direct_node.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace narrowlink::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t train_size = 65'487;
constexpr std::array<Duration, 3> survey_intervals{100ms, 300ms, 600ms};
constexpr Duration keep_alive_interval = 15s;
constexpr std::array<Duration, 5> meeting_intervals{1s, 5s, 30s, 120s, 600s};
constexpr std::size_t most_attempt_sockets = 512;
constexpr std::size_t most_ways_of_client = 2;
constexpr std::size_t most_ways_of_agent = 4;
constexpr Duration report_delay = 300ms;
constexpr Duration survey_patience = 10s;

} // namespace

DirectNode::DirectNode(World& world, Host& host, control::Role role, Owner& owner)
    : world_{&world}
    , host_{&host}
    , role_{role}
    , owner_{&owner}
    , main_v4_{open(true, Socket::Use::main)}
    , main_v6_{open(false, Socket::Use::main)}
    , block_(train_size)
    , timer_{world, [this] { run(); }}
{
}

wire::ProbeSender DirectNode::sender() const
{
    return role_ == control::Role::client ? wire::ProbeSender::client : wire::ProbeSender::agent;
}

DirectNode::SocketPtr DirectNode::open(bool v4, Socket::Use use)
{
    auto socket = std::make_shared<Socket>(Socket{++last_socket_, host_->open(v4), use});
    socket->udp->set_sink([this, weak = std::weak_ptr{socket}](const SocketAddress& from, Bytes b) {
        if (const auto there = weak.lock())
            handle_datagram(there, from, b);
    });
    return socket;
}

std::vector<SocketAddress> DirectNode::own_addresses() const
{
    std::vector<SocketAddress> own;
    for (const IpAddress& ip : host_->addresses())
        own.push_back({ip, (ip.is_v4() ? main_v4_ : main_v6_)->udp->port()});
    return own;
}

// ---- in

void DirectNode::handle_datagram(const SocketPtr& socket, const SocketAddress& from, Bytes bytes)
{
    const auto way = ways_.find({socket->id, from});
    const auto id = wire::probe_id(bytes);
    const auto* of_way = way == ways_.end() ? nullptr : probe_id_of(way->second);
    const bool may_be = bytes.size() == wire::probe_size || (of_way != nullptr && id == *of_way);
    if ((!may_be || !handle_probe(socket, from, bytes)) && way != ways_.end()) {
        PairDriver& driver = *way->second.driver;
        driver.pair().handle_packets(world_->now(), way->second.carrier, bytes, bytes.size());
        driver.settle();
    }
    wake();
}

const wire::ProbeId* DirectNode::probe_id_of(const Way& way) const
{
    const auto peer = peers_.find(way.driver);
    return peer == peers_.end() ? nullptr : &peer->second.channel.id();
}

void DirectNode::handle_size_probe(const wire::Probe& probe, const WayName& name, Peer& peer,
                                   std::size_t size)
{
    const auto found = ways_.find(name);
    if (found == ways_.end() || probe_id_of(found->second) != &peer.channel.id())
        return;
    Way& way = found->second;
    if (probe.kind == wire::ProbeKind::fits) {
        if (way.mtu_search.handle_answer(world_->now(), probe.token))
            way.driver->pair().set_mtu(way.carrier, way.mtu_search.mtu());
    } else if (probe.token == size) {
        send_probe(peer.channel, *way.socket,
                   {.kind = wire::ProbeKind::fits, .token = probe.token, .seen = {}}, name.remote);
    }
}

void DirectNode::search_mtu(Instant now, const WayName& name, Way& way)
{
    const auto peer = peers_.find(way.driver);
    if (peer == peers_.end())
        return;
    const std::size_t before = way.mtu_search.mtu();
    way.mtu_search.handle_timeout(now);
    while (const auto size = way.mtu_search.poll_transmit()) {
        const nat::ProbePacket packet =
            peer->second.channel.seal({.kind = wire::ProbeKind::size,
                                       .token = static_cast<std::uint32_t>(*size),
                                       .local_port = way.socket->udp->port(),
                                       .seen = {}},
                                      world_->cores);
        std::vector<std::byte> padded(*size);
        std::ranges::copy(packet, padded.begin());
        way.socket->udp->send(name.remote, padded);
    }
    if (way.mtu_search.mtu() != before)
        way.driver->pair().set_mtu(way.carrier, way.mtu_search.mtu());
}

bool DirectNode::handle_probe(const SocketPtr& socket, const SocketAddress& from, Bytes datagram)
{
    const auto id = wire::probe_id(datagram);
    if (!id)
        return false;
    if (gateway_ && gateway_->channel.id() == *id) {
        const auto probe = gateway_->channel.open(datagram);
        if (!probe)
            return true;
        gateway_->answered = true;
        const auto survey =
            surveys_.find(socket->udp->is_v4() ? control::Family::v4 : control::Family::v6);
        if (socket->use != Socket::Use::survey || survey == surveys_.end() ||
            socket->number != nat::filter_socket)
            return true;
        nat::FilterReport& report = survey->second.report;
        if (probe->kind == wire::ProbeKind::observed)
            report.answered = true;
        else if (probe->kind == wire::ProbeKind::filter)
            (probe->socket < 8 ? report.from_port : report.from_address) = true;
        return true;
    }
    const auto channel = channels_.find(*id);
    if (channel == channels_.end())
        return false;
    Peer& peer = peers_.at(channel->second);
    const auto probe = peer.channel.open(datagram.first(wire::probe_size));
    if (probe && (probe->kind == wire::ProbeKind::size || probe->kind == wire::ProbeKind::fits)) {
        handle_size_probe(*probe, {socket->id, from}, peer, datagram.size());
        return true;
    }
    const bool is_ours =
        peer.fresh ? socket->number < peer.sockets.size() && peer.sockets[socket->number] == socket
                   : socket->use == Socket::Use::main;
    if (probe && is_ours)
        peer.puncher.handle_probe(world_->now(), *probe, from, peer.fresh ? socket->number : 0);
    return true;
}

// ---- ways

void DirectNode::punch(const control::Punch& message, PairDriver& driver)
{
    nat::Puncher puncher{{.is_client = role_ == control::Role::client,
                          .targets = {.fire_in = milliseconds{message.fire_in_ms},
                                      .candidates = message.candidates,
                                      .spray = message.spray},
                          .sockets = message.sockets,
                          .first_ttl = message.first_ttl,
                          .retry_ttl = message.retry_ttl,
                          .retry_after = milliseconds{message.retry_after_ms},
                          .packets = message.packets,
                          .time = milliseconds{message.time_ms},
                          .samples = message.sample,
                          .waits = message.wait},
                         world_->now()};
    Peer& peer = begin_attempt(message, driver, std::move(puncher));
    peer.attempt = message.attempt;
    peer.attempt_ways = 0;
    peer.reported = false;
    peer.meet_at = never;
    unreachable_.clear();
    channels_.insert_or_assign(message.channel.id, &driver);
    open_sockets(message, peer);
    wake();
}

DirectNode::Peer& DirectNode::begin_attempt(const control::Punch& message, PairDriver& driver,
                                            nat::Puncher puncher)
{
    const auto known = peers_.find(&driver);
    if (known == peers_.end())
        return peers_
            .emplace(&driver,
                     Peer{.channel = {message.channel, sender()}, .puncher = std::move(puncher)})
            .first->second;
    Peer& peer = known->second;
    close_sockets(peer);
    channels_.erase(peer.channel.id());
    peer.channel = {message.channel, sender()};
    peer.puncher = std::move(puncher);
    return peer;
}

void DirectNode::open_sockets(const control::Punch& message, Peer& peer)
{
    peer.fresh = message.fresh;
    for (unsigned number = 0; message.fresh && number < message.sockets; ++number) {
        if (attempt_sockets_ == most_attempt_sockets)
            return;
        auto socket = open(message.family == control::Family::v4, Socket::Use::attempt);
        ++attempt_sockets_;
        socket->number = number;
        peer.sockets.push_back(std::move(socket));
    }
}

bool DirectNode::is_used(const Socket& socket) const
{
    return std::ranges::any_of(ways_,
                               [&](const auto& way) { return way.first.socket == socket.id; });
}

void DirectNode::close_sockets(Peer& peer)
{
    attempt_sockets_ -= peer.sockets.size();
    for (const SocketPtr& socket : peer.sockets)
        if (!is_used(*socket))
            socket->udp.reset();
    peer.sockets.clear();
}

DirectNode::SocketPtr DirectNode::socket_of(const Peer& peer, unsigned number,
                                            const SocketAddress& to)
{
    if (!peer.fresh)
        return to.ip.is_v4() ? main_v4_ : main_v6_;
    return number < peer.sockets.size() ? peer.sockets[number] : nullptr;
}

void DirectNode::aim(const control::Aim& aim, PairDriver& driver)
{
    const auto peer = peers_.find(&driver);
    if (peer == peers_.end() || peer->second.attempt != aim.attempt)
        return;
    peer->second.puncher.aim(world_->now(), {.fire_in = milliseconds{aim.fire_in_ms},
                                             .candidates = aim.candidates,
                                             .spray = aim.spray});
    wake();
}

void DirectNode::handle_unreachable(const control::Unreachable& message, PairDriver&)
{
    unreachable_ = message.message;
}

void DirectNode::open_way(PairDriver& driver, Peer& peer, const SocketPtr& socket,
                          const nat::Puncher::Opened& opened)
{
    const WayName name{socket->id, opened.remote.address};
    world_->note("{}: way opened to {}", to_string(role_), to_string(opened.remote.address));
    if (const auto known = ways_.find(name); known != ways_.end()) {
        if (known->second.driver == &driver) {
            driver.pair().handle_carrier_restored(world_->now(), known->second.carrier);
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
    const path::MtuSearch search{world_->now(), opened.remote.address.ip.is_v4()};
    ways_.emplace(name, Way{&driver, carrier, socket, search});
    peer.ways.push_back(name);
    driver.pair().add_carrier(
        world_->now(), carrier,
        {.kind = path::CarrierKind::direct_udp, .mtu = path::MtuSearch::base, .paced = true});
    driver.settle();
}

void DirectNode::close_way(PairDriver& driver, const WayName& name)
{
    const auto way = ways_.find(name);
    if (way == ways_.end() || way->second.driver != &driver)
        return;
    const path::CarrierId carrier = way->second.carrier;
    const SocketPtr socket = way->second.socket;
    ways_.erase(way);
    const auto peer = peers_.find(&driver);
    const bool in_attempt =
        peer != peers_.end() &&
        std::ranges::find(peer->second.sockets, socket) != peer->second.sockets.end();
    if (socket->use == Socket::Use::attempt && !in_attempt && !is_used(*socket))
        socket->udp.reset();
    driver.pair().remove_carrier(world_->now(), carrier);
    driver.settle();
}

void DirectNode::forget(PairDriver& driver)
{
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

void DirectNode::observe(const control::Observe& message)
{
    gateway_.emplace(Gateway{.channel = {message.channel, sender()},
                             .ports = message.ports,
                             .addresses = message.addresses});
    for (const control::Family family : {control::Family::v4, control::Family::v6})
        end_survey(family);
    wake();
}

void DirectNode::handle_network_changed()
{
    if (gateway_) {
        gateway_->rounds = 0;
        gateway_->due = world_->now();
    }
    for (auto& [driver, peer] : peers_)
        peer.meetings = 0;
    wake();
}

void DirectNode::send_probe(nat::ProbeChannel& channel, Socket& socket, const wire::Probe& probe,
                            const SocketAddress& to, std::uint8_t ttl)
{
    if (!socket.udp)
        return;
    wire::Probe complete = probe;
    complete.local_port = socket.udp->port();
    socket.udp->send(to, channel.seal(complete, world_->cores), ttl);
}

void DirectNode::probe_gateway(Instant now)
{
    if (!gateway_ || now < gateway_->due)
        return;
    const bool all = gateway_->rounds < survey_intervals.size();
    const std::size_t ports = all ? gateway_->ports.size() : 1;
    for (const std::uint16_t port : std::span{gateway_->ports}.first(ports))
        for (const IpAddress& ip : gateway_->addresses)
            send_probe(gateway_->channel, ip.is_v4() ? *main_v4_ : *main_v6_,
                       {.kind = wire::ProbeKind::survey, .seen = {}}, {ip, port});
    gateway_->due = now + (all ? survey_intervals[gateway_->rounds] : keep_alive_interval);
    ++gateway_->rounds;
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
    ++probes_;
    if (packet.to) {
        if (const auto socket = socket_of(peer, packet.socket, *packet.to))
            send_probe(peer.channel, *socket, packet.probe, *packet.to, packet.ttl);
        return;
    }
    if (!gateway_ || gateway_->ports.empty() || peer.sockets.empty())
        return;
    Socket& socket = *peer.sockets.front();
    for (const IpAddress& ip : gateway_->addresses)
        if (socket.udp && ip.is_v4() == socket.udp->is_v4()) {
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
    if (role_ == control::Role::client && !std::exchange(peer.reported, true))
        owner_->handle_punched(driver, peer.attempt, opened != nullptr);
}

void DirectNode::arrange_meeting(Instant now, PairDriver& driver, Peer& peer)
{
    if (driver.pair().current() == path::CarrierKind::direct_udp && !driver.pair().is_silent(now)) {
        peer.meet_at = never;
        peer.meetings = 0;
        return;
    }
    if (!peer.puncher.is_over())
        return;
    if (peer.meet_at == never)
        peer.meet_at = now + meeting_intervals[peer.meetings];
    if (now < peer.meet_at)
        return;
    peer.meetings = std::min(peer.meetings + 1, meeting_intervals.size() - 1);
    peer.meet_at = now + meeting_intervals[peer.meetings];
    owner_->handle_meeting_due(driver);
}

// ---- surveys

void DirectNode::survey(const control::SurveyRequest& request)
{
    if (!gateway_)
        return;
    const Instant now = world_->now();
    Survey& survey = surveys_[request.family];
    const nat::SurveyStep& step = request.step;
    survey.work.clear();
    for (unsigned round = 0; round < step.rounds; ++round)
        for (unsigned socket = 0; socket < step.sockets; ++socket)
            for (const nat::GatewaySocket to : step.to)
                survey.work.push_back({.socket = step.first_socket + socket, .to = to});
    const Duration sending = nat::probe_spacing * static_cast<int>(survey.work.size());
    survey.report = {.answered = false};
    survey.report_at =
        step.purpose == nat::SurveyStep::Purpose::filtering ? now + sending + report_delay : never;
    survey.due = now;
    survey.end_at = now + survey_patience;
    advance(now, request.family, survey);
    wake();
}

void DirectNode::handle_nat(const control::NatDescription& nat)
{
    described_[nat.family] = nat.text;
    world_->note("{}: {}", to_string(role_), nat.text);
    end_survey(nat.family);
}

void DirectNode::end_survey(control::Family family)
{
    surveys_.erase(family); // and closes its sockets
}

void DirectNode::send_survey_probe(Socket& socket, nat::GatewaySocket to)
{
    if (to.port >= gateway_->ports.size() || !socket.udp)
        return;
    unsigned address = 0;
    for (const IpAddress& ip : gateway_->addresses)
        if (ip.is_v4() == socket.udp->is_v4() && address++ == to.address)
            send_probe(gateway_->channel, socket,
                       {.kind = wire::ProbeKind::survey,
                        .socket = static_cast<std::uint8_t>(socket.number),
                        .seen = {}},
                       {ip, gateway_->ports[to.port]});
}

void DirectNode::advance(Instant now, control::Family family, Survey& survey)
{
    if (!survey.work.empty() && survey.due <= now) {
        const Survey::Work work = survey.work.front();
        survey.work.pop_front();
        survey.due = now + nat::probe_spacing;
        const bool v4 = family == control::Family::v4;
        SocketPtr socket = v4 ? main_v4_ : main_v6_;
        if (work.socket != nat::mapping_socket) {
            SocketPtr& own = survey.sockets[work.socket];
            if (!own) {
                own = open(v4, Socket::Use::survey);
                own->number = work.socket;
            }
            socket = own;
        }
        send_survey_probe(*socket, work.to);
    }
    if (survey.report_at <= now) {
        survey.report_at = never;
        owner_->handle_survey_answer(control::Filtered{.family = family, .report = survey.report});
    }
}

void DirectNode::drive_surveys(Instant now)
{
    for (const control::Family family : {control::Family::v4, control::Family::v6}) {
        const auto survey = surveys_.find(family);
        if (survey == surveys_.end())
            continue;
        advance(now, family, survey->second);
        if (now >= survey->second.end_at)
            end_survey(family);
    }
}

// ---- the loop

Instant DirectNode::deadline() const
{
    Instant next = gateway_ ? gateway_->due : never;
    for (const auto& [family, survey] : surveys_)
        next = std::min(
            {next, survey.work.empty() ? never : survey.due, survey.report_at, survey.end_at});
    for (const auto& [driver, peer] : peers_)
        next = std::min({next, peer.puncher.deadline(), peer.meet_at});
    for (const auto& [name, way] : ways_)
        next = std::min(next, way.mtu_search.deadline());
    return next;
}

void DirectNode::wake()
{
    if (woken_)
        return;
    woken_ = true;
    world_->post(life_, [this] {
        woken_ = false;
        run();
    });
}

void DirectNode::run()
{
    const Instant now = world_->now();
    probe_gateway(now);
    drive_surveys(now);
    drive_peers(now);
    for (auto& [name, way] : ways_)
        search_mtu(now, name, way);
    send_trains();
    timer_.expires_at(deadline());
}

void DirectNode::send_trains()
{
    std::vector<WayName> names;
    for (bool sent = true; sent;) {
        sent = false;
        names.clear();
        for (const auto& [name, way] : ways_)
            names.push_back(name);
        for (const WayName& name : names) {
            const auto it = ways_.find(name);
            if (it == ways_.end())
                continue;
            const SocketPtr socket = it->second.socket;
            PairDriver& driver = *it->second.driver;
            const auto train =
                driver.pair().poll_transmit(world_->now(), it->second.carrier, block_);
            if (train.segment_size > path::MtuSearch::base)
                it->second.mtu_search.handle_large_packets(world_->now());
            driver.drain_events();
            if (train.size == 0)
                continue;
            sent = true;
            Bytes rest = Bytes{block_}.first(train.size);
            while (!rest.empty() && socket->udp) {
                const Bytes datagram = rest.first(std::min(rest.size(), train.segment_size));
                socket->udp->send(name.remote, datagram);
                rest = rest.subspan(datagram.size());
            }
        }
    }
}

} // namespace narrowlink::sim
