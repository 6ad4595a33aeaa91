#pragma once

#include "narrowlink/direct/node.hpp"
#include "narrowlink/drive/port_mapper.hpp"
#include "narrowlink/drive/udp_sockets.hpp"
#include "narrowlink/io/event.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::drive {

/// Runs a direct::Node: its sockets and its timers. And has the router forward a port to it.
///
/// Single-threaded.
class DirectNode final : direct::Node::Owner {
public:
    /// What the owner is told; called from within run(), and from handle_network_changed().
    class Owner {
    public:
        virtual ~Owner() = default;
        /// This client has lost its direct path to the peer, or has not found one: ask the gateway
        /// for another attempt.
        virtual void handle_meeting_due(direct::CarriedPair&) = 0;
        /// For the gateway, of its survey.
        virtual void handle_survey_answer(const control::SurveyAnswer&) = 0;
        /// candidates() are others than before: tell the gateway.
        virtual void handle_addresses_changed() = 0;
        /// An attempt of this client has ended.
        virtual void handle_punched(direct::CarriedPair&, std::uint32_t attempt, bool opened) = 0;
    };

    /// `random` must outlive it.
    DirectNode(net::any_io_executor executor, control::Role role, Owner& owner, Random& random,
               PortMappingMode port_mapping = PortMappingMode::automatic);
    DirectNode(const DirectNode&) = delete;
    DirectNode& operator=(const DirectNode&) = delete;

    /// Until cancelled. Does nothing where no UDP socket can be had.
    net::awaitable<void> run();

    // As the functions of direct::Node.
    void observe(const control::Observe&, const IpAddress& gateway);
    void survey(const control::SurveyRequest&);
    void handle_nat(const control::NatDescription&);
    void punch(const control::Punch&, direct::CarriedPair&);
    void aim(const control::Aim&, direct::CarriedPair&);
    void relay(direct::CarriedPair&, const wire::RelayTag& tag);
    void handle_unreachable(const control::Unreachable&, direct::CarriedPair&);
    void forget(direct::CarriedPair&);
    void handle_network_changed();

    [[nodiscard]] std::map<SocketAddress, SocketAddress> gateway_answers() const
    {
        return core_.gateway_answers();
    }

    [[nodiscard]] std::string obstacle(direct::CarriedPair& pair) const
    {
        return core_.obstacle(pair);
    }

    [[nodiscard]] bool is_unreachable(direct::CarriedPair& pair) const
    {
        return core_.is_unreachable(pair);
    }

    /// Where this node says it is.
    [[nodiscard]] control::Candidates candidates() const;

    /// The port that the router forwards to the main IPv4 socket.
    [[nodiscard]] const std::optional<PortMapping>& port_mapping() const
    {
        return mapper_.mapping();
    }

    /// What stands before this node, for people; empty while it is not known.
    [[nodiscard]] std::string nat() const;

    /// A pair may have something to send, or its carrier has changed. `kind`: a pair, on carriers of
    /// this kind only; it is sent within the call, unless that comes from within this node.
    void wake(std::optional<path::CarrierKind> kind = std::nullopt);

private:
    void handle_meeting_due(direct::CarriedPair&) override;
    void handle_survey_answer(const control::SurveyAnswer&) override;
    void handle_punched(direct::CarriedPair&, std::uint32_t attempt, bool opened) override;
    void handle_way_opened(direct::CarriedPair&, const nat::Puncher::Opened&) override;
    void handle_relay_opened(direct::CarriedPair&, const SocketAddress& gateway) override;
    void map_port();
    template <class Command>
    void tell_core(Command command);
    void receive(direct::SocketId, std::span<const io::UdpSocket::Arrival>);
    net::awaitable<void> egress_loop();
    net::awaitable<void> wait_for_room();
    void send_at_once();
    bool advance();
    bool send_one_round();
    void send_rest();

    Owner* owner_;
    io::Event egress_;
    UdpSockets sockets_;
    direct::Node core_;
    PortMapper mapper_;
    std::map<control::Family, std::string> nats_;
    std::vector<std::byte> block_;
    direct::Train train_; ///< in block_
    Bytes rest_;          ///< of it: what the socket has had no room for yet
    Instant armed_until_ = never; ///< what the egress loop waits for
    bool busy_ = false;  ///< the core is at work and must not be entered again
    bool woken_ = false; ///< while it was
};

} // namespace narrowlink::drive
