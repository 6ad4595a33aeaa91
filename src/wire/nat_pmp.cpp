#include "narrowlink/wire/nat_pmp.hpp"

#include <algorithm>

namespace narrowlink::wire {

std::optional<IpAddress> decode_nat_pmp_answer(Bytes datagram)
{
    constexpr std::size_t answer_size = 12; // version, opcode, result, epoch, address
    constexpr std::array<std::byte, 4> success{std::byte{0}, std::byte{128}};
    if (datagram.size() != answer_size || !std::ranges::equal(datagram.first(4), success))
        return std::nullopt;
    std::array<std::byte, 4> bytes;
    std::ranges::copy(datagram.last(4), bytes.begin());
    const IpAddress ip = IpAddress::v4(bytes);
    return ip == IpAddress{} ? std::nullopt : std::optional{ip};
}

} // namespace narrowlink::wire
