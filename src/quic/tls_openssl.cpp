// The OpenSSL backend of TlsSession and Credentials, for OpenSSL 3.5 and later.
//
// Neither side trusts a certificate authority. The verify callback stands in for the whole of
// OpenSSL's verification: it compares the pin of the peer's key with the one that the gateway
// announced for it; TLS proves possession of that key. Tickets and the session cache are off: on
// resumption the callback would not run.
//
// A failed handshake leaves errors in OpenSSL's queue of this thread. Nobody is misled: OpenSSL
// empties the queue when a handshake goes on, and so does every other user before it looks there.

#include "tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <ngtcp2/ngtcp2_crypto_ossl.h>

#include <algorithm>
#include <array>
#include <climits>

namespace narrowlink::quic {
namespace {

constexpr const char* cipher_suites =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* groups = "X25519:P-256";
constexpr std::array<unsigned char, 3> offered_protocols = {2, 'h', '3'}; // RFC 7301 §3.1

struct Deleter {
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(unsigned char* octets) const { OPENSSL_free(octets); }
};

template <class T>
using Owned = std::unique_ptr<T, Deleter>;

Owned<BIO> reader(const std::string& text)
{
    if (text.size() > INT_MAX)
        return nullptr;
    return Owned<BIO>{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

bool use_certificate(SSL_CTX* context, const std::string& chain_pem)
{
    const Owned<BIO> bio = reader(chain_pem);
    const Owned<X509> leaf{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
        return false;
    while (Owned<X509> issuer{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
        if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1)
            return false;
    return true;
}

bool use_private_key(SSL_CTX* context, const std::string& pem)
{
    const auto no_passphrase = [](char*, int, int, void*) { return -1; };
    const Owned<BIO> bio = reader(pem);
    const Owned<EVP_PKEY> key{
        PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
    return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
           SSL_CTX_check_private_key(context) == 1;
}

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void*)
{
    unsigned char* chosen = nullptr;
    const int outcome =
        SSL_select_next_proto(&chosen, out_size, offered_protocols.data(),
                              static_cast<unsigned>(offered_protocols.size()), in, in_size);
    *out = chosen;
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool is_protocol_agreed(const SSL* session)
{
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(session, &protocol, &size);
    return std::ranges::equal(std::span{protocol, size}, std::span{offered_protocols}.subspan(1));
}

bool has_pin(const X509* certificate, const crypto::Pin& expected)
{
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    if (size <= 0)
        return false;
    const Owned<unsigned char> owner{der};
    const auto pin =
        crypto::pin_of_certificate(std::as_bytes(std::span{der, static_cast<std::size_t>(size)}));
    return pin && *pin == expected;
}

/// 1 to go on, 0 to end the handshake. At both ends the protocol is settled before the peer's
/// certificate arrives; OpenSSL does not insist on it, RFC 9001 §8.1 does.
int verify_peer(X509_STORE_CTX* store, void*)
{
    const auto* session = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto* conn_ref =
        static_cast<const ngtcp2_crypto_conn_ref*>(SSL_get_app_data(session));
    auto* owner = static_cast<TlsSession::Owner*>(conn_ref->user_data);
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED); // alert bad_certificate
    if (!is_protocol_agreed(session))
        return 0;
    const X509* certificate = X509_STORE_CTX_get0_cert(store);
    if (certificate == nullptr || !has_pin(certificate, owner->expected_peer)) {
        owner->wrong_peer = true;
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

bool configure(SSL_CTX* context)
{
    SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT); // RFC 9001 §8.4
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context, verify_peer, nullptr);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, nullptr);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(context, cipher_suites) == 1 &&
           SSL_CTX_set1_groups_list(context, groups) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_alpn_protos(context, offered_protocols.data(),
                                   static_cast<unsigned>(offered_protocols.size())) == 0;
}

class OpensslSession final : public TlsSession {
public:
    OpensslSession(SSL* session) : session_{session} {}

    ~OpensslSession() override
    {
        SSL_set_app_data(session_, nullptr); // else SSL_free calls back into the connection
        SSL_free(session_);
        ngtcp2_crypto_ossl_ctx_del(context_);
    }

    OpensslSession(const OpensslSession&) = delete;
    OpensslSession& operator=(const OpensslSession&) = delete;

    [[nodiscard]] bool attach(Role role, Owner& owner)
    {
        if (ngtcp2_crypto_ossl_ctx_new(&context_, session_) != 0)
            return false;
        const bool server = role == Role::server;
        const int configured = server ? ngtcp2_crypto_ossl_configure_server_session(session_)
                                      : ngtcp2_crypto_ossl_configure_client_session(session_);
        owner.conn_ref.user_data = &owner;
        SSL_set_app_data(session_, &owner.conn_ref);
        if (server)
            SSL_set_accept_state(session_);
        else
            SSL_set_connect_state(session_);
        return configured == 0;
    }

    void* native_handle() override { return context_; }

private:
    SSL* session_;
    ngtcp2_crypto_ossl_ctx* context_ = nullptr;
};

} // namespace

struct Credentials::Native {
    SSL_CTX* handle = SSL_CTX_new(TLS_method());

    Native() = default;
    Native(const Native&) = delete;
    Native& operator=(const Native&) = delete;

    ~Native() { SSL_CTX_free(handle); }
};

Credentials::Credentials(std::unique_ptr<Native> native) : native_{std::move(native)} {}

Credentials::~Credentials() = default;

Result<std::shared_ptr<const Credentials>> Credentials::load(const crypto::Identity& identity)
{
    // Looks the algorithms up once instead of for every packet.
    static const bool initialised = ngtcp2_crypto_ossl_init() == 0;
    auto native = std::make_unique<Native>();
    if (!initialised || native->handle == nullptr || !configure(native->handle))
        return make_error_code(Error::internal);

    ERR_set_mark(); // the end of a PEM text is reported as an error
    const bool used = use_certificate(native->handle, identity.certificate_pem) &&
                      use_private_key(native->handle, identity.private_key_pem);
    ERR_pop_to_mark();
    if (!used)
        return make_error_code(Error::bad_credentials);
    return std::make_shared<const Credentials>(std::move(native));
}

Result<std::unique_ptr<TlsSession>> TlsSession::make(Role role, const Credentials& credentials,
                                                     Owner& owner)
{
    SSL* handle = SSL_new(credentials.native().handle);
    if (handle == nullptr)
        return make_error_code(Error::internal);
    auto session = std::make_unique<OpensslSession>(handle);
    if (!session->attach(role, owner))
        return make_error_code(Error::internal);
    return std::unique_ptr<TlsSession>{std::move(session)};
}

} // namespace narrowlink::quic
