#pragma once

#include "internet.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/nat/probe_channel.hpp"
#include "narrowlink/nat/puncher.hpp"
#include "narrowlink/path/mtu_search.hpp"
#include "pair_driver.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::sim {

/// Plays drive::DirectNode with drive::SurveyRunner and drive::UdpSockets, over the simulated
/// internet.
class DirectNode {
public:
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void handle_meeting_due(PairDriver&) = 0;
        virtual void handle_survey_answer(const control::SurveyAnswer&) = 0;
        virtual void handle_punched(PairDriver&, std::uint32_t attempt, bool opened) = 0;
    };

    DirectNode(World& world, Host& host, control::Role role, Owner& owner);
    DirectNode(const DirectNode&) = delete;
    DirectNode& operator=(const DirectNode&) = delete;

    void observe(const control::Observe&);
    void survey(const control::SurveyRequest&);
    void handle_nat(const control::NatDescription&);
    [[nodiscard]] std::vector<SocketAddress> own_addresses() const;

    void punch(const control::Punch&, PairDriver&);
    void aim(const control::Aim&, PairDriver&);
    void handle_unreachable(const control::Unreachable&, PairDriver&);
    void forget(PairDriver&);
    void handle_network_changed();
    void wake();

    /// The reason for the relay that the gateway has given last; empty: none.
    [[nodiscard]] const std::string& unreachable() const { return unreachable_; }

    /// What stands before this node, as the gateway says.
    [[nodiscard]] const std::map<control::Family, std::string>& described() const
    {
        return described_;
    }

    [[nodiscard]] bool has_heard_gateway() const { return gateway_ && gateway_->answered; }

    /// Probes that attempts have sent, in all.
    [[nodiscard]] std::uint64_t probes() const { return probes_; }

private:
    struct Socket {
        enum class Use { main, survey, attempt };

        std::uint64_t id;
        std::unique_ptr<UdpSocket> udp; ///< nothing: closed
        Use use = Use::main;
        unsigned number = 0;
    };

    using SocketPtr = std::shared_ptr<Socket>;

    struct WayName {
        std::uint64_t socket;
        SocketAddress remote;

        auto operator<=>(const WayName&) const = default;
    };

    struct Way {
        PairDriver* driver;
        path::CarrierId carrier;
        SocketPtr socket;
        path::MtuSearch mtu_search;
    };

    struct Peer {
        nat::ProbeChannel channel;
        nat::Puncher puncher;
        std::deque<WayName> ways = {};
        std::size_t attempt_ways = 0; ///< of the last attempt
        Instant meet_at = never;
        std::size_t meetings = 0;
        std::uint32_t attempt = 0;
        bool reported = false;
        bool fresh = false;
        std::vector<SocketPtr> sockets = {};
    };

    struct Gateway {
        nat::ProbeChannel channel;
        std::vector<std::uint16_t> ports;
        std::vector<IpAddress> addresses;
        std::size_t rounds = 0;
        bool answered = false;
        Instant due{};
    };

    struct Survey {
        struct Work {
            unsigned socket;
            nat::GatewaySocket to;
        };

        std::map<unsigned, SocketPtr> sockets;
        std::deque<Work> work;
        Instant due = never, report_at = never, end_at = never;
        nat::FilterReport report;
    };

    [[nodiscard]] wire::ProbeSender sender() const;
    SocketPtr open(bool v4, Socket::Use use);
    void handle_datagram(const SocketPtr&, const SocketAddress& from, Bytes);
    bool handle_probe(const SocketPtr&, const SocketAddress& from, Bytes);
    void handle_size_probe(const wire::Probe&, const WayName&, Peer&, std::size_t size);
    void search_mtu(Instant now, const WayName&, Way&);
    [[nodiscard]] const wire::ProbeId* probe_id_of(const Way&) const;
    Peer& begin_attempt(const control::Punch&, PairDriver&, nat::Puncher);
    void open_sockets(const control::Punch&, Peer&);
    void close_sockets(Peer&);
    [[nodiscard]] bool is_used(const Socket&) const;
    SocketPtr socket_of(const Peer&, unsigned number, const SocketAddress& to);
    void open_way(PairDriver&, Peer&, const SocketPtr&, const nat::Puncher::Opened&);
    void close_way(PairDriver&, const WayName&);
    void send_probe(nat::ProbeChannel&, Socket&, const wire::Probe&, const SocketAddress& to,
                    std::uint8_t ttl = 0);
    void transmit(Peer&, const nat::Puncher::Transmit&);
    void handle_event(PairDriver&, Peer&, const nat::Puncher::Event&);
    void arrange_meeting(Instant now, PairDriver&, Peer&);
    void probe_gateway(Instant now);
    void drive_surveys(Instant now);
    void advance(Instant now, control::Family, Survey&);
    void send_survey_probe(Socket&, nat::GatewaySocket to);
    void end_survey(control::Family);
    void drive_peers(Instant now);
    [[nodiscard]] Instant deadline() const;
    void run();
    void send_trains();

    World* world_;
    Host* host_;
    control::Role role_;
    Owner* owner_;
    std::uint64_t last_socket_ = 0;
    SocketPtr main_v4_, main_v6_;
    std::optional<Gateway> gateway_;
    std::map<control::Family, Survey> surveys_;
    std::map<control::Family, std::string> described_;
    std::map<PairDriver*, Peer> peers_;
    std::map<wire::ProbeId, PairDriver*> channels_;
    std::map<WayName, Way> ways_;
    std::size_t attempt_sockets_ = 0;
    std::string unreachable_;
    std::uint64_t probes_ = 0;
    std::vector<std::byte> block_;
    bool woken_ = false;
    Timer timer_;
    Life life_;
};

} // namespace narrowlink::sim
