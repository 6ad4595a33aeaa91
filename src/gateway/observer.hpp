#pragma once

#include "hub.hpp"

#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/udp_socket.hpp"

#include <vector>

namespace narrowlink::gateway {

/// The gateway's probe service: UDP sockets that tell nodes from where their probes come. To
/// strangers it is silent, whatever they send.
///
/// On the hub's thread.
class Observer {
public:
    struct Config {
        std::vector<IpAddress> listen;   ///< to each of these addresses …
        std::vector<std::uint16_t> ports; ///< … with each of these ports is listened; the main one first
    };

    /// Opens what can be opened, and logs what cannot. Not active without the main port.
    Observer(const net::any_io_executor& executor, const Config&);

    [[nodiscard]] bool is_active() const;

    /// The ports that nodes shall probe: those that could be opened.
    [[nodiscard]] const std::vector<std::uint16_t>& ports() const { return ports_; }

    /// Serves in `scope`, which ends before this and the hub do.
    void start(io::TaskScope& scope, Hub& hub);

private:
    struct Listener {
        std::size_t port; ///< its place in ports_
        io::UdpSocket socket;
    };

    net::awaitable<void> serve(Listener&, Hub&);
    void handle_train(Listener&, const io::UdpSocket::Arrival&, Hub&);
    void relay(const io::UdpSocket::Arrival&, Bytes run, const wire::RelayTag&, Hub&);
    void send(const control::Rendezvous::Transmit&);

    std::vector<std::uint16_t> ports_;
    std::vector<Listener> listeners_;
};

} // namespace narrowlink::gateway
