#pragma once

#include "client_node.hpp"

namespace narrowlink::client {

/// Forwards what arrives on `socket`: each source address is a flow with a connect-udp stream of its own,
/// until it has been idle for Settings::udp_idle_timeout.
net::awaitable<void> forward_datagrams(ClientNode& node, AgentLink& link, udp::socket socket,
                                       HostPort target);

} // namespace narrowlink::client
