// Theory of operation
//
// Sockets. What does not need one of its own goes over the main ones. An attempt may have fresh
// ones: they are closed when it is over, but for the one that a way uses, which lasts as long as
// the way.
//
// Limits. The gateway has a node spray for one pair at a time. One that does not, or clients that make it
// begin again and again, get no more than packets_per_second punches out of a node: the rest is lost.
//
// Meetings. A client without a direct path asks for another round of attempts, at growing intervals
// since the last attempt has failed.

#include "narrowlink/direct/attempts.hpp"

#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace narrowlink::direct {
namespace {

using namespace std::chrono_literals;

constexpr std::array<Duration, 5> meeting_intervals{1s, 5s, 30s, 120s, 600s};

/// Of all attempts at once; descriptors are few on some systems.
constexpr std::size_t most_sockets = 512;

nat::PunchTargets allowed(nat::PunchTargets targets, std::span<const IpPrefix> connected)
{
    std::erase_if(targets.candidates, [&](const nat::Candidate& candidate) {
        return !nat::may_probe(candidate, connected);
    });
    if (targets.spray)
        std::erase_if(targets.spray->addresses, [](const IpAddress& ip) {
            return !nat::may_probe({{ip, 1}, nat::CandidateKind::observed}, {});
        });
    return targets;
}

} // namespace

void Attempts::punch(Instant now, const control::Punch& message, CarriedPair& pair,
                     std::span<const IpPrefix> connected)
{
    nat::Puncher puncher{{.is_client = role_ == control::Role::client,
                          .targets = allowed({.fire_in =
                                                  std::chrono::milliseconds{message.fire_in_ms},
                                              .candidates = message.candidates,
                                              .spray = message.spray},
                                             connected),
                          .sockets = message.sockets,
                          .first_ttl = message.first_ttl,
                          .retry_ttl = message.retry_ttl,
                          .retry_after = std::chrono::milliseconds{message.retry_after_ms},
                          .packets = message.packets,
                          .time = std::chrono::milliseconds{message.time_ms},
                          .samples = message.sample,
                          .waits = message.wait},
                         now};
    Peer& peer = begin(message, pair, std::move(puncher));
    peer.attempt = message.attempt;
    peer.reported = false;
    peer.unreachable.clear();
    peer.has_candidates = message.wait || message.spray || !message.candidates.empty();
    peer.meet_at = never;
    ways_->begin_attempt(pair);
    channels_.insert_or_assign(message.channel.id, &pair);
    open_sockets(message, peer);
}

Attempts::Peer& Attempts::begin(const control::Punch& message, CarriedPair& pair,
                                nat::Puncher puncher)
{
    nat::ProbeChannel channel{message.channel, probe_sender(role_)};
    const auto known = peers_.find(&pair);
    if (known == peers_.end())
        return peers_
            .emplace(&pair, Peer{.channel = std::move(channel), .puncher = std::move(puncher)})
            .first->second;
    Peer& peer = known->second;
    close_sockets(peer);
    channels_.erase(peer.channel.id());
    peer.channel = std::move(channel);
    peer.puncher = std::move(puncher);
    return peer;
}

void Attempts::open_sockets(const control::Punch& message, Peer& peer)
{
    peer.fresh = message.fresh;
    if (!message.fresh)
        return;
    for (unsigned number = 0; number < message.sockets; ++number) {
        if (open_sockets_ == most_sockets)
            return;
        auto socket =
            sockets_->open(message.family == control::Family::v4, Socket::Use::attempt, number);
        if (!socket)
            return;
        ++open_sockets_;
        peer.sockets.push_back(std::move(socket));
    }
}

/// Those that carry a way stay with it.
void Attempts::close_sockets(Peer& peer)
{
    open_sockets_ -= peer.sockets.size();
    peer.sockets.clear();
}

SocketPtr Attempts::socket_of(const Peer& peer, unsigned number, const SocketAddress& to) const
{
    if (!peer.fresh)
        return sockets_->main(to.ip.is_v4());
    return number < peer.sockets.size() ? peer.sockets[number] : nullptr;
}

void Attempts::aim(Instant now, const control::Aim& aim, CarriedPair& pair)
{
    const auto peer = peers_.find(&pair);
    if (peer == peers_.end() || peer->second.attempt != aim.attempt)
        return;
    peer->second.puncher.aim(
        now, allowed({.fire_in = std::chrono::milliseconds{aim.fire_in_ms},
                      .candidates = aim.candidates,
                      .spray = aim.spray},
                     {}));
}

void Attempts::handle_unreachable(const control::Unreachable& message, CarriedPair& pair)
{
    const auto known = peers_.find(&pair);
    if (known != peers_.end())
        known->second.unreachable = message.message;
    else
        unreachable_[&pair] = message.message;
}

