#include "narrowlink/wire/probe.hpp"

#include <algorithm>

namespace narrowlink::wire {
namespace {

constexpr std::byte form_bits{0xc0}; // RFC 9000 §17.3: a short header has 01
constexpr std::byte short_header{0x40};

void write_address(Writer& out, const std::optional<SocketAddress>& address)
{
    constexpr std::array<std::byte, 16> nothing{};
    std::uint8_t family = 0;
    if (address)
        family = address->ip.is_v4() ? 4 : 6;
    out.u8(family);
    out.bytes(address ? address->ip.bytes() : nothing);
    out.u16(address ? address->port : 0);
}

/// The outer optional is empty for an unknown family.
std::optional<std::optional<SocketAddress>> read_address(Reader& in)
{
    const std::uint8_t family = in.u8();
    const Bytes ip = in.take(16);
    const std::uint16_t port = in.u16();
    if (!in.ok() || (family != 0 && family != 4 && family != 6))
        return std::nullopt;
    if (family == 0)
        return std::optional<SocketAddress>{};
    std::array<std::byte, 16> six{};
    std::ranges::copy(ip, six.begin());
    if (family == 6)
        return SocketAddress{IpAddress::v6(six), port};
    std::array<std::byte, 4> four{};
    std::ranges::copy(ip.first(4), four.begin());
    return SocketAddress{IpAddress::v4(four), port};
}

bool is_known(ProbeSender sender)
{
    return sender == ProbeSender::gateway || sender == ProbeSender::agent ||
           sender == ProbeSender::client;
}

bool is_known(ProbeKind kind)
{
    switch (kind) {
    case ProbeKind::survey:
    case ProbeKind::observed:
    case ProbeKind::filter:
    case ProbeKind::sample:
    case ProbeKind::punch:
    case ProbeKind::answer:
    case ProbeKind::confirm:
    case ProbeKind::size:
    case ProbeKind::fits: return true;
    }
    return false;
}

} // namespace

ProbeBody encode_probe(const Probe& probe)
{
    ProbeBody body{};
    Writer out{body};
    out.u8(static_cast<std::uint8_t>(probe.sender));
    out.u8(static_cast<std::uint8_t>(probe.kind));
    out.u64(probe.sequence);
    out.u32(probe.token);
    out.u8(probe.socket);
    out.u16(probe.local_port);
    write_address(out, probe.seen);
    out.u64(probe.cookie);
    return body;
}

std::optional<Probe> decode_probe(Bytes body)
{
    Reader in{body};
    Probe probe;
    probe.sender = ProbeSender{in.u8()};
    probe.kind = ProbeKind{in.u8()};
    probe.sequence = in.u64();
    probe.token = in.u32();
    probe.socket = in.u8();
    probe.local_port = in.u16();
    const auto seen = read_address(in);
    probe.cookie = in.u64();
    if (!in.ok() || !seen || !is_known(probe.sender) || !is_known(probe.kind))
        return std::nullopt;
    probe.seen = *seen;
    return probe; // what follows is room for later versions
}

std::optional<ProbeId> probe_id(Bytes packet)
{
    if (packet.size() < probe_size || (packet[0] & form_bits) != short_header)
        return std::nullopt;
    ProbeId id{};
    std::ranges::copy(packet.subspan(1, id.size()), id.begin());
    return id;
}

} // namespace narrowlink::wire
