#include "couple.hpp"

namespace narrowlink::sim {
namespace {

constexpr Duration look_interval = milliseconds{10};

Shape shape(Duration delay, Duration jitter)
{
    return {.delay = delay, .jitter = jitter};
}

NodeSettings settings(control::Role role, Host& host)
{
    const bool agent = role == control::Role::agent;
    return {.person = &person(agent ? 0 : 1),
            .claims = {.role = role,
                       .user = "user",
                       .name = agent ? "agent" : "client",
                       .token = agent ? "agent-token" : "client-token"},
            .pair = {},
            .host = &host};
}

Gateway::Config gateway_config()
{
    Gateway::Config config;
    config.rendezvous = probe_service();
    return config;
}

} // namespace

control::Rendezvous::Config probe_service()
{
    return {.ports = {443, 8'444, 8'445, 8'446},
            .addresses = {*IpAddress::parse("198.51.100.2"), *IpAddress::parse("2001:db8:ff::2")}};
}

Couple::Couple(std::uint64_t seed, const NatKind& client, const NatKind& agent, Line client_line,
               Line agent_line)
    : world_{seed}
    , internet_{world_}
    , gateway_{world_, gateway_config(), &internet_}
    , away_{internet_, client}
    , home_{internet_, agent}
    , client_access_{world_, shape(client_line.up, client_line.jitter),
                     shape(client_line.down, client_line.jitter)}
    , agent_access_{world_, shape(agent_line.up, agent_line.jitter),
                    shape(agent_line.down, agent_line.jitter)}
    , client_host_{world_, client_access_, away_}
    , agent_host_{world_, agent_access_, home_}
{
    away_.up = client_access_.up;
    away_.down = client_access_.down;
    home_.up = agent_access_.up;
    home_.down = agent_access_.down;
    agent_node_ =
        std::make_unique<AgentNode>(world_, gateway_, agent_access_,
                                    settings(control::Role::agent, agent_host_), conversations_);
    // The gateway would refuse the client while it does not know the agent.
    run_for(agent_access_.rtt() * 5 + milliseconds{50});
    client_node_ = std::make_unique<ClientNode>(world_, gateway_, client_access_,
                                                settings(control::Role::client, client_host_),
                                                "agent", std::nullopt);
}

Couple::~Couple() = default;

bool Couple::until_direct(Duration most)
{
    const Instant end = world_.now() + most;
    while (!is_direct() && world_.now() < end && !world_.has_failed())
        run_for(look_interval);
    return is_direct();
}

bool Couple::until_unreachable(Duration most)
{
    const Instant end = world_.now() + most;
    while (unreachable().empty() && world_.now() < end && !world_.has_failed())
        run_for(look_interval);
    return !unreachable().empty();
}

bool Couple::transfer(std::uint64_t bytes, Duration most)
{
    const auto id = static_cast<std::uint32_t>(conversations_.size() + 1);
    Conversation& conversation = conversations_[id];
    conversation.plan = {.id = id, .upload = bytes, .download = bytes};
    client_node_->open(conversation);
    const Instant end = world_.now() + most;
    while (!conversation.is_over() && world_.now() < end && !world_.has_failed())
        run_for(look_interval);
    return !world_.has_failed() && conversation.client->ending == Ending::clean &&
           conversation.agent->ending == Ending::clean;
}

} // namespace narrowlink::sim
