#pragma once

#include "narrowlink/io/connection_limits.hpp"
#include "narrowlink/io/web_server.hpp"
#include "tls_context.hpp"

#include <memory>

namespace narrowlink::io {

/// What all visits of one server share.
struct VisitRules {
    WebApplication* application;
    WebLimits limits;
    std::vector<IpPrefix> trusted_proxies;
};

/// A connection that has just been accepted.
struct Visitor {
    tcp::socket socket;
    SocketAddress address;
    SslContext tls; ///< null: plain
    std::shared_ptr<ConnectionLimits::Place> place;
    std::size_t thread;
};

/// Answers a visitor's requests until the connection ends, a limit is reached, or its WebSocket is
/// adopted. Requires: `rules` outlives the task.
net::awaitable<void> receive_visitor(Visitor visitor, const VisitRules& rules);

} // namespace narrowlink::io
