#pragma once

#include "nat.hpp"
#include "network.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::sim {

class Host;
class Internet;
class Site;

/// One UDP datagram on its way.
struct Datagram {
    SocketAddress from, to;
    std::vector<std::byte> bytes;
    std::uint8_t ttl = 64;
};

/// What happens to datagrams from one site to another, in this direction, besides what the lines of
/// both do to them.
struct Trouble {
    bool dead = false; ///< a black hole
    double loss = 0;
    Duration delay{};
    Duration jitter{};
    double bytes_per_second = 0; ///< 0: no limit
    std::size_t mtu = 65'535;    ///< of IP packets; larger ones are dropped

    bool operator==(const Trouble&) const = default;
};

/// A queue before a line of some rate: what would wait too long is dropped.
class Queue {
public:
    /// When the last byte has passed; nothing: dropped.
    std::optional<Instant> pass(Instant now, std::size_t bytes, double bytes_per_second);

private:
    Instant free_at_{};
};

/// A UDP socket of a host, bound to a port of all its addresses in one family. Closed when it goes
/// away.
class UdpSocket {
public:
    using Sink = std::function<void(const SocketAddress& from, Bytes datagram)>;

    UdpSocket(Host& host, bool v4, std::uint16_t port) : host_{&host}, v4_{v4}, port_{port} {}

    ~UdpSocket();
    UdpSocket(const UdpSocket&) = delete;
    UdpSocket& operator=(const UdpSocket&) = delete;

    [[nodiscard]] bool is_v4() const { return v4_; }

    [[nodiscard]] std::uint16_t port() const { return port_; }

    void set_sink(Sink sink) { sink_ = std::move(sink); }

    /// Lost, like any datagram, where there is no way. `ttl` 0: the usual one.
    void send(const SocketAddress& to, Bytes datagram, std::uint8_t ttl = 0);

private:
    friend class Host;

    Host* host_;
    bool v4_;
    std::uint16_t port_;
    Sink sink_;
};

/// A computer in a site, with an access to the network that may fail.
class Host {
public:
    Host(World& world, const Access& access, Site& site);
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// A fresh one with a random high port.
    std::unique_ptr<UdpSocket> open(bool v4);

    /// Roams: its sockets stay, its addresses are others.
    void move_to(Site& site);

    [[nodiscard]] Site& site() const { return *site_; }

    /// How many are open.
    [[nodiscard]] std::size_t sockets() const { return sockets_.size(); }

    /// At most one per family.
    [[nodiscard]] const std::vector<IpAddress>& addresses() const { return addresses_; }

private:
    friend class Site;
    friend class UdpSocket;

    void receive(const Datagram&);
    void send(bool v4, std::uint16_t port, const SocketAddress& to, Bytes bytes, std::uint8_t ttl);

    World* world_;
    const Access* access_;
    Site* site_;
    std::vector<IpAddress> addresses_;
    std::map<std::pair<bool, std::uint16_t>, UdpSocket*> sockets_; ///< by family and port
};

/// A network behind one router, or behind a provider's and one of its own.
class Site {
public:
    /// `hops`: routers of the provider before the core. `carrier`: the provider's NAT.
    Site(Internet& internet, const NatKind& kind, Site* carrier = nullptr, unsigned hops = 1);
    ~Site();
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;

    [[nodiscard]] const NatKind& kind() const { return nat_.kind(); }

    Nat& router() { return nat_; }

    [[nodiscard]] bool is_behind_carrier() const { return carrier_ != nullptr; }

    /// Of its line to the core.
    Shape up, down;
    std::size_t mtu = 1'500; ///< of IP packets; larger ones are dropped

private:
    friend class Host;
    friend class Internet;

    std::vector<IpAddress> join(Host& host);
    void leave(const Host& host);
    void send(Datagram);
    void receive(Datagram);
    void pass_down(Datagram, const IpAddress& inside);
    [[nodiscard]] bool is_inside(const IpAddress&) const;

    Internet* internet_;
    Site* carrier_;
    unsigned hops_;
    unsigned number_;
    std::vector<IpAddress> external_;
    Nat nat_;
    unsigned joined_ = 0;
    std::map<IpAddress, Host*> hosts_;
    std::map<IpAddress, Site*> homes_; ///< of a carrier
    Queue up_queue_, down_queue_;
    Life life_;
};

/// Where UDP datagrams travel: sites, routes between them, and the gateway's address in the middle.
/// Each site's line has its delay and rate; what is lost or late besides is a Trouble.
class Internet {
public:
    explicit Internet(World& world) : world_{&world} {}

    Internet(const Internet&) = delete;
    Internet& operator=(const Internet&) = delete;

    using Sink = std::function<void(const Datagram&)>;

    /// Takes what is sent to these addresses, without any delay of its own.
    void add_server(const std::vector<IpAddress>& addresses, Sink sink);

    /// From one of them.
    void send_from_server(Datagram);

    /// From `from` to `to`; nullptr: the server. Those behind a carrier have its trouble.
    Trouble& trouble(const Site* from, const Site* to) { return troubles_[{from, to}]; }

    /// Datagrams that have reached the core on their way from one site to another.
    [[nodiscard]] std::uint64_t crossed() const { return crossed_; }

private:
    friend class Host;
    friend class Site;

    using Way = std::pair<const Site*, const Site*>;

    unsigned add(Site& site);
    void route(Datagram, Site* from);
    void deliver(Datagram, Site& to, Duration before);

    World* world_;
    std::map<IpAddress, Site*> owners_;
    std::vector<IpAddress> server_;
    Sink server_sink_;
    std::map<Way, Trouble> troubles_;
    std::map<Way, Queue> queues_;
    unsigned sites_ = 0;
    std::uint64_t crossed_ = 0;
    Life life_;
};

} // namespace narrowlink::sim
