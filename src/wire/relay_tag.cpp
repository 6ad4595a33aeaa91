#include "narrowlink/wire/relay_tag.hpp"

#include <algorithm>

namespace narrowlink::wire {
namespace {

constexpr std::byte form_bits{0xc0};
constexpr std::byte short_header{0x40};
/// First byte, connection ID, the least packet number and what header protection samples (RFC 9001 §5.4.2).
constexpr std::size_t least_packet = 1 + 8 + 4 + 16;

} // namespace

std::optional<RelayTag> relay_tag_of(Bytes packet)
{
    if (packet.size() < least_packet || (packet[0] & form_bits) != short_header)
        return std::nullopt;
    RelayTag tag;
    std::ranges::copy(packet.subspan(1, tag.size()), tag.begin());
    return tag;
}

} // namespace narrowlink::wire
