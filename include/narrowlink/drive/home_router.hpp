#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/drive/udp_sockets.hpp"

#include <memory>
#include <optional>

namespace narrowlink::drive {

/// Asks the router before this node for the address of its other side. Where that is a private one,
/// there is another NAT behind it, a provider's, and a peer behind the same one may find this node
/// there: many do not pass packets between their own customers by external addresses.
///
/// Contract: call handle_timeout() at deadline().
class HomeRouter {
public:
    explicit HomeRouter(UdpSockets& sockets) : sockets_{&sockets} {}

    /// Begins to ask; what was known before is forgotten.
    void ask(Instant now);

    /// A datagram at a socket with Use::router. Returns whether external() has changed.
    bool handle_datagram(const SocketAddress& from, Bytes datagram);

    void handle_timeout(Instant now);

    [[nodiscard]] Instant deadline() const { return due_; }

    /// Never one of the public Internet: those the gateway sees by itself.
    [[nodiscard]] const std::optional<IpAddress>& external() const { return external_; }

private:
    void close();

    UdpSockets* sockets_;
    std::shared_ptr<DirectSocket> socket_; ///< while it asks
    SocketAddress router_;
    std::size_t asked_ = 0;
    Instant due_ = never;
    std::optional<IpAddress> external_;
};

} // namespace narrowlink::drive
