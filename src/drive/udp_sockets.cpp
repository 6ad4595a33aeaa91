#include "narrowlink/drive/udp_sockets.hpp"

#include "narrowlink/io/log.hpp"

#include <boost/system/system_error.hpp>

#include <utility>

namespace narrowlink::drive {

UdpSockets::UdpSockets(net::any_io_executor executor, Sink sink)
    : executor_{std::move(executor)}, sink_{std::move(sink)}
{
    for (const bool v4 : {true, false})
        if (auto socket = make(v4, DirectSocket::Use::main))
            main_.push_back(std::move(socket));
}

std::shared_ptr<DirectSocket> UdpSockets::make(bool v4, DirectSocket::Use use)
{
    const char* any = v4 ? "0.0.0.0" : "::";
    try {
        auto udp = io::UdpSocket::open(executor_, {*IpAddress::parse(any), 0});
        const SocketAddress local = udp.local_address();
        return std::make_shared<DirectSocket>(
            DirectSocket{.id = ++last_id_, .udp = std::move(udp), .local = local, .use = use});
    } catch (const boost::system::system_error& error) {
        io::log_event(LogLevel::debug, "udp_unavailable", "address", any, "error", error.code());
        return nullptr;
    }
}

std::shared_ptr<DirectSocket> UdpSockets::main(bool v4) const
{
    for (const auto& socket : main_)
        if (socket->local.ip.is_v4() == v4)
            return socket;
    return nullptr;
}

std::shared_ptr<DirectSocket> UdpSockets::open(bool v4, DirectSocket::Use use)
{
    if (scope_ == nullptr)
        return nullptr;
    auto socket = make(v4, use);
    if (socket)
        scope_->spawn(ingress_loop(socket));
    return socket;
}

net::awaitable<void> UdpSockets::run(net::awaitable<void> body)
{
    io::TaskScope scope{executor_, [](const std::exception_ptr&) {}};
    for (const auto& socket : main_)
        scope.spawn(ingress_loop(socket));
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
net::awaitable<void> UdpSockets::ingress_loop(std::shared_ptr<DirectSocket> socket)
{
    for (;;) {
        auto receiving = socket->udp.receive();
        const auto arrivals = co_await std::move(receiving);
        for (const io::UdpSocket::Arrival& arrival : arrivals)
            sink_(*socket, arrival);
    }
}

} // namespace narrowlink::drive
