#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/random.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::crypto {

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469 §2.4): what peers know each
/// other by. Text form: base64url, 43 characters.
struct Pin {
    std::array<std::byte, 32> bytes{};

    static std::optional<Pin> parse(std::string_view text);

    auto operator<=>(const Pin&) const = default;
};

std::string to_string(const Pin&);

/// Errors: Error::not_a_certificate when `der` is not exactly one X.509 certificate.
Result<Pin> pin_of_certificate(Bytes der);

/// A key pair and a certificate that its owner signed itself. The private key never leaves the
/// machine that made it.
struct Identity {
    std::string private_key_pem; ///< PKCS #8, as made here; any PEM form, as parsed
    std::string certificate_pem; ///< may be followed by the chain of its issuers
    Pin pin;                     ///< of the first certificate

    /// Ed25519, for the QUIC connection between client and agent. The subject is always the same
    /// neutral word, validity does not matter to peers that compare pins.
    ///
    /// Key and serial come from `random` alone, so a simulation gets the same identity again.
    static Result<Identity> make_ed25519(UnixTime now, Random& random);

    /// ECDSA P-256, for the HTTPS side of a gateway; browsers and scanners see nothing unusual.
    /// `names` (DNS names or IP addresses; `localhost` if there is none) become subjectAltName
    /// entries. Valid from a day ago, for clocks that are behind, and for ten years.
    ///
    /// The key comes from OpenSSL's generator, the serial from `random`.
    /// Errors: Error::unusable_name.
    static Result<Identity> make_p256(const std::vector<std::string>& names, UnixTime now,
                                      Random& random);

    /// Errors: Error::not_a_private_key, encrypted_private_key, not_a_certificate,
    /// key_does_not_fit. Never asks for a passphrase.
    static Result<Identity> parse(std::string private_key_pem, std::string certificate_pem);
};

} // namespace narrowlink::crypto
