#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/direct/socket_table.hpp"

#include <map>
#include <optional>
#include <vector>

namespace narrowlink::direct {

/// A node's talk with the gateway's probe service: from its main sockets it probes all of the
/// gateway's ports at first, and then the main one, so that the NAT keeps the mapping. Until the gateway is
/// known to have heard where they are, that comes soon, and then less and less often.
///
/// Contract: call handle_timeout() at deadline().
class GatewayProbes {
public:
    /// `sockets` must outlive it.
    GatewayProbes(control::Role role, SocketTable& sockets) : role_{role}, sockets_{&sockets} {}

    /// Begins anew. The gateway is at `gateway` unless the message says otherwise.
    void observe(const control::Observe&, const IpAddress& gateway);

    /// What stands before this node, as the gateway has found out.
    void handle_nat(const control::NatDescription&);

    /// All ports again: the network may be another one.
    void start_over(Instant now);

    /// Has the gateway offered its probe service?
    [[nodiscard]] bool is_offered() const { return gateway_.has_value(); }

    /// Has it answered a probe?
    [[nodiscard]] bool is_heard() const { return gateway_ && gateway_->answered; }

    /// Have all of the first probes been sent, and time to answer them passed?
    [[nodiscard]] bool is_overdue() const;

    /// The sockets of the gateway that have answered the main sockets, and where they see those.
    [[nodiscard]] std::map<SocketAddress, SocketAddress> answers() const;

    /// The gateway's main port, at the first address of the family in which it has answered last.
    [[nodiscard]] std::optional<SocketAddress> latest() const;

    /// Is this one of the gateway's main ports?
    [[nodiscard]] bool is_main_port(const SocketAddress&) const;

    /// Is this the id of our channel with the gateway?
    [[nodiscard]] bool is_channel(const wire::ProbeId&) const;

    /// A packet with that id. Returns what it says, empty for a forged one.
    std::optional<wire::Probe> handle_probe(Instant now, const Socket&, const SocketAddress& from,
                                            Bytes packet);

    void send_survey_probe(const Socket&, nat::GatewaySocket to);

    /// Sends a probe of an attempt to the main port, in the socket's family.
    void send_sample(const Socket&, nat::ProbeChannel&, const wire::Probe&);

    void handle_timeout(Instant now);

    [[nodiscard]] Instant deadline() const { return gateway_ ? gateway_->due : never; }

private:
    /// That a main socket is where the gateway sees it.
    struct Proof {
        std::uint64_t cookie = 0; ///< what the gateway wants to be told next
        bool is_heard = false;    ///< it has been
    };

    struct Gateway {
        nat::ProbeChannel channel;
        std::vector<std::uint16_t> ports;
        std::vector<IpAddress> addresses;
        std::size_t rounds = 0; ///< of probes to all of them
        bool answered = false;
        std::map<SocketAddress, SocketAddress> answers; ///< by which of its sockets, what it sees
        Instant due{};
        Instant sent_at{}; ///< the latest round
        Duration retry_interval{};
        Proof proof_v4, proof_v6;
        Instant may_prove_at{};                     ///< the next new cookie, before its time
        std::map<IpAddress, unsigned> proofs;       ///< sent from other sockets, by external address
        std::optional<SocketAddress> latest;        ///< main port from which it has answered last

        Proof& proof(bool v4) { return v4 ? proof_v4 : proof_v6; }
    };

    [[nodiscard]] bool is_first_main_port(const SocketAddress&) const;
    void handle_observed(Instant now, bool v4, const wire::Probe&);
    [[nodiscard]] bool is_placed();
    void prove_address(const Socket&, const SocketAddress& gateway, const wire::Probe&);

    [[nodiscard]] Duration keep_alive_interval() const;

    control::Role role_;
    SocketTable* sockets_;
    std::optional<Gateway> gateway_;
    std::map<control::Family, nat::MappingLifetime> lifetimes_; ///< as the gateway says
};

/// How a node of this role signs its probes.
wire::ProbeSender probe_sender(control::Role);

} // namespace narrowlink::direct
