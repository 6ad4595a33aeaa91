#pragma once

#include "narrowlink/config/gateway_config.hpp"
#include "narrowlink/gateway/command_line.hpp"
#include "narrowlink/gateway/state.hpp"

namespace narrowlink::gateway {

/// Runs the gateway until SIGTERM or SIGINT. At the very first start it prints the join lines on stdout.
/// Throws Failure.
void run(const RunCommand&, config::GatewayConfig, State&, Random&);

} // namespace narrowlink::gateway
