#pragma once

#include "narrowlink/config/gateway_config.hpp"
#include "narrowlink/gateway/state.hpp"
#include "narrowlink/io/web_server.hpp"

#include <optional>
#include <vector>

namespace narrowlink::gateway {

/// The listeners of a configuration, with their certificates. Throws Failure, with file, line and key.
std::vector<io::WebListener> make_listeners(const std::vector<config::Service>&,
                                            State&, const std::string& public_host);

/// This machine's address towards the world, without sending anything; 127.0.0.1 if there is none.
IpAddress outbound_address();

/// How nodes reach a gateway with these services. `port` is the first listener's.
State::Endpoint endpoint_of(const config::GatewayConfig&, const std::optional<HostPort>& public_address,
                            std::uint16_t port, State&);

/// Where a gateway without a configuration listens: 443, or 8443 where that cannot be had.
/// `[::]` serves both families, where the kernel has IPv6.
SocketAddress default_address();

/// For the `token` commands: how nodes reach the gateway, and whether that is known or only what a
/// first run would do.
struct KnownEndpoint {
    State::Endpoint endpoint;
    bool is_guess = false;
};

/// `public_address` wins over what the last run has stored, and that over the configuration.
KnownEndpoint current_endpoint(State&, const config::GatewayConfig&,
                               const std::optional<HostPort>& public_address);

} // namespace narrowlink::gateway
