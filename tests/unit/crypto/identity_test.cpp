#include "narrowlink/crypto/error.hpp"
#include "narrowlink/crypto/identity.hpp"
#include "support/seeded_random.hpp"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <memory>

namespace narrowlink::crypto {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

constexpr UnixTime now{std::chrono::seconds{1'800'000'000}}; // 2027-01-15 08:00:00

Certificate read_certificate(const std::string& pem)
{
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    Certificate certificate{PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), &X509_free};
    BIO_free(bio);
    return certificate;
}

std::vector<std::byte> to_der(const std::string& pem)
{
    const Certificate certificate = read_certificate(pem);
    std::vector<std::byte> der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)));
    auto* out = reinterpret_cast<unsigned char*>(der.data());
    i2d_X509(certificate.get(), &out);
    return der;
}

std::string subject_of(const X509* certificate)
{
    char text[256] = {};
    X509_NAME_oneline(X509_get_subject_name(certificate), text, sizeof text);
    return text;
}

std::time_t to_time(const ASN1_TIME* time)
{
    std::tm parts{};
    ASN1_TIME_to_tm(time, &parts);
    return timegm(&parts);
}

Identity ed25519(std::uint64_t seed = 1)
{
    SeededRandom random{seed};
    return Identity::make_ed25519(now, random).value();
}

Identity p256(const std::vector<std::string>& names = {"gateway.example.com"})
{
    SeededRandom random{1};
    return Identity::make_p256(names, now, random).value();
}

// Would a TLS client that trusts this certificate accept it as a server's?
int verify_as_server(X509* certificate, std::time_t at)
{
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, certificate);
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, certificate, nullptr);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    X509_STORE_CTX_set_time(context, 0, at);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    X509_verify_cert(context);
    const int error = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return error;
}

constexpr std::string_view encrypted_key =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAi8El4B5un8fQICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEDGeQpiIZ3IvtNjgLj1Mj/MEQC3b\n"
    "7XJYK2X4uV/OUIPjdO7ygI1IA7SvOZIVO/J86XrTGvTuTmVSCFChErUatu25+1ei\n"
    "gXtkHnQpsiUd6j0zqZU=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

} // namespace

TEST(Pin, SurvivesItsTextForm)
{
    const Pin pin = ed25519().pin;
    const std::string text = to_string(pin);
    EXPECT_EQ(text.size(), 43U);
    EXPECT_EQ(Pin::parse(text), pin);
}

TEST(Pin, RefusesEveryOtherLengthAndAlphabet)
{
    const std::string text = to_string(ed25519().pin);
    for (std::size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(Pin::parse(text.substr(0, size))) << size;
    EXPECT_FALSE(Pin::parse(text + 'A'));
    EXPECT_FALSE(Pin::parse(text + '='));
    EXPECT_FALSE(Pin::parse('+' + text.substr(1)));
    EXPECT_FALSE(Pin::parse(text.substr(0, 42) + '_')) << "bits behind the last byte are set";
}

TEST(Identity, OfEd25519IsNeutralAndSignedByItself)
{
    const Identity identity = ed25519();
    const Certificate certificate = read_certificate(identity.certificate_pem);
    ASSERT_TRUE(certificate);
    EXPECT_EQ(subject_of(certificate.get()), "/CN=localhost");
    EXPECT_EQ(X509_get_version(certificate.get()), 2) << "version 3";
    EXPECT_EQ(EVP_PKEY_id(X509_get0_pubkey(certificate.get())), EVP_PKEY_ED25519);
    EXPECT_EQ(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())), 1);
}

TEST(Identity, OfEd25519DependsOnTheGivenRandomnessOnly)
{
    EXPECT_EQ(ed25519(7).certificate_pem, ed25519(7).certificate_pem);
    EXPECT_EQ(ed25519(7).private_key_pem, ed25519(7).private_key_pem);
    EXPECT_NE(ed25519(7).pin, ed25519(8).pin);
}

TEST(Identity, OfP256NeverHasTheSameKeyTwice)
{
    EXPECT_NE(p256().pin, p256().pin);
}

