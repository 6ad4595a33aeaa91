#pragma once

#include "narrowlink/base/result.hpp"
#include "narrowlink/crypto/identity.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::access {

/// Everything a node needs to find and trust a gateway, as one word: `nl1.` and base64url of JSON
/// with a checksum.
struct JoinString {
    std::string gateway;             ///< URL: `wss://host:port/path` or `ws://…`
    std::optional<crypto::Pin> pin;  ///< of a self-signed gateway certificate
    std::vector<std::string> tokens; ///< the node's token, then policy tokens

    bool operator==(const JoinString&) const = default;
};

/// Why a join string is refused. Each has a sentence with the remedy.
enum class JoinStringError {
    not_a_join_string = 1, ///< does not begin with `nl1.`
    damaged,               ///< cut or altered on the way
    newer_version,         ///< begins with `nl2.` or higher
};

ErrorCode make_error_code(JoinStringError) noexcept;

/// Linux takes no longer argument (execve(2), MAX_ARG_STRLEN).
inline constexpr std::size_t max_join_string_size = std::size_t{128} * 1'024;

/// Requires: a gateway URL and at least one token, as parse_join_string() wants them.
std::string format(const JoinString&);

/// White space around the word is ignored.
/// Errors: JoinStringError.
Result<JoinString> parse_join_string(std::string_view text);

} // namespace narrowlink::access

template <>
struct boost::system::is_error_code_enum<narrowlink::access::JoinStringError> : std::true_type {
};
