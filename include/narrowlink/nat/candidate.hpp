#pragma once

#include "narrowlink/base/address.hpp"

#include <optional>
#include <string_view>

namespace narrowlink::nat {

/// Where a peer may be reached, and how that is known (as RFC 8445 §5.1.1). The best first.
enum class CandidateKind {
    host_v6,   ///< an IPv6 address of its own
    host,      ///< an address in its own network, for peers in the same
    mapped,    ///< a port that its router forwards (NAT-PMP, UPnP-IGD)
    observed,  ///< where the gateway has seen it
    inside,    ///< between its own NAT and its provider's, for peers behind the same provider's
    reflexive, ///< where a probe of it came from
};

std::string_view to_string(CandidateKind);
std::optional<CandidateKind> parse_candidate_kind(std::string_view text);

struct Candidate {
    SocketAddress address;
    CandidateKind kind = CandidateKind::observed;

    bool operator==(const Candidate&) const = default;
};

} // namespace narrowlink::nat
