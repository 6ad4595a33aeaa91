#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::crypto {

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469 §2.4): what peers know each
/// other by. Text form: base64url, 43 characters.
struct Pin {
    std::array<std::byte, 32> bytes{};

    static std::optional<Pin> parse(std::string_view text);

    auto operator<=>(const Pin&) const = default;
};

std::string to_string(const Pin&);

/// Errors: errc::bad_message when `der` is not an X.509 certificate.
Result<Pin> pin_of_certificate(Bytes der);

/// A key pair and a certificate that its owner signed itself. The private key never leaves the
/// machine that made it.
struct Identity {
    std::string private_key_pem;  ///< PKCS #8
    std::string certificate_pem;
    Pin pin;

    /// Ed25519, for the QUIC connection between client and agent. The subject is always the same
    /// neutral word, validity does not matter to peers that compare pins.
    static Result<Identity> make_ed25519();

    /// ECDSA P-256, for the HTTPS side of a gateway; browsers and scanners see nothing unusual.
    /// `names` (DNS names or IP addresses) become subjectAltName entries; valid for ten years.
    static Result<Identity> make_p256(const std::vector<std::string>& names);

    /// Errors: errc::bad_message when either text is not PEM or the key does not fit the certificate.
    static Result<Identity> parse(std::string private_key_pem, std::string certificate_pem);
};

} // namespace narrowlink::crypto
