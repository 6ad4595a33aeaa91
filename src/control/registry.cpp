// Theory of operation
//
// Goal: every pair whose two ends are connected is up, and each end knows it; nothing that
// strangers do makes the books grow without limit.
//
// States of a pair
//   up         client and agent are connected; routes in both directions, one handle per session.
//   no agent   the client waits. After an introduce with `resume` it waits until expires_at and is
//              then refused; after the agent went away it waits as long as it likes.
//   no client  until expires_at = when the client went away + resume_window; then it is released.
//
// Events
//   introduce  → up, or no agent (resume), or refused. Takes the pair from an older session of the
//                client, which is probably dead without our knowing yet.
//   agent comes → its pairs with a client are up.          agent goes  → no agent, `interrupted`.
//   client goes → no client, `interrupted` to the agent.   release     → the pair is gone.
// Handles are fresh each time a pair comes up, so a relay message that was on its way meanwhile
// cannot be taken for one of the new time.
//
// Order of actions: routes are installed before anyone learns the handle, and the agent is told
// before the client is. The agent's text therefore stands in its queue before any packet of the
// client can, and a control text never overtakes.
//
// Timers: expiries_, one entry per pair that has one.
//
// Limits: Config. Containers that are ordered by what strangers choose are trees, not hash tables.

#include "narrowlink/control/registry.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>

