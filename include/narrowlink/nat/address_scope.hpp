#pragma once

#include "narrowlink/nat/candidate.hpp"

#include <span>

namespace narrowlink::nat {

/// Can a host or a router have this IPv4 address (RFC 6890 §2.2.2)? Not loopback and link-local ones.
bool is_unicast_v4(const IpAddress&);

/// Is this an address of the public Internet, as far as one can see? Not those of private networks
/// (RFC 1918), of carriers' NATs (RFC 6598), link-local and loopback ones. IPv4 only.
bool is_public(const IpAddress&);

/// Is this an address of a private network (RFC 1918)? IPv4 only.
bool is_private(const IpAddress&);

/// Is this an address between a home's NAT and its provider's (RFC 6598 §7)?
bool is_of_carrier(const IpAddress&);

/// May a node send probes there, whatever the gateway says? Not to groups and not to this host
/// itself or nobody; `host` ones only in a network that the node is in itself (`connected`), `inside`
/// ones only between two NATs: else a peer or a gateway could have it scan its owner's networks.
bool may_probe(const Candidate&, std::span<const IpPrefix> connected);

} // namespace narrowlink::nat
