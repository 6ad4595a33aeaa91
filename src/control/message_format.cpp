#include "overloaded.hpp"
#include "words.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <utility>

namespace narrowlink::control {
namespace {

namespace json = boost::json;

json::string text(std::string_view value)
{
    return json::string{value.data(), value.size()};
}

json::array texts(const std::vector<std::string>& values)
{
    json::array array;
    array.reserve(values.size());
    for (const std::string& value : values)
        array.emplace_back(text(value));
    return array;
}

json::object typed(std::string_view type)
{
    json::object object;
    object.reserve(8);
    object["type"] = text(type);
    return object;
}

template <class PairMessage>
json::object pair_message(std::string_view type, const PairMessage& message)
{
    json::object object = typed(type);
    object["pair"] = text(to_string(message.pair));
    if (message.client_key)
        object["client_key"] = text(to_string(*message.client_key));
    return object;
}

json::object to_object(const Hello& m)
{
    json::object object = typed("hello");
    object["version_min"] = m.version_min;
    object["version_max"] = m.version_max;
    object["features"] = texts(m.features);
    object["key"] = text(to_string(m.key));
    object["instance"] = text(to_string(m.instance));
    object["software"] = text(m.software);
    if (!m.policies.empty())
        object["policies"] = texts(m.policies);
    return object;
}

json::object to_object(const Welcome& m)
{
    json::object object = typed("welcome");
    object["version"] = m.version;
    object["features"] = texts(m.features);
    object["session"] = text(m.session);
    object["name"] = text(m.name);
    object["user"] = text(m.user);
    return object;
}

json::object with_id(std::string_view type, std::uint64_t id)
{
    json::object object = typed(type);
    object["id"] = id;
    return object;
}

json::object to_object(const Agent& m)
{
    json::object object;
    object["name"] = text(m.name);
    object["instance"] = text(to_string(m.instance));
    object["key"] = text(to_string(m.key));
    object["software"] = text(m.software);
    object["connected_seconds"] = m.connected_seconds;
    if (m.address)
        object["address"] = text(*m.address);
    if (m.nat)
        object["nat"] = text(readable_sentence(*m.nat));
    if (m.port_mapping)
        object["port_mapping"] = text(readable_sentence(*m.port_mapping));
    return object;
}

json::object to_object(const Agents& m)
{
    json::object object = with_id("agents", m.id);
    json::array agents;
    agents.reserve(m.agents.size());
    for (const Agent& agent : m.agents)
        agents.emplace_back(to_object(agent));
    object["agents"] = std::move(agents);
    if (m.more)
        object["more"] = true;
    return object;
}

json::object to_object(const Introduce& m)
{
    json::object object = with_id("introduce", m.id);
    object["agent"] = text(m.agent);
    object["pair"] = text(to_string(m.pair));
    if (m.resume)
        object["resume"] = true;
    return object;
}

json::object to_object(const Introduced& m)
{
    json::object object = typed("introduced");
    object["pair"] = text(to_string(m.pair));
    object["handle"] = static_cast<std::uint32_t>(m.handle);
    object["agent"] = text(m.agent);
    object["key"] = text(to_string(m.key));
    object["instance"] = text(to_string(m.instance));
    return object;
}

json::object to_object(const Introduction& m)
{
    json::object object = typed("introduction");
    object["pair"] = text(to_string(m.pair));
    object["handle"] = static_cast<std::uint32_t>(m.handle);
    object["client"] = text(m.client);
    object["user"] = text(m.user);
    object["key"] = text(to_string(m.key));
    object["instance"] = text(to_string(m.instance));
    json::array policies;
    for (const access::Policy& policy : m.policies)
        policies.emplace_back(access::to_json(policy));
    object["policies"] = std::move(policies);
    return object;
}

json::object to_object(const Refused& m)
{
    json::object object = with_id("refused", m.id);
    object["reason"] = text(to_string(m.reason));
    object["message"] = text(readable_sentence(m.message));
    return object;
}

template <class Address>
json::array addresses(const std::vector<Address>& values)
{
    json::array array;
    array.reserve(values.size());
    for (const Address& value : values)
        array.emplace_back(text(to_string(value)));
    return array;
}

void add_channel(json::object& object, const nat::ProbeCredentials& channel)
{
    object["probe_id"] = text(to_hex(channel.id));
    object["probe_key"] = text(to_base64url(channel.key));
}

json::object to_object(const Observe& m)
{
    json::object object = typed("observe");
    add_channel(object, m.channel);
    json::array ports;
    for (const std::uint16_t port : m.ports)
        ports.emplace_back(port);
    object["ports"] = std::move(ports);
    if (!m.addresses.empty())
        object["addresses"] = addresses(m.addresses);
    return object;
}

json::object to_object(const Candidates& m)
{
    json::object object = typed("candidates");
    object["addresses"] = addresses(m.addresses);
    if (m.mapped) {
        json::object mapped;
        mapped["address"] = text(to_string(m.mapped->external));
        mapped["protocol"] = text(m.mapped->protocol);
        object["mapped"] = std::move(mapped);
    }
    return object;
}

json::object with_family(std::string_view type, Family family)
{
    json::object object = typed(type);
    object["family"] = static_cast<unsigned>(family);
    return object;
}

json::object to_object(const SurveyRequest& m)
{
    json::object object = with_family("survey", m.family);
    object["purpose"] = text(nat::to_string(m.step.purpose));
    object["first_socket"] = m.step.first_socket;
    object["sockets"] = m.step.sockets;
    json::array to;
    for (const nat::GatewaySocket socket : m.step.to)
        to.emplace_back(gateway_place(socket));
    object["to"] = std::move(to);
    object["rounds"] = m.step.rounds;
    return object;
}

json::object to_object(const Filtered& m)
{
    json::object object = with_family("filtered", m.family);
    object["answered"] = m.report.answered;
    object["from_port"] = m.report.from_port;
    object["from_address"] = m.report.from_address;
    return object;
}

json::object to_object(const MappingAlive& m)
{
    json::object object = with_family("mapping_alive", m.family);
    object["socket"] = m.socket;
    return object;
}

json::object to_object(const NatDescription& m)
{
    json::object object = with_family("nat", m.family);
    object["description"] = text(readable_sentence(m.text));
    if (m.behaviour) {
        json::object behaviour;
        behaviour["reach"] = text(nat::to_string(m.behaviour->reach));
        behaviour["mapping"] = text(nat::to_string(m.behaviour->mapping));
        behaviour["filtering"] = text(nat::to_string(m.behaviour->filtering));
        behaviour["allocation"] = text(nat::to_string(m.behaviour->allocation));
        if (m.behaviour->lifetime != nat::MappingLifetime{}) {
            behaviour["alive_after_s"] = m.behaviour->lifetime.alive_after.count();
            behaviour["gone_after_s"] = m.behaviour->lifetime.gone_after.count();
        }
        object["behaviour"] = std::move(behaviour);
    }
    return object;
}

json::object to_object(const Meet& m)
{
    json::object object = typed("meet");
    object["pair"] = text(to_string(m.pair));
    return object;
}

/// Where to send to: what punch and aim share.
template <class Targets>
void add_targets(json::object& object, const Targets& m)
{
    object["attempt"] = m.attempt;
    object["fire_in_ms"] = m.fire_in_ms;
    json::array candidates;
    for (const nat::Candidate& candidate : m.candidates) {
        json::object one;
        one["address"] = text(to_string(candidate.address));
        one["kind"] = text(nat::to_string(candidate.kind));
        candidates.emplace_back(std::move(one));
    }
    object["candidates"] = std::move(candidates);
    if (!m.spray)
        return;
    json::object spray;
    spray["addresses"] = addresses(m.spray->addresses);
    spray["first"] = m.spray->first;
    spray["count"] = m.spray->count;
    spray["step"] = m.spray->step;
    spray["order"] = text(spray_order(m.spray->order));
    object["spray"] = std::move(spray);
}

json::object to_object(const Punch& m)
{
    json::object object = pair_message("punch", m);
    add_channel(object, m.channel);
    add_targets(object, m);
    const Punch usual;
    if (m.sockets != usual.sockets)
        object["sockets"] = m.sockets;
    if (m.fresh) {
        object["fresh"] = true;
        object["family"] = static_cast<unsigned>(m.family);
    }
    if (m.sample)
        object["sample"] = true;
    if (m.wait)
        object["wait"] = true;
    if (m.first_ttl != usual.first_ttl)
        object["first_ttl"] = m.first_ttl;
    if (m.retry_ttl != usual.retry_ttl)
        object["retry_ttl"] = m.retry_ttl;
    if (m.retry_after_ms != usual.retry_after_ms)
        object["retry_after_ms"] = m.retry_after_ms;
    if (m.packets != usual.packets)
        object["packets"] = m.packets;
    if (m.time_ms != usual.time_ms)
        object["time_ms"] = m.time_ms;
    return object;
}

json::object to_object(const Aim& m)
{
    json::object object = pair_message("aim", m);
    add_targets(object, m);
    return object;
}

json::object to_object(const Punched& m)
{
    json::object object = typed("punched");
    object["pair"] = text(to_string(m.pair));
    object["attempt"] = m.attempt;
    object["opened"] = m.opened;
    return object;
}

json::object to_object(const Unreachable& m)
{
    json::object object = typed("unreachable");
    object["pair"] = text(to_string(m.pair));
    object["message"] = text(readable_sentence(m.message));
    return object;
}

json::object to_object(const Closing& m)
{
    json::object object = typed("closing");
    object["reason"] = text(to_string(m.reason));
    object["message"] = text(readable_sentence(m.message));
    return object;
}

} // namespace

std::string_view spray_order(nat::Spray::Order order)
{
    switch (order) {
    case nat::Spray::Order::sequential: return "sequential";
    case nat::Spray::Order::random: return "random";
    }
    return "";
}

std::string format(const Message& message)
{
    return json::serialize(
        std::visit(Overloaded{
                       [](const Ping& m) { return with_id("ping", m.id); },
                       [](const Pong& m) { return with_id("pong", m.id); },
                       [](const List& m) { return with_id("list", m.id); },
                       [](const Interrupted& m) { return pair_message("interrupted", m); },
                       [](const UdpRelay& m) { return pair_message("udp_relay", m); },
                       [](const Release& m) { return pair_message("release", m); },
                       [](const Released& m) { return pair_message("released", m); },
                       [](const Unknown& m) { return typed(m.type); },
                       [](const auto& m) { return to_object(m); },
                   },
                   message));
}

} // namespace narrowlink::control
