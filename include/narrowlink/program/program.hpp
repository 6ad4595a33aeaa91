#pragma once

#include "narrowlink/access/join_string.hpp"
#include "narrowlink/access/token.hpp"
#include "narrowlink/base/failure.hpp"
#include "narrowlink/config/endpoint.hpp"
#include "narrowlink/config/log_config.hpp"
#include "narrowlink/config/problem.hpp"
#include "narrowlink/crypto/identity.hpp"
#include "narrowlink/io/web_socket.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace narrowlink::program {

/// What all three executables do before and after their own work.

/// Runs `body` and ends as docs/operations.md says: a Failure becomes its sentence on stderr and its exit code.
int run(std::string_view program, const std::function<ExitCode()>& body);

/// One sentence on stderr.
void say(std::string_view program, std::string_view sentence);

/// The text and the name of ROLE.yaml: of `named` if given, else of the first that the search finds.
/// Throws Failure when a named file cannot be read.
std::optional<std::pair<std::string, std::string>>
find_configuration(std::string_view role, const std::optional<std::filesystem::path>& named);

/// Prints every problem, then throws Failure.
[[noreturn]] void report(const std::vector<config::Problem>& problems);

template <class Config>
Config load_configuration(std::string_view role, const std::optional<std::filesystem::path>& named,
                          config::Outcome<Config> (*load)(std::string_view, std::string))
{
    const auto found = find_configuration(role, named);
    if (!found)
        return {};
    auto outcome = load(found->first, found->second);
    if (const auto* problems = std::get_if<std::vector<config::Problem>>(&outcome))
        report(*problems);
    return std::move(std::get<Config>(outcome));
}

struct LogOptions {
    std::optional<std::string> level, format; ///< from the command line, which wins
};

void start_log(const config::LogConfig&, const LogOptions&, LogLevel least = LogLevel::trace);

/// Makes the state directory of ROLE if it is missing. Throws Failure.
std::filesystem::path open_state(std::string_view role,
                                 const std::optional<std::filesystem::path>& command_line,
                                 const std::optional<config::Located<std::filesystem::path>>& configured);

/// The node's own key, made at the first start and kept in its state directory. Throws Failure.
crypto::Identity node_identity(const std::filesystem::path& state, UnixTime now, Random&);

/// What it takes to become a member of a gateway's network.
struct Membership {
    io::ConnectOptions gateway; ///< with the bearer token
    std::vector<std::string> policies;
};

/// From the command line, the configuration, or what `join` has saved: the first there is.
/// `kind` is what the token has to be for. Throws Failure.
Membership find_membership(access::TokenKind kind, const std::optional<std::string>& command_line,
                           const config::Membership& configured,
                           const std::filesystem::path& state);

/// Reads a join string; `where` begins the sentence of a Failure. Throws Failure.
Membership membership_of(access::TokenKind kind, const std::string& join, const std::string& where);

/// Keeps a join string for later commands. Throws Failure.
void save_join_string(const std::filesystem::path& state, const std::string& join);

} // namespace narrowlink::program
