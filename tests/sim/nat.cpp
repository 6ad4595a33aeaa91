// Theory of operation
//
// As Linux does it, because the routers of tests/lab are Linux: a flow is a local and a remote
// address; the first packet of a flow looks for a mapping that it may share (RFC 4787 §4.1) and
// makes one if there is none; every packet keeps flow and mapping for another lifetime. What comes
// in needs a flow that the filtering (§5) accepts for it.
//
// An open INPUT: a packet that nobody has asked for makes a flow of the router's own. The next
// packet from inside that would need the same mapped and remote address gets another port.

#include "nat.hpp"

#include <algorithm>
#include <array>

namespace narrowlink::sim {
namespace {

using nat::Allocation;
using nat::Filtering;

constexpr nat::Mapping eim = nat::Mapping::endpoint_independent;
constexpr nat::Mapping adm = nat::Mapping::address_dependent;
constexpr nat::Mapping apdm = nat::Mapping::address_and_port_dependent;
constexpr Filtering eif = Filtering::endpoint_independent;
constexpr Filtering adf = Filtering::address_dependent;

constexpr std::array<std::uint16_t, 2> web_and_dns{53, 443};

constexpr std::array kinds{
    NatKind{.name = "public",
            .has_router = false,
            .mapping = nat::Mapping::none,
            .filtering = Filtering::none},
    NatKind{.name = "public_firewall", .mapping = nat::Mapping::none},
    NatKind{
        .name = "ipv6_firewall", .has_v4 = false, .has_v6 = true, .mapping = nat::Mapping::none},
    NatKind{.name = "full_cone", .filtering = eif},
    NatKind{.name = "full_cone_hairpin", .filtering = eif, .hairpins = true},
    NatKind{.name = "address_restricted", .filtering = adf},
    NatKind{.name = "port_restricted"},
    NatKind{.name = "port_restricted_open_input", .open_input = true},
    // What it answers to strangers, ICMP, is nothing that a node would listen to.
    NatKind{.name = "port_restricted_reject"},
    NatKind{.name = "endpoint_independent_random", .allocation = Allocation::random},
    NatKind{.name = "address_dependent_random", .mapping = adm, .allocation = Allocation::random},
    NatKind{.name = "symmetric_sequential",
            .mapping = apdm,
            .allocation = Allocation::sequential,
            .first_port = 40'000,
            .last_port = 43'999},
    NatKind{.name = "symmetric_block",
            .mapping = apdm,
            .allocation = Allocation::block,
            .first_port = 20'480,
            .last_port = 20'991},
    NatKind{.name = "symmetric_random", .mapping = apdm, .allocation = Allocation::random},
    NatKind{.name = "address_pool", .mapping = apdm, .addresses = 4},
    NatKind{.name = "udp_blocked", .udp = false},
    NatKind{.name = "udp_443_only", .udp_ports = web_and_dns},
};

} // namespace

std::span<const NatKind> nat_kinds()
{
    return kinds;
}

const NatKind& nat_kind(std::string_view name)
{
    return *std::ranges::find(kinds, name, &NatKind::name);
}

Nat::Nat(NatKind kind, std::vector<IpAddress> external, std::uint64_t seed)
    : kind_{kind}, external_{std::move(external)}, dice_{seed}
{
    counted_ = static_cast<std::uint32_t>(dice_.below(1'000));
}

bool Nat::owns(const IpAddress& ip) const
{
    return kind_.translates() && std::ranges::find(external_, ip) != external_.end();
}

bool Nat::lets_out(const SocketAddress& remote) const
{
    return kind_.udp && (kind_.udp_ports.empty() ||
                         std::ranges::find(kind_.udp_ports, remote.port) != kind_.udp_ports.end());
}

Nat::Key Nat::key_of(const SocketAddress& local, const SocketAddress& remote) const
{
    Key key{local, {}};
    if (kind_.mapping == adm || kind_.mapping == apdm)
        key.second.ip = remote.ip;
    if (kind_.mapping == apdm)
        key.second.port = remote.port;
    return key;
}

std::optional<SocketAddress> Nat::outbound(Instant now, SocketAddress local, SocketAddress remote)
{
    if (!lets_out(remote))
        return std::nullopt;
    const auto known = flows_.find({local, remote});
    if (known != flows_.end() && known->second.expires >= now) {
        touch(now, local, remote, known->second);
        return known->second.mapped;
    }
    if (known != flows_.end()) {
        returns_.erase({known->second.mapped, remote});
        flows_.erase(known);
    }
    SocketAddress mapped = kind_.translates() ? mapping_of(now, local, remote) : local;
    if (is_poisoned(now, mapped, remote))
        do
            mapped.port = static_cast<std::uint16_t>(dice_.between(1'024, 65'535));
        while (is_taken(now, mapped, local, remote) || is_poisoned(now, mapped, remote));
    Flow& flow = flows_[{local, remote}];
    flow.mapped = mapped;
    returns_.insert_or_assign({mapped, remote}, local);
    touch(now, local, remote, flow);
    return mapped;
}

SocketAddress Nat::mapping_of(Instant now, const SocketAddress& local, const SocketAddress& remote)
{
    const Key key = key_of(local, remote);
    const auto known = mappings_.find(key);
    if (known != mappings_.end() && known->second.expires >= now)
        return known->second.mapped;
    if (known != mappings_.end())
        owners_.erase(known->second.mapped);
    const SocketAddress mapped = allocate(now, local, remote);
    mappings_.insert_or_assign(key, Mapping{mapped, now});
    if (kind_.mapping == eim)
        owners_.insert_or_assign(mapped, local);
    return mapped;
}

SocketAddress Nat::allocate(Instant now, const SocketAddress& local, const SocketAddress& remote)
{
    const auto pick =
        static_cast<std::size_t>(external_.size() == 1 ? 0 : dice_.below(external_.size()));
    SocketAddress mapped{external_[pick], next_port(local)};
    // A port that is taken cannot be kept; the next one of a counter, or another random one, may
    // be.
    while (is_taken(now, mapped, local, remote))
        mapped.port = kind_.allocation == Allocation::preserving
                          ? static_cast<std::uint16_t>(dice_.between(1'024, 65'535))
                          : next_port(local);
    return mapped;
}

std::uint16_t Nat::next_port(const SocketAddress& local)
{
    if (kind_.allocation == Allocation::preserving)
        return local.port;
    const std::uint32_t ports = kind_.last_port - kind_.first_port + 1U;
    if (kind_.allocation != Allocation::sequential)
        return static_cast<std::uint16_t>(kind_.first_port + dice_.below(ports));
    counted_ = (counted_ + ports + static_cast<std::uint32_t>(kind_.delta)) % ports;
    return static_cast<std::uint16_t>(kind_.first_port + counted_);
}

bool Nat::is_taken(Instant now, const SocketAddress& mapped, const SocketAddress& local,
                   const SocketAddress& remote) const
{
    if (const auto other = returns_.find({mapped, remote}); other != returns_.end()) {
        const auto flow = flows_.find({other->second, remote});
        if (other->second != local && flow != flows_.end() && flow->second.expires >= now)
            return true;
    }
    const auto owner = owners_.find(mapped);
    if (kind_.mapping != eim || owner == owners_.end() || owner->second == local)
        return false;
    const auto mapping = mappings_.find({owner->second, {}});
    return mapping != mappings_.end() && mapping->second.expires >= now;
}

bool Nat::is_poisoned(Instant now, const SocketAddress& mapped, const SocketAddress& remote) const
{
    const auto poisoned = poisoned_.find({mapped, remote});
    return poisoned != poisoned_.end() && poisoned->second >= now;
}

void Nat::touch(Instant now, const SocketAddress& local, const SocketAddress& remote, Flow& flow)
{
    flow.expires = now + (flow.answered ? kind_.stream : kind_.unanswered);
    const auto mapping = mappings_.find(key_of(local, remote));
    if (mapping != mappings_.end())
        mapping->second.expires = std::max(mapping->second.expires, flow.expires);
}

std::optional<SocketAddress> Nat::inbound(Instant now, SocketAddress remote, SocketAddress mapped)
{
    if (!kind_.udp)
        return std::nullopt;
    if (kind_.filtering == Filtering::none)
        return mapped;
    // Those of one mapped address stand together, by remote address.
    SocketAddress first = remote;
    if (kind_.filtering == eif)
        first = {};
    else if (kind_.filtering == adf)
        first.port = 0;
    const auto accepts = [&](const SocketAddress& partner) {
        return partner == remote || kind_.filtering == eif ||
               (kind_.filtering == adf && partner.ip == remote.ip);
    };
    std::optional<SocketAddress> local;
    for (auto it = returns_.lower_bound({mapped, first});
         !local && it != returns_.end() && it->first.first == mapped && accepts(it->first.second);
         ++it) {
        const auto flow = flows_.find({it->second, it->first.second});
        if (flow != flows_.end() && flow->second.expires >= now)
            local = it->second;
    }
    if (local)
        if (const auto flow = flows_.find({*local, remote});
            flow != flows_.end() && flow->second.mapped == mapped) {
            flow->second.answered = true;
            touch(now, *local, remote, flow->second);
        }
    if (!local && kind_.open_input && owns(mapped.ip))
        poisoned_.insert_or_assign({mapped, remote}, now + kind_.unanswered);
    return local;
}

void Nat::reboot()
{
    mappings_.clear();
    owners_.clear();
    flows_.clear();
    returns_.clear();
    poisoned_.clear();
}

void Nat::set_lifetime(Duration unanswered, Duration stream)
{
    kind_.unanswered = unanswered;
    kind_.stream = stream;
}

} // namespace narrowlink::sim
