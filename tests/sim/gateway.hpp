#pragma once

#include "internet.hpp"
#include "narrowlink/control/datagram_relay.hpp"
#include "narrowlink/control/gateway_session.hpp"
#include "narrowlink/control/registry.hpp"
#include "narrowlink/control/rendezvous.hpp"
#include "narrowlink/relay/queue.hpp"
#include "narrowlink/relay/table.hpp"

#include <array>
#include <map>

namespace narrowlink::sim {

/// What a node's token says.
struct Claims {
    control::Role role = control::Role::client;
    std::string user, name, token;
};

/// The gateway: what src/gateway drives, with threads as places between which messages take time.
class Gateway {
public:
    struct Config {
        control::Registry::Config registry;
        relay::EgressQueue::Config queue;
        double loss = 0;    ///< share of relay messages that vanish between two sessions
        double reorder = 0; ///< share that others overtake
        Duration longest_detour = milliseconds{30};
        /// Of the probe service, at `addresses` of the internet; there has to be one then.
        std::optional<control::Rendezvous::Config> rendezvous;
    };

    /// `internet`: nullptr where nodes have no UDP.
    Gateway(World& world, Config config, Internet* internet = nullptr);
    ~Gateway();

    void start();
    /// kill -9: the kernel ends the connections.
    void kill();
    /// The machine is gone: silence. start() is its return, with a process that knows nothing.
    void cut_power();

    [[nodiscard]] bool is_running() const { return process_ != nullptr; }

    [[nodiscard]] bool is_silent() const { return silent_; }

    [[nodiscard]] Instant good_since() const { return is_running() ? good_since_ : never; }

    /// A WebSocket with a good token.
    void accept(std::unique_ptr<Socket> socket, const std::shared_ptr<Connection>& connection,
                Claims claims);

    void revoke(const std::string& token);

    struct Counts {
        control::Registry::Counts registry;
        std::size_t sessions = 0;
        std::size_t routes = 0;
        bool expects_nothing = true; ///< no timer of the books is armed
    };

    [[nodiscard]] Counts counts() const;

    /// Relay messages that a full queue has dropped.
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

    /// Bytes of relay messages that came from nodes.
    [[nodiscard]] std::uint64_t relayed() const { return relayed_; }

private:
    class Process;
    class Session;

    void handle_datagram(const Datagram&);

    World* world_;
    Config config_;
    Internet* internet_;
    std::unique_ptr<Process> process_;
    std::vector<std::weak_ptr<Connection>> connections_;
    bool silent_ = false;
    Instant good_since_;
    std::uint64_t dropped_ = 0, relayed_ = 0;
    Life life_;
};

} // namespace narrowlink::sim
