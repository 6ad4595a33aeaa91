#include "narrowlink/nat/address_scope.hpp"

#include <algorithm>
#include <array>

namespace narrowlink::nat {
namespace {

template <std::size_t N>
bool is_in(const IpAddress& ip, const std::array<const char*, N>& prefixes)
{
    return std::ranges::any_of(
        prefixes, [&](const char* prefix) { return IpPrefix::parse(prefix)->contains(ip); });
}

/// RFC 4291 §2.4 has those that are not; link-local ones mean nothing without a zone.
bool is_unicast_v6(const IpAddress& ip)
{
    return !ip.is_v4() && !is_in(ip, std::array{"::/128", "::1/128", "fe80::/10", "ff00::/8"});
}

} // namespace

bool is_unicast_v4(const IpAddress& ip)
{
    return ip.is_v4() && !is_in(ip, std::array{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                                               "224.0.0.0/4", "240.0.0.0/4"});
}

bool is_public(const IpAddress& ip)
{
    return is_unicast_v4(ip) && !is_private(ip) && !is_of_carrier(ip);
}

bool is_private(const IpAddress& ip)
{
    return is_in(ip, std::array{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"});
}

bool is_of_carrier(const IpAddress& ip)
{
    return is_in(ip, std::array{"100.64.0.0/10"});
}

bool may_probe(const Candidate& candidate, std::span<const IpPrefix> connected)
{
    const IpAddress& ip = candidate.address.ip;
    switch (candidate.kind) {
    case CandidateKind::host:
        return std::ranges::any_of(connected, [&](const IpPrefix& net) { return net.contains(ip); });
    case CandidateKind::inside: return is_of_carrier(ip);
    case CandidateKind::host_v6:
    case CandidateKind::mapped:
    case CandidateKind::observed:
    case CandidateKind::reflexive: break;
    }
    // Everything may run on one machine: then the gateway sees all of it at loopback addresses.
    return is_unicast_v4(ip) || is_unicast_v6(ip) || is_in(ip, std::array{"127.0.0.0/8", "::1/128"});
}

} // namespace narrowlink::nat
