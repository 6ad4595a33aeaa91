// Theory of operation
//
// A way is named by our socket and the peer's address; those through the gateway, which all pairs
// share, also by the tag with which our connection IDs in that pair begin. A client keeps the last
// two that the puncher chose, an agent those from which it has heard the client last: path::Pair
// decides which of them is used.
//
// A way keeps its socket open.
//
// A way begins with a probe, and who has recorded one that did not arrive can have it arrive from any
// address. So nothing but what QUIC allows itself (RFC 9000 §8.1) goes to an address that QUIC has not
// validated, least of all probes of the MTU; and a way by which another pair hears its peer stays its own.

#include "narrowlink/direct/ways.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::direct {
namespace {

constexpr std::size_t most_ways_of_client = 2;
constexpr std::size_t most_ways_of_agent = 4;
/// Longer than a client lets a direct path be silent, see path::Pair::Config::direct_keep_alive.
constexpr Duration silence_before_takeover = std::chrono::seconds{5};

} // namespace

void Ways::begin_attempt(CarriedPair& pair)
{
    direct_[&pair].of_attempt = 0;
}

void Ways::open(Instant now, CarriedPair& pair, const SocketPtr& socket,
                const SocketAddress& remote, nat::ProbeChannel& channel)
{
    const WayName name{.socket = socket->id, .remote = remote};
    if (const auto known = ways_.find(name); known != ways_.end()) {
        if (known->second.pair == &pair) {
            pair.pair().handle_carrier_restored(now, known->second.carrier);
            pair.settle();
            return;
        }
        if (is_alive(now, known->second))
            return;
        std::erase(direct_[known->second.pair].ways, name);
        close(now, name);
    }
    Direct& direct = direct_[&pair];
    make_room(now, direct,
              std::max(role_ == control::Role::client ? most_ways_of_client : most_ways_of_agent,
                       ++direct.of_attempt));
    const path::CarrierId carrier = pair.next_carrier();
    ways_.emplace(name, Way{&pair, carrier, socket, &channel, {}});
    direct.ways.push_back(name);
    pair.pair().add_carrier(
        now, carrier,
        {.kind = path::CarrierKind::direct_udp, .mtu = path::MtuSearch::base, .paced = true});
    pair.settle();
}

/// Its pair hears the peer there. A way that is not validated is nobody's yet.
bool Ways::is_alive(Instant now, const Way& way)
{
    const path::Pair& pair = way.pair->pair();
    return pair.is_validated(way.carrier) &&
           pair.is_alive(way.carrier, now - silence_before_takeover);
}

/// For one more, if there are no more than `most` then. The one in use stays.
void Ways::make_room(Instant now, Direct& direct, std::size_t most)
{
    while (direct.ways.size() >= most) {
        auto oldest = std::ranges::find_if(direct.ways, [&](const WayName& name) {
            const Way& way = ways_.at(name);
            return !way.pair->pair().uses(way.carrier);
        });
        if (oldest == direct.ways.end())
            oldest = direct.ways.begin();
        close(now, WayName{*oldest});
        direct.ways.erase(oldest);
    }
}

bool Ways::open_relay(Instant now, CarriedPair& pair, const SocketPtr& socket,
                      const SocketAddress& gateway, const wire::RelayTag& tag)
{
    const WayName name{.socket = socket->id, .remote = gateway, .tag = tag};
    if (const auto known = ways_.find(name); known != ways_.end()) {
        known->second.pair->pair().handle_carrier_restored(now, known->second.carrier);
        pair.settle();
        return false;
    }
    close_relay(now, pair);
    const path::CarrierId carrier = pair.next_carrier();
    ways_.emplace(name, Way{&pair, carrier, socket, nullptr, {}});
    pair.pair().add_carrier(
        now, carrier,
        {.kind = path::CarrierKind::udp_relay, .mtu = path::MtuSearch::base, .paced = true});
    pair.settle();
    return true;
}

void Ways::close_relay(Instant now, CarriedPair& pair)
{
    const auto way = std::ranges::find_if(ways_, [&](const auto& entry) {
        return entry.second.pair == &pair && entry.first.tag != wire::RelayTag{};
    });
    if (way != ways_.end())
        close(now, WayName{way->first});
}

void Ways::close(Instant now, CarriedPair& pair)
{
    close_relay(now, pair);
    const auto direct = direct_.find(&pair);
    if (direct == direct_.end())
        return;
    const std::deque<WayName> names = std::move(direct->second.ways);
    direct_.erase(direct);
    for (const WayName& name : names)
        close(now, name);
}