namespace narrowlink::control {
namespace {

constexpr std::uint32_t last_handle = std::numeric_limits<std::uint32_t>::max();

bool is_visible(const std::vector<access::Policy>& policies, std::string_view agent)
{
    return std::ranges::all_of(policies, [&](const access::Policy& policy) {
        return policy.type == access::Policy::Type::black_list ||
               std::ranges::any_of(policy.rules, [&](const access::Rule& rule) {
                   return !rule.agent || *rule.agent == agent;
               });
    });
}

bool ends_pairs(ClosingReason reason)
{
    return reason == ClosingReason::revoked || reason == ClosingReason::expired ||
           reason == ClosingReason::unauthorized;
}

Introduction introduction_of(const Registry::Node& client, std::vector<access::Policy> policies)
{
    return {.pair = {},
            .handle = {},
            .client = client.name,
            .user = client.user,
            .key = client.key,
            .instance = client.instance,
            .policies = std::move(policies)};
}

} // namespace

Registry::Registry(Config config) : config_{config} {}

Result<> Registry::add_agent(Instant now, SessionId session, Node node)
{
    const bool replaces = find_agent(node.user, node.name).has_value();
    if (const Result<> admission = check_admission(node, replaces); !admission)
        return admission;
    AgentName& name = users_[node.user].agents[node.name];
    if (name.session)
        replace_agent(*name.session);
    name.session = session;

    insert_session(session, {.role = Role::agent, .node = std::move(node), .since = now});
    for (const PairKey& key : name.pairs)
        if (Pair& pair = pairs_.at(key); pair.client)
            bring_up(key, pair, session);
    return {};
}

Result<> Registry::add_client(Instant now, SessionId session, Node node,
                              std::vector<access::Policy> policies)
{
    if (const Result<> admission = check_admission(node, false); !admission)
        return admission;
    if (policies.size() > max_policies ||
        format(introduction_of(node, policies)).size() > max_message_size)
        return make_error_code(Error::policies_too_large);
    insert_session(session, {.role = Role::client,
                             .node = std::move(node),
                             .since = now,
                             .policies = std::move(policies)});
    return {};
}

void Registry::remove(Instant now, SessionId session)
{
    drop_session(now, session, PairEnd::interrupted);
}

void Registry::handle(Instant now, SessionId id, const Message& message)
{
    Session* session = find_session(id);
    if (!session)
        return;
    if (const auto* release = std::get_if<Release>(&message))
        handle_release(id, *session, *release);
    else if (const auto* candidates = std::get_if<Candidates>(&message))
        describe_port_mapping(session->node, candidates->mapped);
    else if (session->role != Role::client)
        return;
    else if (const auto* list = std::get_if<List>(&message))
        handle_list(now, id, *session, *list);
    else if (const auto* introduce = std::get_if<Introduce>(&message))
        handle_introduce(now, id, *session, *introduce);
}

void Registry::close(Instant now, SessionId session, ClosingReason reason, std::string message)
{
    if (!find_session(session))
        return;
    drop_session(now, session, ends_pairs(reason) ? PairEnd::released : PairEnd::interrupted);
    actions_.push_back(Close{.session = session, .reason = reason, .message = std::move(message)});
}

void Registry::revoke(Instant now, std::string_view token)
{
    std::vector<SessionId> sessions;
    for (const auto& [id, session] : sessions_)
        if (session.node.token == token)
            sessions.push_back(id);
    for (const SessionId id : sessions)
        close(now, id, ClosingReason::revoked, "the token of this node was revoked");

    std::vector<PairKey> clientless;
    for (const auto& [key, pair] : pairs_)
        if (pair.token == token)
            clientless.push_back(key);
    for (const PairKey& key : clientless)
        release(key, std::nullopt);
}

void Registry::handle_timeout(Instant now)
{
    while (!expiries_.empty() && expiries_.begin()->first <= now) {
        const PairKey key = expiries_.begin()->second;
        const Pair& pair = pairs_.at(key);
        const std::optional<SessionId> client = pair.client;
        if (client)
            refuse(*client,
                   {.id = pair.introduce_id, .agent = pair.agent, .pair = key.id, .resume = true},
                   RefusalReason::no_such_agent);
        release(key, client);
    }
}

std::optional<Registry::Action> Registry::poll_action()
{
    if (actions_.empty())
        return std::nullopt;
    Action action = std::move(actions_.front());
    actions_.pop_front();
    return action;
}

Instant Registry::deadline() const
{
    return expiries_.empty() ? never : expiries_.begin()->first;
}

Registry::Counts Registry::counts() const
{
    Counts counts{.agents = 0, .clients = 0, .pairs = pairs_.size()};
    for (const auto& [id, session] : sessions_)
        ++(session.role == Role::agent ? counts.agents : counts.clients);
    return counts;
}

// ---- sessions

Registry::Session* Registry::find_session(SessionId session)
{
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : &found->second;
}

std::optional<SessionId> Registry::find_agent(const std::string& user, std::string_view name) const
{
    const auto owner = users_.find(user);
    if (owner == users_.end())
        return std::nullopt;
    const auto agent = owner->second.agents.find(name);
    return agent == owner->second.agents.end() ? std::nullopt : agent->second.session;
}

Result<> Registry::check_admission(const Node& node, bool replaces) const
{
    if (!is_valid_name(node.user) || !is_valid_name(node.name))
        return make_error_code(Error::invalid_name);
    const auto user = users_.find(node.user);
    if (!replaces && user != users_.end() && user->second.sessions >= config_.sessions_per_user)
        return make_error_code(Error::too_many_sessions);
    return {};
}

void Registry::insert_session(SessionId id, Session session)
{
    ++users_[session.node.user].sessions;
    sessions_.insert_or_assign(id, std::move(session));
}

void Registry::drop_session(Instant now, SessionId id, PairEnd end)
{
    const auto found = sessions_.find(id);
    if (found == sessions_.end())
        return;
    const std::string user = found->second.node.user;
    const std::string name = found->second.node.name;
    if (found->second.role == Role::agent)
        drop_pairs_of_agent(id, found->second, end);
    else
        drop_pairs_of_client(now, id, found->second, end);
    sessions_.erase(id);
    --users_.at(user).sessions;
    forget_if_empty(user, name);
}

// The newcomer gets the pairs in the same breath, so the clients are not told of a gap.
void Registry::replace_agent(SessionId older)
{
    const Session& session = sessions_.at(older);
    User& user = users_.at(session.node.user);
    for (const PairKey& key : user.agents.at(session.node.name).pairs)
        take_down(pairs_.at(key));
    actions_.push_back(Close{.session = older,
                             .reason = ClosingReason::replaced,
                             .message = "another session of this agent has taken its place"});
    --user.sessions;
    sessions_.erase(older);
}

void Registry::drop_pairs_of_agent(SessionId id, const Session& session, PairEnd end)
{
    AgentName& name = users_.at(session.node.user).agents.at(session.node.name);
    const std::set<PairKey> keys = name.pairs; // release() changes it
    name.session.reset();
    for (const PairKey& key : keys) {
        Pair& pair = pairs_.at(key);
        take_down(pair);
        if (end == PairEnd::released)
            release(key, id);
        else if (pair.client)
            send(*pair.client, Interrupted{.pair = key.id, .client_key = {}});
    }
}

void Registry::drop_pairs_of_client(Instant now, SessionId id, const Session& session, PairEnd end)
{
    const std::set<PairKey> keys = session.pairs;
    for (const PairKey& key : keys) {
        Pair& pair = pairs_.at(key);
        if (end == PairEnd::released) {
            release(key, id);
            continue;
        }
        if (pair.up)
            send(pair.up->agent, Interrupted{.pair = key.id, .client_key = key.client_key});
        make_clientless(now, key, pair);
    }
}

void Registry::forget_if_empty(const std::string& user, const std::string& agent)
{
    const auto owner = users_.find(user);
    if (owner == users_.end())
        return;
    const auto name = owner->second.agents.find(agent);
    if (name != owner->second.agents.end() && !name->second.session && name->second.pairs.empty())
        owner->second.agents.erase(name);
    if (owner->second.sessions == 0 && owner->second.agents.empty())
        users_.erase(owner);
}

void Registry::describe_port_mapping(Node& node, const std::optional<MappedPort>& mapped)
{
    node.port_mapping.reset();
    if (mapped)
        node.port_mapping =
            node.address ? fmt::format("{} {}", mapped->protocol, to_string(mapped->external))
                         : mapped->protocol;
}

void Registry::describe_nat(SessionId id, std::string text)
{
    if (Session* session = find_session(id))
        session->node.nat = std::move(text);
}

// ---- messages

void Registry::handle_list(Instant now, SessionId id, const Session& client, const List& message)
{
    Agents part{.id = message.id, .agents = {}, .more = false};
    for (const auto& [name, agent] : users_.at(client.node.user).agents) {
        if (!agent.session || !is_visible(client.policies, name))
            continue;
        if (part.agents.size() == max_agents_per_message) {
            part.more = true;
            send(id, std::move(part));
            part = Agents{.id = message.id, .agents = {}, .more = false};
        }
        const Session& session = sessions_.at(*agent.session);
        const auto connected =
            std::chrono::duration_cast<std::chrono::seconds>(now - session.since);
        part.agents.push_back({.name = name,
                               .instance = session.node.instance,
                               .key = session.node.key,
                               .software = session.node.software,
                               .connected_seconds = static_cast<std::uint64_t>(connected.count()),
                               .address = session.node.address,
                               .nat = session.node.nat,
                               .port_mapping = session.node.port_mapping});
    }
    send(id, std::move(part));
}

void Registry::handle_introduce(Instant now, SessionId id, Session& client,
                                const Introduce& message)
{
    const PairKey key{.user = client.node.user, .client_key = client.node.key, .id = message.pair};
    const auto known = pairs_.find(key);
    if (known != pairs_.end() && known->second.agent != message.agent) {
        actions_.push_back(Close{.session = id,
                                 .reason = ClosingReason::protocol_error,
                                 .message = "one pair was introduced to two agents"});
        return;
    }
    // Whether an invisible agent is connected must not show: no waiting for it either.
    const bool visible = is_visible(client.policies, message.agent);
    const auto agent = visible ? find_agent(client.node.user, message.agent) : std::nullopt;
    if (!agent && !(visible && message.resume)) {
        if (known != pairs_.end())
            release(key, id);
        refuse(id, message, RefusalReason::no_such_agent);
        return;
    }
    if (!client.pairs.contains(key) && client.pairs.size() >= config_.pairs_per_session) {
        refuse(id, message, RefusalReason::limit);
        return;
    }

    if (known == pairs_.end())
        users_.at(key.user).agents[message.agent].pairs.insert(key);
    Pair& pair = pairs_[key];
    pair.agent = message.agent;
    pair.token = client.node.token;
    pair.introduce_id = message.id;
    attach_client(id, client, key, pair);
    if (agent) {
        bring_up(key, pair, *agent);
        return;
    }
    set_expiry(key, pair, now + config_.resume_window);
    send(id, Interrupted{.pair = key.id, .client_key = {}});
}

void Registry::attach_client(SessionId id, Session& client, const PairKey& key, Pair& pair)
{
    take_down(pair);
    if (pair.client && *pair.client != id) {
        // Not `released`: should the same process still read its old session, the pair goes on.
        sessions_.at(*pair.client).pairs.erase(key);
        send(*pair.client, Interrupted{.pair = key.id, .client_key = {}});
    }
    if (!pair.client)
        users_.at(key.user).clientless.erase({pair.expires_at, key});
    set_expiry(key, pair, never);
    pair.client = id;
    client.pairs.insert(key);
}

void Registry::handle_release(SessionId id, const Session& session, const Release& message)
{
    const bool by_agent = session.role == Role::agent;
    if (message.client_key.has_value() != by_agent)
        return; // GatewaySession has closed the session for it
    const PairKey key{.user = session.node.user,
                      .client_key = by_agent ? *message.client_key : session.node.key,
                      .id = message.pair};
    const auto pair = pairs_.find(key);
    if (pair == pairs_.end())
        return; // released from both ends at once
    if (by_agent && pair->second.agent != session.node.name)
        return; // not its pair
    release(key, id);
}

void Registry::refuse(SessionId id, const Introduce& message, RefusalReason reason)
{
    std::string sentence =
        reason == RefusalReason::limit
            ? fmt::format("one client may have {} pairs at a time", config_.pairs_per_session)
            : fmt::format("no agent of the name \"{}\" is connected, or it may not be seen",
                          message.agent);
    send(id, Refused{.id = message.id, .reason = reason, .message = std::move(sentence)});
}

// ---- pairs

void Registry::bring_up(const PairKey& key, Pair& pair, SessionId agent_id)
{
    const SessionId client_id = *pair.client;
    Session& client = sessions_.at(client_id);
    Session& agent = sessions_.at(agent_id);
    for (const auto& [id, session] : {std::pair{client_id, &client}, std::pair{agent_id, &agent}}) {
        if (session->next_handle != last_handle)
            continue;
        actions_.push_back(Close{.session = id,
                                 .reason = ClosingReason::limit,
                                 .message = "this session has used up its handles; connect again"});
        return;
    }

    const Pair::Up up{.client = client_id,
                      .client_handle = PairHandle{client.next_handle++},
                      .agent = agent_id,
                      .agent_handle = PairHandle{agent.next_handle++}};
    pair.up = up;
    set_expiry(key, pair, never);
    actions_.push_back(Route{.from = up.client,
                             .handle_at_from = up.client_handle,
                             .to = up.agent,
                             .handle_at_to = up.agent_handle});
    actions_.push_back(Route{.from = up.agent,
                             .handle_at_from = up.agent_handle,
                             .to = up.client,
                             .handle_at_to = up.client_handle});

    Introduction introduction = introduction_of(client.node, client.policies);
    introduction.pair = key.id;
    introduction.handle = up.agent_handle;
    send(up.agent, std::move(introduction));
    send(up.client, Introduced{.pair = key.id,
                               .handle = up.client_handle,
                               .agent = agent.node.name,
                               .key = agent.node.key,
                               .instance = agent.node.instance});
    actions_.push_back(PairUp{.client_key = key.client_key,
                              .id = key.id,
                              .client = up.client,
                              .agent = up.agent});
}

void Registry::take_down(Pair& pair)
{
    if (!pair.up)
        return;
    actions_.push_back(Unroute{.session = pair.up->client, .handle = pair.up->client_handle});
    actions_.push_back(Unroute{.session = pair.up->agent, .handle = pair.up->agent_handle});
    pair.up.reset();
}

void Registry::release(PairKey key, std::optional<SessionId> teller)
{
    Pair& pair = pairs_.at(key);
    take_down(pair);
    actions_.push_back(PairDown{.client_key = key.client_key, .id = key.id});
    const auto agent = find_agent(key.user, pair.agent);
    if (agent && agent != teller)
        send(*agent, Released{.pair = key.id, .client_key = key.client_key});
    if (pair.client && pair.client != teller)
        send(*pair.client, Released{.pair = key.id, .client_key = {}});

    User& user = users_.at(key.user);
    if (pair.client)
        sessions_.at(*pair.client).pairs.erase(key);
    else
        user.clientless.erase({pair.expires_at, key});
    set_expiry(key, pair, never);
    user.agents.at(pair.agent).pairs.erase(key);
    const std::string name = pair.agent;
    pairs_.erase(key);
    forget_if_empty(key.user, name);
}

void Registry::set_expiry(const PairKey& key, Pair& pair, Instant expires_at)
{
    expiries_.erase({pair.expires_at, key});
    pair.expires_at = expires_at;
    if (expires_at != never)
        expiries_.emplace(expires_at, key);
}

void Registry::make_clientless(Instant now, const PairKey& key, Pair& pair)
{
    take_down(pair);
    pair.client.reset();
    set_expiry(key, pair, now + config_.resume_window);
    auto& clientless = users_.at(key.user).clientless;
    clientless.emplace(pair.expires_at, key);
    if (clientless.size() > config_.clientless_pairs_per_user)
        release(clientless.begin()->second, std::nullopt);
}

void Registry::send(SessionId to, Message message)
{
    actions_.push_back(Send{.to = to, .message = std::move(message)});
}

} // namespace narrowlink::control
