#pragma once

#include "narrowlink/base/result.hpp"

namespace narrowlink::crypto {

/// Why a key, a certificate or a name is refused. Each has a sentence with the remedy.
enum class Error {
    not_a_private_key = 1, ///< no private key in PEM
    encrypted_private_key, ///< the key asks for a passphrase; a daemon has nobody to ask
    not_a_certificate,     ///< no X.509 certificate in PEM or DER
    key_does_not_fit,      ///< key and certificate are no pair
    unusable_name,         ///< neither a DNS name nor an IP address
    library_failure,       ///< OpenSSL failed: out of memory, no entropy, or a broken installation
};

ErrorCode make_error_code(Error) noexcept;

} // namespace narrowlink::crypto

template <>
struct boost::system::is_error_code_enum<narrowlink::crypto::Error> : std::true_type {
};
