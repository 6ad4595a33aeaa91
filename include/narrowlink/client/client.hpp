#pragma once

#include "narrowlink/base/failure.hpp"
#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/drive/relay_node.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::client {

/// Which paths a command may use.
enum class Route {
    automatic, ///< the relay at once, a direct path as soon as there is one
    direct,    ///< a direct path, or none
    relay,
};

struct Settings {
    drive::RelayNode::Config node;
    std::shared_ptr<const quic::Credentials> credentials;
    path::Pair::Config pair;
    Route route = Route::automatic;
    PortMappingMode port_mapping = PortMappingMode::automatic;
    std::string command;                 ///< for `status`: what this process does
    std::filesystem::path status_socket; ///< where it answers `status`; empty: nowhere
    Duration connect_timeout = std::chrono::seconds{20}; ///< from a command to an open stream
    Duration udp_idle_timeout = std::chrono::minutes{2};
};

/// What to forward: connections to `local` go to `target`, as the agent sees it.
struct Forward {
    SocketAddress local; ///< port 0: any free one
    HostPort target;
    bool udp = false;
};

/// What the clients that run on this state directory say of themselves, by process id.
struct ClientStatus {
    int process = 0;
    std::string report; ///< a JSON object, see docs/operations.md
};

/// The commands. Each runs until it is done or cancelled, and throws Failure.
/// `random` must outlive them.
net::awaitable<std::vector<control::Agent>> list_agents(Settings settings, Random& random);

/// Connects to the gateway once, to see that it takes the token. Returns the client's name.
net::awaitable<std::string> check_gateway(Settings settings, Random& random);

/// Joins stdin and stdout with a target, like netcat.
net::awaitable<void> connect(Settings settings, std::string agent, HostPort target, bool udp,
                             Random& random);

net::awaitable<void> forward(Settings settings, std::string agent, std::vector<Forward> forwards,
                             Random& random);

/// Asks every client that runs on the state directory `state`.
net::awaitable<std::vector<ClientStatus>> status(std::filesystem::path state);

/// Where a client answers `status`.
std::filesystem::path status_socket(const std::filesystem::path& state, int process);

} // namespace narrowlink::client
