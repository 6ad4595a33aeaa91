#include "narrowlink/access/join_string.hpp"
#include "narrowlink/access/policy.hpp"
#include "narrowlink/access/token.hpp"
#include "narrowlink/access/token_store.hpp"

#include <string>

namespace narrowlink::access {
namespace {

std::string sentence(TokenError error)
{
    switch (error) {
    case TokenError::malformed:
        return "this is not a Narrowlink token; use the join string as "
               "`narrowlink-gateway token` printed it";
    case TokenError::wrong_signature:
        return "the token was signed by another gateway, or this one has a new secret; issue a new "
               "one with `narrowlink-gateway token agent|client --name NAME`";
    case TokenError::expired:
        return "the token has expired; issue a new one with "
               "`narrowlink-gateway token agent|client --name NAME --expires 90d`";
    case TokenError::revoked:
        return "the token has been revoked; ask the owner of the gateway for a new one "
               "(`narrowlink-gateway token agent|client --name NAME`)";
    case TokenError::wrong_kind:
        return "this token is for another program; an agent needs one of "
               "`narrowlink-gateway token agent`, a client one of `narrowlink-gateway token "
               "client`";
    case TokenError::policy_missing:
        return "the client's token names a policy whose token did not come with it, has expired or "
               "was revoked; join again with the complete join string";
    }
    return "unknown token error";
}

std::string sentence(PolicyError error)
{
    switch (error) {
    case PolicyError::malformed:
        return R"(a policy is an object of exactly "id", "type" and "policies")";
    case PolicyError::unknown_type:
        return R"(the type of a policy must be "WhiteList" or "BlackList")";
    case PolicyError::malformed_rule:
        return R"(a rule must be {"Ip": [agent, prefix, port, protocol]} )"
               R"(or {"Domain": [agent, pattern, port, protocol]})";
    case PolicyError::bad_agent:
        return R"(the first field of a rule must be the name of an agent or "Any")";
    case PolicyError::bad_prefix:
        return "the second field of an Ip rule must be an address block such as 10.0.0.0/8 or "
               "2001:db8::/32, with no bits set behind the prefix";
    case PolicyError::bad_domain:
        return "the second field of a Domain rule must be a name such as example.com, "
               "*.example.com or *; write addresses in an Ip rule and international names in their "
               "xn-- form";
    case PolicyError::bad_port:
        return "the third field of a rule must be a port from 1 to 65535, or 0 for every port";
    case PolicyError::bad_protocol:
        return R"(the fourth field of a rule must be "TCP", "UDP" or "Any")";
    case PolicyError::too_many_rules:
        return "a policy may have at most 1024 rules; split it into several policies";
    }
    return "unknown policy error";
}

std::string sentence(JoinStringError error)
{
    switch (error) {
    case JoinStringError::not_a_join_string:
        return "this is not a join string; it begins with `nl1.` and is printed by "
               "`narrowlink-gateway token agent|client --name NAME`";
    case JoinStringError::damaged:
        return "the join string was cut or altered on the way; copy the whole word again";
    case JoinStringError::newer_version:
        return "the join string was made by a newer gateway; update this program";
    }
    return "unknown join string error";
}

std::string sentence(TokenStoreError error)
{
    switch (error) {
    case TokenStoreError::malformed:
        return "the registry of tokens is damaged; restore it from a backup, or move it away and "
               "revoke again what was revoked";
    case TokenStoreError::unsupported_version:
        return "the registry of tokens was written by a newer gateway; update this one";
    }
    return "unknown token registry error";
}

template <class Error>
class Category final : public boost::system::error_category {
public:
    constexpr explicit Category(const char* name) : name_{name} {}

    [[nodiscard]] const char* name() const noexcept override { return name_; }

    [[nodiscard]] std::string message(int value) const override
    {
        return sentence(static_cast<Error>(value));
    }

private:
    const char* name_;
};

constinit const Category<TokenError> token_category{"narrowlink.token"};
constinit const Category<PolicyError> policy_category{"narrowlink.policy"};
constinit const Category<JoinStringError> join_string_category{"narrowlink.join_string"};
constinit const Category<TokenStoreError> token_store_category{"narrowlink.token_store"};

} // namespace

ErrorCode make_error_code(TokenError error) noexcept
{
    return {static_cast<int>(error), token_category};
}

ErrorCode make_error_code(PolicyError error) noexcept
{
    return {static_cast<int>(error), policy_category};
}

ErrorCode make_error_code(JoinStringError error) noexcept
{
    return {static_cast<int>(error), join_string_category};
}

ErrorCode make_error_code(TokenStoreError error) noexcept
{
    return {static_cast<int>(error), token_store_category};
}

} // namespace narrowlink::access
