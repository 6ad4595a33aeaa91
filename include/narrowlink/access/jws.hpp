#pragma once

#include "narrowlink/base/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::access {

/// The gateway's HS256 key.
using Secret = std::vector<std::byte>;

/// RFC 7518 §3.2: a key as long as the hash. Whoever reads a secret from a person checks this.
inline constexpr std::size_t least_secret_size = 32;

inline constexpr std::size_t max_jws_size = std::size_t{16} * 1'024;

/// The compact form of RFC 7515 §7.1 with the header `{"alg":"HS256","typ":"JWT"}`.
std::string sign_jws(std::string_view payload, const Secret&);

/// The payload of a compact JWS, when its signature is right (compared in constant time).
///
/// The header must be a JSON object of exactly `alg` HS256 and `typ` JWT; the algorithm is ours to
/// choose, never the sender's (RFC 8725 §3.1). An empty secret verifies nothing.
/// Errors: TokenError::malformed, also above max_jws_size; TokenError::wrong_signature.
Result<std::string> verify_jws(std::string_view jws, const Secret&);

} // namespace narrowlink::access
