// Theory of operation
//
// Goals: keys and certificates as text that their owner can store, and the pin by which peers know
// each other. Nothing here reads a clock or a file.
//
// Data flow
//   make_*   key → certificate that the key itself signs → both as PEM, pin of the certificate.
//   parse    PEM of the owner's files → checked pair. The texts are kept as they are, so that a
//            chain after the first certificate reaches the visitors of the web side.
//   pin      DER certificate → SubjectPublicKeyInfo → SHA-256.
//
// The Ed25519 certificate travels encrypted inside TLS 1.3 between pinned peers: it is as small as
// X.509 allows. The P-256 one is what a stranger sees on port 443: it has the extensions that every
// ordinary server certificate has.
//
// Limits: a stack of OpenSSL errors is never left behind (ErrorQueueScope). A key with a
// passphrase is refused rather than asked about: OpenSSL would read the terminal.

#include "narrowlink/crypto/identity.hpp"

#include "narrowlink/base/address.hpp"
#include "narrowlink/crypto/digest.hpp"
#include "narrowlink/crypto/error.hpp"
#include "openssl.hpp"

#include <climits>
#include <openssl/pem.h>

#include <algorithm>

namespace narrowlink::crypto {
namespace {

constexpr std::string_view neutral_name = "localhost";
constexpr std::size_t longest_dns_name = 253;   // RFC 1035 §2.3.4, without the final dot
constexpr std::size_t longest_common_name = 64; // RFC 5280 appendix A.1, ub-common-name
constexpr int validity_days = 3650;

OwnedBio reader(std::string_view text)
{
    if (text.size() > INT_MAX)
        return nullptr;
    return OwnedBio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

std::string text_of(BIO* bio)
{
    char* begin = nullptr;
    const long size = BIO_get_mem_data(bio, &begin);
    return {begin, static_cast<std::size_t>(size)};
}

Result<Pin> pin_of(const X509* certificate)
{
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0)
        return make_error_code(Error::not_a_certificate);
    const OwnedOctets owner{der};
    return Pin{sha256(std::as_bytes(std::span{der, static_cast<std::size_t>(size)}))};
}

bool is_dns_name(std::string_view name)
{
    if (name.starts_with("*."))
        name.remove_prefix(2);
    const auto usual = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    };
    return !name.empty() && name.size() <= longest_dns_name && std::ranges::all_of(name, usual) &&
           name.front() != '.' && name.back() != '.' && name.find("..") == std::string_view::npos;
}

bool add_extension(X509* certificate, int nid, void* value, bool critical)
{
    return value != nullptr &&
           X509_add1_ext_i2d(certificate, nid, value, critical ? 1 : 0, X509V3_ADD_DEFAULT) == 1;
}

OwnedGeneralName general_name(const std::string& text)
{
    OwnedGeneralName name{GENERAL_NAME_new()};
    if (!name)
        return nullptr;
    if (const auto ip = IpAddress::parse(text)) {
        OwnedOctetString value{ASN1_OCTET_STRING_new()};
        const auto bytes = ip->bytes();
        const auto* const octets = reinterpret_cast<const unsigned char*>(bytes.data());
        if (!value || ASN1_OCTET_STRING_set(value.get(), octets, static_cast<int>(ip->size())) != 1)
            return nullptr;
        GENERAL_NAME_set0_value(name.get(), GEN_IPADD, value.release());
        return name;
    }
    OwnedIa5String value{ASN1_IA5STRING_new()};
    if (!value || ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1)
        return nullptr;
    GENERAL_NAME_set0_value(name.get(), GEN_DNS, value.release());
    return name;
}

bool add_names(X509* certificate, const std::vector<std::string>& names)
{
    const OwnedGeneralNames list{GENERAL_NAMES_new()};
    if (!list)
        return false;
    for (const std::string& text : names) {
        OwnedGeneralName name = general_name(text);
        if (!name || sk_GENERAL_NAME_push(list.get(), name.get()) <= 0)
            return false;
        (void)name.release(); // the list owns it now
    }
    return add_extension(certificate, NID_subject_alt_name, list.get(), false);
}

// What a certificate authority would put into a server's certificate, RFC 5280 §4.2.1.
bool add_server_extensions(X509* certificate)
{
    constexpr int digital_signature = 0; // bit of KeyUsage, RFC 5280 §4.2.1.3
    const OwnedBasicConstraints not_an_authority{BASIC_CONSTRAINTS_new()};
    const OwnedBitString usage{ASN1_BIT_STRING_new()};
    const OwnedKeyUsages purposes{EXTENDED_KEY_USAGE_new()};
    const OwnedOctetString key_id{ASN1_OCTET_STRING_new()};
    if (!not_an_authority || !usage || !purposes || !key_id ||
        ASN1_BIT_STRING_set_bit(usage.get(), digital_signature, 1) != 1 ||
        sk_ASN1_OBJECT_push(purposes.get(), OBJ_nid2obj(NID_server_auth)) <= 0)
        return false;

    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (X509_pubkey_digest(certificate, EVP_sha1(), digest.data(), &size) != 1 ||
        ASN1_OCTET_STRING_set(key_id.get(), digest.data(), static_cast<int>(size)) != 1)
        return false;

    return add_extension(certificate, NID_basic_constraints, not_an_authority.get(), true) &&
           add_extension(certificate, NID_key_usage, usage.get(), true) &&
           add_extension(certificate, NID_ext_key_usage, purposes.get(), false) &&
           add_extension(certificate, NID_subject_key_identifier, key_id.get(), false);
}

// Positive, never zero and always 16 bytes: RFC 5280 §4.1.2.2, and sizes repeat in simulations.
bool set_serial(X509* certificate, Random& random)
{
    auto bytes = random.array<16>();
    bytes[0] = (bytes[0] & std::byte{0x3f}) | std::byte{0x40};
    const auto* const octets = reinterpret_cast<const unsigned char*>(bytes.data());
    const OwnedNumber number{BN_bin2bn(octets, static_cast<int>(bytes.size()), nullptr)};
    return number &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

OwnedCertificate bare_certificate(EVP_PKEY* key, std::string_view subject, UnixTime now,
                                  Random& random)
{
    constexpr int version_3 = 2; // RFC 5280 §4.1.2.1
    OwnedCertificate certificate{X509_new()};
    if (!certificate || X509_set_version(certificate.get(), version_3) != 1 ||
        !set_serial(certificate.get(), random))
        return nullptr;

    const auto seconds = static_cast<std::time_t>(now.time_since_epoch().count());
    const Owned<X509_NAME, X509_NAME_free> name{X509_NAME_new()};
    const auto* const text = reinterpret_cast<const unsigned char*>(subject.data());
    const bool complete =
        ASN1_TIME_adj(X509_getm_notBefore(certificate.get()), seconds, -1, 0) != nullptr &&
        ASN1_TIME_adj(X509_getm_notAfter(certificate.get()), seconds, validity_days, 0) !=
            nullptr &&
        name &&
        X509_NAME_add_entry_by_NID(name.get(), NID_commonName, MBSTRING_ASC, text,
                                   static_cast<int>(subject.size()), -1, 0) == 1 &&
        X509_set_subject_name(certificate.get(), name.get()) == 1 &&
        X509_set_issuer_name(certificate.get(), name.get()) == 1 &&
        X509_set_pubkey(certificate.get(), key) == 1;
    return complete ? std::move(certificate) : nullptr;
}

Result<Identity> to_identity(EVP_PKEY* key, X509* certificate)
{
    const OwnedBio key_text{BIO_new(BIO_s_mem())};
    const OwnedBio certificate_text{BIO_new(BIO_s_mem())};
    if (!key_text || !certificate_text ||
        PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
            1 ||
        PEM_write_bio_X509(certificate_text.get(), certificate) != 1)
        return make_error_code(Error::library_failure);

    const Result<Pin> pin = pin_of(certificate);
    if (!pin)
        return pin.error();
    return Identity{text_of(key_text.get()), text_of(certificate_text.get()), *pin};
}

int refuse_passphrase(char*, int, int, void* asked)
{
    *static_cast<bool*>(asked) = true;
    return -1;
}

} // namespace

std::optional<Pin> Pin::parse(std::string_view text)
{
    Pin pin;
    const auto bytes = from_base64url(text);
    if (!bytes || bytes->size() != pin.bytes.size())
        return std::nullopt;
    std::ranges::copy(*bytes, pin.bytes.begin());
    return pin;
}

std::string to_string(const Pin& pin)
{
    return to_base64url(pin.bytes);
}

Result<Pin> pin_of_certificate(Bytes der)
{
    const ErrorQueueScope errors;
    if (der.size() > LONG_MAX)
        return make_error_code(Error::not_a_certificate);
    const auto* next = reinterpret_cast<const unsigned char*>(der.data());
    const auto* const end = next + der.size();
    const OwnedCertificate certificate{d2i_X509(nullptr, &next, static_cast<long>(der.size()))};
    if (!certificate || next != end)
        return make_error_code(Error::not_a_certificate);
    return pin_of(certificate.get());
}

Result<Identity> Identity::make_ed25519(UnixTime now, Random& random)
{
    const ErrorQueueScope errors;
    auto seed = random.array<32>(); // RFC 8032 §5.1.5: any 32 bytes are a private key
    const OwnedKey key{EVP_PKEY_new_raw_private_key(
        EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(seed.data()),
        seed.size())};
    OPENSSL_cleanse(seed.data(), seed.size());
    if (!key)
        return make_error_code(Error::library_failure);

    const OwnedCertificate certificate = bare_certificate(key.get(), neutral_name, now, random);
    if (!certificate || X509_sign(certificate.get(), key.get(), nullptr) == 0)
        return make_error_code(Error::library_failure);
    return to_identity(key.get(), certificate.get());
}

Result<Identity> Identity::make_p256(const std::vector<std::string>& names, UnixTime now,
                                     Random& random)
{
    if (names.empty())
        return make_p256({std::string{neutral_name}}, now, random);

    const ErrorQueueScope errors;
    for (const std::string& name : names)
        if (!IpAddress::parse(name) && !is_dns_name(name))
            return make_error_code(Error::unusable_name);
    const auto subject = std::ranges::find_if(
        names, [](const std::string& name) { return name.size() <= longest_common_name; });

    const OwnedKey key{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")};
    if (!key)
        return make_error_code(Error::library_failure);
    const OwnedCertificate certificate = bare_certificate(
        key.get(), subject != names.end() ? std::string_view{*subject} : neutral_name, now, random);
    if (!certificate || !add_server_extensions(certificate.get()) ||
        !add_names(certificate.get(), names) ||
        X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0)
        return make_error_code(Error::library_failure);
    return to_identity(key.get(), certificate.get());
}

Result<Identity> Identity::parse(std::string private_key_pem, std::string certificate_pem)
{
    const ErrorQueueScope errors;
    const OwnedBio key_text = reader(private_key_pem);
    const OwnedBio certificate_text = reader(certificate_pem);
    if (!key_text || !certificate_text)
        return make_error_code(Error::library_failure);

    bool passphrase_asked = false;
    const OwnedKey key{
        PEM_read_bio_PrivateKey(key_text.get(), nullptr, refuse_passphrase, &passphrase_asked)};
    if (!key)
        return make_error_code(passphrase_asked ? Error::encrypted_private_key
                                                : Error::not_a_private_key);
    const OwnedCertificate certificate{
        PEM_read_bio_X509(certificate_text.get(), nullptr, refuse_passphrase, &passphrase_asked)};
    if (!certificate)
        return make_error_code(Error::not_a_certificate);
    if (X509_check_private_key(certificate.get(), key.get()) != 1)
        return make_error_code(Error::key_does_not_fit);

    const Result<Pin> pin = pin_of(certificate.get());
    if (!pin)
        return pin.error();
    return Identity{std::move(private_key_pem), std::move(certificate_pem), *pin};
}

} // namespace narrowlink::crypto
