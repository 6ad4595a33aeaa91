#pragma once

#include "narrowlink/agent/agent.hpp"
#include "narrowlink/config/agent_config.hpp"
#include "narrowlink/program/command_line.hpp"

#include <variant>

namespace narrowlink::agent {

/// What the command line of narrowlink-agent says.
struct CommandLine {
    program::CommonOptions common;
    std::optional<std::string> join;
    bool daemon = false;
    std::optional<std::filesystem::path> pid_file;
    std::optional<std::filesystem::path> log_file;
};

/// An exit code when there is nothing more to do.
std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv);

/// Everything the agent needs, from configuration, state directory and join string. Throws Failure.
Settings make_settings(const CommandLine&, const config::AgentConfig&,
                       const std::filesystem::path& state, Random&);

/// Runs the agent until SIGTERM or SIGINT. `on_running` is called once the first attempt to reach the gateway has
/// ended and the agent goes on, connected or trying again. Throws Failure.
void run(Settings settings, Random& random, const std::function<void()>& on_running);

} // namespace narrowlink::agent
