#include "narrowlink/crypto/digest.hpp"

#include "narrowlink/crypto/error.hpp"

#include <boost/system/system_error.hpp>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace narrowlink::crypto {
namespace {

const unsigned char* octets(Bytes bytes)
{
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

} // namespace

Digest sha256(Bytes message)
{
    Digest digest;
    auto* const out = reinterpret_cast<unsigned char*>(digest.data());
    if (EVP_Digest(octets(message), message.size(), out, nullptr, EVP_sha256(), nullptr) != 1)
        throw boost::system::system_error{make_error_code(Error::library_failure)};
    return digest;
}

Digest hmac_sha256(Bytes key, Bytes message)
{
    Digest digest;
    auto* const out = reinterpret_cast<unsigned char*>(digest.data());
    const void* const key_begin = key.empty() ? "" : static_cast<const void*>(key.data());
    if (HMAC(EVP_sha256(), key_begin, static_cast<int>(key.size()), octets(message), message.size(),
             out, nullptr) == nullptr) // which refuses a key at nullptr
        throw boost::system::system_error{make_error_code(Error::library_failure)};
    return digest;
}

bool equal_in_constant_time(Bytes a, Bytes b)
{
    if (a.size() != b.size())
        return false;
    return a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace narrowlink::crypto
