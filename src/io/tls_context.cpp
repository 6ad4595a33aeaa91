#include "tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <fmt/format.h>
#include <stdexcept>
#include <string_view>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace narrowlink::io {
namespace {

// One recv(2) may bring four whole messages of 64 KiB with their records' overhead. OpenSSL
// allocates this only while there is something to read (SSL_MODE_RELEASE_BUFFERS).
constexpr std::size_t read_buffer_bytes = 4 * 66 * 1024;

constexpr const char* ciphers_with_aes =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* ciphers_without_aes =
    "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

// What relayed packets need is throughput: they are sealed by QUIC already. Without AES
// instructions (small ARM boards) ChaCha20 is several times faster.
bool processor_has_aes()
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}

std::unique_ptr<SSL_CTX, SslDeleter> new_context(const SSL_METHOD* method, int least_version)
{
    std::unique_ptr<SSL_CTX, SslDeleter> context{SSL_CTX_new(method)};
    if (!context)
        throw std::runtime_error{"OpenSSL cannot make a context: " + openssl_reason()};
    SSL_CTX_set_min_proto_version(context.get(), least_version);
    // A lost connection without close_notify is no attack here: HTTP has Content-Length, WebSocket
    // has close frames.
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context.get(), 1);
    SSL_CTX_set_default_read_buffer_len(context.get(), read_buffer_bytes);
    return context;
}

struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free(bio); }
};

using BioPointer = std::unique_ptr<BIO, BioDeleter>;

BioPointer memory_bio(const std::string& text)
{
    return BioPointer{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

void use_certificate(SSL_CTX* context, const std::string& chain_pem)
{
    const BioPointer bio = memory_bio(chain_pem);
    X509* leaf = PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr);
    const bool used = leaf != nullptr && SSL_CTX_use_certificate(context, leaf) == 1;
    X509_free(leaf);
    if (!used)
        throw std::runtime_error{"the certificate is not readable: " + openssl_reason()};
    while (X509* issuer = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        SSL_CTX_add0_chain_cert(context, issuer); // takes it over
    ERR_clear_error();                            // the end of the file is reported as an error
}

void use_private_key(SSL_CTX* context, const std::string& pem)
{
    const BioPointer bio = memory_bio(pem);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr);
    const bool used = key != nullptr && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    if (!used)
        throw std::runtime_error{
            "the private key is not readable or does not fit the certificate: " + openssl_reason()};
}

int select_http(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*)
{
    constexpr std::string_view offered = "\x08http/1.1";
    unsigned char* chosen = nullptr;
    const int outcome = SSL_select_next_proto(
        &chosen, out_size, reinterpret_cast<const unsigned char*>(offered.data()),
        static_cast<unsigned>(offered.size()), in, in_size);
    *out = chosen;
    // RFC 7301 §3.2: no common protocol is fatal.
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

CertificatePin pin_of(X509* certificate)
{
    CertificatePin pin{};
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size > 0)
        SHA256(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(pin.data()));
    OPENSSL_free(der);
    return pin;
}

int verify_pin(X509_STORE_CTX* store, void* argument)
{
    const auto& expected = *static_cast<const CertificatePin*>(argument);
    X509* certificate = X509_STORE_CTX_get0_cert(store);
    if (certificate != nullptr && pin_of(certificate) == expected)
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/// The context and the pin its verification refers to.
struct PinnedContext {
    std::optional<CertificatePin> pin;
    std::unique_ptr<SSL_CTX, SslDeleter> context;
};

} // namespace

std::string openssl_reason()
{
    const unsigned long error = ERR_get_error();
    const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
    ERR_clear_error();
    return reason == nullptr ? "unknown reason" : reason;
}

SslContext server_context(const PemCertificate& certificate)
{
    auto context = new_context(TLS_server_method(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_ciphersuites(context.get(), ciphers_with_aes);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF); // tickets need no memory
    SSL_CTX_set_alpn_select_cb(context.get(), select_http, nullptr);
    ERR_clear_error();
    use_certificate(context.get(), certificate.chain);
    use_private_key(context.get(), certificate.private_key);
    return context;
}

SslContext client_context(const std::optional<CertificatePin>& pin)
{
    auto pinned = std::make_shared<PinnedContext>();
    pinned->pin = pin;
    // Our gateway speaks 1.3; a proxy or CDN before it, pinned or not, may still know 1.2 only. What
    // users send is sealed by the QUIC connection in any case.
    pinned->context = new_context(TLS_client_method(), TLS1_2_VERSION);
    SSL_CTX* context = pinned->context.get();
    SSL_CTX_set_ciphersuites(context, processor_has_aes() ? ciphers_with_aes : ciphers_without_aes);
    constexpr std::string_view protocols = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (pinned->pin)
        SSL_CTX_set_cert_verify_callback(context, verify_pin, &*pinned->pin);
    else
        SSL_CTX_set_default_verify_paths(context);
    return {pinned, context};
}

SslPointer accept_session(const SslContext& context)
{
    SslPointer ssl{SSL_new(context.get())};
    if (!ssl)
        throw std::bad_alloc{};
    SSL_set_accept_state(ssl.get());
    return ssl;
}

SslPointer connect_session(const SslContext& context, const std::string& host, bool check_name)
{
    SslPointer ssl{SSL_new(context.get())};
    if (!ssl)
        throw std::bad_alloc{};
    SSL_set_connect_state(ssl.get());
    const bool is_address = IpAddress::parse(host).has_value();
    if (!is_address)
        SSL_set_tlsext_host_name(ssl.get(), host.c_str()); // RFC 6066 §3: never an address
    if (check_name && is_address)
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), host.c_str());
    else if (check_name)
        SSL_set1_host(ssl.get(), host.c_str());
    return ssl;
}

} // namespace narrowlink::io
