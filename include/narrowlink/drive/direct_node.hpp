#pragma once

#include "narrowlink/control/message.hpp"
#include "narrowlink/drive/pair_driver.hpp"
#include "narrowlink/drive/port_mapper.hpp"
#include "narrowlink/drive/survey_runner.hpp"
#include "narrowlink/drive/udp_sockets.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/nat/probe_channel.hpp"
#include "narrowlink/nat/puncher.hpp"
#include "narrowlink/path/mtu_search.hpp"
#include "narrowlink/wire/relay_tag.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace narrowlink::drive {

/// A node's UDP side: a main socket per address family, on which the gateway's probe service sees the
/// node, holes are punched, and direct carriers run; and the fresh ones that a survey asks for.
///
/// Single-threaded.
class DirectNode final : SurveyRunner::Owner {
public:
    /// What the owner is told; called from within run().
    class Owner {
    public:
        virtual ~Owner() = default;
        /// This client has lost its direct path to the peer, or has not found one: ask the gateway for
        /// another attempt.
        virtual void handle_meeting_due(PairDriver&) = 0;
        /// For the gateway, of its survey.
        virtual void handle_survey_answer(const control::SurveyAnswer&) = 0;
        /// candidates() are others than before: tell the gateway.
        virtual void handle_addresses_changed() = 0;
        /// An attempt of this client has ended.
        virtual void handle_punched(PairDriver&, std::uint32_t attempt, bool opened) = 0;
    };

    /// `random` must outlive it.
    DirectNode(net::any_io_executor executor, control::Role role, Owner& owner, Random& random,
               PortMappingMode port_mapping = PortMappingMode::automatic);
    DirectNode(const DirectNode&) = delete;
    DirectNode& operator=(const DirectNode&) = delete;

    /// Until cancelled. Does nothing where no UDP socket can be had.
    net::awaitable<void> run();

    /// Begins to probe the gateway, which is at `gateway` unless the message says otherwise.
    void observe(const control::Observe&, const IpAddress& gateway);

    /// Probes as the gateway asks; what comes of it is told to it and to no one else.
    void survey(const control::SurveyRequest&);

    /// What stands before this node, as the gateway has found out.
    void handle_nat(const control::NatDescription&);

    /// The addresses of this host with the ports of our main sockets; behind a second NAT also
    /// where the router before this host is there; and the port that the router forwards.
    [[nodiscard]] control::Candidates candidates() const;

    /// The port that the router forwards to the main IPv4 socket.
    [[nodiscard]] const std::optional<PortMapping>& port_mapping() const
    {
        return mapper_.mapping();
    }

    /// The sockets of the gateway that have answered the main sockets, and where they see those.
    [[nodiscard]] std::map<SocketAddress, SocketAddress> gateway_answers() const;

    /// Looks for a direct path for this pair; what it finds becomes a carrier.
    void punch(const control::Punch&, PairDriver&);

    /// The targets of the attempt, if it has waited for them.
    void aim(const control::Aim&, PairDriver&);

    /// The gateway takes packets of this pair as datagrams; `tag` is what our connection IDs in this
    /// pair begin with.
    void relay(PairDriver&, const wire::RelayTag& tag);

    /// There is no way that an attempt could find.
    void handle_unreachable(const control::Unreachable&, PairDriver&);

    /// Why there is no direct path for this pair, as the end of a sentence.
    [[nodiscard]] std::string obstacle(PairDriver&) const;

    /// The driver goes away.
    void forget(PairDriver&);

    /// This host has other addresses or routes than before: everything is found out anew.
    void handle_network_changed();

    /// A pair may have something to send, or its carrier has changed.
    void wake() { egress_.set(); }

private:
    /// From which of our sockets to where.
    struct WayName {
        std::uint64_t socket; ///< DirectSocket::id
        SocketAddress remote;
        wire::RelayTag tag{}; ///< ours in this pair, on the way through the gateway

        auto operator<=>(const WayName&) const = default;
    };

    /// A carrier: direct, or through the gateway.
    struct Way {
        PairDriver* driver;
        path::CarrierId carrier;
        std::shared_ptr<DirectSocket> socket;
        std::optional<path::MtuSearch> mtu_search; ///< of direct ones
    };

