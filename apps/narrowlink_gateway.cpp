#include "narrowlink/config/gateway_config.hpp"
#include "narrowlink/crypto/random.hpp"
#include "narrowlink/gateway/command_line.hpp"
#include "narrowlink/gateway/run.hpp"
#include "narrowlink/gateway/tokens.hpp"
#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/standard_streams.hpp"

using namespace narrowlink;

namespace {

ExitCode run_program(int argc, char** argv)
{
    // Parse.
    const auto parsed = gateway::parse_command_line(argc, argv);
    if (const auto* done = std::get_if<ExitCode>(&parsed))
        return *done;
    const auto& line = std::get<gateway::CommandLine>(parsed);

    // Load.
    const auto config = program::load_configuration<config::GatewayConfig>(
        "gateway", line.common.config, config::load_gateway_config);
    program::start_log(config.log, line.common.log);
    const auto directory = program::open_state("gateway", line.common.state, config.state);

    // Build.
    crypto::SystemRandom random;
    gateway::State state{directory, config, random};

    // Run.
    if (const auto* issue = std::get_if<gateway::IssueCommand>(&line.command))
        gateway::issue_token(*issue, state, config, random);
    else if (const auto* list = std::get_if<gateway::ListTokensCommand>(&line.command))
        gateway::list_tokens(*list, state);
    else if (const auto* revoke = std::get_if<gateway::RevokeCommand>(&line.command))
        gateway::revoke_token(*revoke, state);
    else
        gateway::run(std::get<gateway::RunCommand>(line.command), config, state, random);
    return ExitCode::success;
}

} // namespace

int main(int argc, char** argv)
{
    io::open_missing_standard_streams();
    io::ignore_broken_pipes();
    return program::run("narrowlink-gateway", [&] { return run_program(argc, argv); });
}
