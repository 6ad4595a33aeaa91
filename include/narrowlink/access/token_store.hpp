#pragma once

#include "narrowlink/access/token.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::access {

/// Why a registry of tokens cannot be read. Each has a sentence with the remedy.
enum class TokenStoreError {
    malformed = 1,       ///< not what format() writes
    unsupported_version, ///< written by a newer gateway
};

ErrorCode make_error_code(TokenStoreError) noexcept;

/// What the gateway remembers of a token; never the token itself.
struct IssuedToken {
    std::string id;
    TokenKind kind = TokenKind::agent;
    std::string user;
    std::string name;
    UnixTime issued;
    UnixTime expires;
    bool revoked = false;

    bool operator==(const IssuedToken&) const = default;
};

/// The tokens that a gateway has issued, and which of them it has taken back. As text it is one
/// JSON object with one line per token; reading and writing the file belongs to its owner.
class IssuedTokens {
public:
    /// Replaces the entry of the same id; a revoked one stays revoked.
    void add(const Token&, UnixTime issued);

    /// False when no token of this id was issued here.
    bool revoke(std::string_view id);

    [[nodiscard]] bool is_revoked(std::string_view id) const;

    /// Forgets tokens that expired before `now`: verify() refuses them without our memory. Revoked
    /// ones stay, for a clock that ran ahead for a while must not bring them back to life.
    void remove_expired(UnixTime now);

    /// Oldest first.
    [[nodiscard]] std::vector<IssuedToken> list() const;

    [[nodiscard]] std::string format() const;

    /// Errors: TokenStoreError.
    static Result<IssuedTokens> parse(std::string_view text);

    bool operator==(const IssuedTokens&) const = default;

private:
    std::map<std::string, IssuedToken, std::less<>> tokens_;
};

} // namespace narrowlink::access

template <>
struct boost::system::is_error_code_enum<narrowlink::access::TokenStoreError> : std::true_type {
};
