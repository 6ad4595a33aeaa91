#pragma once

#include "narrowlink/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink {

/// Borrowed until the call returns; never stored, never kept across `co_await`.
using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline Bytes as_bytes(std::string_view text)
{
    return std::as_bytes(std::span{text});
}

inline std::string_view as_text(Bytes bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Lower-case hexadecimal.
std::string to_hex(Bytes bytes);

/// Base64 with the URL-safe alphabet and without padding (RFC 4648 §5).
std::string to_base64url(Bytes bytes);

/// Errors: errc::bad_message when `text` is not base64url, has padding or non-zero trailing bits.
Result<std::vector<std::byte>> from_base64url(std::string_view text);

/// Reads big-endian fields. After the first short read every value is zero and ok() is false,
/// so a decoder reads all of its fields and checks once.
class Reader {
public:
    explicit Reader(Bytes bytes) : rest_{bytes} {}

    std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }

    std::uint16_t u16() { return static_cast<std::uint16_t>(big_endian(2)); }

    std::uint32_t u32() { return static_cast<std::uint32_t>(big_endian(4)); }

    std::uint64_t u64() { return big_endian(8); }

    Bytes take(std::size_t n)
    {
        if (n > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        const Bytes head = rest_.first(n);
        rest_ = rest_.subspan(n);
        return head;
    }

    [[nodiscard]] Bytes rest() const { return rest_; }

    [[nodiscard]] bool ok() const { return ok_; }

    [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

private:
    std::uint64_t big_endian(std::size_t n)
    {
        std::uint64_t value = 0;
        for (const std::byte b : take(n))
            value = value << 8 | std::to_integer<std::uint64_t>(b);
        return value;
    }

    Bytes rest_;
    bool ok_ = true;
};

/// Writes big-endian fields into a block that the caller made large enough.
class Writer {
public:
    explicit Writer(MutableBytes block) : block_{block} {}

    void u8(std::uint8_t value) { big_endian(value, 1); }

    void u16(std::uint16_t value) { big_endian(value, 2); }

    void u32(std::uint32_t value) { big_endian(value, 4); }

    void u64(std::uint64_t value) { big_endian(value, 8); }

    void bytes(Bytes value);

    [[nodiscard]] std::size_t size() const { return size_; }

    [[nodiscard]] Bytes written() const { return block_.first(size_); }

private:
    void big_endian(std::uint64_t value, std::size_t n);

    MutableBytes block_;
    std::size_t size_ = 0;
};

} // namespace narrowlink
