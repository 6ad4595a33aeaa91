#include "narrowlink/wire/pcp.hpp"

#include <algorithm>

namespace narrowlink::wire {
namespace {

constexpr std::uint8_t version = 2;
constexpr std::uint8_t map_opcode = 1;
constexpr std::uint8_t response_bit = 0x80;
constexpr std::uint8_t udp = 17; // IANA's number

/// As RFC 6887 §5 has it: IPv4 as an IPv4-mapped IPv6 address.
std::array<std::byte, 16> sixteen_bytes(const IpAddress& ip)
{
    if (!ip.is_v4())
        return ip.bytes();
    std::array<std::byte, 16> bytes{};
    bytes[10] = bytes[11] = std::byte{0xff};
    std::ranges::copy_n(ip.bytes().begin(), 4, bytes.begin() + 12);
    return bytes;
}

} // namespace

std::array<std::byte, PcpMapRequest::size> encode(const PcpMapRequest& request)
{
    std::array<std::byte, PcpMapRequest::size> datagram{};
    Writer out{datagram};
    out.u8(version);
    out.u8(map_opcode);
    out.u16(0);
    out.u32(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(request.lifetime).count()));
    out.bytes(sixteen_bytes(request.client));
    out.bytes(request.nonce);
    out.u8(udp);
    out.u8(0);
    out.u16(0);
    out.u16(request.internal);
    out.u16(request.external);
    out.bytes(sixteen_bytes(IpAddress{})); // any, of this family
    return datagram;
}

std::optional<PcpMapResponse> decode_pcp_map_response(Bytes datagram)
{
    Reader in{datagram};
    if (in.u8() != version || in.u8() != (response_bit | map_opcode))
        return std::nullopt;
    PcpMapResponse response;
    in.u8();
    response.result = in.u8();
    response.lifetime = std::chrono::seconds{in.u32()};
    in.take(16); // the epoch, which tells of restarts: each renewal asks anew; reserved
    std::ranges::copy(in.take(response.nonce.size()), response.nonce.begin());
    const std::uint8_t protocol = in.u8();
    in.take(3);
    response.internal = in.u16();
    response.external.port = in.u16();
    std::array<std::byte, 16> external{};
    std::ranges::copy(in.take(external.size()), external.begin());
    response.external.ip = IpAddress::v6(external);
    if (!in.ok() || protocol != udp) // options may follow
        return std::nullopt;
    return response;
}

} // namespace narrowlink::wire
