#pragma once

#include "narrowlink/program/program.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace narrowlink::program {

/// The options that all three programs have.
struct CommonOptions {
    std::optional<std::filesystem::path> config;
    std::optional<std::filesystem::path> state;
    LogOptions log;
};

/// Adds -c, --state, --log-level, --log-format and --version.
void add_common_options(CLI::App&, CommonOptions&);

/// Parses; help and version are printed on stdout and end with success, mistakes with a sentence on
/// stderr and ExitCode::usage. Empty: go on.
std::optional<ExitCode> parse(CLI::App&, int argc, const char* const* argv);

/// "narrowlink/VERSION", for hello messages.
std::string software();

} // namespace narrowlink::program
