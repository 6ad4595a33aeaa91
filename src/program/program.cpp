#include "narrowlink/program/program.hpp"

#include "narrowlink/io/files.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/web_socket.hpp"

#include <cstdio>

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::program {
namespace {

constexpr std::size_t largest_configuration = 1'024 * 1'024;

} // namespace

void say(std::string_view program, std::string_view sentence)
{
    fmt::print(stderr, "{}: {}\n", program, sentence);
}

int run(std::string_view program, const std::function<ExitCode()>& body)
{
    try {
        return static_cast<int>(body());
    } catch (const Failure& failure) {
        if (std::string_view{failure.what()} != "")
            say(program, failure.what());
        return static_cast<int>(failure.code());
    } catch (const std::exception& error) {
        say(program, error.what());
        return static_cast<int>(ExitCode::unexpected);
    }
}

std::optional<std::pair<std::string, std::string>>
find_configuration(std::string_view role, const std::optional<std::filesystem::path>& named)
{
    const auto file = named ? named : io::find_config_file(role);
    if (!file)
        return std::nullopt;
    auto text = io::read_file(*file, largest_configuration + 1);
    if (!text)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot read the configuration {}: {}", file->string(),
                                  text.error().message())};
    return std::pair{std::move(*text), file->string()};
}

void report(const std::vector<config::Problem>& problems)
{
    for (const config::Problem& problem : problems)
        fmt::print(stderr, "{}\n", to_string(problem));
    throw Failure{ExitCode::configuration, ""};
}

void start_log(const config::LogConfig& configured, const LogOptions& options, LogLevel least)
{
    LogLevel level = std::max(configured.level, least);
    if (options.level) {
        constexpr std::pair<std::string_view, LogLevel> levels[] = {{"trace", LogLevel::trace},
                                                                    {"debug", LogLevel::debug},
                                                                    {"info", LogLevel::info},
                                                                    {"warning", LogLevel::warning},
                                                                    {"error", LogLevel::error}};
        for (const auto& [word, value] : levels)
            if (word == *options.level)
                level = value;
    }
    LogFormat format = configured.format;
    if (options.format)
        format = *options.format == "json" ? LogFormat::json : LogFormat::text;
    io::start_log(level, format);
}

std::filesystem::path
open_state(std::string_view role, const std::optional<std::filesystem::path>& command_line,
           const std::optional<config::Located<std::filesystem::path>>& configured)
{
    std::filesystem::path state = command_line ? *command_line
                                  : configured ? configured->value
                                               : io::state_directory(role);
    state = std::filesystem::absolute(state); // a daemon changes its directory
    if (const auto made = io::make_private_directory(state); !made)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot use the state directory {}: {}; choose another with "
                                  "--state",
                                  state.string(), made.error().message())};
    return state;
}

crypto::Identity node_identity(const std::filesystem::path& state, UnixTime now, Random& random)
{
    constexpr std::size_t largest_pem = 64 * 1'024;
    const std::filesystem::path key_file = state / "identity-key.pem";
    const std::filesystem::path certificate_file = state / "identity-cert.pem";
    const auto unusable = [](const std::filesystem::path& file, const ErrorCode& error) {
        return Failure{ExitCode::configuration,
                       fmt::format("cannot use {}: {}; remove identity-key.pem and "
                                   "identity-cert.pem to have new ones made",
                                   file.string(), error.message())};
    };
    // Two clients may start at once in a new state directory; one of them makes the key.
    const auto lock = io::FileLock::take(state / "identity.lock");
    if (!lock)
        throw unusable(state / "identity.lock", lock.error());

    const auto key = io::read_file(key_file, largest_pem);
    const auto certificate = io::read_file(certificate_file, largest_pem);
    if (key && certificate) {
        auto identity = crypto::Identity::parse(*key, *certificate);
        if (!identity)
            throw unusable(key_file, identity.error());
        return *identity;
    }
    if (!key && key.error() != boost::system::errc::no_such_file_or_directory)
        throw unusable(key_file, key.error());

    auto identity = crypto::Identity::make_ed25519(now, random);
    if (!identity)
        throw Failure{ExitCode::unexpected, identity.error().message()};
    for (const auto& [file, text] : {std::pair{certificate_file, identity->certificate_pem},
                                     std::pair{key_file, identity->private_key_pem}})
        if (const auto written = io::write_file_atomically(file, as_bytes(text)); !written)
            throw unusable(file, written.error());
    return *identity;
}

} // namespace narrowlink::program
