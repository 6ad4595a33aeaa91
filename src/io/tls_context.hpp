#pragma once

#include "narrowlink/io/web_server.hpp"
#include "narrowlink/io/web_socket.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace narrowlink::io {

struct SslDeleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }

    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

using SslPointer = std::unique_ptr<SSL, SslDeleter>;

/// Shared, because a handshake under way keeps the context it began with while set_certificate()
/// brings in the next.
using SslContext = std::shared_ptr<SSL_CTX>;

/// TLS 1.2 and 1.3 with ALPN http/1.1, as browsers and scanners expect it.
/// Throws std::runtime_error with OpenSSL's reason when the certificate cannot be used.
SslContext server_context(const PemCertificate&);

/// With a pin exactly that key is accepted, on TLS 1.3 only, and nothing else is looked at; without
/// one the system's CA store decides. The context must outlive the handshake.
SslContext client_context(const std::optional<CertificatePin>& pin);

/// A server's side of one connection.
SslPointer accept_session(const SslContext&);

/// A client's side, with SNI for `host` and, without a pin, the check that the certificate names
/// it.
SslPointer connect_session(const SslContext&, const std::string& host, bool check_name);

/// The reason on top of OpenSSL's queue, which it empties; "unknown reason" if there is none.
std::string openssl_reason();

} // namespace narrowlink::io
