#include "narrowlink/config/endpoint.hpp"

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/config/section.hpp"

#include <utility>

namespace narrowlink::config {
namespace {

constexpr std::size_t pin_bytes = 32; // SHA-256

std::optional<std::string> read_pin(Section& section)
{
    auto pin = section.optional_string("pin");
    if (!pin)
        return std::nullopt;
    const auto bytes = from_base64url(*pin);
    if (bytes && bytes->size() == pin_bytes)
        return pin;
    section.report("pin", "expected 43 characters of base64url, as in the gateway's join line");
    return std::nullopt;
}

Located<std::string> read_token(Section& section)
{
    std::string token = section.required_string("token");
    return {std::move(token), section.where("token")};
}

std::vector<Located<std::string>> read_policies(Section& section)
{
    std::vector<Located<std::string>> policies;
    for (std::string& token : section.strings("policies"))
        policies.push_back({std::move(token), section.where("policies")});
    return policies;
}

std::optional<Endpoint> read_endpoint(Section section, NodeKind kind)
{
    if (section.tag() != "!SelfHosted") {
        section.report_tag({"!SelfHosted"});
        return std::nullopt;
    }
    Endpoint endpoint;
    auto gateway = section.host_port("gateway");
    if (!gateway && !section.has("gateway"))
        section.report("gateway", "is required");
    endpoint.gateway = {std::move(gateway).value_or(HostPort{}), section.where("gateway")};
    endpoint.token = read_token(section);
    endpoint.pin = read_pin(section);
    endpoint.protocol =
        section.choice("protocol", endpoint.protocol,
                       {{"Wss", Endpoint::Protocol::wss}, {"Ws", Endpoint::Protocol::ws}});
    if (kind == NodeKind::client)
        endpoint.policies = read_policies(section);
    section.finish();
    return endpoint;
}

} // namespace

Membership read_membership(Section& root, NodeKind kind)
{
    Membership membership;
    const bool has_join = root.has("join");
    if (auto join = root.optional_string("join"); join && !join->empty())
        membership.join = {std::move(*join), root.where("join")};
    else if (join)
        root.report("join", "must not be empty");
    for (Section& section : root.tagged_sections("endpoints"))
        if (auto endpoint = read_endpoint(std::move(section), kind))
            membership.endpoints.push_back(std::move(*endpoint));
    if (has_join && !membership.endpoints.empty())
        root.report("endpoints",
                    "a join string already says this; remove one of `join` and `endpoints`");
    return membership;
}

} // namespace narrowlink::config
