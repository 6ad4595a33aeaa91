#pragma once

#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/direct/attempts.hpp"
#include "narrowlink/direct/gateway_probes.hpp"
#include "narrowlink/direct/survey_runner.hpp"
#include "narrowlink/direct/ways.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>

namespace narrowlink::direct {

/// A node's UDP side: a main socket per address family, on which the gateway's probe service sees
/// the node, holes are punched, and direct carriers run; and the fresh ones that a survey asks for.
///
/// Contract: after each call, and at deadline(), call handle_timeout(), then drain poll_transmit().
class Node {
public:
    /// What the owner is told.
    class Owner : public Attempts::Owner, public SurveyRunner::Owner {
    public:
        /// For the log: packets of this pair may go as datagrams to this port of the gateway.
        virtual void handle_relay_opened(CarriedPair&, const SocketAddress&) {}
    };

    /// Opens the main sockets. All must outlive it.
    Node(control::Role role, Sockets& sockets, Owner& owner, Random& random);
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// Begins to probe the gateway, which is at `gateway` unless the message says otherwise.
    void observe(const control::Observe&, const IpAddress& gateway);

    /// Probes as the gateway asks; what comes of it is told to it and to no one else.
    void survey(Instant now, const control::SurveyRequest&);

    /// What stands before this node, as the gateway has found out.
    void handle_nat(const control::NatDescription&);

    /// The port of the main socket; 0 where this family cannot be had.
    [[nodiscard]] std::uint16_t main_port(bool v4) const;

    /// `own`, the addresses of this host, with the ports of our main sockets; behind a second NAT
    /// also where the router before this host is there (`router`); and the port that the router
    /// forwards.
    [[nodiscard]] control::Candidates candidates(std::span<const IpAddress> own,
                                                 const std::optional<PortMapping>& mapping = {},
                                                 const std::optional<IpAddress>& router = {}) const;

    /// The sockets of the gateway that have answered the main sockets, and where they see those.
    [[nodiscard]] std::map<SocketAddress, SocketAddress> gateway_answers() const
    {
        return gateway_.answers();
    }

    /// Looks for a direct path for this pair; what it finds becomes a carrier. `connected`: the
    /// networks that this host is in, the only ones where it looks for its peer inside.
    void punch(Instant now, const control::Punch&, CarriedPair&,
               std::span<const IpPrefix> connected = {});

    /// The targets of the attempt, if it has waited for them.
    void aim(Instant now, const control::Aim& message, CarriedPair& pair)
    {
        attempts_.aim(now, message, pair);
    }

    /// The gateway takes packets of this pair as datagrams; `tag` is what our connection IDs in
    /// this pair begin with.
    void relay(Instant now, CarriedPair&, const wire::RelayTag& tag);

    /// There is no way that an attempt could find.
    void handle_unreachable(const control::Unreachable& message, CarriedPair& pair)
    {
        attempts_.handle_unreachable(message, pair);
    }

    /// Why there is no direct path for this pair, as the end of a sentence.
    [[nodiscard]] std::string obstacle(CarriedPair&) const;

    /// That will stay so while neither end's network changes.
    [[nodiscard]] bool is_unreachable(CarriedPair& pair) const
    {
        return attempts_.is_unreachable(pair);
    }

    /// The pair goes away.
    void forget(Instant now, CarriedPair&);

    /// This host has other addresses or routes than before: everything is found out anew.
    void handle_network_changed(Instant now);

    void handle_train(Instant now, SocketId, const SocketAddress& from, const Arrival&);
    void handle_timeout(Instant now);

    /// How many calls of poll_transmit() without a result mean that there is nothing to send.
    [[nodiscard]] std::size_t way_count() const { return ways_.size(); }

    /// Fills `block` with a train of the next way in turn; size 0 when that one has none.
    Train poll_transmit(Instant now, MutableBytes block) { return ways_.poll_transmit(now, block); }

    /// False: what is left of a train of this way need not be sent.
    [[nodiscard]] bool has_way(const WayName& name) const { return ways_.contains(name); }

    [[nodiscard]] Instant deadline() const;

private:
    [[nodiscard]] std::optional<WayName> way_of(SocketId, const SocketAddress& from,
                                                Bytes datagram) const;
    bool handle_probe(Instant now, SocketId, const SocketAddress& from, Bytes datagram);

    Owner* owner_;
    SocketTable sockets_;
    GatewayProbes gateway_;
    SurveyRunner survey_;
    Ways ways_;
    Attempts attempts_;
};

} // namespace narrowlink::direct
