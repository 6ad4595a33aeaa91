#pragma once

#include "narrowlink/access/policy.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace narrowlink::access {

/// Why a token is refused. Each has a sentence with the remedy.
enum class TokenError {
    malformed = 1,     ///< not a JWT, or claims missing or of the wrong type
    wrong_signature,   ///< signed with another gateway's secret
    expired,           ///< `exp` has passed
    revoked,           ///< its id is on the revocation list
    wrong_kind,        ///< e.g. a policy token where a client token is wanted
    policy_missing,    ///< a client token names a policy that was not presented
};

ErrorCode make_error_code(TokenError) noexcept;

/// The gateway's HS256 key (RFC 7518 §3.2).
using Secret = std::vector<std::byte>;

/// The claims that every token has.
struct Claims {
    std::string id;   ///< `jti`, 16 hexadecimal digits
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

/// "agent", "client" or "policy": the `kind` claim.
std::string_view kind_of(const Token&);

/// Signs as a compact JWT: header.claims.signature, HS256 (RFC 7519, RFC 7515).
std::string sign(const Token&, const Secret&);

/// Verifies signature (constant time), shape and expiry; the header must be exactly HS256 (RFC 8725 §3.1).
/// Errors: TokenError. Revocation is the caller's question.
Result<Token> verify(std::string_view jwt, const Secret&, UnixTime now);

/// Everything a node needs to find and trust a gateway, as one word: `nl1.` and base64url of JSON with a checksum.
struct JoinString {
    std::string gateway;            ///< URL: `wss://host:port/path` or `ws://…`
    std::string pin;                ///< base64url crypto::Pin of a self-signed gateway certificate, or empty
    std::vector<std::string> tokens; ///< the node's token, then policy tokens

    bool operator==(const JoinString&) const = default;
};

enum class JoinStringError {
    not_a_join_string = 1, ///< does not begin with `nl1.`
    damaged,               ///< cut or altered on the way
};

ErrorCode make_error_code(JoinStringError) noexcept;

std::string format(const JoinString&);
Result<JoinString> parse_join_string(std::string_view text);

} // namespace narrowlink::access

template <>
struct boost::system::is_error_code_enum<narrowlink::access::TokenError> : std::true_type {
};

template <>
struct boost::system::is_error_code_enum<narrowlink::access::JoinStringError> : std::true_type {
};
