#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/program/command_line.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace narrowlink::gateway {

struct RunCommand {
    std::optional<SocketAddress> listen;
    std::optional<HostPort> public_address;
};

/// `token agent`, `token client` and `token policy`.
struct IssueCommand {
    access::TokenKind kind = access::TokenKind::agent;
    std::string name;
    std::string user = "default";
    Duration expires_after = std::chrono::hours{24 * 90};
    std::optional<HostPort> public_address; ///< for the join string; otherwise the gateway's
    std::vector<std::string> policy_tokens; ///< of a client
    access::Policy policy;                  ///< of a policy
};

struct ListTokensCommand {
    bool json = false;
};

struct RevokeCommand {
    std::string id;
};

using Command = std::variant<RunCommand, IssueCommand, ListTokensCommand, RevokeCommand>;

/// What the command line of narrowlink-gateway says.
struct CommandLine {
    program::CommonOptions common;
    Command command;
};

/// An exit code when there is nothing more to do. Throws Failure for values that make no sense.
std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv);

} // namespace narrowlink::gateway
