#pragma once

#include "narrowlink/base/result.hpp"
#include "narrowlink/crypto/identity.hpp"

#include <memory>

namespace narrowlink::quic {

/// A node's key and certificate, loaded into the TLS library once and shared by its connections.
class Credentials {
public:
    struct Native; ///< the TLS library's object; known to one source file only

    /// Errors: Error::bad_credentials.
    static Result<std::shared_ptr<const Credentials>> load(const crypto::Identity&);

    explicit Credentials(std::unique_ptr<Native>);
    ~Credentials();
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;

    [[nodiscard]] const Native& native() const { return *native_; }

private:
    std::unique_ptr<Native> native_;
};

} // namespace narrowlink::quic
