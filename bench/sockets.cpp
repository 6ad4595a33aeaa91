#include "sockets.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace narrowlink::bench {

namespace {

int check(int result, const char* what)
{
    if (result < 0)
        throw std::system_error{errno, std::generic_category(), what};
    return result;
}

Descriptor make_socket(const SocketOptions& options)
{
    Descriptor socket{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
    const int on = 1;
    check(setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    if (!options.congestion.empty())
        check(setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, options.congestion.data(),
                         static_cast<socklen_t>(options.congestion.size())),
              "TCP_CONGESTION");
    return socket;
}

void wait_for(const Descriptor& socket, short events)
{
    pollfd entry{.fd = socket.get(), .events = events, .revents = 0};
    const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
    if (check(poll(&entry, 1, static_cast<int>(timeout.count())), "poll") == 0)
        fail("nothing moved for " + std::to_string(patience.count()) + " s");
}

} // namespace

void fail(const std::string& what)
{
    throw std::runtime_error{what};
}

sockaddr_in parse_address(const std::string& text)
{
    const std::size_t colon = text.rfind(':');
    sockaddr_in address{};
    address.sin_family = AF_INET;
    if (colon == std::string::npos ||
        inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1)
        fail("'" + text + "' is not IPV4:PORT");
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
    return address;
}

Descriptor::~Descriptor()
{
    close();
}

void Descriptor::close()
{
    if (number_ >= 0)
        ::close(std::exchange(number_, -1));
}

Epoll::Epoll() : descriptor_{check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {}

void Epoll::add(const Descriptor& descriptor, std::uint32_t events, void* tag)
{
    epoll_event event{.events = events, .data = {.ptr = tag}};
    check(epoll_ctl(descriptor_.get(), EPOLL_CTL_ADD, descriptor.get(), &event), "epoll_ctl");
}

void Epoll::change(const Descriptor& descriptor, std::uint32_t events, void* tag)
{
    epoll_event event{.events = events, .data = {.ptr = tag}};
    check(epoll_ctl(descriptor_.get(), EPOLL_CTL_MOD, descriptor.get(), &event), "epoll_ctl");
}

std::span<epoll_event> Epoll::wait(std::chrono::milliseconds timeout)
{
    const int count =
        epoll_wait(descriptor_.get(), events_.data(), static_cast<int>(events_.size()),
                   static_cast<int>(timeout.count()));
    if (count < 0 && errno == EINTR)
        return {};
    return std::span{events_}.first(static_cast<std::size_t>(check(count, "epoll_wait")));
}

Descriptor connect_to(const std::string& address, const SocketOptions& options)
{
    const sockaddr_in to = parse_address(address);
    Descriptor socket = make_socket(options);
    check(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
    return socket;
}

Descriptor listen_on(const std::string& address, const SocketOptions& options)
{
    const sockaddr_in at = parse_address(address);
    Descriptor socket = make_socket(options); // accepted sockets inherit its options
    check(bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), "bind");
    check(listen(socket.get(), 1'024), "listen");
    return socket;
}

std::string local_address(const Descriptor& socket)
{
    sockaddr_in address{};
    socklen_t size = sizeof address;
    check(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    std::array<char, INET_ADDRSTRLEN> text{};
    inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    return std::string{text.data()} + ":" + std::to_string(ntohs(address.sin_port));
}

void set_non_blocking(const Descriptor& socket)
{
    const int flags = check(fcntl(socket.get(), F_GETFL), "fcntl");
    check(fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK), "fcntl");
}

std::ptrdiff_t send_some(const Descriptor& socket, std::span<const std::byte> bytes)
{
    const ssize_t sent = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return would_block;
    if (sent < 0)
        throw std::system_error{errno, std::generic_category(), "send"};
    return sent;
}

std::ptrdiff_t receive_some(const Descriptor& socket, std::span<std::byte> bytes)
{
    const ssize_t received = recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return would_block;
    if (received < 0)
        throw std::system_error{errno, std::generic_category(), "receive"};
    return received;
}

void send_all(const Descriptor& socket, std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const std::ptrdiff_t sent = send_some(socket, bytes);
        if (sent == would_block)
            wait_for(socket, POLLOUT);
        else
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
}

void receive_all(const Descriptor& socket, std::span<std::byte> bytes)
{
    while (!bytes.empty()) {
        wait_for(socket, POLLIN);
        const std::ptrdiff_t received = receive_some(socket, bytes);
        if (received == 0)
            fail("the stream ended early");
        if (received != would_block)
            bytes = bytes.subspan(static_cast<std::size_t>(received));
    }
}

std::vector<std::byte> random_chunk()
{
    std::mt19937_64 random{1};
    std::vector<std::byte> chunk(chunk_size);
    for (std::size_t i = 0; i < chunk.size(); i += sizeof(std::uint64_t)) {
        const std::uint64_t word = random();
        std::memcpy(chunk.data() + i, &word, sizeof word);
    }
    return chunk;
}

} // namespace narrowlink::bench
