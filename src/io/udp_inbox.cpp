#include "udp_inbox.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <netinet/udp.h>

namespace narrowlink::io {
namespace {

IpAddress to_ip(const in_addr& address)
{
    return IpAddress::v4(std::bit_cast<std::array<std::byte, 4>>(address));
}

IpAddress to_ip(const in6_addr& address)
{
    return IpAddress::v6(std::bit_cast<std::array<std::byte, 16>>(address));
}

SocketAddress to_socket_address(const sockaddr_storage& storage)
{
    if (storage.ss_family == AF_INET) {
        sockaddr_in v4;
        std::memcpy(&v4, &storage, sizeof v4);
        return {to_ip(v4.sin_addr), ntohs(v4.sin_port)};
    }
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof v6);
    return {to_ip(v6.sin6_addr), ntohs(v6.sin6_port)};
}

template <class T>
T value_of(const cmsghdr& header)
{
    T value;
    std::memcpy(&value, CMSG_DATA(&header), sizeof value);
    return value;
}

void read_control_message(const cmsghdr& header, UdpSocket::Arrival& arrival)
{
    if (header.cmsg_level == IPPROTO_IP) {
        if (header.cmsg_type == IP_PKTINFO)
            arrival.to = to_ip(value_of<in_pktinfo>(header).ipi_addr);
        else if (header.cmsg_type == IP_TTL)
            arrival.ttl = static_cast<std::uint8_t>(value_of<int>(header));
        else if (header.cmsg_type == IP_TOS) // one byte, other than all the rest
            arrival.ecn = value_of<std::uint8_t>(header) & ecn_bits;
    } else if (header.cmsg_level == IPPROTO_IPV6) {
        if (header.cmsg_type == IPV6_PKTINFO)
            arrival.to = to_ip(value_of<in6_pktinfo>(header).ipi6_addr);
        else if (header.cmsg_type == IPV6_HOPLIMIT)
            arrival.ttl = static_cast<std::uint8_t>(value_of<int>(header));
        else if (header.cmsg_type == IPV6_TCLASS)
            arrival.ecn = static_cast<std::uint8_t>(value_of<int>(header) & ecn_bits);
    } else if (header.cmsg_level == SOL_UDP && header.cmsg_type == UDP_GRO) {
        const auto segment_size = static_cast<std::size_t>(value_of<int>(header));
        if (segment_size > 0)
            arrival.segment_size = std::min(segment_size, arrival.train.size());
    }
}

} // namespace

UdpInbox::UdpInbox(const UdpSocket::Options& options)
    : train_capacity_{options.longest_train}
    , block_{std::make_unique_for_overwrite<std::byte[]>(options.arrivals_per_call *
                                                         options.longest_train)}
    , slots_(options.arrivals_per_call)
    , headers_(options.arrivals_per_call)
{
    for (std::size_t i = 0; i < slots_.size(); ++i)
        slots_[i].payload = {.iov_base = block_.get() + i * train_capacity_,
                             .iov_len = train_capacity_};
    arrivals_.reserve(options.arrivals_per_call);
}

bool UdpInbox::fetch(int descriptor)
{
    arrivals_.clear();
    for (std::size_t i = 0; i < slots_.size(); ++i)
        headers_[i].msg_hdr = {.msg_name = &slots_[i].from,
                               .msg_namelen = sizeof slots_[i].from,
                               .msg_iov = &slots_[i].payload,
                               .msg_iovlen = 1,
                               .msg_control = slots_[i].control.bytes.data(),
                               .msg_controllen = ControlBlock::capacity};
    const int count = ::recvmmsg(descriptor, headers_.data(),
                                 static_cast<unsigned>(headers_.size()), MSG_DONTWAIT, nullptr);
    for (std::size_t i = 0; count > 0 && i < static_cast<std::size_t>(count); ++i)
        accept(slots_[i], headers_[i]);
    return count >= 0;
}

void UdpInbox::accept(const Slot& slot, mmsghdr& message)
{
    if (message.msg_len == 0 || (message.msg_hdr.msg_flags & MSG_TRUNC) != 0)
        return;
    UdpSocket::Arrival& arrival = arrivals_.emplace_back(UdpSocket::Arrival{
        .from = to_socket_address(slot.from),
        .train = {static_cast<const std::byte*>(slot.payload.iov_base), message.msg_len},
        .segment_size = message.msg_len,
        .ttl = 0,
        .ecn = 0});
    msghdr& control = message.msg_hdr;
    for (cmsghdr* header = CMSG_FIRSTHDR(&control); header != nullptr;
         header = CMSG_NXTHDR(&control, header))
        read_control_message(*header, arrival);
}

} // namespace narrowlink::io
