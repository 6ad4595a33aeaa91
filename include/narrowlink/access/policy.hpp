#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/result.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/fwd.hpp>

namespace narrowlink::access {

enum class Protocol { tcp, udp };

std::string_view to_string(Protocol);

/// One line of a policy. An empty optional means "any".
struct Rule {
    std::optional<std::string> agent;
    std::variant<IpPrefix, std::string> target; ///< an address block, or a domain pattern
    std::optional<std::uint16_t> port;
    std::optional<Protocol> protocol;

    bool operator==(const Rule&) const = default;
};

/// Does `name` match `pattern`: `example.com`, `*.example.com` (any depth below, not the name
/// itself) or `*`? Case-insensitive; a final dot is ignored.
bool matches_domain(std::string_view pattern, std::string_view name);

/// What one policy token says.
struct Policy {
    enum class Type {
        white_list, ///< only what a rule names is allowed
        black_list, ///< what a rule names is denied
    };

    std::uint64_t id = 0; ///< `pid` of the token
    Type type = Type::white_list;
    std::vector<Rule> rules;

    bool operator==(const Policy&) const = default;
};

/// The claims' JSON (docs/protocol.md): `{"id", "type": "WhiteList", "policies": [{"Ip": […]}, …]}`.
boost::json::value to_json(const Policy&);
Result<Policy> policy_from_json(const boost::json::value&);

/// All policies of one client; none means that everything is allowed.
///
/// Every white list must allow a target and no black list may deny it.
class PolicySet {
public:
    PolicySet() = default;
    explicit PolicySet(std::vector<Policy> policies) : policies_{std::move(policies)} {}

    struct Target {
        std::string_view agent;
        std::string_view host; ///< as the client named it: a DNS name or an address
        std::uint16_t port;
        Protocol protocol;
    };

    /// Decides before the name is resolved: false when no address could make it allowed.
    /// A denial here keeps a forbidden name from being looked up at all.
    [[nodiscard]] bool may_resolve(const Target&) const;

    /// Decides for the resolved address. A white list allows the target when a domain rule matches the name or an
    /// address rule matches `address`; a black list denies it when either matches.
    ///
    /// A denied domain cannot be reached by its address either: `denied_names` asks the caller which
    /// patterns without `*` it has to resolve and compare.
    [[nodiscard]] bool allows(const Target&, const IpAddress& address) const;

    /// Exact domain names of black lists that apply to this agent, port and protocol. The agent resolves them and
    /// refuses a target whose address is one of theirs, so that a domain rule cannot be bypassed by IP.
    [[nodiscard]] std::vector<std::string> denied_names(const Target&) const;

    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }

private:
    std::vector<Policy> policies_;
};

} // namespace narrowlink::access
