#include "narrowlink/control/datagram_relay.hpp"

#include "narrowlink/control/relay_tag.hpp"

#include <utility>

namespace narrowlink::control {
namespace {

/// Nodes show themselves at least every 25 s, and four times in a row that may get lost.
constexpr Duration place_lifetime = std::chrono::minutes{2};

} // namespace

void DatagramRelay::add_session(SessionId session)
{
    sessions_.insert(session);
}

void DatagramRelay::remove_session(SessionId session)
{
    sessions_.erase(session);
    table_.remove_session(session);
    std::erase_if(pairs_, [session](const auto& entry) {
        return entry.second.client == session || entry.second.agent == session;
    });
}

void DatagramRelay::add_pair(Instant now, const PairName& name, SessionId client, SessionId agent)
{
    remove_pair(name);
    if (!sessions_.contains(client) || !sessions_.contains(agent))
        return;
    Pair pair{.client = client,
              .agent = agent,
              .tag_of_client =
                  relay_tag(Role::client, name.client_key, name.id),
              .tag_of_agent = relay_tag(Role::agent, name.client_key, name.id)};
    if (!table_.add_pair(client, pair.tag_of_client, agent, pair.tag_of_agent))
        return; // 32 bits twice: it does without
    tell_if_ready(now, name, pairs_.emplace(name, pair).first->second);
}

void DatagramRelay::remove_pair(const PairName& name)
{
    const auto known = pairs_.find(name);
    if (known == pairs_.end())
        return;
    const Pair& pair = known->second;
    table_.remove_pair(pair.client, pair.tag_of_client, pair.agent, pair.tag_of_agent);
    pairs_.erase(known);
}

void DatagramRelay::handle_place(Instant now, SessionId session,
                                 relay::DatagramTable::Place place)
{
    if (!sessions_.contains(session))
        return;
    place.good_until = now + place_lifetime;
    table_.set_place(session, place);
    for (auto& [name, pair] : pairs_)
        if (pair.client == session || pair.agent == session)
            tell_if_ready(now, name, pair);
}

void DatagramRelay::tell_if_ready(Instant now, const PairName& name, Pair& pair)
{
    if (pair.told || table_.place_of(now, pair.client) == nullptr ||
        table_.place_of(now, pair.agent) == nullptr)
        return;
    pair.told = true;
    messages_.push_back({pair.client, {.pair = name.id, .client_key = {}}});
    messages_.push_back({pair.agent, {.pair = name.id, .client_key = name.client_key}});
}

std::optional<DatagramRelay::Send> DatagramRelay::poll_message()
{
    if (messages_.empty())
        return std::nullopt;
    Send message = std::move(messages_.front());
    messages_.pop_front();
    return message;
}

} // namespace narrowlink::control
