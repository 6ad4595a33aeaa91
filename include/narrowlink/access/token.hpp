#pragma once

#include "narrowlink/access/jws.hpp"
#include "narrowlink/access/policy.hpp"
#include "narrowlink/base/random.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace narrowlink::access {

/// Why a token is refused. Each has a sentence with the remedy.
enum class TokenError {
    malformed = 1,   ///< not a JWT, or claims missing or of the wrong type
    wrong_signature, ///< signed with another gateway's secret
    expired,         ///< `exp` has passed
    revoked,         ///< its id is on the revocation list
    wrong_kind,      ///< e.g. a policy token where a client token is wanted
    policy_missing,  ///< a client token names a policy that was not presented
};

ErrorCode make_error_code(TokenError) noexcept;

enum class TokenKind { agent, client, policy };

/// The `kind` claim: "agent", "client" or "policy".
std::string_view to_string(TokenKind);
std::optional<TokenKind> parse_token_kind(std::string_view text);

/// The claims that every token has.
struct Claims {
    std::string id;   ///< `jti`, 16 hexadecimal digits in lower case
    std::string user; ///< `uid`: the user space; clients see only agents of their own
    std::string name;
    UnixTime expires;

    bool operator==(const Claims&) const = default;
};

struct AgentToken {
    Claims claims;

    bool operator==(const AgentToken&) const = default;
};

struct ClientToken {
    Claims claims;
    std::vector<std::uint64_t> policies; ///< ids of the policy tokens that must come with it

    bool operator==(const ClientToken&) const = default;
};

struct PolicyToken {
    Claims claims;
    Policy policy;

    bool operator==(const PolicyToken&) const = default;
};

using Token = std::variant<AgentToken, ClientToken, PolicyToken>;

const Claims& claims_of(const Token&);
TokenKind kind_of(const Token&);

std::string make_token_id(Random&);

/// What a user, an agent, a client or a policy may be called: 1 to 64 letters, digits and
/// `. _ - @ +`, the first a letter or a digit, and not "Any", which means every agent in a rule.
/// Issuers check this before they sign; verify() refuses anything else as malformed.
bool is_valid_name(std::string_view name);

inline constexpr std::size_t max_policies = 64;

/// Signs as a compact JWT: header.claims.signature, HS256 (RFC 7519, RFC 7515).
///
/// Requires: what verify() checks; at most max_jws_size as text.
std::string sign(const Token&, const Secret&);

/// Verifies signature (constant time), shape and expiry. Claims that we do not know are ignored
/// (RFC 7519 §4).
/// Errors: TokenError. Revocation is the caller's question.
Result<Token> verify(std::string_view jwt, const Secret&, UnixTime now);

/// The policies under which a client works: those of `presented`, all verified and not revoked,
/// that its token names and that are of its own user. Others are ignored.
/// Errors: TokenError::policy_missing.
Result<PolicySet> effective_policies(const ClientToken&, std::span<const PolicyToken> presented);

} // namespace narrowlink::access

template <>
struct boost::system::is_error_code_enum<narrowlink::access::TokenError> : std::true_type {
};
