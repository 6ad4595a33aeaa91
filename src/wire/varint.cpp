#include "narrowlink/wire/varint.hpp"

#include <cassert>

namespace narrowlink::wire {
namespace {

// RFC 9000 §16: the two most significant bits of the first byte are the binary logarithm of the
// size.
std::size_t size_from_first_byte(std::byte first)
{
    return std::size_t{1} << (std::to_integer<unsigned>(first) >> 6);
}

} // namespace

std::optional<Varint> decode_varint(Bytes bytes)
{
    if (bytes.empty() || bytes.size() < size_from_first_byte(bytes[0]))
        return std::nullopt;
    const std::size_t size = size_from_first_byte(bytes[0]);
    std::uint64_t value = std::to_integer<std::uint64_t>(bytes[0] & std::byte{0x3f});
    for (const std::byte b : bytes.subspan(1, size - 1))
        value = value << 8 | std::to_integer<std::uint64_t>(b);
    return Varint{value, size};
}

std::uint64_t read_varint(Reader& in)
{
    const auto varint = decode_varint(in.rest());
    if (!varint) {
        in.take(in.rest().size() + 1); // the short read that it is
        return 0;
    }
    in.take(varint->size);
    return varint->value;
}

std::size_t varint_size(std::uint64_t value)
{
    assert(value <= max_varint);
    if (value < 1U << 6)
        return 1;
    if (value < 1U << 14)
        return 2;
    return value < 1U << 30 ? 4 : 8;
}

void write_varint(Writer& out, std::uint64_t value)
{
    switch (varint_size(value)) {
    case 1: out.u8(static_cast<std::uint8_t>(value)); return;
    case 2: out.u16(static_cast<std::uint16_t>(value | 0x4000)); return;
    case 4: out.u32(static_cast<std::uint32_t>(value | 0x8000'0000)); return;
    default: out.u64(value | std::uint64_t{3} << 62); return;
    }
}

} // namespace narrowlink::wire
