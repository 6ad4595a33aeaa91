#pragma once

#include "narrowlink/base/bytes.hpp"

#include <array>

namespace narrowlink::crypto {

using Digest = std::array<std::byte, 32>;

/// FIPS 180-4. Throws boost::system::system_error when OpenSSL cannot allocate, like hmac_sha256.
Digest sha256(Bytes message);

/// RFC 2104 with SHA-256.
Digest hmac_sha256(Bytes key, Bytes message);

/// For values that an attacker guesses: the time tells at most whether the sizes are equal.
bool equal_in_constant_time(Bytes a, Bytes b);

} // namespace narrowlink::crypto
