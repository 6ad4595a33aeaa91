#include "client_node.hpp"

#include "narrowlink/client/client.hpp"
#include "narrowlink/io/clock.hpp"

#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::client {
namespace {

Failure gateway_silent()
{
    return {ExitCode::gateway_unavailable, "the gateway does not answer"};
}

net::awaitable<void> fetch_list(ClientNode& node, std::vector<control::Agent>& agents)
{
    auto listing = node.list(io::now() + node.settings().connect_timeout);
    agents = co_await std::move(listing);
}

net::awaitable<void> fetch_name(ClientNode& node, std::string& name)
{
    auto waiting = node.established(io::now() + node.settings().connect_timeout);
    const control::NodeSession::Established session = co_await std::move(waiting);
    name = session.name;
}

/// Runs a command that needs the gateway only; its one deadline means that the gateway is silent.
net::awaitable<void> run_bounded(ClientNode& node, net::awaitable<void> command)
{
    try {
        auto running = node.run(std::move(command));
        co_await std::move(running);
    } catch (const boost::system::system_error& error) {
        if (error.code() == boost::system::errc::timed_out)
            throw gateway_silent();
        throw;
    }
}

} // namespace

net::awaitable<std::vector<control::Agent>> list_agents(Settings settings, Random& random)
{
    settings.node.give_up_when_unreachable = true;
    ClientNode node{co_await net::this_coro::executor, std::move(settings), random};
    std::vector<control::Agent> agents;
    auto command = fetch_list(node, agents);
    auto running = run_bounded(node, std::move(command));
    co_await std::move(running);
    co_return agents;
}

net::awaitable<std::string> check_gateway(Settings settings, Random& random)
{
    settings.node.give_up_when_unreachable = true;
    ClientNode node{co_await net::this_coro::executor, std::move(settings), random};
    std::string name;
    auto command = fetch_name(node, name);
    auto running = run_bounded(node, std::move(command));
    co_await std::move(running);
    co_return name;
}

} // namespace narrowlink::client
