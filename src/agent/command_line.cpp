#include "narrowlink/agent/command_line.hpp"

#include "narrowlink/io/clock.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace narrowlink::agent {

std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv)
{
    CommandLine line;
    CLI::App app{"Makes this machine reachable through a gateway, for clients that its owner allows.",
                 "narrowlink-agent"};
    program::add_common_options(app, line.common);
    app.add_option("--join", line.join, "Join string, as `narrowlink-gateway token agent` prints it")
        ->type_name("STRING");
    app.add_flag("-d,--daemon", line.daemon, "Go on in the background after the first attempt to reach the gateway");
    app.add_option("--pid-file", line.pid_file, "With -d; default: agent.pid in the state directory")
        ->type_name("FILE");
    app.add_option("--log-file", line.log_file, "With -d; default: agent.log in the state directory")
        ->type_name("FILE");
    if (const auto code = program::parse(app, argc, argv))
        return *code;
    return line;
}

Settings make_settings(const CommandLine& line, const config::AgentConfig& config,
                       const std::filesystem::path& state, Random& random)
{
    auto membership =
        program::find_membership(access::TokenKind::agent, line.join, config.membership, state);
    const crypto::Identity identity = program::node_identity(state, io::unix_now(), random);
    auto credentials = quic::Credentials::load(identity);
    if (!credentials)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot use the key in {}: {}", state.string(),
                                  credentials.error().message())};
    Settings settings;
    settings.node.gateway = std::move(membership.gateway);
    settings.node.role = control::Role::agent;
    settings.node.hello = {.features = {std::string{control::direct_feature},
                                        std::string{control::udp_relay_feature},
                                        std::string{control::mapping_lifetime_feature}},
                           .key = identity.pin,
                           .instance = {random.array<16>()},
                           .software = program::software()};
    settings.credentials = std::move(*credentials);
    settings.pair.quic.streams = config.limits.streams;
    settings.pair.quic.receive_buffer = config.limits.receive_buffer;
    settings.pair.resume_window = config.resume_window;
    settings.connect_timeout = config.connect_timeout;
    settings.port_mapping = config.port_mapping;
    settings.pair.quic.congestion_control = config.congestion_control;
    return settings;
}

} // namespace narrowlink::agent
