#include "datagram_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>

namespace narrowlink::bench {

namespace {

constexpr int kernel_buffer = 4 << 20; ///< bytes per direction, as the product asks for
constexpr std::size_t arrivals_per_call = 16;
constexpr std::size_t longest_train = 65'536;

void check(int result, const char* what)
{
    if (result < 0)
        throw std::system_error{errno, std::generic_category(), what};
}

void set_option(const Descriptor& socket, int level, int name, int value, const char* what)
{
    check(setsockopt(socket.get(), level, name, &value, sizeof value), what);
}

/// What the kernel says about the train in `message`; a single datagram has no such word.
std::size_t segment_size_of(msghdr& message, std::size_t size)
{
    for (cmsghdr* word = CMSG_FIRSTHDR(&message); word != nullptr;
         word = CMSG_NXTHDR(&message, word))
        if (word->cmsg_level == SOL_UDP && word->cmsg_type == UDP_GRO) {
            int segment = 0;
            std::memcpy(&segment, CMSG_DATA(word), sizeof segment);
            return static_cast<std::size_t>(segment);
        }
    return size;
}

} // namespace

DatagramSocket::DatagramSocket(const std::string& local)
    : socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}
    , buffer_(arrivals_per_call * longest_train)
{
    check(socket_.get(), "socket");
    set_option(socket_, SOL_SOCKET, SO_RCVBUF, kernel_buffer, "SO_RCVBUF");
    set_option(socket_, SOL_SOCKET, SO_SNDBUF, kernel_buffer, "SO_SNDBUF");
    set_option(socket_, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER");
    set_option(socket_, SOL_UDP, UDP_SEGMENT, 0, "UDP_SEGMENT");
    set_option(socket_, SOL_UDP, UDP_GRO, 1, "UDP_GRO");
    const sockaddr_in address = parse_address(local);
    check(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

void DatagramSocket::send(const sockaddr_in& to, std::span<const std::byte> train,
                          std::size_t segment_size)
{
    sockaddr_in address = to;
    iovec payload{const_cast<std::byte*>(train.data()), train.size()};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> control{};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = &payload;
    message.msg_iovlen = 1;
    if (train.size() > segment_size) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* word = CMSG_FIRSTHDR(&message);
        word->cmsg_level = SOL_UDP;
        word->cmsg_type = UDP_SEGMENT;
        word->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const auto size = static_cast<std::uint16_t>(segment_size);
        std::memcpy(CMSG_DATA(word), &size, sizeof size);
    }
    while (sendmsg(socket_.get(), &message, 0) < 0) {
        if (errno == EINTR || errno == ECONNREFUSED) // of an earlier datagram, by ICMP
            continue;
        if (errno != EAGAIN && errno != ENOBUFS)
            check(-1, "sendmsg");
        pollfd entry{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
        poll(&entry, 1, 1'000);
    }
}

bool DatagramSocket::wait(std::chrono::nanoseconds timeout)
{
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    const timespec limit{seconds.count(), (timeout - seconds).count()};
    pollfd entry{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    return ppoll(&entry, 1, &limit, nullptr) > 0;
}

std::span<const DatagramSocket::Arrival> DatagramSocket::receive()
{
    std::array<sockaddr_in, arrivals_per_call> senders{};
    std::array<iovec, arrivals_per_call> blocks{};
    std::array<mmsghdr, arrivals_per_call> messages{};

    struct alignas(cmsghdr) Control {
        std::array<std::byte, CMSG_SPACE(sizeof(int))> bytes;
    };

    std::array<Control, arrivals_per_call> controls{};
    for (std::size_t i = 0; i < arrivals_per_call; ++i) {
        blocks[i] = {buffer_.data() + i * longest_train, longest_train};
        msghdr& header = messages[i].msg_hdr;
        header.msg_name = &senders[i];
        header.msg_namelen = sizeof senders[i];
        header.msg_iov = &blocks[i];
        header.msg_iovlen = 1;
        header.msg_control = controls[i].bytes.data();
        header.msg_controllen = controls[i].bytes.size();
    }
    arrivals_.clear();
    const int count =
        recvmmsg(socket_.get(), messages.data(), arrivals_per_call, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED)
        check(-1, "recvmmsg");
    for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(count, 0)); ++i) {
        const std::span train{buffer_.data() + i * longest_train, messages[i].msg_len};
        if (!train.empty())
            arrivals_.push_back(
                {senders[i], train, segment_size_of(messages[i].msg_hdr, train.size())});
    }
    return arrivals_;
}

} // namespace narrowlink::bench
