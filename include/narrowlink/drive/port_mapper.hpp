#pragma once

#include "narrowlink/io/event.hpp"
#include "narrowlink/nat/port_lease.hpp"

#include <functional>
#include <optional>

namespace narrowlink::drive {

/// Has the router before this node forward a UDP port to it, for as long as run() runs.
///
/// Where the router's other side has a private address there is another NAT behind it, a
/// provider's. A peer behind the same one may find this node there: many do not pass packets
/// between their own customers by external addresses.
///
/// Single-threaded.
class PortMapper {
public:
    /// `on_change` is told when mapping() or external_ip() has changed.
    /// `random` must outlive it.
    PortMapper(net::any_io_executor executor, PortMappingMode mode, Random& random,
               std::function<void()> on_change);

    /// Until cancelled; then ends the mapping, within `farewell`.
    net::awaitable<void> run();

    /// Asks for `port`, now: at the start, and whenever the network may be another one. Does
    /// nothing where no NAT stands before this host.
    void begin(std::uint16_t port);

    [[nodiscard]] const std::optional<PortMapping>& mapping() const { return lease_.mapping(); }

    /// The router's other side, if it has said so.
    [[nodiscard]] const std::optional<IpAddress>& external_ip() const
    {
        return lease_.external_ip();
    }

    /// What the other side of the pair has to be told; nothing for an address of a private network.
    [[nodiscard]] const PortMapping* public_mapping() const;

    static constexpr Duration farewell = std::chrono::seconds{1};

private:
    net::awaitable<void> loop();
    void tell(const std::optional<PortMapping>& before);

    nat::PortLease lease_;
    std::function<void()> on_change_;
    io::Event begun_;
};

/// Where an IPv4 NAT may stand before this host: its default router, if the address towards that
/// one is a private one.
std::optional<IpAddress> nat_router();

} // namespace narrowlink::drive
