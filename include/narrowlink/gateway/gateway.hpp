#pragma once

#include "narrowlink/access/token.hpp"
#include "narrowlink/control/gateway_session.hpp"
#include "narrowlink/control/registry.hpp"
#include "narrowlink/io/web_server.hpp"
#include "narrowlink/relay/queue.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace narrowlink::gateway {

/// Where the probe service listens, and what nodes are told of it.
struct ProbeService {
    std::vector<IpAddress> listen;    ///< empty: no probe service
    std::vector<std::uint16_t> ports; ///< the main one first
    std::vector<IpAddress> addresses; ///< as nodes reach it; empty: as they reach the web server
};

struct Settings {
    io::WebServerOptions web;
    std::size_t threads = 1;
    access::Secret secret;
    std::filesystem::path tokens_file; ///< the registry of issued tokens, watched for revocations
    std::optional<std::filesystem::path> site; ///< files for strangers; without it a small page
    ProbeService probes;
    control::Registry::Config registry;
    control::GatewaySession::Config session;
    relay::EgressQueue::Config queue;
};

/// The gateway's role: a web server for strangers; for nodes the control sessions, the
/// introductions and the relay.
class Gateway {
public:
    /// Opens the listeners. `random` must outlive it. Throws io::ListenError, Failure.
    Gateway(Settings settings, Random& random);
    Gateway(Gateway&&) noexcept;
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// Runs on this thread and further ones until SIGTERM or SIGINT; then says goodbye to the
    /// nodes. `on_ready` is called once it accepts connections.
    void run(const std::function<void()>& on_ready);

    /// The addresses listened on, with the real ports.
    [[nodiscard]] std::vector<SocketAddress> addresses() const;

private:
    class Impl;

    std::unique_ptr<Impl> impl_;
};

} // namespace narrowlink::gateway
