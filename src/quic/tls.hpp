#pragma once

#include "narrowlink/quic/connection.hpp"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

namespace narrowlink::quic {

/// One TLS 1.3 session of one connection: the seam between ngtcp2 and a TLS library. Everything
/// that knows which library it is stands in one source file, tls_gnutls.cpp or tls_openssl.cpp;
/// the build compiles one of them.
class TlsSession {
public:
    enum class Role { client, server };

    /// What the session needs from its connection; lives inside it.
    struct Owner {
        ngtcp2_crypto_conn_ref conn_ref{}; ///< what the ngtcp2 crypto library looks up
        ngtcp2_conn* connection = nullptr;
        crypto::Pin expected_peer;
        bool wrong_peer = false; ///< the peer's certificate had another pin
    };

    /// `owner` must outlive the session and not move. Errors: Error::internal.
    static Result<std::unique_ptr<TlsSession>> make(Role, const Credentials&, Owner& owner);

    TlsSession() = default;
    virtual ~TlsSession() = default;
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    /// For ngtcp2_conn_set_tls_native_handle.
    virtual void* native_handle() = 0;
};

} // namespace narrowlink::quic
