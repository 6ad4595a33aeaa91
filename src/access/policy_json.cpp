#include "host.hpp"
#include "narrowlink/access/policy.hpp"
#include "narrowlink/access/token.hpp"
#include "strict_json.hpp"

#include <boost/json/array.hpp>

#include <limits>

namespace narrowlink::access {
namespace {

namespace json = boost::json;

constexpr std::string_view any = "Any";

json::string text(std::string_view value)
{
    return json::string{value.data(), value.size()};
}

std::optional<std::string_view> text_in(const json::value& value)
{
    if (!value.is_string())
        return std::nullopt;
    return std::string_view{value.get_string().data(), value.get_string().size()};
}

json::value to_json(const Rule& rule)
{
    const auto* const prefix = std::get_if<IpPrefix>(&rule.target);
    json::array fields;
    fields.emplace_back(text(rule.agent ? std::string_view{*rule.agent} : any));
    fields.emplace_back(text(prefix ? to_string(*prefix) : std::get<std::string>(rule.target)));
    fields.emplace_back(std::uint64_t{rule.port.value_or(0)});
    fields.emplace_back(text(rule.protocol ? to_string(*rule.protocol) : any));
    json::object object;
    object.emplace(prefix ? "Ip" : "Domain", std::move(fields));
    return object;
}

Result<std::optional<std::string>> agent_from(const json::value& value)
{
    const auto name = text_in(value);
    if (name == any)
        return std::optional<std::string>{};
    if (!name || !is_valid_name(*name))
        return make_error_code(PolicyError::bad_agent);
    return std::optional{std::string{*name}};
}

Result<std::variant<IpPrefix, std::string>> prefix_from(const json::value& value)
{
    const auto prefix = text_in(value);
    if (prefix && prefix->find('\0') == std::string_view::npos)
        if (const auto parsed = IpPrefix::parse(*prefix))
            return std::variant<IpPrefix, std::string>{*parsed};
    return make_error_code(PolicyError::bad_prefix);
}

Result<std::variant<IpPrefix, std::string>> domain_from(const json::value& value)
{
    const auto pattern = text_in(value);
    if (!pattern)
        return make_error_code(PolicyError::bad_domain);
    if (*pattern == "*")
        return std::variant<IpPrefix, std::string>{std::string{*pattern}};
    const bool below = pattern->starts_with("*.");
    auto name = canonical_name(below ? pattern->substr(2) : *pattern);
    if (!name)
        return make_error_code(PolicyError::bad_domain);
    return std::variant<IpPrefix, std::string>{(below ? "*." : "") + *name};
}

Result<std::optional<std::uint16_t>> port_from(const json::value& value)
{
    const auto port = to_unsigned(value);
    if (!port || *port > std::numeric_limits<std::uint16_t>::max())
        return make_error_code(PolicyError::bad_port);
    if (*port == 0)
        return std::optional<std::uint16_t>{};
    return std::optional{static_cast<std::uint16_t>(*port)};
}

Result<std::optional<Protocol>> protocol_from(const json::value& value)
{
    const auto name = text_in(value);
    if (name == any)
        return std::optional<Protocol>{};
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp})
        if (name == to_string(protocol))
            return std::optional{protocol};
    return make_error_code(PolicyError::bad_protocol);
}

Result<Rule> rule_from_json(const json::value& value)
{
    if (!value.is_object() || value.get_object().size() != 1)
        return make_error_code(PolicyError::malformed_rule);
    const auto& member = *value.get_object().begin();
    const bool is_ip = member.key() == "Ip";
    if ((!is_ip && member.key() != "Domain") || !member.value().is_array() ||
        member.value().get_array().size() != 4)
        return make_error_code(PolicyError::malformed_rule);

    const json::array& fields = member.value().get_array();
    auto agent = agent_from(fields[0]);
    if (!agent)
        return agent.error();
    auto target = is_ip ? prefix_from(fields[1]) : domain_from(fields[1]);
    if (!target)
        return target.error();
    const auto port = port_from(fields[2]);
    if (!port)
        return port.error();
    const auto protocol = protocol_from(fields[3]);
    if (!protocol)
        return protocol.error();
    return Rule{*std::move(agent), *std::move(target), *port, *protocol};
}

std::string_view to_text(Policy::Type type)
{
    switch (type) {
    case Policy::Type::white_list: return "WhiteList";
    case Policy::Type::black_list: return "BlackList";
    }
    return "unknown type";
}

} // namespace

json::value to_json(const Policy& policy)
{
    json::array rules;
    for (const Rule& rule : policy.rules)
        rules.emplace_back(to_json(rule));
    json::object object;
    object.emplace("id", policy.id);
    object.emplace("type", text(to_text(policy.type)));
    object.emplace("policies", std::move(rules));
    return object;
}

Result<Policy> policy_from_json(const json::value& value, std::size_t* faulty_rule)
{
    if (!value.is_object() || value.get_object().size() != 3)
        return make_error_code(PolicyError::malformed);
    const json::object& object = value.get_object();
    const auto id = unsigned_member(object, "id");
    const auto type = string_member(object, "type");
    const json::value* const rules = object.if_contains("policies");
    if (!id || !type || rules == nullptr || !rules->is_array())
        return make_error_code(PolicyError::malformed);

    Policy policy{.id = *id, .type = Policy::Type::white_list, .rules = {}};
    if (*type == to_text(Policy::Type::black_list))
        policy.type = Policy::Type::black_list;
    else if (*type != to_text(Policy::Type::white_list))
        return make_error_code(PolicyError::unknown_type);
    if (rules->get_array().size() > max_rules)
        return make_error_code(PolicyError::too_many_rules);

    for (const json::value& element : rules->get_array()) {
        auto rule = rule_from_json(element);
        if (!rule) {
            if (faulty_rule != nullptr)
                *faulty_rule = policy.rules.size();
            return rule.error();
        }
        policy.rules.push_back(*std::move(rule));
    }
    return policy;
}

} // namespace narrowlink::access
