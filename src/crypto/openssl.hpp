#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace narrowlink::crypto {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T* object) const
    {
        Free(object);
    }
};

template <class T, auto Free>
using Owned = std::unique_ptr<T, Deleter<Free>>;

inline void free_octets(unsigned char* octets)
{
    OPENSSL_free(octets); // a macro
}

using OwnedOctets = Owned<unsigned char, free_octets>;
using OwnedBio = Owned<BIO, BIO_free_all>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedNumber = Owned<BIGNUM, BN_free>;
using OwnedBitString = Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using OwnedOctetString = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using OwnedIa5String = Owned<ASN1_IA5STRING, ASN1_IA5STRING_free>;
using OwnedGeneralName = Owned<GENERAL_NAME, GENERAL_NAME_free>;
using OwnedGeneralNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using OwnedBasicConstraints = Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>;
using OwnedKeyUsages = Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;

/// Drops what OpenSSL adds to the thread's error queue in this scope. Asio reads that queue after
/// its own calls, and would blame an innocent TLS session for what is left there.
class ErrorQueueScope {
public:
    ErrorQueueScope() { ERR_set_mark(); }

    ErrorQueueScope(const ErrorQueueScope&) = delete;
    ErrorQueueScope& operator=(const ErrorQueueScope&) = delete;

    ~ErrorQueueScope() { ERR_pop_to_mark(); }
};

} // namespace narrowlink::crypto
