#include "narrowlink/client/command_line.hpp"

#include "narrowlink/io/clock.hpp"

#include <charconv>
#include <string_view>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace narrowlink::client {
namespace {

Failure usage(const std::string& sentence)
{
    return {ExitCode::usage, sentence + "; see --help"};
}

HostPort parse_target(const std::string& text)
{
    auto target = HostPort::parse(text);
    if (!target)
        throw usage(fmt::format("\"{}\" is no target: expected HOST:PORT, with an IPv6 address in "
                                "brackets",
                                text));
    return std::move(*target);
}

/// `PORT` means on 127.0.0.1.
SocketAddress parse_local(const std::string& text)
{
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    if (const auto [stop, error] = std::from_chars(text.data(), end, port);
        error == std::errc{} && stop == end)
        return {*IpAddress::parse("127.0.0.1"), port};
    const std::size_t colon = text.rfind(':');
    if (colon != std::string::npos) {
        std::string host = text.substr(0, colon);
        if (host.size() > 2 && host.front() == '[' && host.back() == ']')
            host = host.substr(1, host.size() - 2);
        const auto ip = host == "localhost" ? IpAddress::parse("127.0.0.1") : IpAddress::parse(host);
        const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
        if (ip && error == std::errc{} && stop == end)
            return {*ip, port};
    }
    throw usage(fmt::format("\"{}\" is no local address: expected PORT or ADDRESS:PORT", text));
}

/// `HOST:PORT`, with `/tcp` or `/udp` behind it where -u does not say it for all.
Forward parse_forward(const std::string& text, bool udp)
{
    const bool says_udp = text.ends_with("/udp");
    const bool says_tcp = text.ends_with("/tcp");
    constexpr std::size_t suffix_size = 4;
    Forward forward;
    forward.udp = says_udp || (udp && !says_tcp);
    forward.target = parse_target(says_udp || says_tcp ? text.substr(0, text.size() - suffix_size)
                                                       : text);
    forward.local = {*IpAddress::parse("127.0.0.1"), forward.target.port};
    return forward;
}

struct RouteFlags {
    bool direct = false, relay = false;

    void add_to(CLI::App& command)
    {
        auto* only_direct =
            command.add_flag("-d,--direct", direct, "Only over a direct path; fails without one");
        command.add_flag("-r,--relay", relay, "Only through the gateway")->excludes(only_direct);
    }

    [[nodiscard]] Route route() const
    {
        if (direct)
            return Route::direct;
        return relay ? Route::relay : Route::automatic;
    }
};

struct ForwardArguments {
    std::string agent;
    RouteFlags route;
    std::vector<std::string> locals, targets;
    bool udp = false;
};

ForwardCommand make_forward(const ForwardArguments& arguments)
{
    if (arguments.locals.size() > arguments.targets.size())
        throw usage("there are more -l than targets: each -l belongs to the target at its place");
    ForwardCommand command{arguments.agent, arguments.route.route(), {}};
    for (std::size_t i = 0; i < arguments.targets.size(); ++i) {
        Forward forward = parse_forward(arguments.targets[i], arguments.udp);
        if (i < arguments.locals.size())
            forward.local = parse_local(arguments.locals[i]);
        command.forwards.push_back(std::move(forward));
    }
    return command;
}

Route route_of(const Command& command)
{
    if (const auto* connect = session_command<ConnectCommand>(command))
        return connect->route;
    if (const auto* forward = session_command<ForwardCommand>(command))
        return forward->route;
    if (std::holds_alternative<DoctorCommand>(command))
        return Route::automatic;
    return Route::relay; // nothing goes to an agent
}

} // namespace

