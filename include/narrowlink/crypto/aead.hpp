#pragma once

#include "narrowlink/base/bytes.hpp"

#include <array>
#include <memory>

namespace narrowlink::crypto {

/// ChaCha20-Poly1305 (RFC 8439) with one key.
///
/// Throws boost::system::system_error when OpenSSL fails, which it does for want of memory only.
class Aead {
public:
    static constexpr std::size_t key_size = 32;
    static constexpr std::size_t nonce_size = 12;
    static constexpr std::size_t tag_size = 16;

    using Key = std::array<std::byte, key_size>;
    using Nonce = std::array<std::byte, nonce_size>;

    explicit Aead(const Key& key);
    Aead(Aead&&) noexcept;
    Aead& operator=(Aead&&) noexcept;
    ~Aead();

    /// Requires: a nonce that was never used with this key; `sealed` is tag_size longer than `text`.
    void seal(const Nonce&, Bytes associated, Bytes text, MutableBytes sealed);

    /// False when the bytes are not what seal() made; `text` is then meaningless.
    /// Requires: `text` is tag_size shorter than `sealed`.
    [[nodiscard]] bool open(const Nonce&, Bytes associated, Bytes sealed, MutableBytes text);

private:
    struct Contexts;

    std::unique_ptr<Contexts> contexts_;
};

} // namespace narrowlink::crypto
