#include "udp_envelope.hpp"

#include "narrowlink/io/asio_address.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <type_traits>

#include <netinet/udp.h>

namespace narrowlink::io {
namespace {

template <class Address>
Address to_native(const IpAddress& ip)
{
    Address address{};
    std::memcpy(&address, ip.bytes().data(), sizeof address);
    return address;
}

} // namespace

template <class T>
void UdpEnvelope::append(int level, int type, const T& value)
{
    static_assert(std::is_trivially_copyable_v<T>);
    assert(size_ + CMSG_SPACE(sizeof value) <= ControlBlock::capacity);
    const MutableBytes place =
        MutableBytes{control_.bytes}.subspan(size_, CMSG_SPACE(sizeof value));
    std::ranges::fill(place, std::byte{});
    const cmsghdr header{
        .cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = level, .cmsg_type = type};
    std::memcpy(place.data(), &header, sizeof header);
    std::memcpy(place.data() + CMSG_LEN(0), &value, sizeof value);
    size_ += place.size();
}

UdpEnvelope::UdpEnvelope(const SocketAddress& to, const UdpSocket::SendOptions& options)
    : to_{to_udp_endpoint(to)}
{
    const bool is_v4 = to.ip.is_v4();
    if (options.from && is_v4)
        append(IPPROTO_IP, IP_PKTINFO,
               in_pktinfo{.ipi_spec_dst = to_native<in_addr>(*options.from)});
    else if (options.from)
        append(IPPROTO_IPV6, IPV6_PKTINFO,
               in6_pktinfo{.ipi6_addr = to_native<in6_addr>(*options.from)});
    if (options.ttl != 0)
        append(is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_TTL : IPV6_HOPLIMIT, int{options.ttl});
    if (const int ecn = options.ecn & ecn_bits; ecn != 0)
        append(is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_TOS : IPV6_TCLASS, ecn);
    unsegmented_size_ = size_;
}

void UdpEnvelope::set_segment_size(std::size_t segment_size)
{
    size_ = unsegmented_size_;
    append(SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment_size));
}

void UdpEnvelope::clear_segment_size()
{
    size_ = unsegmented_size_;
}

msghdr UdpEnvelope::address(iovec& payload)
{
    return {.msg_name = to_.data(),
            .msg_namelen = static_cast<socklen_t>(to_.size()),
            .msg_iov = &payload,
            .msg_iovlen = 1,
            .msg_control = size_ == 0 ? nullptr : control_.bytes.data(),
            .msg_controllen = size_};
}

} // namespace narrowlink::io
