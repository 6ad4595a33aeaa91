#include "narrowlink/program/command_line.hpp"

#include <cstdio>

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
                   error.what());
        return ExitCode::usage;
    }
    return std::nullopt;
}

std::string software()
{
    return "narrowlink/" NARROWLINK_VERSION;
}

} // namespace narrowlink::program
