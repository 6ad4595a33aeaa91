#pragma once

#include "narrowlink/control/message.hpp"
#include "narrowlink/control/node_view.hpp"
#include "narrowlink/nat/technique.hpp"

#include <optional>
#include <string>
#include <vector>

namespace narrowlink::control {

/// One end of a pair, as the gateway sees it.
struct PairEnd {
    const NodeView* v4;
    const NodeView* v6;
    const std::vector<SocketAddress>* own; ///< addresses that it says it has
    const std::optional<MappedPort>* mapped = nullptr; ///< that it says its router forwards

    [[nodiscard]] const NodeView& view(Family family) const
    {
        return family == Family::v4 ? *v4 : *v6;
    }
};

struct PairEnds {
    PairEnd client, agent;
};

/// A step of nat::choose() in one address family; a is the client.
struct Rung {
    Family family = Family::v4;
    nat::Step step;

    bool operator==(const Rung&) const = default;
};

/// What can be tried while what stands before an end is not known.
Rung first_rung();

/// Is what stands before both ends known, for every family in which both are seen?
bool is_surveyed(const PairEnds&);

/// What to try for this pair, in order: addresses as they are before anything that guesses, IPv6
/// before IPv4.
std::vector<Rung> ladder_for(const PairEnds&);

/// The port that a router forwards to this end; only at an address where the gateway sees the end,
/// so that nobody can turn others against a third.
std::optional<SocketAddress> port_mapping_of(const PairEnd&);

/// Are both ends seen at one IPv4 address? Then they may reach each other behind it.
bool shares_address(const PairEnds&);

/// Why there is nothing to try, as the end of a sentence to the client's user; empty if there is.
std::string why_unreachable(const PairEnds&);

/// Where the sockets of an attempt were seen, as far as that has to be known.
struct Samples {
    std::optional<SocketAddress> client, agent;
};

/// What one end has to do in an attempt.
struct Orders {
    Punch punch;       ///< without the pair's name, channel, attempt and time
    bool aimed = true; ///< the targets are in it; else they depend on a sample of the peer
    Duration delay{};  ///< how much later than the other it begins
    Duration time{};   ///< from then on
};

struct AttemptOrders {
    Orders client, agent;
};

/// To be computed again when a sample has come.
AttemptOrders orders_for(const Rung&, const PairEnds&, const Samples&);

} // namespace narrowlink::control
