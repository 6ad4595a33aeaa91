#pragma once

#include "narrowlink/direct/sockets.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/udp_socket.hpp"

#include <functional>
#include <map>
#include <memory>

namespace narrowlink::drive {

/// A node's UDP sockets with their ingress loops.
///
/// Single-threaded.
class UdpSockets final : public direct::Sockets {
public:
    using Sink = std::function<void(direct::SocketId, std::span<const io::UdpSocket::Arrival>)>;

    /// `sink` is told of what comes in, all that came together at once.
    UdpSockets(net::any_io_executor executor, Sink sink);

    /// Receives until cancelled, and runs `body` meanwhile.
    net::awaitable<void> run(net::awaitable<void> body);

    std::optional<std::uint16_t> open(direct::SocketId, bool v4) override;
    void close(direct::SocketId) override;
    void send(direct::SocketId, const SocketAddress& to, Bytes datagram, std::uint8_t ttl) override;

    /// nullptr when it is closed. To be kept for as long as it is waited for.
    [[nodiscard]] std::shared_ptr<io::UdpSocket> find(direct::SocketId) const;

private:
    net::awaitable<void> ingress_loop(direct::SocketId, std::shared_ptr<io::UdpSocket> socket);

    net::any_io_executor executor_;
    Sink sink_;
    std::map<direct::SocketId, std::shared_ptr<io::UdpSocket>> sockets_;
    io::TaskScope* scope_ = nullptr; ///< of run()
};

} // namespace narrowlink::drive