std::string Attempts::obstacle(CarriedPair& pair) const
{
    const auto peer = peers_.find(&pair);
    if (const auto why = unreachable_.find(&pair);
        peer == peers_.end() && why != unreachable_.end())
        return why->second;
    if (peer == peers_.end())
        return "the gateway has not made an attempt; the agent may be older than this client";
    if (!peer->second.unreachable.empty())
        return peer->second.unreachable;
    if (!peer->second.has_candidates)
        return "UDP is blocked between the agent and the gateway";
    if (!peer->second.has_failed && !peer->second.puncher.is_over())
        return "the two sides are trying to open one";
    return "no probe got through between the two NATs";
}

bool Attempts::is_unreachable(CarriedPair& pair) const
{
    const auto peer = peers_.find(&pair);
    return peer == peers_.end()
               ? unreachable_.contains(&pair)
               : !peer->second.unreachable.empty() &&
                     (peer->second.has_failed || peer->second.puncher.is_over());
}

void Attempts::start_over()
{
    unreachable_.clear();
    for (auto& [pair, peer] : peers_) {
        peer.meetings = 0;
        peer.unreachable.clear();
    }
}

void Attempts::forget(CarriedPair& pair)
{
    unreachable_.erase(&pair);
    const auto peer = peers_.find(&pair);
    if (peer == peers_.end())
        return;
    close_sockets(peer->second);
    channels_.erase(peer->second.channel.id());
    peers_.erase(peer);
}

bool Attempts::handle_probe(Instant now, const wire::ProbeId& id, const Socket& socket,
                            const SocketAddress& from, Bytes datagram)
{
    const auto channel = channels_.find(id);
    if (channel == channels_.end())
        return false;
    Peer& peer = peers_.at(channel->second);
    const auto probe = peer.channel.open(datagram.first(wire::probe_size));
    if (!probe)
        return true;
    if (probe->kind == wire::ProbeKind::size || probe->kind == wire::ProbeKind::fits) {
        ways_->handle_size_probe(now, {.socket = socket.id, .remote = from}, peer.channel, *probe,
                                 datagram.size());
        return true;
    }
    const bool is_ours = peer.fresh ? socket.number < peer.sockets.size() &&
                                          peer.sockets[socket.number].get() == &socket
                                    : socket.use == Socket::Use::main;
    if (is_ours)
        peer.puncher.handle_probe(now, *probe, from, peer.fresh ? socket.number : 0);
    return true;
}

void Attempts::handle_timeout(Instant now)
{
    for (auto& [pair, peer] : peers_) {
        peer.puncher.handle_timeout(now);
        while (const auto packet = peer.puncher.poll_transmit())
            transmit(now, peer, *packet);
        while (const auto event = peer.puncher.poll_event())
            handle_event(now, *pair, peer, *event);
        if (peer.puncher.is_over() && !peer.sockets.empty())
            close_sockets(peer);
        if (role_ == control::Role::client)
            arrange_meeting(now, *pair, peer);
    }
}

void Attempts::transmit(Instant now, Peer& peer, const nat::Puncher::Transmit& packet)
{
    if (packet.probe.kind == wire::ProbeKind::punch && !budget_.take(now))
        return; // lost, like any packet
    if (packet.to) {
        if (const auto socket = socket_of(peer, packet.socket, *packet.to))
            sockets_->send_probe(*socket, peer.channel, packet.probe, *packet.to, packet.ttl);
    } else if (!peer.sockets.empty()) {
        gateway_->send_sample(*peer.sockets.front(), peer.channel, packet.probe);
    }
}

void Attempts::handle_event(Instant now, CarriedPair& pair, Peer& peer,
                            const nat::Puncher::Event& event)
{
    const auto* opened = std::get_if<nat::Puncher::Opened>(&event);
    if (opened != nullptr) {
        if (const auto socket = socket_of(peer, opened->socket, opened->remote.address)) {
            owner_->handle_way_opened(pair, *opened);
            ways_->open(now, pair, socket, opened->remote.address, peer.channel);
        }
    }
    peer.has_failed = peer.has_failed || opened == nullptr;
    if (role_ == control::Role::client && !std::exchange(peer.reported, true))
        owner_->handle_punched(pair, peer.attempt, opened != nullptr);
}

void Attempts::arrange_meeting(Instant now, CarriedPair& pair, Peer& peer)
{
    if (pair.pair().current() == path::CarrierKind::direct_udp && !pair.pair().is_silent(now)) {
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
    owner_->handle_meeting_due(pair);
}

Instant Attempts::deadline() const
{
    Instant next = never;
    for (const auto& [pair, peer] : peers_)
        next = std::min({next, peer.puncher.deadline(), peer.meet_at});
    return next;
}

} // namespace narrowlink::direct
