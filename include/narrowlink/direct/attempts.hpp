#pragma once

#include "narrowlink/direct/gateway_probes.hpp"
#include "narrowlink/direct/ways.hpp"
#include "narrowlink/nat/packet_budget.hpp"
#include "narrowlink/nat/puncher.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace narrowlink::direct {

/// A node's attempts to open direct ways, one per pair at a time, as the gateway asks for them; and
/// when a client should ask for more.
///
/// Contract: call handle_timeout() at deadline() and after every other call.
class Attempts {
public:
    /// What the owner is told; called from within handle_timeout().
    class Owner {
    public:
        virtual ~Owner() = default;
        /// This client has lost its direct path to the peer, or has not found one: ask the gateway
        /// for another attempt.
        virtual void handle_meeting_due(CarriedPair&) = 0;
        /// An attempt of this client has ended.
        virtual void handle_punched(CarriedPair&, std::uint32_t attempt, bool opened) = 0;

        /// For the log. An agent is told of each that the client may choose.
        virtual void handle_way_opened(CarriedPair&, const nat::Puncher::Opened&) {}
    };

    /// All must outlive it.
    Attempts(control::Role role, SocketTable& sockets, GatewayProbes& gateway, Ways& ways,
             Owner& owner)
        : role_{role}, sockets_{&sockets}, gateway_{&gateway}, ways_{&ways}, owner_{&owner}
    {
    }

    /// Begins one, and ends the one before. `connected` as in nat::may_probe().
    void punch(Instant now, const control::Punch&, CarriedPair&,
               std::span<const IpPrefix> connected);

    /// The targets of the attempt, if it has waited for them.
    void aim(Instant now, const control::Aim&, CarriedPair&);

    /// There is no way that an attempt could find.
    void handle_unreachable(const control::Unreachable&, CarriedPair&);

    /// Why those of this pair came to nothing, as the end of a sentence.
    [[nodiscard]] std::string obstacle(CarriedPair&) const;

    /// The gateway has said that there is no way, and nothing is being tried.
    [[nodiscard]] bool is_unreachable(CarriedPair&) const;

    /// The network may be another one.
    void start_over();

    /// The pair goes away. Its ways have to be closed before.
    void forget(CarriedPair&);

    /// May begin with a probe. Returns whether it is one of ours, whatever its seal says.
    bool handle_probe(Instant now, const wire::ProbeId&, const Socket&, const SocketAddress& from,
                      Bytes datagram);

    void handle_timeout(Instant now);
    [[nodiscard]] Instant deadline() const;

private:
    struct Peer {
        nat::ProbeChannel channel;
        nat::Puncher puncher;
        Instant meet_at = never;     ///< client: when to ask for another attempt
        std::size_t meetings = 0;    ///< since the last direct path
        bool has_candidates = false; ///< did the gateway see the peer?
        std::uint32_t attempt = 0;
        bool reported = false;               ///< how the attempt has ended
        bool has_failed = false;             ///< one of them
        bool fresh = false;                  ///< it uses `sockets`, else the main ones
        std::vector<SocketPtr> sockets = {}; ///< by their number
        std::string unreachable = {};        ///< why, if the gateway says so
    };

    Peer& begin(const control::Punch&, CarriedPair&, nat::Puncher);
    void open_sockets(const control::Punch&, Peer&);
    void close_sockets(Peer&);
    [[nodiscard]] SocketPtr socket_of(const Peer&, unsigned number, const SocketAddress& to) const;
    void transmit(Instant now, Peer&, const nat::Puncher::Transmit&);
    void handle_event(Instant now, CarriedPair&, Peer&, const nat::Puncher::Event&);
    void arrange_meeting(Instant now, CarriedPair&, Peer&);

    control::Role role_;
    SocketTable* sockets_;
    GatewayProbes* gateway_;
    Ways* ways_;
    Owner* owner_;
    std::map<CarriedPair*, Peer> peers_;
    std::map<wire::ProbeId, CarriedPair*> channels_;
    std::map<CarriedPair*, std::string> unreachable_; ///< those without an attempt
    std::size_t open_sockets_ = 0;
    /// Of all attempts together: the router before this node has to bear it.
    nat::PacketBudget budget_{nat::packets_per_second, nat::packets_per_second};
};

} // namespace narrowlink::direct
