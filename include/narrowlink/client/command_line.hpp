#pragma once

#include "narrowlink/client/client.hpp"
#include "narrowlink/config/client_config.hpp"
#include "narrowlink/program/command_line.hpp"

#include <string>
#include <variant>
#include <vector>

namespace narrowlink::client {

struct JoinCommand {
    std::string join;
};

struct ListCommand {
    bool verbose = false;
    bool json = false;
};

struct ConnectCommand {
    std::string agent;
    Route route = Route::automatic;
    HostPort target;
    bool udp = false;
};

struct ForwardCommand {
    std::string agent;
    Route route = Route::automatic;
    std::vector<Forward> forwards;
};

struct StatusCommand {
    bool json = false;
    bool watch = false;
};

struct DoctorCommand {
    bool json = false;
};

/// Those that need a session with the gateway.
using SessionCommand = std::variant<JoinCommand, ListCommand, ConnectCommand, ForwardCommand>;

using Command = std::variant<SessionCommand, StatusCommand, DoctorCommand>;

/// Null if it is another one.
template <class C>
const C* session_command(const Command& command)
{
    const auto* session = std::get_if<SessionCommand>(&command);
    return session == nullptr ? nullptr : std::get_if<C>(session);
}

/// What the command line of narrowlink-client says.
struct CommandLine {
    program::CommonOptions common;
    std::optional<std::string> join;
    Command command;
};

/// An exit code when there is nothing more to do.
std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv);

/// Everything a session with the gateway needs, from configuration, state directory and join string.
/// Throws Failure.
Settings make_settings(const CommandLine&, const config::ClientConfig&,
                       const std::filesystem::path& state, Random&);

/// Runs `status`, which needs no gateway, until it ends, or SIGTERM or SIGINT.
void run_status(const StatusCommand&, const std::filesystem::path& state);

/// Looks at everything between this client and its gateway, says what is wrong on stdout, and
/// returns ExitCode::unhealthy if something does not work. Also a configuration that cannot be read
/// is a finding.
ExitCode run_doctor(const DoctorCommand&, const CommandLine&, Random&);

/// Runs the command until it ends, or SIGTERM or SIGINT. Throws Failure.
void run(const SessionCommand&, Settings settings, const std::filesystem::path& state, Random& random);

} // namespace narrowlink::client