TEST(Identity, IsValidFromADayAgoForTenYears)
{
    for (const Identity& identity : {ed25519(), p256()}) {
        const Certificate certificate = read_certificate(identity.certificate_pem);
        const std::time_t start = to_time(X509_get0_notBefore(certificate.get()));
        const std::time_t end = to_time(X509_get0_notAfter(certificate.get()));
        EXPECT_EQ(start, now.time_since_epoch().count() - 86'400);
        EXPECT_EQ(end, now.time_since_epoch().count() + 3'650L * 86'400);
    }
}

TEST(Identity, HasAPositiveSerialOfSixteenBytesForEverySeed)
{
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        const Certificate certificate = read_certificate(ed25519(seed).certificate_pem);
        const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate.get());
        EXPECT_EQ(ASN1_STRING_length(serial), 16) << seed;
        EXPECT_EQ(ASN1_STRING_type(serial), V_ASN1_INTEGER) << "negative for seed " << seed;
        EXPECT_LT(ASN1_STRING_get0_data(serial)[0], 0x80) << seed;
    }
}

TEST(Identity, OfP256NamesItsHostsAsAnAuthorityWould)
{
    const Identity identity =
        p256({"gateway.example.com", "*.example.net", "192.0.2.7", "2001:db8::1"});
    const Certificate certificate = read_certificate(identity.certificate_pem);
    EXPECT_EQ(subject_of(certificate.get()), "/CN=gateway.example.com");
    EXPECT_EQ(X509_check_host(certificate.get(), "gateway.example.com", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_host(certificate.get(), "a.example.net", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_host(certificate.get(), "example.org", 0, 0, nullptr), 0);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "192.0.2.7", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "2001:db8::1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "192.0.2.8", 0), 0);
}

TEST(Identity, OfP256IsAServerForThoseWhoTrustIt)
{
    const std::time_t at = now.time_since_epoch().count();
    const Certificate certificate = read_certificate(p256().certificate_pem);
    EXPECT_EQ(verify_as_server(certificate.get(), at), X509_V_OK);
    EXPECT_EQ(verify_as_server(certificate.get(), at - 3 * 86'400), X509_V_ERR_CERT_NOT_YET_VALID);
    EXPECT_EQ(X509_check_ca(certificate.get()), 0);
}

TEST(Identity, OfP256IsLocalhostWhenItHasNoName)
{
    const Certificate certificate = read_certificate(p256({}).certificate_pem);
    EXPECT_EQ(X509_check_host(certificate.get(), "localhost", 0, 0, nullptr), 1);
}

TEST(Identity, OfP256TakesNamesThatAreTooLongForASubject)
{
    const std::string name = std::string(60, 'a') + ".example.com";
    const Certificate certificate = read_certificate(p256({name}).certificate_pem);
    EXPECT_EQ(subject_of(certificate.get()), "/CN=localhost");
    EXPECT_EQ(X509_check_host(certificate.get(), name.c_str(), 0, 0, nullptr), 1);
}

TEST(Identity, OfP256RefusesWhatIsNoName)
{
    SeededRandom random{1};
    for (const std::string& name :
         {std::string{}, std::string{"a b"}, std::string{"a..b"}, std::string{".a"},
          std::string{"a."}, std::string{"*"}, std::string{"b\xc3\xbc"} + "cher.example",
          std::string{"a\0b", 3}, std::string(254, 'a')}) {
        const auto identity = Identity::make_p256({"example.com", name}, now, random);
        ASSERT_FALSE(identity) << name;
        EXPECT_EQ(identity.error(), Error::unusable_name);
    }
}

TEST(Identity, ParsesWhatItMade)
{
    for (const Identity& identity : {ed25519(), p256()}) {
        const auto parsed = Identity::parse(identity.private_key_pem, identity.certificate_pem);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->pin, identity.pin);
        EXPECT_EQ(parsed->private_key_pem, identity.private_key_pem);
    }
}

TEST(Identity, ParsesACertificateFollowedByItsChain)
{
    const Identity leaf = p256();
    const std::string chain = leaf.certificate_pem + p256({"ca.example"}).certificate_pem;
    const auto parsed = Identity::parse(leaf.private_key_pem, chain);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->pin, leaf.pin);
    EXPECT_EQ(parsed->certificate_pem, chain);
}

TEST(Identity, SaysWhatIsWrongWithItsFiles)
{
    const Identity one = p256();
    const Identity other = p256();
    const auto error = [](std::string_view key, std::string_view certificate) {
        return Identity::parse(std::string{key}, std::string{certificate}).error();
    };
    EXPECT_EQ(error("", one.certificate_pem), Error::not_a_private_key);
    EXPECT_EQ(error(one.certificate_pem, one.certificate_pem), Error::not_a_private_key);
    EXPECT_EQ(error(one.private_key_pem, ""), Error::not_a_certificate);
    EXPECT_EQ(error(one.private_key_pem, one.private_key_pem), Error::not_a_certificate);
    EXPECT_EQ(error(one.private_key_pem, other.certificate_pem), Error::key_does_not_fit);
    EXPECT_EQ(error(one.private_key_pem, ed25519().certificate_pem), Error::key_does_not_fit);
}

TEST(Identity, RefusesAnEncryptedKeyWithoutAskingForItsPassphrase)
{
    const auto parsed = Identity::parse(std::string{encrypted_key}, ed25519().certificate_pem);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error(), Error::encrypted_private_key);
}

TEST(Identity, LeavesNoErrorBehindForTheNextUserOfOpenSsl)
{
    (void)Identity::parse("", "");
    (void)pin_of_certificate(as_bytes("no certificate"));
    (void)p256();
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(PinOfCertificate, IsTheSameForAllCertificatesOfOneKey)
{
    const Identity identity = ed25519();
    EXPECT_EQ(pin_of_certificate(to_der(identity.certificate_pem)).value(), identity.pin);
}

// A certificate made by `openssl req -x509`, its pin by
// openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum | xxd -r -p | base64url.
TEST(PinOfCertificate, AgreesWithTheCommandLineOfOpenSsl)
{
    const std::string pem = "-----BEGIN CERTIFICATE-----\n"
                            "MIIBgDCCASegAwIBAgIUI4Ep05uLCTj3BNSryHwbJVcIts8wCgYIKoZIzj0EAwIw\n"
                            "FjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcwHhcNMjYxMTIzMDYwMDQ4WhcNMzYxMTIw\n"
                            "MDYwMDQ4WjAWMRQwEgYDVQQDDAtleGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqG\n"
                            "SM49AwEHA0IABD8M1rBJF4MY2pa3jU6d8AMFMdU5WY7cTJaXYWihQ8g4G0zNbOsc\n"
                            "uTdYPi/dj7pzapIAy3GM8xtOG/Zfq+wNvJCjUzBRMB0GA1UdDgQWBBSBvq0LcB7x\n"
                            "IFVdyV4yPytmJqYEEzAfBgNVHSMEGDAWgBSBvq0LcB7xIFVdyV4yPytmJqYEEzAP\n"
                            "BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCID/5nGo0VjD3GBWJjyzE\n"
                            "2SvsZqZ3Pd0QPN5dOWfVlqzhAiB4+kG34lP+bill3c9wQ25MIng5n3+yV3JHrfUq\n"
                            "/fIvQw==\n"
                            "-----END CERTIFICATE-----\n";
    EXPECT_EQ(to_string(pin_of_certificate(to_der(pem)).value()),
              "j_N-uwf2XC5pBMwR1PMKilkWLwtAMFrQFvfa58FW_fU");
}

TEST(PinOfCertificate, RefusesCutAndLengthenedCertificates)
{
    std::vector<std::byte> der = to_der(ed25519().certificate_pem);
    for (std::size_t size = 0; size < der.size(); ++size)
        EXPECT_FALSE(pin_of_certificate(Bytes{der}.first(size))) << size;
    der.push_back(std::byte{0});
    EXPECT_EQ(pin_of_certificate(der).error(), Error::not_a_certificate);
}

TEST(CryptoError, HasASentenceForEveryValue)
{
    for (int value = 1; value <= static_cast<int>(Error::library_failure); ++value)
        EXPECT_GT(make_error_code(static_cast<Error>(value)).message().size(), 30U) << value;
}

} // namespace narrowlink::crypto
