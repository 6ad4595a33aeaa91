#pragma once

#include "nodes.hpp"

#include <string>

namespace narrowlink::sim {

/// What a gateway with a probe service has: four ports on one address of each family.
control::Rendezvous::Config probe_service();

/// A client, an agent and a gateway, each node behind a router of its own or behind a given site:
/// all that looks for a direct path, from the survey to the migration.
class Couple {
public:
    struct Line {
        Duration up = milliseconds{10}, down = milliseconds{10};
        Duration jitter{};
    };

    Couple(std::uint64_t seed, const NatKind& client, const NatKind& agent, Line client_line,
           Line agent_line);
    ~Couple();

    /// Runs until the client uses the direct path, at most for `most`.
    bool until_direct(Duration most);

    /// Until the gateway has told the client why there is none.
    bool until_unreachable(Duration most);

    void run_for(Duration time) { world_.run_until(world_.now() + time); }

    /// Moves bytes in both directions over one stream. False when they have not all arrived in
    /// time.
    bool transfer(std::uint64_t bytes, Duration most);

    [[nodiscard]] bool is_direct() const
    {
        return client_node_->path() == path::CarrierKind::direct_udp;
    }

    /// What the gateway has told.
    [[nodiscard]] const std::string& unreachable() const
    {
        return client_node_->direct()->unreachable();
    }

    /// The same as the user is told.
    [[nodiscard]] std::string obstacle() const { return client_node_->obstacle(); }

    World& world() { return world_; }

    Internet& internet() { return internet_; }

    Gateway& gateway() { return gateway_; }

    /// The one by role.
    Site& site(control::Role role) { return role == control::Role::client ? away_ : home_; }

    [[nodiscard]] std::string trace() const { return world_.trace(); }

private:
    World world_;
    Internet internet_;
    Gateway gateway_;
    Site away_, home_; ///< the client's, the agent's
    Access client_access_, agent_access_;
    Host client_host_, agent_host_;
    Conversations conversations_;
    std::unique_ptr<AgentNode> agent_node_;
    std::unique_ptr<ClientNode> client_node_;
};

} // namespace narrowlink::sim
