#include "narrowlink/drive/udp_sockets.hpp"

#include "narrowlink/io/log.hpp"

#include <boost/system/system_error.hpp>

#include <utility>

namespace narrowlink::drive {

UdpSockets::UdpSockets(net::any_io_executor executor, Sink sink)
    : executor_{std::move(executor)}, sink_{std::move(sink)}
{
}

std::optional<std::uint16_t> UdpSockets::open(direct::SocketId id, bool v4)
{
    const char* any = v4 ? "0.0.0.0" : "::";
    try {
        const auto socket = std::make_shared<io::UdpSocket>(
            io::UdpSocket::open(executor_, {*IpAddress::parse(any), 0}));
        sockets_.emplace(id, socket);
        if (scope_ != nullptr)
            scope_->spawn(ingress_loop(id, socket));
        return socket->local_address().port;
    } catch (const boost::system::system_error& error) {
        io::log_event(LogLevel::debug, "udp_unavailable", "address", any, "error", error.code());
        return std::nullopt;
    }
}

void UdpSockets::close(direct::SocketId id)
{
    const auto socket = sockets_.extract(id);
    if (!socket.empty())
        socket.mapped()->close();
}

void UdpSockets::send(direct::SocketId id, const SocketAddress& to, Bytes datagram,
                      std::uint8_t ttl)
{
    if (const auto socket = sockets_.find(id); socket != sockets_.end())
        socket->second->try_send(to, datagram, datagram.size(), {.from = {}, .ttl = ttl});
}

std::shared_ptr<io::UdpSocket> UdpSockets::find(direct::SocketId id) const
{
    const auto socket = sockets_.find(id);
    return socket == sockets_.end() ? nullptr : socket->second;
}

net::awaitable<void> UdpSockets::run(net::awaitable<void> body)
{
    io::TaskScope scope{executor_, [](const std::exception_ptr&) {}};
    for (const auto& [id, socket] : sockets_)
        scope.spawn(ingress_loop(id, socket));
    scope_ = &scope;
    std::exception_ptr failure;
    try {
        auto running = scope.run(std::move(body));
        co_await std::move(running);
    } catch (...) {
        failure = std::current_exception();
    }
    scope_ = nullptr;
    if (failure)
        std::rethrow_exception(failure);
}

// The socket is kept until its loop has ended: receive() needs that.
net::awaitable<void> UdpSockets::ingress_loop(direct::SocketId id,
                                              std::shared_ptr<io::UdpSocket> socket)
{
    for (;;) {
        auto receiving = socket->receive();
        const auto arrivals = co_await std::move(receiving);
        sink_(id, arrivals);
    }
}

} // namespace narrowlink::drive