    struct Peer {
        nat::ProbeChannel channel;
        nat::Puncher puncher;
        std::deque<WayName> ways;       ///< the oldest first
        std::size_t attempt_ways = 0;   ///< of them, those of the last attempt; at most
                                        ///< nat::Puncher::most_targets
        Instant meet_at = never;        ///< client: when to ask for another attempt
        std::size_t meetings = 0;       ///< since the last direct path
        bool has_candidates = false;    ///< did the gateway see the peer?
        std::uint32_t attempt = 0;
        bool reported = false; ///< how the attempt has ended
        bool fresh = false;    ///< it uses `sockets`, else the main ones
        std::vector<std::shared_ptr<DirectSocket>> sockets; ///< by their number
        std::string unreachable; ///< why, if the gateway says so
    };

    struct Gateway {
        nat::ProbeChannel channel;
        std::vector<std::uint16_t> ports;
        std::vector<IpAddress> addresses;
        std::size_t rounds = 0; ///< of probes to all of them
        bool answered = false;
        std::map<SocketAddress, SocketAddress> answers; ///< by which of its sockets, what it sees
        Instant due{};
        std::uint64_t cookie_v4 = 0, cookie_v6 = 0; ///< what it wants to be told next
        std::optional<SocketAddress> latest;        ///< main port from which it has answered last

        std::uint64_t& cookie(bool v4) { return v4 ? cookie_v4 : cookie_v6; }
    };

    void send_survey_probe(DirectSocket&, nat::GatewaySocket to) override;
    void handle_survey_answer(const control::SurveyAnswer&) override;
    net::awaitable<void> egress_loop();
    void handle_train(DirectSocket&, const io::UdpSocket::Arrival&);
    bool handle_probe(DirectSocket&, const SocketAddress& from, Bytes datagram);
    void handle_gateway_probe(DirectSocket&, const SocketAddress& from, Bytes datagram);
    [[nodiscard]] bool is_gateway(const SocketAddress&) const;
    [[nodiscard]] std::optional<WayName> way_of(const DirectSocket&, const SocketAddress& from,
                                                Bytes datagram) const;
    void deliver(const WayName&, Bytes train, const io::UdpSocket::Arrival&);
    void handle_size_probe(const wire::Probe&, const WayName&, Peer&, std::size_t size);
    void search_mtu(Instant now, const WayName&, Way&);
    [[nodiscard]] const wire::ProbeId* probe_id_of(const Way&) const;
    Peer& begin_attempt(const control::Punch&, PairDriver&, nat::Puncher);
    void open_sockets(const control::Punch&, PairDriver&, Peer&);
    void close_sockets(Peer&);
    [[nodiscard]] bool is_used(const DirectSocket&) const;
    std::shared_ptr<DirectSocket> socket_of(const Peer&, unsigned number, const SocketAddress&);
    void transmit(Peer&, const nat::Puncher::Transmit&);
    void handle_event(PairDriver&, Peer&, const nat::Puncher::Event&);
    void report(PairDriver&, Peer&, bool opened);
    void open_way(PairDriver&, Peer&, const std::shared_ptr<DirectSocket>&,
                  const nat::Puncher::Opened&);
    void close_way(PairDriver&, const WayName&);
    void close_relay(PairDriver&);
    void send_probe(nat::ProbeChannel&, DirectSocket&, const wire::Probe&, const SocketAddress& to,
                    std::uint8_t ttl = 0);
    void send_size_probe(nat::ProbeChannel&, DirectSocket&, const SocketAddress& to,
                         std::size_t size);
    void probe_gateway(Instant now);
    [[nodiscard]] Duration keep_alive_interval() const;
    void drive_peers(Instant now);
    void arrange_meeting(Instant now, PairDriver&, Peer&);
    [[nodiscard]] Instant deadline() const;
    net::awaitable<bool> send_one_round();

    control::Role role_;
    Owner* owner_;
    Random* random_;
    io::Event egress_;
    UdpSockets sockets_;
    SurveyRunner survey_;
    PortMapper mapper_;
    std::optional<Gateway> gateway_;
    std::map<control::Family, nat::MappingLifetime> lifetimes_; ///< as the gateway says
    std::map<PairDriver*, Peer> peers_;
    std::map<wire::ProbeId, PairDriver*> channels_;
    std::map<PairDriver*, std::string> unreachable_; ///< those without an attempt
    std::size_t attempt_sockets_ = 0;
    std::map<WayName, Way> ways_;
    WayName last_served_{};
    std::vector<std::byte> block_;
    std::vector<std::byte> padded_; ///< a size probe
};

} // namespace narrowlink::drive
