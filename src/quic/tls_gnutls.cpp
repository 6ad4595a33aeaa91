// The GnuTLS backend of TlsSession and Credentials.
//
// Neither side trusts a certificate authority. The verify callback compares the pin of the peer's
// key with the one that the gateway announced for it; TLS proves possession of that key. Tickets
// are off: on resumption the verify callback would not run.

#include "tls.hpp"

#include <array>
#include <span>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

namespace narrowlink::quic {
namespace {

constexpr const char* priorities =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE";

int verify_peer(gnutls_session_t session)
{
    const auto* conn_ref =
        static_cast<const ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
    auto* owner = static_cast<TlsSession::Owner*>(conn_ref->user_data);
    unsigned count = 0;
    const gnutls_datum_t* chain = gnutls_certificate_get_peers(session, &count);
    if (chain != nullptr && count > 0) {
        const auto pin =
            crypto::pin_of_certificate(std::as_bytes(std::span{chain[0].data, chain[0].size}));
        if (pin && *pin == owner->expected_peer)
            return 0;
    }
    owner->wrong_peer = true;
    return GNUTLS_E_CERTIFICATE_ERROR;
}

class GnutlsSession final : public TlsSession {
public:
    GnutlsSession(gnutls_session_t session) : session_{session} {}

    ~GnutlsSession() override { gnutls_deinit(session_); }

    GnutlsSession(const GnutlsSession&) = delete;
    GnutlsSession& operator=(const GnutlsSession&) = delete;

    void* native_handle() override { return session_; }

private:
    gnutls_session_t session_;
};

} // namespace

struct Credentials::Native {
    gnutls_certificate_credentials_t handle = nullptr;

    Native() = default;
    Native(const Native&) = delete;
    Native& operator=(const Native&) = delete;

    ~Native()
    {
        if (handle != nullptr)
            gnutls_certificate_free_credentials(handle);
    }
};

Credentials::Credentials(std::unique_ptr<Native> native) : native_{std::move(native)} {}

Credentials::~Credentials() = default;

namespace {

/// Asked first, because gnutls_certificate_set_x509_key_mem (3.7.9) leaks a certificate that it cannot
/// parse.
bool is_chain(const gnutls_datum_t& pem)
{
    gnutls_x509_crt_t* chain = nullptr;
    unsigned count = 0;
    if (gnutls_x509_crt_list_import2(&chain, &count, &pem, GNUTLS_X509_FMT_PEM, 0) < 0)
        return false;
    for (const gnutls_x509_crt_t certificate : std::span{chain, count})
        gnutls_x509_crt_deinit(certificate);
    gnutls_free(chain);
    return true;
}

} // namespace

Result<std::shared_ptr<const Credentials>> Credentials::load(const crypto::Identity& identity)
{
    auto native = std::make_unique<Native>();
    if (gnutls_certificate_allocate_credentials(&native->handle) != 0)
        return make_error_code(Error::internal);

    const auto datum = [](const std::string& text) {
        return gnutls_datum_t{
            reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())),
            static_cast<unsigned>(text.size())};
    };
    const gnutls_datum_t certificate = datum(identity.certificate_pem);
    const gnutls_datum_t key = datum(identity.private_key_pem);
    if (!is_chain(certificate))
        return make_error_code(Error::bad_credentials);
    if (gnutls_certificate_set_x509_key_mem(native->handle, &certificate, &key,
                                            GNUTLS_X509_FMT_PEM) < 0)
        return make_error_code(Error::bad_credentials);
    gnutls_certificate_set_verify_function(native->handle, verify_peer);
    return std::make_shared<const Credentials>(std::move(native));
}

Result<std::unique_ptr<TlsSession>> TlsSession::make(Role role, const Credentials& credentials,
                                                     Owner& owner)
{
    const bool server = role == Role::server;
    gnutls_session_t handle = nullptr;
    if (gnutls_init(&handle, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NO_TICKETS |
                                 GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_END_OF_EARLY_DATA) != 0)
        return make_error_code(Error::internal);
    auto session = std::make_unique<GnutlsSession>(handle);

    std::array<unsigned char, 2> h3 = {'h', '3'};
    const gnutls_datum_t alpn{h3.data(), static_cast<unsigned>(h3.size())};
    const int configured = server ? ngtcp2_crypto_gnutls_configure_server_session(handle)
                                  : ngtcp2_crypto_gnutls_configure_client_session(handle);
    if (configured != 0 || gnutls_priority_set_direct(handle, priorities, nullptr) != 0 ||
        gnutls_credentials_set(handle, GNUTLS_CRD_CERTIFICATE, credentials.native().handle) != 0 ||
        gnutls_alpn_set_protocols(handle, &alpn, 1, GNUTLS_ALPN_MANDATORY) != 0)
        return make_error_code(Error::internal);
    if (server)
        gnutls_certificate_server_set_request(handle, GNUTLS_CERT_REQUIRE);

    owner.conn_ref.user_data = &owner;
    gnutls_session_set_ptr(handle, &owner.conn_ref);
    return std::unique_ptr<TlsSession>{std::move(session)};
}

} // namespace narrowlink::quic
