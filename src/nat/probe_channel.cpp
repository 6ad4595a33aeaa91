#include "narrowlink/nat/probe_channel.hpp"

#include <algorithm>

namespace narrowlink::nat {
namespace {

constexpr std::size_t nonce_offset = 1 + std::tuple_size_v<wire::ProbeId>;

} // namespace

ProbeChannel::ProbeChannel(const ProbeCredentials& credentials, wire::ProbeSender us)
    : id_{credentials.id}
    , us_{us}
    , aead_{credentials.key}
{
}

ProbePacket ProbeChannel::seal(wire::Probe probe, Random& random)
{
    probe.sender = us_;
    probe.sequence = ++sequence_;
    const wire::ProbeBody body = wire::encode_probe(probe);

    ProbePacket packet;
    const MutableBytes head = MutableBytes{packet}.first(wire::probe_head_size);
    random.fill(head); // nonces are random: an end forgets its sequence with its process
    packet[0] = (packet[0] & std::byte{0x3f}) | std::byte{0x40};
    std::ranges::copy(id_, packet.begin() + 1);
    crypto::Aead::Nonce nonce;
    std::ranges::copy(head.subspan(nonce_offset), nonce.begin());
    aead_.seal(nonce, head, body, MutableBytes{packet}.subspan(wire::probe_head_size));
    return packet;
}

std::optional<wire::Probe> ProbeChannel::open(Bytes packet)
{
    if (packet.size() != wire::probe_size || wire::probe_id(packet) != id_)
        return std::nullopt;
    const Bytes head = packet.first(wire::probe_head_size);
    crypto::Aead::Nonce nonce;
    std::ranges::copy(head.subspan(nonce_offset), nonce.begin());
    wire::ProbeBody body;
    if (!aead_.open(nonce, head, packet.subspan(wire::probe_head_size), body))
        return std::nullopt;
    const auto probe = wire::decode_probe(body);
    if (!probe || probe->sender == us_ ||
        !windows_[static_cast<std::size_t>(probe->sender)].take(probe->sequence))
        return std::nullopt;
    return probe;
}

bool ProbeChannel::Window::take(std::uint64_t sequence)
{
    constexpr std::uint64_t width = 64;
    if (sequence > highest) {
        const std::uint64_t ahead = sequence - highest;
        seen = ahead < width ? seen << ahead | 1 : 1;
        highest = sequence;
        return true;
    }
    const std::uint64_t behind = highest - sequence;
    if (sequence == 0 || behind >= width || (seen >> behind & 1) != 0)
        return false;
    seen |= std::uint64_t{1} << behind;
    return true;
}

} // namespace narrowlink::nat
