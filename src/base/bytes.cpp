#include "narrowlink/base/bytes.hpp"

#include <array>
#include <cassert>
#include <cstring>

#include <boost/system/errc.hpp>

namespace narrowlink {
namespace {

constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> base64url_values = [] {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < base64url_alphabet.size(); ++i)
        values[static_cast<unsigned char>(base64url_alphabet[i])] = static_cast<std::int8_t>(i);
    return values;
}();

ErrorCode bad_message()
{
    return make_error_code(boost::system::errc::bad_message);
}

} // namespace

std::string to_hex(Bytes bytes)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte b : bytes) {
        text += digits[std::to_integer<unsigned>(b) >> 4];
        text += digits[std::to_integer<unsigned>(b) & 0xf];
    }
    return text;
}

std::string to_base64url(Bytes bytes)
{
    std::string text;
    text.reserve((bytes.size() * 4 + 2) / 3);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const std::byte b : bytes) {
        bits = bits << 8 | std::to_integer<std::uint32_t>(b);
        count += 8;
        while (count >= 6) {
            count -= 6;
            text += base64url_alphabet[bits >> count & 0x3f];
        }
    }
    if (count > 0)
        text += base64url_alphabet[bits << (6 - count) & 0x3f];
    return text;
}

Result<std::vector<std::byte>> from_base64url(std::string_view text)
{
    if (text.size() % 4 == 1)
        return bad_message();
    std::vector<std::byte> bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const std::int8_t value = base64url_values[static_cast<unsigned char>(c)];
        if (value < 0)
            return bad_message();
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes.push_back(static_cast<std::byte>(bits >> count & 0xff));
        }
    }
    if ((bits & ((1U << count) - 1)) != 0)
        return bad_message(); // two spellings of one value would let a token pass under two names
    return bytes;
}

void Writer::bytes(Bytes value)
{
    assert(value.size() <= block_.size() - size_);
    if (!value.empty())
        std::memcpy(block_.data() + size_, value.data(), value.size());
    size_ += value.size();
}

void Writer::big_endian(std::uint64_t value, std::size_t n)
{
    assert(n <= block_.size() - size_);
    for (std::size_t i = 0; i < n; ++i)
        block_[size_ + i] = static_cast<std::byte>(value >> 8 * (n - 1 - i) & 0xff);
    size_ += n;
}

} // namespace narrowlink
