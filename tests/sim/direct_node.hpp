#pragma once

#include "internet.hpp"
#include "narrowlink/direct/node.hpp"
#include "world.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace narrowlink::sim {

/// Plays drive::DirectNode: runs a direct::Node over the simulated internet.
class DirectNode final : direct::Sockets {
public:
    using Owner = direct::Node::Owner;

    DirectNode(World& world, Host& host, control::Role role, Owner& owner);
    DirectNode(const DirectNode&) = delete;
    DirectNode& operator=(const DirectNode&) = delete;

    void observe(const control::Observe&);
    void survey(const control::SurveyRequest&);
    void handle_nat(const control::NatDescription&);
    [[nodiscard]] control::Candidates candidates() const;

    void punch(const control::Punch&, direct::CarriedPair&);
    void aim(const control::Aim&, direct::CarriedPair&);
    void relay(direct::CarriedPair&, const wire::RelayTag& tag);
    void handle_unreachable(const control::Unreachable&, direct::CarriedPair&);
    void forget(direct::CarriedPair&);
    void handle_network_changed();
    /// As the original's.
    void wake(std::optional<path::CarrierKind> kind = std::nullopt);

    /// The reason for the relay that the gateway has given since the last attempt; empty: none.
    [[nodiscard]] const std::string& unreachable() const { return unreachable_; }

    [[nodiscard]] std::string obstacle(direct::CarriedPair& pair) const
    {
        return core_.obstacle(pair);
    }

private:
    std::optional<std::uint16_t> open(direct::SocketId, bool v4) override;
    void close(direct::SocketId) override;
    void send(direct::SocketId, const SocketAddress& to, Bytes datagram, std::uint8_t ttl) override;
    template <class Command>
    void tell_core(Command command);
    void run();
    bool send_one_round();

    World* world_;
    Host* host_;
    control::Role role_;
    std::map<direct::SocketId, std::unique_ptr<UdpSocket>> sockets_;
    direct::Node core_;
    std::string unreachable_;
    std::vector<std::byte> block_;
    bool woken_ = false;
    bool busy_ = false; ///< the core is at work and must not be entered again
    Timer timer_;
    Life life_;
};

} // namespace narrowlink::sim