std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv)
{
    CommandLine line;
    CLI::App app{"Reaches machines behind NAT through a gateway.", "narrowlink-client"};
    program::add_common_options(app, line.common);
    app.add_option("--join", line.join,
                   "Join string to use, instead of the one that `join` has saved")
        ->type_name("STRING");
    app.require_subcommand(1);
    app.fallthrough(); // common options may stand behind the command, too

    JoinCommand join;
    auto* join_command = app.add_subcommand("join", "Save gateway and token for later commands");
    join_command->add_option("STRING", join.join, "What `narrowlink-gateway token client` printed")
        ->required();

    ListCommand list;
    auto* list_command = app.add_subcommand("list", "Show the agents that are connected");
    list_command->alias("l");
    list_command->add_flag("-v,--verbose", list.verbose, "With address, age and key");
    list_command->add_flag("--json", list.json, "As JSON");

    StatusCommand status;
    auto* status_command = app.add_subcommand(
        "status", "Show what the clients that run here do: path, round trip, traffic");
    status_command->alias("s");
    status_command->add_flag("--json", status.json, "As JSON");
    status_command->add_flag("-w,--watch", status.watch, "Again every second, with rates");

    DoctorCommand doctor;
    auto* doctor_command = app.add_subcommand(
        "doctor", "Find out what is in the way between this machine, its gateway and direct paths");
    doctor_command->add_flag("--json", doctor.json, "As JSON");

    ConnectCommand connect;
    std::string target;
    RouteFlags connect_route;
    auto* connect_command = app.add_subcommand(
        "connect", "Join stdin and stdout with a target, e.g. as ssh's ProxyCommand");
    connect_command->alias("c");
    connect_route.add_to(*connect_command);
    connect_command->add_option("-n,--name", connect.agent, "The agent")->required();
    connect_command->add_flag("-u,--udp", connect.udp, "UDP: each read of stdin is one datagram");
    connect_command->add_option("TARGET", target, "HOST:PORT as the agent sees it")->required();

    ForwardArguments forward;
    auto* forward_command =
        app.add_subcommand("forward", "Listen here and forward to targets on the agent's side");
    forward_command->alias("f");
    forward.route.add_to(*forward_command);
    forward_command->add_option("-n,--name", forward.agent, "The agent")->required();
    forward_command->add_flag("-u,--udp", forward.udp, "UDP");
    forward_command
        ->add_option("-l,--local", forward.locals,
                     "Where to listen, once for each target: PORT or ADDRESS:PORT; default: "
                     "127.0.0.1 and the target's port")
        ->type_size(1)
        ->allow_extra_args(false);
    forward_command
        ->add_option("TARGET", forward.targets,
                     "HOST:PORT as the agent sees it; /tcp or /udp behind it overrides -u")
        ->required();

    if (const auto code = program::parse(app, argc, argv))
        return *code;
    if (*join_command)
        line.command = join;
    else if (*list_command)
        line.command = list;
    else if (*status_command)
        line.command = status;
    else if (*doctor_command)
        line.command = doctor;
    else if (*connect_command) {
        connect.target = parse_target(target);
        connect.route = connect_route.route();
        line.command = connect;
    } else
        line.command = make_forward(forward);
    return line;
}

Settings make_settings(const CommandLine& line, const config::ClientConfig& config,
                       const std::filesystem::path& state, Random& random)
{
    const auto* join = session_command<JoinCommand>(line.command);
    auto membership =
        join != nullptr
            ? program::membership_of(access::TokenKind::client, join->join, "")
            : program::find_membership(access::TokenKind::client, line.join, config.membership,
                                       state);
    const crypto::Identity identity = program::node_identity(state, io::unix_now(), random);
    auto credentials = quic::Credentials::load(identity);
    if (!credentials)
        throw Failure{ExitCode::configuration,
                      fmt::format("cannot use the key in {}: {}", state.string(),
                                  credentials.error().message())};
    Settings settings;
    settings.node.gateway = std::move(membership.gateway);
    settings.node.role = control::Role::client;
    settings.route = route_of(line.command);
    const bool forwards = session_command<ForwardCommand>(line.command) != nullptr;
    settings.command = forwards ? "forward" : "connect";
    settings.status_socket = status_socket(state, ::getpid());
    std::vector<std::string> features;
    if (settings.route != Route::relay)
        features.emplace_back(control::direct_feature);
    if (settings.route != Route::direct && config.relay != config::RelayCarrier::websocket)
        features.emplace_back(control::udp_relay_feature);
    if (!features.empty())
        features.emplace_back(control::mapping_lifetime_feature);
    settings.node.hello = {.features = std::move(features),
                           .key = identity.pin,
                           .instance = {random.array<16>()},
                           .software = program::software(),
                           .policies = std::move(membership.policies)};
    settings.credentials = std::move(*credentials);
    settings.connect_timeout = config.connect_timeout;
    settings.port_mapping = config.port_mapping;
    settings.pair.quic.congestion_control = config.congestion_control;
    return settings;
}

} // namespace narrowlink::client
