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

/// What the clients of one agent may take at most.
struct AgentLimits {
    std::size_t streams = 1'024;            ///< TCP streams and UDP flows of one client at once
    std::size_t receive_buffer = 67'108'864; ///< bytes on their way from one client

    bool operator==(const AgentLimits&) const = default;
};

struct AgentConfig {
    Membership membership; ///< `join` or `endpoints`
    std::optional<Located<std::filesystem::path>> state;
    Duration connect_timeout = std::chrono::seconds{10}; ///< for resolving and dialling a target
    AgentLimits limits;
    Duration resume_window =
        std::chrono::minutes{10}; ///< how long a silent client keeps its streams
    PortMappingMode port_mapping = PortMappingMode::automatic; ///< what the router is asked for
    CongestionControl congestion_control = CongestionControl::bbr; ///< of what it sends
    LogConfig log;

    bool operator==(const AgentConfig&) const = default;
};

/// `file` is named in problems, and relative paths start at its folder. No file is opened.
Outcome<AgentConfig> load_agent_config(std::string_view text, std::string file);

/// Every key that a file may have; see gateway_config_keys().
std::set<std::string> agent_config_keys();

} // namespace narrowlink::config
