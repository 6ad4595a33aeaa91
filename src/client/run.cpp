#include "narrowlink/client/command_line.hpp"
#include "narrowlink/io/run_until_stopped.hpp"

#include <cstdio>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace narrowlink::client {
namespace {

std::string age(std::uint64_t seconds)
{
    const std::uint64_t minutes = seconds / 60;
    if (minutes == 0)
        return fmt::format("{}s", seconds);
    if (minutes < 60)
        return fmt::format("{}m{:02}s", minutes, seconds % 60);
    if (minutes < 24 * 60)
        return fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
    return fmt::format("{}d{:02}h", minutes / (24 * 60), minutes / 60 % 24);
}

void print_json(const std::vector<control::Agent>& agents)
{
    boost::json::array array;
    for (const control::Agent& agent : agents) {
        boost::json::object object{{"name", agent.name},
                                   {"key", to_string(agent.key)},
                                   {"instance", to_string(agent.instance)},
                                   {"software", agent.software},
                                   {"connected_seconds", agent.connected_seconds}};
        if (agent.address)
            object.emplace("address", *agent.address);
        if (agent.nat)
            object.emplace("nat", *agent.nat);
        if (agent.port_mapping)
            object.emplace("port_mapping", *agent.port_mapping);
        array.push_back(std::move(object));
    }
    fmt::print("{}\n", boost::json::serialize(array));
}

/// What stands before the agent, and what its router does for it.
std::string nat_of(const control::Agent& agent)
{
    const std::string nat = agent.nat.value_or("-");
    return agent.port_mapping ? fmt::format("{}; port mapping: {}", nat, *agent.port_mapping) : nat;
}

void print(const std::vector<control::Agent>& agents, const ListCommand& command)
{
    if (command.json) {
        print_json(agents);
        return;
    }
    if (agents.empty()) {
        fmt::print(stderr, "no agent is connected\n");
        return;
    }
    std::size_t width = std::string_view{"NAME"}.size();
    for (const control::Agent& agent : agents)
        width = std::max(width, agent.name.size());
    if (command.verbose)
        fmt::print("{:{}}  {:<39}  {:>9}  {:<18}  {:<43}  NAT\n", "NAME", width, "ADDRESS",
                   "CONNECTED", "SOFTWARE", "KEY");
    for (const control::Agent& agent : agents) {
        if (command.verbose)
            fmt::print("{:{}}  {:<39}  {:>9}  {:<18}  {}  {}\n", agent.name, width,
                       agent.address.value_or("-"), age(agent.connected_seconds), agent.software,
                       to_string(agent.key), nat_of(agent));
        else
            fmt::print("{}\n", agent.name);
    }
}

net::awaitable<void> execute(const JoinCommand& command, Settings settings,
                             const std::filesystem::path& state, Random& random)
{
    const std::string gateway = to_string(settings.node.gateway.gateway);
    auto checking = check_gateway(std::move(settings), random);
    const std::string name = co_await std::move(checking);
    program::save_join_string(state, command.join);
    fmt::print(stderr, "joined {} as {}; try `narrowlink-client list`\n", gateway, name);
}

net::awaitable<void> execute(const ListCommand& command, Settings settings,
                             const std::filesystem::path&, Random& random)
{
    auto listing = list_agents(std::move(settings), random);
    const std::vector<control::Agent> agents = co_await std::move(listing);
    print(agents, command);
}

net::awaitable<void> execute(const ConnectCommand& command, Settings settings,
                             const std::filesystem::path&, Random& random)
{
    auto connecting =
        connect(std::move(settings), command.agent, command.target, command.udp, random);
    co_await std::move(connecting);
}

net::awaitable<void> execute(const ForwardCommand& command, Settings settings,
                             const std::filesystem::path&, Random& random)
{
    auto forwarding = forward(std::move(settings), command.agent, command.forwards, random);
    co_await std::move(forwarding);
}

} // namespace

void run(const SessionCommand& command, Settings settings, const std::filesystem::path& state,
         Random& random)
{
    io::run_until_stopped(std::visit(
        [&](const auto& c) { return execute(c, std::move(settings), state, random); }, command));
}

} // namespace narrowlink::client
