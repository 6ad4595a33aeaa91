#include "narrowlink/agent/command_line.hpp"
#include "narrowlink/crypto/random.hpp"
#include "narrowlink/io/daemonize.hpp"
#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/standard_streams.hpp"

#include <optional>

#include <fmt/format.h>

using namespace narrowlink;

namespace {

io::Daemon go_to_background(const agent::CommandLine& line,
                                           const std::filesystem::path& state)
{
    auto daemon = io::daemonize({.pid_file = line.pid_file.value_or(state / "agent.pid"),
                                 .log_file = line.log_file.value_or(state / "agent.log")});
    if (!daemon)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot go to the background: {}", daemon.error().message())};
    return std::move(*daemon);
}

ExitCode run_program(int argc, char** argv)
{
    // Parse.
    const auto parsed = agent::parse_command_line(argc, argv);
    if (const auto* done = std::get_if<ExitCode>(&parsed))
        return *done;
    const auto& line = std::get<agent::CommandLine>(parsed);

    // Load.
    const auto config = program::load_configuration<config::AgentConfig>(
        "agent", line.common.config, config::load_agent_config);
    program::start_log(config.log, line.common.log);
    const auto state = program::open_state("agent", line.common.state, config.state);

    // Build.
    crypto::SystemRandom random;
    agent::Settings settings = agent::make_settings(line, config, state, random);
    std::optional<io::Daemon> daemon;
    if (line.daemon)
        daemon.emplace(go_to_background(line, state));

    // Run.
    try {
        agent::run(std::move(settings), random, [&daemon] {
            if (daemon)
                daemon->ready();
        });
    } catch (const Failure& failure) {
        program::say("narrowlink-agent", failure.what());
        if (daemon) // the command that started it waits for its fate
            daemon->fail(static_cast<int>(failure.code()));
        return failure.code();
    }
    return ExitCode::success;
}

} // namespace

int main(int argc, char** argv)
{
    io::open_missing_standard_streams();
    io::ignore_broken_pipes();
    return program::run("narrowlink-agent", [&] { return run_program(argc, argv); });
}
