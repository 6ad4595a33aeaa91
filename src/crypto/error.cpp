#include "narrowlink/crypto/error.hpp"

#include <string>

namespace narrowlink::crypto {
namespace {

class ErrorCategory final : public boost::system::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "narrowlink.crypto"; }

    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<Error>(value)) {
        case Error::not_a_private_key:
            return "there is no private key in PEM form; expected a block that begins with "
                   "-----BEGIN PRIVATE KEY-----";
        case Error::encrypted_private_key:
            return "the private key is protected by a passphrase; remove it with "
                   "`openssl pkey -in KEY -out NEWKEY`";
        case Error::not_a_certificate:
            return "there is no X.509 certificate; expected a PEM block that begins with "
                   "-----BEGIN CERTIFICATE-----";
        case Error::key_does_not_fit:
            return "the private key does not belong to the certificate; the server's own "
                   "certificate must come first in its file";
        case Error::unusable_name:
            return "a certificate can be made only for DNS names and IP addresses; write "
                   "international names in their xn-- form";
        case Error::library_failure:
            return "OpenSSL failed; check that memory is left and that its installation is whole";
        }
        return "unknown crypto error";
    }
};

constinit const ErrorCategory category;

} // namespace

ErrorCode make_error_code(Error error) noexcept
{
    return {static_cast<int>(error), category};
}

} // namespace narrowlink::crypto
