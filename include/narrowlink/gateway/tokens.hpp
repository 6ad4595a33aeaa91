#pragma once

#include "narrowlink/config/gateway_config.hpp"
#include "narrowlink/gateway/command_line.hpp"
#include "narrowlink/gateway/state.hpp"

namespace narrowlink::gateway {

/// The `token` commands; they work beside a running gateway. Each prints on stdout what it was asked
/// for, and nothing else. Throws Failure.

/// Prints a join string, or for a policy its token.
void issue_token(const IssueCommand&, State&, const config::GatewayConfig&, Random&);
void list_tokens(const ListTokensCommand&, const State&);
void revoke_token(const RevokeCommand&, State&);

/// The join lines for a first agent and a first client.
std::string first_join_lines(State&, const State::Endpoint&, Random&);

} // namespace narrowlink::gateway
