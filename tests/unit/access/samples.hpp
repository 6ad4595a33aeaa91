#pragma once

#include "narrowlink/access/token.hpp"

#include <string>

namespace narrowlink::access {

inline const Secret secret(32, std::byte{0x5a});

constexpr UnixTime now{std::chrono::seconds{1'800'000'000}};
constexpr UnixTime tomorrow = now + std::chrono::hours{24};

inline Claims claims(std::string id = "00112233445566aa", std::string name = "home")
{
    return {.id = std::move(id), .user = "alice", .name = std::move(name), .expires = tomorrow};
}

inline Rule ip_rule(std::string_view prefix)
{
    return {.agent = {}, .target = IpPrefix::parse(prefix).value(), .port = {}, .protocol = {}};
}

inline Rule domain_rule(std::string pattern)
{
    return {.agent = {}, .target = std::move(pattern), .port = {}, .protocol = {}};
}

inline Policy white_list(std::vector<Rule> rules, std::uint64_t id = 1)
{
    return {.id = id, .type = Policy::Type::white_list, .rules = std::move(rules)};
}

inline Policy black_list(std::vector<Rule> rules, std::uint64_t id = 2)
{
    return {.id = id, .type = Policy::Type::black_list, .rules = std::move(rules)};
}

inline AgentToken agent_token()
{
    return {claims()};
}

inline ClientToken client_token()
{
    return {claims("0000000000000001", "laptop"), {7, 9'007'199'254'740'991}};
}

inline PolicyToken policy_token()
{
    Rule ssh = ip_rule("10.0.0.0/8");
    ssh.agent = "home";
    ssh.port = 22;
    ssh.protocol = Protocol::tcp;
    return {claims("0000000000000002", "office"),
            black_list({ssh, domain_rule("*.example.com")}, 7)};
}

} // namespace narrowlink::access
