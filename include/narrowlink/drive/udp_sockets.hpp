#pragma once

#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/udp_socket.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace narrowlink::drive {

class PairDriver;

/// One UDP socket of a node.
struct DirectSocket {
    enum class Use : std::uint8_t {
        main,    ///< for everything that does not need one of its own
        survey,  ///< of a survey of what stands before this node
        attempt, ///< of an attempt to open a direct path, and of the path that it found
    };

    std::uint64_t id; ///< never used for another one
    io::UdpSocket udp;
    SocketAddress local;
    Use use = Use::main;
    unsigned number = 0;          ///< in the survey or in the attempt
    PairDriver* driver = nullptr; ///< of an attempt
};

/// A node's UDP sockets with their ingress loops: one main socket per address family, and others
/// that come and go, with ports that the kernel chooses.
///
/// Single-threaded.
class UdpSockets {
public:
    using Sink = std::function<void(DirectSocket&, const io::UdpSocket::Arrival&)>;

    /// Opens the main sockets, as far as the system lets it. `sink` is told of what comes in.
    UdpSockets(net::any_io_executor executor, Sink sink);

    /// Receives until cancelled, and runs `body` meanwhile.
    net::awaitable<void> run(net::awaitable<void> body);

    [[nodiscard]] bool empty() const { return main_.empty(); }

    /// nullptr where this family cannot be had.
    [[nodiscard]] std::shared_ptr<DirectSocket> main(bool v4) const;

    /// nullptr when the system does not give one, or while run() does not run.
    std::shared_ptr<DirectSocket> open(bool v4, DirectSocket::Use use);

    /// Nothing of it comes in any more.
    static void close(DirectSocket& socket) { socket.udp.close(); }

private:
    std::shared_ptr<DirectSocket> make(bool v4, DirectSocket::Use use);
    net::awaitable<void> ingress_loop(std::shared_ptr<DirectSocket> socket);

    net::any_io_executor executor_;
    Sink sink_;
    std::vector<std::shared_ptr<DirectSocket>> main_;
    io::TaskScope* scope_ = nullptr; ///< of run()
    std::uint64_t last_id_ = 0;
};

} // namespace narrowlink::drive
