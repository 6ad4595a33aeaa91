// Theory of operation
//
// Goal: both ends of a pair punch at the same moment, towards addresses that are really the peer's.
//
// A node probes from the socket that it will use for direct paths as soon as it is told to
// (`observe`), and goes on, so that its NAT keeps the mapping and the gateway sees it change.
//
// A pair's attempts: the first when it comes up, as soon as both ends have been observed (or
// longest_wait later, with what there is); then whenever the client asks (`meet`), or an end's
// observed address has changed, at most one in shortest_interval. Each attempt has a key of its own.
//
// Timing: what is sent now arrives half a round trip later. Both ends are told how long to wait, so
// that their first probes leave at the same time and cross.

#include "narrowlink/control/rendezvous.hpp"

#include <algorithm>

namespace narrowlink::control {
namespace {

/// What an end needs between being told and sending: nat::Puncher opens its own NAT first.
constexpr Duration margin = std::chrono::milliseconds{40};
constexpr Duration longest_half_trip = std::chrono::milliseconds{500};

Duration half_trip(Duration rtt)
{
    return std::min(rtt / 2, longest_half_trip);
}

wire::ProbeSender sender_of(Role role)
{
    return role == Role::agent ? wire::ProbeSender::agent : wire::ProbeSender::client;
}

} // namespace

Rendezvous::Rendezvous(Config config, Random& random) : config_{std::move(config)}, random_{&random}
{
}

Rendezvous::Node* Rendezvous::find(SessionId id)
{
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : &found->second;
}

void Rendezvous::add_session(Instant, SessionId id, Role role)
{
    nat::ProbeCredentials credentials;
    random_->fill(credentials.id);
    random_->fill(credentials.key);
    if (!channels_.emplace(credentials.id, id).second)
        return; // 64 random bits twice: this node does without
    nodes_.emplace(id, Node{.role = role,
                            .channel = {credentials, wire::ProbeSender::gateway},
                            .observed_v4 = {},
                            .observed_v6 = {},
                            .own = {}});
    messages_.push_back({id, Observe{.channel = credentials,
                                     .ports = config_.ports,
                                     .addresses = config_.addresses}});
}

void Rendezvous::remove_session(SessionId id)
{
    const auto found = nodes_.find(id);
    if (found == nodes_.end())
        return;
    channels_.erase(found->second.channel.id());
    nodes_.erase(found);
    std::erase_if(pairs_, [id](const auto& entry) {
        return entry.second.client == id || entry.second.agent == id;
    });
}

void Rendezvous::add_pair(Instant now, PairName name, SessionId client, SessionId agent)
{
    if (find(client) == nullptr || find(agent) == nullptr)
        return;
    Pair& pair = pairs_[name];
    pair.client = client;
    pair.agent = agent;
    pair.due = now;
    pair.give_up = now + config_.longest_wait;
    handle_timeout(now);
}

void Rendezvous::remove_pair(const PairName& name)
{
    pairs_.erase(name);
}

void Rendezvous::handle(Instant now, SessionId id, const Message& message)
{
    Node* node = find(id);
    if (node == nullptr)
        return;
    if (const auto* candidates = std::get_if<Candidates>(&message)) {
        node->own = candidates->addresses;
    } else if (const auto* meet = std::get_if<Meet>(&message)) {
        for (auto& [name, pair] : pairs_)
            if (pair.client == id && name.id == meet->pair)
                pair.due = std::min(pair.due, now);
    }
    handle_timeout(now);
}

void Rendezvous::handle_rtt(SessionId id, Duration rtt)
{
    if (Node* node = find(id))
        node->rtt = rtt;
}

std::optional<nat::ProbePacket> Rendezvous::handle_datagram(Instant now, std::size_t port,
                                                            const SocketAddress& from,
                                                            Bytes datagram)
{
    const auto id = wire::probe_id(datagram);
    const auto owner = id ? channels_.find(*id) : channels_.end();
    if (owner == channels_.end())
        return std::nullopt;
    Node& node = nodes_.at(owner->second);
    const auto probe = node.channel.open(datagram);
    if (!probe || probe->sender != sender_of(node.role) || probe->kind != wire::ProbeKind::survey)
        return std::nullopt;
    if (port == 0) {
        auto& observed = from.ip.is_v4() ? node.observed_v4 : node.observed_v6;
        const bool moved = observed && *observed != from;
        observed = from;
        if (moved)
            for (auto& [name, pair] : pairs_)
                if (pair.client == owner->second || pair.agent == owner->second)
                    pair.due = std::min(pair.due, now);
    }
    handle_timeout(now);
    return node.channel.seal({.kind = wire::ProbeKind::observed,
                              .token = probe->token,
                              .socket = static_cast<std::uint8_t>(port),
                              .seen = from},
                             *random_);
}

bool Rendezvous::is_observed(const Node& node)
{
    return node.observed_v4 || node.observed_v6;
}

void Rendezvous::handle_timeout(Instant now)
{
    for (auto& [name, pair] : pairs_) {
        const Instant earliest =
            pair.attempts == 0 ? pair.due : std::max(pair.due, pair.last + config_.shortest_interval);
        if (pair.due == never || now < earliest)
            continue;
        const bool both = is_observed(nodes_.at(pair.client)) && is_observed(nodes_.at(pair.agent));
        if (both || now >= pair.give_up)
            attempt(now, name, pair);
    }
}

/// The peer's addresses, as far as this node may be told to send to them.
std::vector<nat::Candidate> Rendezvous::candidates_for(const Node& node, const Node& peer)
{
    std::vector<nat::Candidate> candidates;
    if (peer.observed_v6)
        candidates.push_back({*peer.observed_v6, nat::CandidateKind::host_v6});
    if (peer.observed_v4)
        candidates.push_back({*peer.observed_v4, nat::CandidateKind::observed});
    const bool same_network = node.observed_v4 && peer.observed_v4 &&
                              node.observed_v4->ip == peer.observed_v4->ip;
    if (same_network)
        for (const SocketAddress& own : peer.own)
            if (own.ip.is_v4() && own != *peer.observed_v4 &&
                candidates.size() < max_candidates)
                candidates.push_back({own, nat::CandidateKind::host});
    return candidates;
}

void Rendezvous::attempt(Instant now, const PairName& name, Pair& pair)
{
    pair.due = never;
    const Node& client = nodes_.at(pair.client);
    const Node& agent = nodes_.at(pair.agent);
    Punch punch{.pair = name.id, .client_key = {}, .channel = {}, .candidates = {}};
    random_->fill(punch.channel.id);
    random_->fill(punch.channel.key);
    punch.attempt = ++pair.attempts;
    pair.last = now;

    const Duration fire = std::max(half_trip(client.rtt), half_trip(agent.rtt)) + margin;
    const auto send = [&](SessionId to, const Node& node, const Node& peer) {
        const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(
            fire - half_trip(node.rtt));
        punch.fire_in_ms = static_cast<std::uint32_t>(wait.count());
        punch.candidates = candidates_for(node, peer);
        messages_.push_back({to, punch});
    };
    send(pair.client, client, agent);
    punch.client_key = name.client_key;
    send(pair.agent, agent, client);
}

std::optional<Rendezvous::Send> Rendezvous::poll_message()
{
    if (messages_.empty())
        return std::nullopt;
    Send send = std::move(messages_.front());
    messages_.pop_front();
    return send;
}

Instant Rendezvous::deadline() const
{
    Instant next = never;
    for (const auto& [name, pair] : pairs_) {
        if (pair.due == never)
            continue;
        Instant at = std::max(pair.due, pair.attempts == 0
                                            ? Instant{}
                                            : pair.last + config_.shortest_interval);
        if (!is_observed(nodes_.at(pair.client)) || !is_observed(nodes_.at(pair.agent)))
            at = std::max(at, pair.give_up);
        next = std::min(next, at);
    }
    return next;
}

} // namespace narrowlink::control
