#include "narrowlink/client/command_line.hpp"
#include "narrowlink/crypto/random.hpp"
#include "narrowlink/io/signals.hpp"
#include "narrowlink/io/standard_streams.hpp"

using namespace narrowlink;

namespace {

ExitCode run_program(int argc, char** argv)
{
    // Parse.
    const auto parsed = client::parse_command_line(argc, argv);
    if (const auto* done = std::get_if<ExitCode>(&parsed))
        return *done;
    const auto& line = std::get<client::CommandLine>(parsed);

    crypto::SystemRandom random;
    if (const auto* doctor = std::get_if<client::DoctorCommand>(&line.command))
        return client::run_doctor(*doctor, line, random);

    // Load. Only `forward` stays long enough to tell what it does; ssh shows its user all the rest.
    const auto config = program::load_configuration<config::ClientConfig>(
        "client", line.common.config, config::load_client_config);
    const bool stays = client::session_command<client::ForwardCommand>(line.command) != nullptr;
    program::start_log(config.log, line.common.log, stays ? LogLevel::info : LogLevel::warning);
    const auto state = program::open_state("client", line.common.state, config.state);

    if (const auto* status = std::get_if<client::StatusCommand>(&line.command)) {
        client::run_status(*status, state);
        return ExitCode::success;
    }

    // Build.
    client::Settings settings = client::make_settings(line, config, state, random);

    // Run.
    client::run(std::get<client::SessionCommand>(line.command), std::move(settings), state, random);
    return ExitCode::success;
}

} // namespace

int main(int argc, char** argv)
{
    io::open_missing_standard_streams();
    io::ignore_broken_pipes();
    return program::run("narrowlink-client", [&] { return run_program(argc, argv); });
}
