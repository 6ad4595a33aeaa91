// Theory of operation
//
// Goal: datagrams in and out at the speed of the machine, with the facts about each that QUIC and
// NAT traversal need, on whatever kernel there is.
//
// Egress. A train of up to 64 segments is one sendmsg(2) with UDP_SEGMENT (udp(7)): routing,
// netfilter and queueing happen once for all of them. Source address, TTL and ECN travel with each
// call as ancillary data, so that a probe with a small TTL and a packet of QUIC share the socket.
// The kernel refuses a segmented train where it would take single datagrams: with EINVAL or
// EMSGSIZE when a segment exceeds the interface's MTU (the short last one may still pass) or
// checksums are off, with EIO when the interface or an IPsec policy rules segmentation out. Such a
// train goes again as single datagrams by sendmmsg(2), and after EIO so do all others.
//
// Ingress. One recvmmsg(2) takes up to 16 messages. Each is a datagram, or with UDP_GRO a train of
// datagrams of one sender with equal TTL and ECN, which the kernel put together; ancillary data
// tells the size of its segments. The wait comes first, always, even if more is known to be there:
// it is what lets other tasks of the thread have their turn.
//
// Memory. The buffer is left uninitialised, so the kernel maps a page of it only when a datagram
// reaches that far: a socket with small traffic uses one page per message.
//
// Limits: no zone identifiers, hence no link-local addresses.

#include "narrowlink/io/udp_socket.hpp"

#include "narrowlink/io/asio_address.hpp"

#include "udp_envelope.hpp"
#include "udp_inbox.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <utility>

