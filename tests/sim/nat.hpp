#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/nat/behaviour.hpp"
#include "world.hpp"

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace narrowlink::sim {

/// A kind of router, in the words of RFC 4787. The kinds are those of tests/lab/README.md.
struct NatKind {
    std::string_view name;
    bool has_router = true; ///< else the host itself has the public address
    bool has_v4 = true, has_v6 = false;

    nat::Mapping mapping = nat::Mapping::endpoint_independent;             ///< §4.1
    nat::Filtering filtering = nat::Filtering::address_and_port_dependent; ///< §5
    nat::Allocation allocation = nat::Allocation::preserving;              ///< §4.2
    int delta = 1;                                        ///< of sequential allocation
    std::uint16_t first_port = 1'024, last_port = 65'535; ///< of all others but preserving
    unsigned addresses = 1; ///< external ones, of which each mapping gets any (§4.1, "arbitrary")
    bool hairpins = false;  ///< §6, with the external address as source (REQ-9b)

    /// What comes unasked is taken for a flow of the router's own: an answer from the usual mapping
    /// is given another port as long as that lasts.
    bool open_input = false;
    bool udp = true;
    std::span<const std::uint16_t> udp_ports; ///< remote ones that UDP may go to; empty: all

    Duration unanswered = seconds{30}; ///< how long a flow is remembered before its first answer
    Duration stream = minutes{2};      ///< and after

    [[nodiscard]] bool translates() const { return mapping != nat::Mapping::none; }
};

/// In the order of tests/lab/nat_lab/recipes.py.
std::span<const NatKind> nat_kinds();

/// Requires: there is one.
const NatKind& nat_kind(std::string_view name);

/// One router: its table of flows, and what becomes of a UDP datagram that reaches it. A value: a
/// copy goes its own way.
class Nat {
public:
    /// `external`: as many IPv4 addresses as the kind has; ignored if it does not translate.
    Nat(NatKind kind, std::vector<IpAddress> external, std::uint64_t seed);

    [[nodiscard]] const NatKind& kind() const { return kind_; }

    [[nodiscard]] bool owns(const IpAddress& ip) const;

    /// A datagram from inside: the source that it leaves with. Nothing: it is dropped.
    std::optional<SocketAddress> outbound(Instant now, SocketAddress local, SocketAddress remote);

    /// A datagram from outside: whom it is for. Nothing: it is dropped.
    std::optional<SocketAddress> inbound(Instant now, SocketAddress remote, SocketAddress mapped);

    /// Forgets every mapping.
    void reboot();

    void set_lifetime(Duration unanswered, Duration stream);

private:
    /// The local end of a mapping and as much of the remote one as it depends on.
    using Key = std::pair<SocketAddress, SocketAddress>;

    struct Mapping {
        SocketAddress mapped;
        Instant expires;
    };

    struct Flow {
        SocketAddress mapped;
        Instant expires;
        bool answered = false;
    };

    [[nodiscard]] bool lets_out(const SocketAddress& remote) const;
    [[nodiscard]] Key key_of(const SocketAddress& local, const SocketAddress& remote) const;
    SocketAddress mapping_of(Instant now, const SocketAddress& local, const SocketAddress& remote);
    SocketAddress allocate(Instant now, const SocketAddress& local, const SocketAddress& remote);
    std::uint16_t next_port(const SocketAddress& local);
    [[nodiscard]] bool is_taken(Instant now, const SocketAddress& mapped,
                                const SocketAddress& local, const SocketAddress& remote) const;
    [[nodiscard]] bool is_poisoned(Instant now, const SocketAddress& mapped,
                                   const SocketAddress& remote) const;
    void touch(Instant now, const SocketAddress& local, const SocketAddress& remote, Flow&);

    NatKind kind_;
    std::vector<IpAddress> external_;
    Dice dice_;
    std::uint32_t counted_ = 0; ///< ports of sequential allocation that were given out
    std::map<Key, Mapping> mappings_;
    std::map<SocketAddress, SocketAddress>
        owners_; ///< mapped → local, where one mapping has it alone
    std::map<std::pair<SocketAddress, SocketAddress>, Flow> flows_; ///< local, remote
    /// mapped, remote → local: what is looked up when something comes in.
    std::map<std::pair<SocketAddress, SocketAddress>, SocketAddress> returns_;
    std::map<std::pair<SocketAddress, SocketAddress>, Instant> poisoned_; ///< mapped, remote
};

} // namespace narrowlink::sim
