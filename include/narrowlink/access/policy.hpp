#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/random.hpp"
#include "narrowlink/base/result.hpp"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

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
/// itself) or `*`? Case-insensitive; a final dot is ignored. What is no DNS name matches nothing.
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

/// Random and never zero; below 2^53, so that every JSON implementation keeps it whole.
///
/// An id belongs to one text for ever: a client could go on presenting the older text.
std::uint64_t make_policy_id(Random&);

/// Why a policy is refused. Each has a sentence with the remedy.
enum class PolicyError {
    malformed = 1,  ///< not `{"id", "type", "policies"}`, or something beside them
    unknown_type,   ///< neither WhiteList nor BlackList
    malformed_rule, ///< not `{"Ip": […four…]}` or `{"Domain": […four…]}`
    bad_agent,      ///< not an agent's name, nor "Any"
    bad_prefix,     ///< not CIDR notation, or with bits set behind the prefix
    bad_domain,     ///< not a name, `*.name` or `*`; an address belongs into an Ip rule
    bad_port,       ///< not 0…65535
    bad_protocol,   ///< not TCP, UDP or Any
    too_many_rules, ///< more than max_rules
};

ErrorCode make_error_code(PolicyError) noexcept;

inline constexpr std::size_t max_rules = 1'024;

/// The claims' JSON (docs/protocol.md): `{"id", "type": "WhiteList", "policies": [{"Ip": […]},
/// …]}`.
boost::json::value to_json(const Policy&);

/// Anything unknown is refused: ignoring it could widen what its author meant to narrow.
/// `faulty_rule` receives the index of the rule that an error is about; otherwise it is untouched.
///
/// Errors: PolicyError.
Result<Policy> policy_from_json(const boost::json::value&, std::size_t* faulty_rule = nullptr);

/// All policies of one client; none means that everything is allowed.
///
/// Every white list must allow a target and no black list may deny it. An agent asks, in order:
/// may_resolve(); then it resolves the target's host and denied_names(); then it dials only what
/// allowed_addresses() leaves.
class PolicySet {
public:
    PolicySet() = default;

    explicit PolicySet(std::vector<Policy> policies) : policies_{std::move(policies)} {}

    struct Target {
        std::string_view agent;
        std::string_view host; ///< as the client named it: a DNS name or an address
        std::uint16_t port = 0;
        Protocol protocol = Protocol::tcp;
    };

    /// Decides before the name is resolved: false when no address could make it allowed.
    /// A denial here keeps a forbidden name from being looked up at all.
    [[nodiscard]] bool may_resolve(const Target&) const;

    /// Decides for one resolved address. A white list allows the target when a domain rule matches
    /// the name or an address rule matches `address`; a black list denies it when either matches.
    /// A host that is an address matches no domain rule of a white list, and every one with `*` of
    /// a black list: nobody can tell that it is none of those names.
    ///
    /// Not the whole answer: an exact name that is denied cannot be recognised by its address
    /// here. allowed_addresses() is.
    [[nodiscard]] bool allows(const Target&, const IpAddress& address) const;

    /// Exact domain names of black lists that apply to this agent, port and protocol, each once.
    /// The agent resolves them and refuses a target whose address is one of theirs, so that a
    /// domain rule cannot be bypassed by IP or by another name. A lookup that fails for another
    /// reason than "no such name" must deny.
    [[nodiscard]] std::vector<std::string> denied_names(const Target&) const;

    /// Those of `resolved` that the agent may dial, in their order. `denied` are all addresses of
    /// all denied_names().
    [[nodiscard]] std::vector<IpAddress> allowed_addresses(const Target&,
                                                           std::span<const IpAddress> resolved,
                                                           std::span<const IpAddress> denied) const;

    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }

private:
    std::vector<Policy> policies_;
};

} // namespace narrowlink::access

template <>
struct boost::system::is_error_code_enum<narrowlink::access::PolicyError> : std::true_type {
};
