#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"
#include "narrowlink/quic/request.hpp"

#include <variant>
#include <vector>

namespace narrowlink::agent {

/// Where a request may go: addresses to dial, or the refusal to answer with.
using Resolved = std::variant<std::vector<IpAddress>, quic::Response>;

/// Resolves the target of `request` and leaves what `policies` allow for `agent`.
///
/// Every argument outlives the await.
net::awaitable<Resolved> resolve_target(const quic::Request& request,
                                        const access::PolicySet& policies,
                                        const std::string& agent, Instant deadline);

/// The refusal for a dial that ended with `error`: refused, timed out and unreachable are
/// different answers (RFC 9209 §2.3).
quic::Response refusal_for_dial(const ErrorCode& error);

} // namespace narrowlink::agent
