#pragma once

#include "narrowlink/base/congestion_control.hpp"
#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/config/endpoint.hpp"
#include "narrowlink/config/log_config.hpp"
#include "narrowlink/config/problem.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace narrowlink::config {

/// What carries packets through the gateway.
enum class RelayCarrier {
    websocket,
    udp, ///< where it reaches the gateway from both ends; a WebSocket elsewhere
};

struct ClientConfig {
    Membership membership; ///< `join` or `endpoints`
    std::optional<Located<std::filesystem::path>> state;
    Duration connect_timeout = std::chrono::seconds{20}; ///< for reaching the gateway and the agent
    RelayCarrier relay = RelayCarrier::udp;
    PortMappingMode port_mapping = PortMappingMode::automatic; ///< what the router is asked for
    CongestionControl congestion_control = CongestionControl::bbr; ///< of what it sends
    LogConfig log;

    bool operator==(const ClientConfig&) const = default;
};

/// `file` is named in problems, and relative paths start at its folder. No file is opened.
Outcome<ClientConfig> load_client_config(std::string_view text, std::string file);

/// Every key that a file may have; see gateway_config_keys().
std::set<std::string> client_config_keys();

} // namespace narrowlink::config
