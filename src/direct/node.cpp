// Theory of operation
//
// Goal: probes and QUIC on one socket, so that the hole which the probes open is the one that QUIC
// uses, and that either kind of packet keeps it open.
//
// A datagram with the size of a probe and an id we know is one, whatever its seal says. So is a
// longer one with the id of the pair whose way it comes by: a probe of that way's MTU. Everything
// else belongs to the carrier of its source address; from other addresses nothing is taken, not
// even a packet that QUIC would call authentic: addresses become carriers by a probe. What comes
// from the gateway's main port belongs to the pair that its tag names.
//
// Surveys, attempts and ways have their parts; this one puts them together.

#include "narrowlink/direct/node.hpp"

#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>

namespace narrowlink::direct {

Node::Node(control::Role role, Sockets& sockets, Owner& owner, Random& random)
    : owner_{&owner}
    , sockets_{sockets, random}
    , gateway_{role, sockets_}
    , survey_{sockets_, gateway_, owner}
    , ways_{role, sockets_}
    , attempts_{role, sockets_, gateway_, ways_, owner}
{
}

std::uint16_t Node::main_port(bool v4) const
{
    const SocketPtr& socket = sockets_.main(v4);
    return socket ? socket->port : std::uint16_t{0};
}

control::Candidates Node::candidates(std::span<const IpAddress> own,
                                     const std::optional<PortMapping>& mapping,
                                     const std::optional<IpAddress>& router) const
{
    control::Candidates candidates;
    std::vector<SocketAddress>& addresses = candidates.addresses;
    const auto add = [&addresses](const SocketAddress& address) {
        if (address.port != 0 && addresses.size() < control::max_candidates)
            addresses.push_back(address);
    };
    for (const IpAddress& ip : own)
        add({ip, main_port(ip.is_v4())});
    if (mapping && nat::is_public(mapping->external.ip))
        candidates.mapped = {mapping->external, std::string{to_string(mapping->protocol)}};
    else if (mapping)
        add(mapping->external);
    else if (router && !nat::is_public(*router))
        add({*router, main_port(true)}); // most routers keep the port
    return candidates;
}

void Node::observe(const control::Observe& message, const IpAddress& gateway)
{
    gateway_.observe(message, gateway);
    for (const control::Family family : {control::Family::v4, control::Family::v6})
        survey_.end(family);
}

void Node::survey(Instant now, const control::SurveyRequest& request)
{
    if (gateway_.is_offered())
        survey_.handle_request(now, request);
}

void Node::handle_nat(const control::NatDescription& nat)
{
    gateway_.handle_nat(nat);
    survey_.end(nat.family);
}

void Node::punch(Instant now, const control::Punch& message, CarriedPair& pair,
                 std::span<const IpPrefix> connected)
{
    if (!sockets_.empty())
        attempts_.punch(now, message, pair, connected);
}

void Node::relay(Instant now, CarriedPair& pair, const wire::RelayTag& tag)
{
    const auto remote = gateway_.latest();
    const SocketPtr socket = remote ? sockets_.main(remote->ip.is_v4()) : nullptr;
    if (socket && ways_.open_relay(now, pair, socket, *remote, tag))
        owner_->handle_relay_opened(pair, *remote);
}

std::string Node::obstacle(CarriedPair& pair) const
{
    if (sockets_.empty())
        return "this machine lets no UDP socket be opened";
    if (!gateway_.is_offered())
        return "the gateway has no probe service, or it is older than this client";
    if (!gateway_.is_heard())
        return gateway_.is_overdue() ? "UDP is blocked between this machine and the gateway"
                                     : "the gateway has not answered over UDP yet";
    const std::string unused = ways_.obstacle(pair);
    return unused.empty() ? attempts_.obstacle(pair) : unused;
}

void Node::forget(Instant now, CarriedPair& pair)
{
    ways_.close(now, pair);
    attempts_.forget(pair);
}

void Node::handle_network_changed(Instant now)
{
    gateway_.start_over(now);
    attempts_.start_over();
}

// ---- in

void Node::handle_train(Instant now, SocketId socket, const SocketAddress& from,
                        const Arrival& arrival)
{
    const Bytes train = arrival.train;
    // Packets of one way between probes stay together.
    std::size_t begin = 0;
    std::optional<WayName> name;
    const auto finish = [&](std::size_t end) {
        if (name && end > begin)
            ways_.handle_packets(
                now, *name, {train.subspan(begin, end - begin), arrival.segment_size, arrival.ecn});
        name.reset();
    };
    for (std::size_t at = 0; at < train.size();) {
        const Bytes datagram = train.subspan(at, std::min(arrival.segment_size, train.size() - at));
        const auto here = way_of(socket, from, datagram);
        if (here != name) {
            finish(at);
            begin = at;
            name = here;
        }
        const bool may_be_probe =
            datagram.size() == wire::probe_size || (here && ways_.is_size_probe(*here, datagram));
        if (may_be_probe && handle_probe(now, socket, from, datagram))
            finish(at); // what follows begins anew
        at += datagram.size();
    }
    finish(train.size());
}

std::optional<WayName> Node::way_of(SocketId socket, const SocketAddress& from,
                                    Bytes datagram) const
{
    if (!gateway_.is_main_port(from))
        return WayName{.socket = socket, .remote = from};
    const auto tag = wire::relay_tag_of(datagram);
    if (!tag)
        return std::nullopt;
    return WayName{.socket = socket, .remote = from, .tag = *tag};
}

bool Node::handle_probe(Instant now, SocketId id, const SocketAddress& from, Bytes datagram)
{
    const auto probe_id = wire::probe_id(datagram);
    const Socket* socket = sockets_.find(id);
    if (!probe_id || socket == nullptr)
        return false;
    if (!gateway_.is_channel(*probe_id))
        return attempts_.handle_probe(now, *probe_id, *socket, from, datagram);
    const auto probe = gateway_.handle_probe(now, *socket, from, datagram);
    if (probe && socket->use == Socket::Use::survey)
        survey_.handle_probe(*socket, *probe);
    return true;
}

// ---- out

void Node::handle_timeout(Instant now)
{
    gateway_.handle_timeout(now);
    survey_.handle_timeout(now);
    attempts_.handle_timeout(now);
    ways_.handle_timeout(now);
}

Instant Node::deadline() const
{
    return std::min(
        {gateway_.deadline(), survey_.deadline(), attempts_.deadline(), ways_.deadline()});
}

} // namespace narrowlink::direct
