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

/// For the `token` commands: what the last run has stored, or what a first run would.
State::Endpoint current_endpoint(State&, const config::GatewayConfig&);

} // namespace narrowlink::gateway
