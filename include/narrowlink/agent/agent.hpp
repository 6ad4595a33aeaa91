#pragma once

#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/drive/relay_node.hpp"

#include <functional>
#include <memory>

namespace narrowlink::agent {

struct Settings {
    drive::RelayNode::Config node;
    std::shared_ptr<const quic::Credentials> credentials;
    path::Pair::Config pair;
    Duration connect_timeout = std::chrono::seconds{10}; ///< of dialling a target
    PortMappingMode port_mapping = PortMappingMode::automatic;
    Duration udp_idle_timeout = std::chrono::minutes{2}; ///< RFC 4787 §4.3 asks for no less
};

/// The agent's role: is there for clients that the gateway introduces, and dials what they ask for,
/// within their policies.
class Agent {
public:
    /// `on_session` is told whenever the gateway has accepted the agent (true), or an attempt or a
    /// session has failed for now (false). `random` must outlive the agent.
    Agent(net::any_io_executor executor, Settings settings, Random& random,
          std::function<void(bool)> on_session);
    ~Agent();

    /// Runs until cancelled; then closes every pair. Throws as drive::RelayNode::run().
    net::awaitable<void> run();

private:
    class Impl;

    std::unique_ptr<Impl> impl_;
};

} // namespace narrowlink::agent
