// Theory of operation
//
// Goal: from a step of nat::choose() and what is known of both ends, what each end has to send to
// where.
//
// An end is found by the other in one of these ways:
//   observed   its main socket, where the gateway sees it
//   sampled    a fresh socket, where the gateway has seen its sample
//   counted    a fresh socket: the ports that follow the one of its sample
//   block, random   fresh sockets: all ports that its NAT may choose
// Those that need a sample make the other end wait for it (Aim); the end itself does not wait
// unless it needs one, too.
//
// A port that the router before an end forwards to its main socket is as good as an address without
// NAT: it is a candidate of every step with main sockets, and makes one where there is none.
//
// The only addresses that come up here are those that an end has proved to be at and, behind one
// external address, the private ones that the other end says it has.

#include "narrowlink/control/ladder.hpp"

#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>

namespace narrowlink::control {
namespace {

constexpr Duration packet_interval = std::chrono::microseconds{1'000'000 / nat::packets_per_second};
constexpr Duration observed_time = std::chrono::milliseconds{2'500};
/// After the last packet of either side: round trips, and the other side's sample.
constexpr Duration patience = std::chrono::milliseconds{1'800};
constexpr std::uint16_t lowest_random_port = 1'024;
constexpr std::uint32_t random_ports = 64'512;

/// One end in a step, and how the other finds it.
struct Side {
    const PairEnd* end;
    const NodeView* view;
    const nat::Part* part;
    std::optional<SocketAddress> sample;
    bool guessed = false; ///< the other one sprays
    bool counted = false; ///< around a sample
    bool fresh = false;

    [[nodiscard]] bool needs_sample() const { return counted || (fresh && !guessed); }
};

Side make_side(const Rung& rung, const PairEnd& end, const nat::Part& part, const nat::Part& other,
               const std::optional<SocketAddress>& sample)
{
    Side side{.end = &end, .view = &end.view(rung.family), .part = &part, .sample = sample};
    side.guessed = other.sprays();
    const auto& behaviour = side.view->behaviour();
    side.counted = side.guessed && behaviour &&
                   behaviour->allocation == nat::Allocation::sequential &&
                   rung.step.technique != nat::Technique::birthday;
    side.fresh = rung.step.fresh_sockets || side.guessed;
    return side;
}

nat::CandidateKind kind_of(Family family)
{
    return family == Family::v6 ? nat::CandidateKind::host_v6 : nat::CandidateKind::observed;
}

std::vector<IpAddress> addresses_of(const Side& side, bool every_address)
{
    std::vector<IpAddress> addresses = side.view->external_addresses();
    addresses.resize(
        std::min<std::size_t>(addresses.size(), every_address ? nat::most_pool_addresses : 1));
    return addresses;
}

nat::Spray spray_at(const Rung& rung, const Side& side, unsigned targets)
{
    const nat::Behaviour& behaviour = *side.view->behaviour();
    nat::Spray spray;
    spray.addresses = addresses_of(side, rung.step.every_address);
    spray.order = rung.step.diagonal ? nat::Spray::Order::sequential : nat::Spray::Order::random;
    if (side.counted) {
        spray.addresses = {side.sample->ip};
        spray.first =
            static_cast<std::uint16_t>(std::max(1, (side.sample->port + behaviour.delta) % 65'536));
        spray.count = targets;
        spray.step = behaviour.delta;
        spray.order = nat::Spray::Order::sequential;
    } else if (rung.step.technique == nat::Technique::block_spray) {
        spray.first = behaviour.block_first;
        spray.count = behaviour.block_last - behaviour.block_first + 1U;
    } else {
        spray.first = lowest_random_port;
        spray.count = random_ports;
    }
    return spray;
}

/// The peer's addresses, as far as this end may be told to send to them.
std::vector<nat::Candidate> known_candidates(const Rung& rung, const PairEnds& ends,
                                             const PairEnd& peer)
{
    std::vector<nat::Candidate> candidates;
    const auto add = [&](const SocketAddress& address, nat::CandidateKind kind) {
        const nat::Candidate candidate{address, kind};
        if (candidates.size() < max_candidates &&
            std::ranges::find(candidates, candidate) == candidates.end())
            candidates.push_back(candidate);
    };
    for (const Family family : {Family::v6, Family::v4}) {
        const NodeView& view = peer.view(family);
        if (!view.observed())
            continue;
        add(*view.observed(), kind_of(family));
        if (const auto mapped = family == Family::v4 ? port_mapping_of(peer) : std::nullopt)
            add(*mapped, nat::CandidateKind::mapped);
        if (rung.step.every_address && rung.family == family)
            for (const IpAddress& ip : view.external_addresses())
                add({ip, view.observed()->port}, kind_of(family));
    }
    if (!shares_address(ends))
        return candidates;
    for (const SocketAddress& own : *peer.own) {
        if (nat::is_of_carrier(own.ip))
            add(own, nat::CandidateKind::inside);
        else if (nat::is_private(own.ip) && own != *peer.v4->observed())
            add(own, nat::CandidateKind::host);
    }
    return candidates;
}

void aim_at(const Rung& rung, const PairEnds& ends, const Side& peer, const nat::Part& part,
            Orders& orders)
{
    if (peer.needs_sample() && !peer.sample) {
        orders.aimed = false;
        return;
    }
    if (peer.guessed) {
        orders.punch.spray = spray_at(rung, peer, part.targets);
    } else if (!peer.fresh && rung.step.technique == nat::Technique::observed) {
        orders.punch.candidates = known_candidates(rung, ends, *peer.end);
    } else if (peer.fresh || peer.view->observed()) {
        const SocketAddress at = peer.fresh ? *peer.sample : *peer.view->observed();
        std::vector<IpAddress> addresses{at.ip};
        for (const IpAddress& ip : addresses_of(peer, rung.step.every_address))
            if (rung.step.every_address && ip != at.ip)
                addresses.push_back(ip);
        for (const IpAddress& ip : addresses)
            orders.punch.candidates.push_back({{ip, at.port}, kind_of(rung.family)});
    }
}

Orders orders_of(const Rung& rung, const PairEnds& ends, const Side& side, const Side& peer)
{
    Orders orders;
    const nat::Part& part = *side.part;
    Punch& punch = orders.punch;
    punch.fresh = side.fresh;
    punch.family = side.fresh ? rung.family : Family::v4;
    punch.sockets = side.fresh ? std::min<unsigned>(part.sockets, max_punch_sockets) : 1;
    punch.sample = side.needs_sample();
    punch.first_ttl = part.first_ttl;
    punch.retry_ttl = part.retry_ttl;
    if (rung.step.technique != nat::Technique::observed)
        punch.packets = part.packets;
    aim_at(rung, ends, peer, part, orders);
    punch.wait = !orders.aimed;
    return orders;
}

/// A second opener that is careful with the peer's NAT may be too far-reaching all the same, and
/// spoil all its mappings: the spray has to have had its chance before.
void set_retry(Orders& orders, const Orders& peer, const nat::Part& spray)
{
    constexpr std::uint8_t usual_ttl = 64;
    const bool is_careful = orders.punch.retry_ttl != 0 && orders.punch.retry_ttl < usual_ttl;
    const Duration careful = peer.delay + packet_interval * spray.packets * 3 / 5;
    const Duration after =
        is_careful ? std::max(nat::retry_ttl_delay, careful) : nat::retry_ttl_delay;
    orders.punch.retry_after_ms = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(after).count());
}

/// Whatever the NATs do, a packet to a mapped port gets in, and what answers it gets back.
bool has_usable_mapping(const PairEnds& ends)
{
    const auto is_open = [](const PairEnd& end) {
        return end.v4->observed() && end.v4->behaviour() &&
               end.v4->behaviour()->reach == nat::Reach::open;
    };
    return is_open(ends.client) && is_open(ends.agent) &&
           (port_mapping_of(ends.client) || port_mapping_of(ends.agent));
}

bool opens_first(const Rung& rung, nat::First first, const Side& side)
{
    return rung.step.first == first && side.part->sockets > 0;
}

} // namespace

Rung first_rung()
{
    Rung rung{.step = {.technique = nat::Technique::observed}};
    constexpr std::uint8_t near_ttl = 4;
    rung.step.a.first_ttl = rung.step.b.first_ttl = near_ttl;
    return rung;
}

bool is_surveyed(const PairEnds& ends)
{
    bool any = false;
    for (const Family family : {Family::v6, Family::v4}) {
        const NodeView& client = ends.client.view(family);
        const NodeView& agent = ends.agent.view(family);
        if (!client.observed() || !agent.observed())
            continue;
        any = true;
        if (!client.behaviour() || !agent.behaviour())
            return false;
    }
    const auto has_any = [](const PairEnd& end) {
        return end.v4->behaviour() || end.v6->behaviour();
    };
    return any || (has_any(ends.client) && has_any(ends.agent)); // they have no family in common
}

std::vector<Rung> ladder_for(const PairEnds& ends)
{
    std::vector<Rung> ladder;
    bool observes = false;
    for (const Family family : {Family::v6, Family::v4}) {
        const NodeView& client = ends.client.view(family);
        const NodeView& agent = ends.agent.view(family);
        if (!client.observed() || !agent.observed() || !client.behaviour() || !agent.behaviour())
            continue;
        for (const nat::Step& step : nat::choose(*client.behaviour(), *agent.behaviour())) {
            const bool is_plain = step.technique == nat::Technique::observed && !step.fresh_sockets;
            if (is_plain && observes)
                continue; // it tries all families
            observes = observes || is_plain;
            ladder.push_back({family, step});
        }
    }
    if (!observes && has_usable_mapping(ends))
        ladder.push_back({Family::v4, {.technique = nat::Technique::observed}});
    std::stable_partition(ladder.begin(), ladder.end(), [](const Rung& rung) {
        return rung.step.technique == nat::Technique::observed;
    });
    return ladder;
}

std::optional<SocketAddress> port_mapping_of(const PairEnd& end)
{
    if (end.mapped == nullptr || !*end.mapped)
        return std::nullopt;
    const SocketAddress& external = (*end.mapped)->external;
    const std::vector<IpAddress> seen = end.v4->external_addresses();
    if (std::ranges::find(seen, external.ip) == seen.end())
        return std::nullopt;
    return external;
}

bool shares_address(const PairEnds& ends)
{
    const auto& client = ends.client.v4->observed();
    const auto& agent = ends.agent.v4->observed();
    return client && agent && client->ip == agent->ip;
}

std::string why_unreachable(const PairEnds& ends)
{
    constexpr nat::SideNames names{.a = "this machine", .b = "the agent"};
    for (const Family family : {Family::v4, Family::v6}) {
        const auto& client = ends.client.view(family).behaviour();
        const auto& agent = ends.agent.view(family).behaviour();
        if (client && agent)
            return nat::why_not(*client, *agent, names);
    }
    const auto reach_of = [](const PairEnd& end) -> nat::Behaviour {
        const bool is_seen = end.v4->observed() || end.v6->observed();
        return {.reach = is_seen ? nat::Reach::open : nat::Reach::blocked};
    };
    const nat::Behaviour client = reach_of(ends.client), agent = reach_of(ends.agent);
    if (client.reach == nat::Reach::blocked || agent.reach == nat::Reach::blocked)
        return nat::why_not(client, agent, names);
    const bool v4 = ends.client.v4->observed() || ends.agent.v4->observed();
    const bool v6 = ends.client.v6->observed() || ends.agent.v6->observed();
    return v4 && v6 ? "one side has IPv4 only, the other IPv6 only" : "";
}

AttemptOrders orders_for(const Rung& rung, const PairEnds& ends, const Samples& samples)
{
    const nat::Step& step = rung.step;
    const Side client = make_side(rung, ends.client, step.a, step.b, samples.client);
    const Side agent = make_side(rung, ends.agent, step.b, step.a, samples.agent);
    AttemptOrders orders{.client = orders_of(rung, ends, client, agent),
                         .agent = orders_of(rung, ends, agent, client)};
    if (opens_first(rung, nat::First::a, client))
        orders.agent.delay = nat::first_ttl_lead + packet_interval * step.a.sockets;
    if (opens_first(rung, nat::First::b, agent))
        orders.client.delay = nat::first_ttl_lead + packet_interval * step.b.sockets;
    set_retry(orders.client, orders.agent, step.b);
    set_retry(orders.agent, orders.client, step.a);
    Duration time = observed_time;
    if (step.technique != nat::Technique::observed) {
        const Duration sending = packet_interval * std::max(step.a.packets, step.b.packets);
        time = sending + nat::retry_ttl_delay + patience;
    }
    const Duration longest = std::max(orders.client.delay, orders.agent.delay);
    orders.client.time = time + longest - orders.client.delay;
    orders.agent.time = time + longest - orders.agent.delay;
    return orders;
}

} // namespace narrowlink::control