#include <boost/system/system_error.hpp>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace narrowlink::io {
namespace {

constexpr int kernel_buffer = 4 << 20;               ///< bytes, per direction
constexpr std::size_t most_segments = 64;            ///< UDP_MAX_SEGMENTS; newer kernels take more
constexpr std::size_t most_payload_v4 = 65'535 - 28; ///< of one call: IPv4 and UDP header
constexpr std::size_t most_payload_v6 = 65'535 - 48; ///< of one call: IPv6 and UDP header
constexpr std::size_t gro_train = 65'535;            ///< what UDP_GRO may hand over at once

[[noreturn]] void throw_last_error()
{
    throw boost::system::system_error{errno, boost::system::system_category()};
}

bool set_option(int descriptor, int level, int name, int value)
{
    return ::setsockopt(descriptor, level, name, &value, sizeof value) == 0;
}

/// Not by Asio, whose sockets survive exec(2).
udp::socket make_socket(const net::any_io_executor& executor, bool is_v4)
{
    const int type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const int descriptor = ::socket(is_v4 ? AF_INET : AF_INET6, type, IPPROTO_UDP);
    if (descriptor < 0)
        throw_last_error();
    udp::socket socket{executor};
    ErrorCode failure;
    socket.assign(is_v4 ? udp::v4() : udp::v6(), descriptor, failure);
    if (failure) {
        ::close(descriptor);
        throw boost::system::system_error{failure};
    }
    return socket;
}

/// What we can do without, and on old kernels have to.
void ask_for_options(int descriptor, bool is_v4)
{
    set_option(descriptor, SOL_SOCKET, SO_RCVBUF, kernel_buffer);
    set_option(descriptor, SOL_SOCKET, SO_SNDBUF, kernel_buffer);
    if (is_v4) {
        set_option(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        set_option(descriptor, IPPROTO_IP, IP_PKTINFO, 1);
        set_option(descriptor, IPPROTO_IP, IP_RECVTTL, 1);
        set_option(descriptor, IPPROTO_IP, IP_RECVTOS, 1);
    } else {
        set_option(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        set_option(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        set_option(descriptor, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
        set_option(descriptor, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
}

iovec to_iovec(Bytes payload)
{
    return {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()};
}

/// Everything else a receive can fail with has come over the network, or passes.
bool is_defect(int error)
{
    return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EINVAL ||
           error == ENOSYS;
}

enum class Refusal : std::uint8_t {
    would_block,
    interrupted,
    never_segmented, ///< by this interface
    not_segmented,   ///< this train; or there is something wrong with its datagrams, too
    other,
};

Refusal refusal_of(int error)
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS: return Refusal::would_block;
    case EINTR: return Refusal::interrupted;
    case EIO: return Refusal::never_segmented;
    case EINVAL:
    case EMSGSIZE: return Refusal::not_segmented;
    default: return Refusal::other;
    }
}

/// Bytes of the first `count` datagrams of a train.
std::size_t bytes_of(std::size_t count, Bytes train, std::size_t segment_size)
{
    return std::min(count * segment_size, train.size());
}

std::size_t datagrams_of(Bytes train, std::size_t segment_size)
{
    return (train.size() + segment_size - 1) / segment_size;
}

/// What became of one system call: so many bytes are done with, or none because ...
struct Progress {
    std::size_t taken = 0;
    bool would_block = false;
    bool must_go_singly = false;
};

} // namespace

struct UdpSocket::State {
    State(const net::any_io_executor& executor, const SocketAddress& bind_to,
          const Options& wanted);

    net::awaitable<std::span<const Arrival>> receive();

    std::size_t send(UdpEnvelope& envelope, Bytes train, std::size_t segment_size);

    /// These two give the kernel as much of `rest` as one system call takes.
    Progress send_segmented(UdpEnvelope& envelope, Bytes rest, std::size_t segment_size);
    Progress send_singly(UdpEnvelope& envelope, Bytes rest, std::size_t segment_size);

    const Options options;
    const bool is_v4;
    udp::socket socket;
    SocketAddress local;
    bool can_segment = false;
    std::uint64_t lost_sends = 0;
    std::unique_ptr<UdpInbox> inbox; ///< from the first receive() on
};

UdpSocket::State::State(const net::any_io_executor& executor, const SocketAddress& bind_to,
                        const Options& wanted)
    : options{wanted}, is_v4{bind_to.ip.is_v4()}, socket{make_socket(executor, is_v4)}
{
    const int descriptor = socket.native_handle();
    if (!is_v4 && !set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1))
        throw_last_error();
    ask_for_options(descriptor, is_v4);
    // A kernel that does not know UDP_SEGMENT would ignore it as ancillary data: ask first.
    can_segment = options.offload && set_option(descriptor, SOL_UDP, UDP_SEGMENT, 0);
    if (options.offload && options.longest_train >= gro_train)
        set_option(descriptor, SOL_UDP, UDP_GRO, 1);
    socket.bind(to_udp_endpoint(bind_to));
    local = from_asio(socket.local_endpoint());
}

net::awaitable<std::span<const UdpSocket::Arrival>> UdpSocket::State::receive()
{
    if (!inbox)
        inbox = std::make_unique<UdpInbox>(options);
    for (;;) {
        co_await socket.async_wait(udp::socket::wait_read, net::use_awaitable);
        if (!inbox->fetch(socket.native_handle()) && is_defect(errno))
            throw_last_error();
        if (!inbox->arrivals().empty())
            co_return inbox->arrivals();
    }
}

std::size_t UdpSocket::State::send(UdpEnvelope& envelope, Bytes train, std::size_t segment_size)
{
    std::size_t taken = 0;
    bool singly = !can_segment;
    while (taken < train.size()) {
        const Bytes rest = train.subspan(taken);
        const Progress progress = singly || rest.size() <= segment_size
                                      ? send_singly(envelope, rest, segment_size)
                                      : send_segmented(envelope, rest, segment_size);
        if (progress.would_block)
            break;
        taken += progress.taken;
        singly = singly || progress.must_go_singly;
    }
    return taken;
}

Progress UdpSocket::State::send_segmented(UdpEnvelope& envelope, Bytes rest,
                                          std::size_t segment_size)
{
    const std::size_t most_payload = is_v4 ? most_payload_v4 : most_payload_v6;
    const std::size_t count = std::min(most_segments, most_payload / segment_size);
    if (count < 2)
        return {.must_go_singly = true};

    const Bytes train = rest.first(bytes_of(count, rest, segment_size));
    envelope.set_segment_size(segment_size);
    iovec payload = to_iovec(train);
    const msghdr message = envelope.address(payload);
    for (;;) {
        if (::sendmsg(socket.native_handle(), &message, MSG_DONTWAIT) >= 0)
            return {.taken = train.size()};
        switch (refusal_of(errno)) {
        case Refusal::interrupted: continue;
        case Refusal::would_block: return {.would_block = true};
        case Refusal::never_segmented: can_segment = false; return {.must_go_singly = true};
        case Refusal::not_segmented: return {.must_go_singly = true};
        case Refusal::other:
            lost_sends += datagrams_of(train, segment_size);
            return {.taken = train.size()};
        }
    }
}

Progress UdpSocket::State::send_singly(UdpEnvelope& envelope, Bytes rest, std::size_t segment_size)
{
    std::array<iovec, most_segments> payloads;
    std::array<mmsghdr, most_segments> messages;
    const std::size_t count = std::min(most_segments, datagrams_of(rest, segment_size));

    envelope.clear_segment_size();
    for (std::size_t i = 0; i < count; ++i) {
        const Bytes tail = rest.subspan(i * segment_size);
        payloads[i] = to_iovec(tail.first(std::min(segment_size, tail.size())));
        messages[i].msg_hdr = envelope.address(payloads[i]);
    }
    for (;;) {
        const int sent = ::sendmmsg(socket.native_handle(), messages.data(),
                                    static_cast<unsigned>(count), MSG_DONTWAIT);
        if (sent > 0)
            return {.taken = bytes_of(static_cast<std::size_t>(sent), rest, segment_size)};
        switch (refusal_of(errno)) {
        case Refusal::interrupted: continue;
        case Refusal::would_block: return {.would_block = true};
        case Refusal::never_segmented:
        case Refusal::not_segmented:
        case Refusal::other:
            ++lost_sends; // sendmmsg(2) fails with its first; the next may be shorter and pass
            return {.taken = bytes_of(1, rest, segment_size)};
        }
    }
}

UdpSocket::UdpSocket(std::unique_ptr<State> state) : state_{std::move(state)} {}

UdpSocket::UdpSocket(UdpSocket&&) noexcept = default;
UdpSocket& UdpSocket::operator=(UdpSocket&&) noexcept = default;
UdpSocket::~UdpSocket() = default;

UdpSocket UdpSocket::open(net::any_io_executor executor, const SocketAddress& local,
                          const Options& options)
{
    return UdpSocket{std::make_unique<State>(executor, local, options)};
}

net::awaitable<std::span<const UdpSocket::Arrival>> UdpSocket::receive()
{
    return state_->receive();
}

std::size_t UdpSocket::try_send(const SocketAddress& to, Bytes train, std::size_t segment_size,
                                const SendOptions& options)
{
    assert(segment_size > 0);
    segment_size = std::min(segment_size, std::max<std::size_t>(train.size(), 1)); // no overflow
    if (to.ip.is_v4() != state_->is_v4 ||
        (options.from && options.from->is_v4() != state_->is_v4)) {
        state_->lost_sends += datagrams_of(train, segment_size);
        return train.size();
    }
    UdpEnvelope envelope{to, options};
    return state_->send(envelope, train, segment_size);
}

net::awaitable<void> UdpSocket::writable()
{
    return state_->socket.async_wait(udp::socket::wait_write, net::use_awaitable);
}

void UdpSocket::close()
{
    boost::system::error_code ignored;
    state_->socket.close(ignored);
}

bool UdpSocket::is_open() const
{
    return state_->socket.is_open();
}

std::uint64_t UdpSocket::lost_sends() const
{
    return state_->lost_sends;
}

bool UdpSocket::has_segmentation_offload() const
{
    return state_->can_segment;
}

SocketAddress UdpSocket::local_address() const
{
    return state_->local;
}

} // namespace narrowlink::io
