// Theory of operation
//
// Stall: a pair whose streams wait although both nodes, the gateway and the networks between them,
// or a direct path to which nothing has happened since it was taken up, have been there for
// `longest_stall`, and not one byte arrived in that time. Where TCP itself
// cannot know earlier that the network is back (Access::good_since), the time counts from when it
// can.
//
// Ends: a stream that nobody resets ends properly at both ends, a reset one with that reset, and
// one whose pair had to die in any way, but it ends. What arrived was checked byte by byte as it
// came.

#include "history.hpp"

#include <algorithm>

namespace narrowlink::sim {
namespace {

constexpr Duration longest_start = seconds{45}; // drive::RelayNode waits up to 37.5 s
constexpr std::size_t main_sockets = 2;         // one per address family
constexpr Duration pair_silence = seconds{60};  // path::Pair::Config

} // namespace

void History::look_for_stalls()
{
    const Instant now = world_.now();
    for (const ClientHost& client : clients_) {
        const AgentHost& agent = agents_[client.agent];
        const Instant relay_since =
            std::max({client.access->good_since(), agent.access->good_since(), agent.good_since,
                      gateway_.good_since()});
        Instant last = std::min(relay_since, client.direct_since);
        if (last == never || client.killed)
            continue;
        // A new process has nothing to resume and takes its time to connect.
        const bool new_agent = agent.node->connected_at() == never;
        if (!new_agent)
            last = std::max(last, agent.node->connected_at());
        bool waiting = false;
        bool only_slow = true;
        bool has_streams = false; // nodes without any come back more leisurely
        for (const std::uint32_t id : client.conversations) {
            const Conversation& conversation = conversations_.at(id);
            last = std::max(last, conversation.last_progress);
            if (!conversation.started || conversation.is_over())
                continue;
            waiting = true;
            only_slow = only_slow && conversation.plan.is_slow();
            has_streams =
                has_streams || conversation.agent->sent + conversation.agent->received > 0;
        }
        if (only_slow)
            for (const std::uint32_t id : client.conversations)
                last = std::max(last, conversations_.at(id).paused_until);
        if (!waiting || now < last)
            continue;
        const bool may_start = new_agent || !has_streams;
        if (!may_start)
            measured_.longest_stall = std::max(measured_.longest_stall, now - last);
        if (now - last > (may_start ? longest_start : character_.longest_stall))
            world_.fail(fmt::format("{}: nothing has moved for {} ms: {}",
                                    client.settings.claims.name, (now - last) / milliseconds{1},
                                    unfinished(client)));
    }
}

std::string History::unfinished(const ClientHost& host) const
{
    std::string text;
    for (const std::uint32_t id : host.conversations) {
        const Conversation& c = conversations_.at(id);
        if (c.started && !c.is_over())
            text += fmt::format("\n  stream {}: kind {} order {}{}, client {} sent {} of {} "
                                "received {} of {}, agent {} "
                                "sent {} received {}",
                                id, static_cast<int>(c.plan.kind), static_cast<int>(c.plan.order),
                                c.plan.refused ? " refused" : "", to_string(c.client->ending),
                                c.client->sent, c.plan.upload, c.client->received, c.plan.download,
                                to_string(c.agent->ending), c.agent->sent, c.agent->received);
    }
    return text;
}

void History::judge()
{
    const auto lost = [](const auto& host) { return host.node && host.node->sessions_lost() > 0; };
    if (character_.faults.empty() &&
        (std::ranges::any_of(agents_, lost) || std::ranges::any_of(clients_, lost)))
        world_.fail("a session was lost although nothing broke");
    for (const ClientHost& host : clients_)
        for (const std::uint32_t id : host.conversations)
            judge(host, conversations_.at(id));
}

void History::judge(const ClientHost& host, const Conversation& conversation)
{
    const auto& faults = character_.faults;
    const bool pairs_may_die = std::ranges::count(faults, Fault::agent_killed) != 0 || host.killed;
    const Plan& plan = conversation.plan;
    const Conversation::End& client = *conversation.client;
    const Conversation::End& agent = *conversation.agent;
    const auto wrong = [&](std::string_view what) {
        world_.fail(fmt::format("stream {}: {} (client: {}, agent: {})", plan.id, what,
                                to_string(client.ending), to_string(agent.ending)));
    };
    if (pairs_may_die)
        return; // ended is enough; what arrived was checked as it came
    if (plan.refused) {
        if (client.ending != Ending::refused)
            wrong("the refusal did not arrive");
        return;
    }
    if (plan.kind == Plan::Kind::udp) {
        // The client goes when it has waited long enough; what the agent then sends is stopped.
        if (client.ending != Ending::clean ||
            (agent.ending != Ending::clean && agent.ending != Ending::reset))
            wrong("it did not end properly");
        return;
    }
    const bool resets = plan.client_resets_after || plan.agent_resets_after;
    if (!resets) {
        if (client.ending != Ending::clean || agent.ending != Ending::clean)
            wrong("it did not end properly");
        return;
    }
    const Conversation::End& resetting = plan.client_resets_after ? client : agent;
    const Conversation::End& other = plan.client_resets_after ? agent : client;
    if (resetting.ending == Ending::resetting && other.ending == Ending::reset) {
        // STOP_SENDING alone, when it had sent everything, does not tell its code.
        if (other.code != quic::h3_connect_error && other.code != quic::h3_request_cancelled)
            wrong(fmt::format("the reset arrived with code {:#x}", other.code.value_or(0)));
    } else if (resetting.ending != Ending::resetting || other.ending != Ending::clean) {
        wrong("the reset did not arrive"); // it may come when the other had everything
    }
}

/// The clients leave; what they had has to go.
void History::wind_up()
{
    constexpr Duration goodbye = seconds{10}; // a session may have to come back first
    world_.run_until(world_.now() + goodbye);
    for (ClientHost& host : clients_) {
        const World::On machine{world_, host.access->machine()};
        if (host.node)
            host.node->close();
    }
    world_.run_until(world_.now() + std::max(character_.resume_window, pair_silence) + seconds{5});
    if (!world_.has_failed())
        look_for_leaks_at_gateway();
    // A pair that only the agent knows, because the gateway died between two messages, goes by
    // itself.
    world_.run_until(world_.now() + character_.agent_patience());
    for (const AgentHost& host : agents_)
        if (!world_.has_failed() && host.node->pairs() != 0)
            world_.fail(fmt::format("{} still has {} pairs", host.settings.claims.name,
                                    host.node->pairs()));
        else if (!world_.has_failed() && host.host && host.host->sockets() != main_sockets)
            world_.fail(fmt::format("{} still has {} sockets", host.settings.claims.name,
                                    host.host->sockets()));
}

void History::look_for_leaks_at_gateway()
{
    const Gateway::Counts counts = gateway_.counts();
    const auto running = static_cast<std::size_t>(std::ranges::count_if(
        clients_, [](const ClientHost& host) { return host.node != nullptr; }));
    if (counts.registry.pairs != 0 || counts.routes != 0 || !counts.expects_nothing)
        world_.fail(fmt::format("the gateway still has {} pairs and {} routes",
                                counts.registry.pairs, counts.routes));
    if (counts.registry.agents != agents_.size() || counts.registry.clients != running ||
        counts.sessions != agents_.size() + running)
        world_.fail(fmt::format("the gateway knows {} agents and {} clients in {} sessions",
                                counts.registry.agents, counts.registry.clients, counts.sessions));
}

} // namespace narrowlink::sim
