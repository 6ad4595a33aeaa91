#include "narrowlink/program/command_line.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace narrowlink::program {

void add_common_options(CLI::App& app, CommonOptions& options)
{
    app.add_option("-c,--config", options.config,
                   "Configuration file; default: the first of ./ROLE.yaml, "
                   "$XDG_CONFIG_HOME/narrowlink/ROLE.yaml, ~/.narrowlink/ROLE.yaml, "
                   "/etc/narrowlink/ROLE.yaml")
        ->type_name("FILE");
    app.add_option("--state", options.state, "State directory: keys, tokens, certificates")
        ->type_name("DIR");
    app.add_option("--log-level", options.log.level, "trace, debug, info, warning or error")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
    app.add_option("--log-format", options.log.format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    app.set_version_flag("--version", NARROWLINK_VERSION);
}

namespace {

/// CLI11 tells of a missing command before it tells of an unknown one, and names none.
std::string sentence_of(const CLI::ParseError& error, const CLI::App& app)
{
    const CLI::App* chosen = &app;
    while (!chosen->get_subcommands().empty())
        chosen = chosen->get_subcommands().front();
    std::vector<std::string> names;
    for (const CLI::App* command : chosen->get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(command->get_name());
    if (dynamic_cast<const CLI::RequiredError*>(&error) == nullptr || names.empty())
        return error.what();

    const std::vector<std::string> unknown = app.remaining(true);
    if (unknown.empty())
        return fmt::format("a command is missing: {}", fmt::join(names, ", "));
    return fmt::format("unknown {} {}; the commands are {}",
                       unknown.front().starts_with('-') ? "option" : "command", unknown.front(),
                       fmt::join(names, ", "));
}

} // namespace

std::optional<ExitCode> parse(CLI::App& app, int argc, const char* const* argv)
{
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            app.exit(error); // help or version, on stdout
            return ExitCode::success;
        }
        fmt::print(stderr, "{}: {}\nRun it with --help for the usage.\n", app.get_name(),
                   sentence_of(error, app));
        return ExitCode::usage;
    }
    return std::nullopt;
}

std::string software()
{
    return "narrowlink/" NARROWLINK_VERSION;
}

} // namespace narrowlink::program