void Ways::close(Instant now, const WayName& name)
{
    const auto way = ways_.extract(name);
    if (way.empty())
        return;
    CarriedPair& pair = *way.mapped().pair;
    pair.pair().remove_carrier(now, way.mapped().carrier);
    pair.settle();
}

std::string Ways::obstacle(CarriedPair& pair) const
{
    const auto direct = direct_.find(&pair);
    if (direct == direct_.end() || direct->second.ways.empty())
        return "";
    const bool slower = std::ranges::any_of(direct->second.ways, [&](const WayName& name) {
        return pair.pair().is_left_for_faster(ways_.at(name).carrier);
    });
    return slower ? "there is one, but the relay is much faster"
                  : "there is one, but at the moment nothing comes through";
}

// ---- in

bool Ways::is_size_probe(const WayName& name, Bytes datagram) const
{
    const auto way = ways_.find(name);
    return way != ways_.end() && way->second.channel != nullptr &&
           wire::probe_id(datagram) == way->second.channel->id();
}

void Ways::handle_size_probe(Instant now, const WayName& name, const nat::ProbeChannel& channel,
                             const wire::Probe& probe, std::size_t size)
{
    const auto found = ways_.find(name);
    if (found == ways_.end() || found->second.channel != &channel)
        return;
    Way& way = found->second;
    if (probe.kind == wire::ProbeKind::fits) {
        if (way.mtu_search && way.mtu_search->handle_answer(now, probe.token))
            way.pair->pair().set_mtu(now, way.carrier, way.mtu_search->mtu());
    } else if (probe.token == size) {
        sockets_->send_probe(*way.socket, *way.channel,
                             {.kind = wire::ProbeKind::fits, .token = probe.token, .seen = {}},
                             name.remote);
    }
}

void Ways::handle_packets(Instant now, const WayName& name, const Arrival& arrival)
{
    const auto way = ways_.find(name);
    if (way == ways_.end())
        return;
    CarriedPair& pair = *way->second.pair;
    pair.pair().handle_packets(now, way->second.carrier, arrival.train, arrival.segment_size,
                               arrival.ecn);
    pair.settle();
}

// ---- out

void Ways::handle_timeout(Instant now)
{
    for (auto& [name, way] : ways_)
        search_mtu(now, name, way);
}

void Ways::search_mtu(Instant now, const WayName& name, Way& way)
{
    if (way.channel == nullptr || !way.pair->pair().is_validated(way.carrier))
        return;
    if (!way.mtu_search)
        way.mtu_search.emplace(now, name.remote.ip.is_v4());
    const std::size_t before = way.mtu_search->mtu();
    doubt_mtu(now, way);
    way.mtu_search->handle_timeout(now);
    while (const auto size = way.mtu_search->poll_transmit())
        sockets_->send_size_probe(*way.socket, *way.channel, name.remote, *size);
    if (way.mtu_search->mtu() != before)
        way.pair->pair().set_mtu(now, way.carrier, way.mtu_search->mtu());
}

/// What is lost may be lost for its size.
void Ways::doubt_mtu(Instant now, Way& way)
{
    const path::Pair& pair = way.pair->pair();
    if (now >= pair.doubtful_at(way.carrier))
        way.mtu_search->handle_doubt(now);
    if (std::exchange(way.in_use, pair.uses(way.carrier)) && !way.in_use)
        way.mtu_search->handle_left(now);
}

Train Ways::poll_transmit(Instant now, MutableBytes block)
{
    if (ways_.empty())
        return {};
    auto it = ways_.upper_bound(last_served_);
    if (it == ways_.end())
        it = ways_.begin();
    auto& [name, way] = *it;
    last_served_ = name;
    CarriedPair& pair = *way.pair;
    const auto train = pair.pair().poll_transmit(now, way.carrier, block);
    if (train.segment_size > path::MtuSearch::base && way.mtu_search)
        way.mtu_search->handle_large_packets(now);
    pair.drain_events(); // the way may be gone now
    return {.way = last_served_,
            .size = train.size,
            .segment_size = train.segment_size,
            .ecn = train.ecn};
}

Instant Ways::deadline() const
{
    Instant next = never;
    for (const auto& [name, way] : ways_)
        if (way.mtu_search)
            next = std::min({next, way.mtu_search->deadline(),
                             std::max(way.pair->pair().doubtful_at(way.carrier),
                                      way.mtu_search->may_doubt_at())});
    return next;
}

} // namespace narrowlink::direct
