#include "narrowlink/crypto/aead.hpp"

#include "narrowlink/crypto/error.hpp"
#include "openssl.hpp"

#include <boost/system/system_error.hpp>

#include <cassert>

namespace narrowlink::crypto {
namespace {

using OwnedContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

const unsigned char* octets(Bytes bytes)
{
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* octets(MutableBytes bytes)
{
    return reinterpret_cast<unsigned char*>(bytes.data());
}

void require(bool succeeded)
{
    if (!succeeded)
        throw boost::system::system_error{make_error_code(Error::library_failure)};
}

OwnedContext make_context(const Aead::Key& key, int encrypts)
{
    OwnedContext context{EVP_CIPHER_CTX_new()};
    require(context != nullptr && EVP_CipherInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr,
                                                    octets(Bytes{key}), nullptr, encrypts) == 1);
    return context;
}

} // namespace

struct Aead::Contexts {
    OwnedContext sealing, opening;
};

Aead::Aead(const Key& key)
    : contexts_{std::make_unique<Contexts>(Contexts{make_context(key, 1), make_context(key, 0)})}
{
}

Aead::Aead(Aead&&) noexcept = default;

Aead& Aead::operator=(Aead&&) noexcept = default;

Aead::~Aead() = default;

void Aead::seal(const Nonce& nonce, Bytes associated, Bytes text, MutableBytes sealed)
{
    assert(sealed.size() == text.size() + tag_size);
    EVP_CIPHER_CTX* const context = contexts_->sealing.get();
    int length = 0;
    require(EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, octets(Bytes{nonce})) == 1);
    require(EVP_EncryptUpdate(context, nullptr, &length, octets(associated),
                              static_cast<int>(associated.size())) == 1);
    require(EVP_EncryptUpdate(context, octets(sealed), &length, octets(text),
                              static_cast<int>(text.size())) == 1);
    require(EVP_EncryptFinal_ex(context, octets(sealed) + length, &length) == 1);
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_size,
                                octets(sealed.last(tag_size))) == 1);
}

bool Aead::open(const Nonce& nonce, Bytes associated, Bytes sealed, MutableBytes text)
{
    assert(sealed.size() == text.size() + tag_size);
    const ErrorQueueScope scope;
    EVP_CIPHER_CTX* const context = contexts_->opening.get();
    int length = 0;
    require(EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, octets(Bytes{nonce})) == 1);
    auto* const tag = const_cast<unsigned char*>(octets(sealed.last(tag_size)));
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_size, tag) == 1);
    require(EVP_DecryptUpdate(context, nullptr, &length, octets(associated),
                              static_cast<int>(associated.size())) == 1);
    require(EVP_DecryptUpdate(context, octets(text), &length, octets(sealed),
                              static_cast<int>(text.size())) == 1);
    return EVP_DecryptFinal_ex(context, octets(text) + length, &length) == 1;
}

} // namespace narrowlink::crypto
