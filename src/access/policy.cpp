// Theory of operation
//
// Goal: one answer to "may this client open this target?", given by the agent on every CONNECT,
// that cannot be changed by spelling the target differently.
//
// Data flow
//   host as named ─▶ parse_host ─▶ may_resolve ─▶ (agent resolves it and denied_names)
//                                                        └▶ allowed_addresses ─▶ dial
//
// Who judges what
//   white list, domain rule    the name as the client said it; its addresses are its owner's affair
//   white list, address rule   every resolved address
//   black list, domain rule    the name; and the address, by comparison with denied_names; and a
//                              bare address, when the pattern has `*` and thus no list of addresses
//   black list, address rule   every resolved address, also in its other spellings (reached_by)
//
// Why a bare address falls under `*.example.com` of a black list: which addresses lie under that
// pattern cannot be found out, and a rule that gives way to whoever looks an address up himself is
// no rule. The remedy for users is to give the name.
//
// A host that is neither a name nor an address is denied as soon as there is any policy: the
// resolver may understand what we do not.
//
// Limits: a stranger's name that points to an address under a denied `*` pattern is not recognised;
// where that matters, write address rules or a white list. A denied name whose addresses rotate is
// recognised by those addresses that the agent has seen.

#include "narrowlink/access/policy.hpp"

#include "host.hpp"

#include <algorithm>

namespace narrowlink::access {
namespace {

bool is_exact(const std::string& pattern)
{
    return pattern.find('*') == std::string::npos;
}

// The rules of one policy that speak about this agent, port and protocol.
template <class Predicate>
bool any_rule(const Policy& policy, const PolicySet::Target& target, Predicate&& matches)
{
    return std::ranges::any_of(policy.rules, [&](const Rule& rule) {
        return (!rule.agent || *rule.agent == target.agent) &&
               (!rule.port || *rule.port == target.port) &&
               (!rule.protocol || *rule.protocol == target.protocol) && matches(rule);
    });
}

bool allowed_by_name(const Rule& rule, const Host& host)
{
    const auto* const pattern = std::get_if<std::string>(&rule.target);
    const auto* const name = std::get_if<std::string>(&host);
    return pattern != nullptr && name != nullptr && matches_domain(*pattern, *name);
}

bool denied_by_name(const Rule& rule, const Host& host)
{
    const auto* const pattern = std::get_if<std::string>(&rule.target);
    if (pattern == nullptr)
        return false;
    if (const auto* const name = std::get_if<std::string>(&host))
        return matches_domain(*pattern, *name);
    return !is_exact(*pattern);
}

bool allowed_by_address(const Rule& rule, const IpAddress& address)
{
    const auto* const prefix = std::get_if<IpPrefix>(&rule.target);
    return prefix != nullptr && prefix->contains(address);
}

bool denied_by_address(const Rule& rule, const IpAddress& address)
{
    const auto* const prefix = std::get_if<IpPrefix>(&rule.target);
    return prefix != nullptr &&
           (prefix->contains(address) || prefix->contains(reached_by(address)));
}

bool policy_allows(const Policy& policy, const PolicySet::Target& target, const Host& host,
                   const IpAddress& address)
{
    switch (policy.type) {
    case Policy::Type::white_list:
        return any_rule(policy, target, [&](const Rule& rule) {
            return allowed_by_name(rule, host) || allowed_by_address(rule, address);
        });
    case Policy::Type::black_list:
        return !any_rule(policy, target, [&](const Rule& rule) {
            return denied_by_name(rule, host) || denied_by_address(rule, address);
        });
    }
    return false;
}

// Could any address make it allowed?
bool policy_may_allow(const Policy& policy, const PolicySet::Target& target, const Host& name)
{
    switch (policy.type) {
    case Policy::Type::white_list:
        return any_rule(policy, target, [&](const Rule& rule) {
            return allowed_by_name(rule, name) || std::holds_alternative<IpPrefix>(rule.target);
        });
    case Policy::Type::black_list:
        return !any_rule(policy, target,
                         [&](const Rule& rule) { return denied_by_name(rule, name); });
    }
    return false;
}

} // namespace

std::string_view to_string(Protocol protocol)
{
    switch (protocol) {
    case Protocol::tcp: return "TCP";
    case Protocol::udp: return "UDP";
    }
    return "unknown protocol";
}

bool matches_domain(std::string_view pattern, std::string_view name)
{
    const auto canonical = canonical_name(name);
    if (!canonical)
        return false;
    if (pattern == "*")
        return true;
    const bool below = pattern.starts_with("*.");
    const auto base = canonical_name(below ? pattern.substr(2) : pattern);
    if (!base)
        return false;
    if (!below)
        return *canonical == *base;
    return canonical->size() > base->size() + 1 && canonical->ends_with(*base) &&
           (*canonical)[canonical->size() - base->size() - 1] == '.';
}

std::uint64_t make_policy_id(Random& random)
{
    constexpr unsigned whole_bits = 53; // of a double, RFC 8259 §6
    for (;;)
        if (const std::uint64_t id = random.u64() >> (64 - whole_bits); id != 0)
            return id;
}

bool PolicySet::may_resolve(const Target& target) const
{
    if (policies_.empty())
        return true;
    const auto host = parse_host(target.host);
    if (!host)
        return false;
    if (const auto* const address = std::get_if<IpAddress>(&*host))
        return allows(target, *address);
    return std::ranges::all_of(
        policies_, [&](const Policy& policy) { return policy_may_allow(policy, target, *host); });
}

bool PolicySet::allows(const Target& target, const IpAddress& address) const
{
    if (policies_.empty())
        return true;
    const auto host = parse_host(target.host);
    if (!host)
        return false;
    if (const auto* const literal = std::get_if<IpAddress>(&*host); literal && *literal != address)
        return false; // an address resolves to itself and to nothing else
    return std::ranges::all_of(policies_, [&](const Policy& policy) {
        return policy_allows(policy, target, *host, address);
    });
}

std::vector<std::string> PolicySet::denied_names(const Target& target) const
{
    std::vector<std::string> names;
    for (const Policy& policy : policies_) {
        if (policy.type != Policy::Type::black_list)
            continue;
        any_rule(policy, target, [&](const Rule& rule) {
            const auto* const pattern = std::get_if<std::string>(&rule.target);
            if (pattern != nullptr && is_exact(*pattern) &&
                std::ranges::find(names, *pattern) == names.end())
                names.push_back(*pattern);
            return false; // go on to the next rule
        });
    }
    return names;
}

std::vector<IpAddress> PolicySet::allowed_addresses(const Target& target,
                                                    std::span<const IpAddress> resolved,
                                                    std::span<const IpAddress> denied) const
{
    std::vector<IpAddress> allowed;
    for (const IpAddress& address : resolved) {
        const bool is_denied = std::ranges::any_of(denied, [&](const IpAddress& other) {
            return reached_by(other) == reached_by(address);
        });
        if (!is_denied && allows(target, address))
            allowed.push_back(address);
    }
    return allowed;
}

} // namespace narrowlink::access
