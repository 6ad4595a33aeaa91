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

#include "words.hpp"

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

void Rendezvous::add_session(Instant, SessionId id, Role role, const std::string& name)
{
    nat::ProbeCredentials credentials;
    random_->fill(credentials.id);
    random_->fill(credentials.key);
    if (!channels_.emplace(credentials.id, id).second)
        return; // 64 random bits twice: this node does without
    const auto view_of = [&](bool v4) {
        const auto ports = static_cast<unsigned>(config_.ports.size());
        const auto addresses = std::ranges::count_if(
            config_.addresses, [v4](const IpAddress& ip) { return ip.is_v4() == v4; });
        return NodeView{{.gateway = {.first = ports, .second = addresses > 1 ? ports : 0},
                         .node = name,
                         .memory = &memory_}};
    };
    nodes_.emplace(id, Node{.role = role,
                            .channel = {credentials, wire::ProbeSender::gateway},
                            .v4 = view_of(true),
                            .v6 = view_of(false),
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
    surveyed_.erase(id);
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
        handle_candidates(now, *node, *candidates);
        drain_views(id, *node);
    } else if (const auto* filtered = std::get_if<Filtered>(&message)) {
        node->view(filtered->family).handle_filter_report(now, filtered->report);
        drain_views(id, *node);
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

void Rendezvous::handle_candidates(Instant now, Node& node, const Candidates& candidates)
{
    node.own = candidates.addresses;
    std::vector<IpAddress> v4, v6;
    for (const SocketAddress& own : node.own)
        (own.ip.is_v4() ? v4 : v6).push_back(own.ip);
    node.v4.handle_own_addresses(now, std::move(v4));
    node.v6.handle_own_addresses(now, std::move(v6));
}

/// What the survey calls the socket that a datagram came to.
nat::GatewaySocket Rendezvous::place_of(const Arrival& arrival) const
{
    unsigned address = 0;
    for (const IpAddress& ip : config_.addresses) {
        if (ip == arrival.at)
            break;
        if (ip.is_v4() == arrival.at.is_v4())
            ++address;
    }
    return {.address = address, .port = static_cast<unsigned>(arrival.port)};
}

void Rendezvous::drain_views(SessionId id, Node& node)
{
    for (const Family family : {Family::v4, Family::v6}) {
        NodeView& view = node.view(family);
        while (auto request = view.poll_request())
            messages_.push_back({id, SurveyRequest{family, std::move(*request)}});
        while (const auto transmit = view.poll_transmit()) {
            IpAddress from = view.probed();
            unsigned address = 0;
            for (const IpAddress& ip : config_.addresses)
                if (ip.is_v4() == (family == Family::v4) && address++ == transmit->from.address)
                    from = ip;
            const wire::Probe probe{
                .kind = wire::ProbeKind::filter,
                .socket = static_cast<std::uint8_t>(gateway_place(transmit->from)),
                .seen = {}};
            transmits_.push_back({.port = transmit->from.port,
                                  .from = from,
                                  .to = transmit->to,
                                  .packet = node.channel.seal(probe, *random_)});
        }
        if (view.poll_finished())
            messages_.push_back({id, NatDescription{family, nat::describe(*view.behaviour())}});
    }
    if (std::min(node.v4.deadline(), node.v6.deadline()) == never)
        surveyed_.erase(id);
    else
        surveyed_.insert(id);
}

std::optional<nat::ProbePacket> Rendezvous::handle_datagram(Instant now, const Arrival& arrival,
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
    NodeView& view = arrival.from.ip.is_v4() ? node.v4 : node.v6;
    const bool moved = view.handle_probe(now,
                                         {.socket = probe->socket,
                                          .local_port = probe->local_port,
                                          .at = place_of(arrival),
                                          .seen = arrival.from,
                                          .ttl = arrival.ttl},
                                         arrival.at);
    if (moved)
        for (auto& [name, pair] : pairs_)
            if (pair.client == owner->second || pair.agent == owner->second)
                pair.due = std::min(pair.due, now);
    drain_views(owner->second, node);
    handle_timeout(now);
    return node.channel.seal({.kind = wire::ProbeKind::observed,
                              .token = probe->token,
                              .socket = static_cast<std::uint8_t>(arrival.port),
                              .seen = arrival.from},
                             *random_);
}

bool Rendezvous::is_observed(const Node& node)
{
    return node.v4.observed() || node.v6.observed();
}

void Rendezvous::handle_timeout(Instant now)
{
    for (const SessionId id : std::set{surveyed_}) {
        Node& node = nodes_.at(id);
        node.v4.handle_timeout(now);
        node.v6.handle_timeout(now);
        drain_views(id, node);
    }
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
    const auto& peer_v4 = peer.v4.observed();
    if (peer.v6.observed())
        candidates.push_back({*peer.v6.observed(), nat::CandidateKind::host_v6});
    if (peer_v4)
        candidates.push_back({*peer_v4, nat::CandidateKind::observed});
    const bool same_network =
        node.v4.observed() && peer_v4 && node.v4.observed()->ip == peer_v4->ip;
    if (same_network)
        for (const SocketAddress& own : peer.own)
            if (own.ip.is_v4() && own != *peer_v4 &&
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

std::optional<Rendezvous::Transmit> Rendezvous::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    const Transmit transmit = transmits_.front();
    transmits_.pop_front();
    return transmit;
}

Instant Rendezvous::deadline() const
{
    Instant next = never;
    for (const SessionId id : surveyed_) {
        const Node& node = nodes_.at(id);
        next = std::min({next, node.v4.deadline(), node.v6.deadline()});
    }
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
