// Theory of operation
//
// A datagram is translated by the routers before its sender at once, crosses the core after the
// delays of both lines, and is looked at by the routers before its receiver when it arrives there.
// Addresses as in tests/lab: 198.18.n.2 and up are outside of site n, 192.168.1.0/24 inside,
// 100.64.0.0/10 behind a provider's NAT, 2001:db8:n::/48 for IPv6.
//
// TTL: each router takes one, and drops what had only one left: the home's, a carrier's, `hops` of
// the provider, and the core, and the same again on the other side. So 4 opens the own router and
// gets no further than the provider of the other.

#include "internet.hpp"

#include <algorithm>
#include <array>

namespace narrowlink::sim {
namespace {

constexpr Duration within_a_site = milliseconds{1};
constexpr Duration longest_queue = milliseconds{200};
constexpr std::size_t headers = 28;

IpAddress ipv4(unsigned a, unsigned b, unsigned c, unsigned d)
{
    return IpAddress::v4({static_cast<std::byte>(a), static_cast<std::byte>(b),
                          static_cast<std::byte>(c), static_cast<std::byte>(d)});
}

IpAddress ipv6(unsigned site, unsigned host)
{
    std::array<std::byte, 16> bytes{};
    bytes[0] = std::byte{0x20};
    bytes[1] = std::byte{0x01};
    bytes[2] = std::byte{0x0d};
    bytes[3] = std::byte{0xb8};
    bytes[5] = static_cast<std::byte>(site);
    bytes[15] = static_cast<std::byte>(host);
    return IpAddress::v6(bytes);
}

/// False when it dies there.
bool hop(Datagram& datagram, unsigned routers)
{
    if (datagram.ttl <= routers)
        return false;
    datagram.ttl = static_cast<std::uint8_t>(datagram.ttl - routers);
    return true;
}

std::vector<IpAddress> external_of(const NatKind& kind, const Site* carrier, unsigned number)
{
    std::vector<IpAddress> external;
    for (unsigned i = 0; i < kind.addresses; ++i)
        external.push_back(carrier != nullptr ? ipv4(100, 64, number, 2 + i)
                                              : ipv4(198, 18, number, 2 + i));
    return external;
}

} // namespace

std::optional<Instant> Queue::pass(Instant now, std::size_t bytes, double bytes_per_second)
{
    const Instant begin = std::max(now, free_at_);
    if (begin - now > longest_queue)
        return std::nullopt;
    free_at_ = begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
                           static_cast<double>(bytes + headers) / bytes_per_second));
    return free_at_;
}

// ---- hosts

UdpSocket::~UdpSocket()
{
    host_->sockets_.erase({v4_, port_});
}

void UdpSocket::send(const SocketAddress& to, Bytes datagram, std::uint8_t ttl)
{
    host_->send(v4_, port_, to, datagram, ttl);
}

Host::Host(World& world, const Access& access, Site& site)
    : world_{&world}, access_{&access}, site_{&site}, addresses_{site.join(*this)}
{
}

Host::~Host()
{
    site_->leave(*this);
}

void Host::move_to(Site& site)
{
    site_->leave(*this);
    site_ = &site;
    addresses_ = site.join(*this);
}

std::unique_ptr<UdpSocket> Host::open(bool v4)
{
    std::uint16_t port = 0;
    do // net.ipv4.ip_local_port_range
        port = static_cast<std::uint16_t>(world_->network.between(32'768, 60'999));
    while (sockets_.contains({v4, port}));
    auto socket = std::make_unique<UdpSocket>(*this, v4, port);
    sockets_.emplace(std::pair{v4, port}, socket.get());
    return socket;
}

void Host::send(bool v4, std::uint16_t port, const SocketAddress& to, Bytes bytes, std::uint8_t ttl)
{
    const World::On network{*world_, nullptr};
    const auto own = std::ranges::find(addresses_, v4, &IpAddress::is_v4);
    if (own == addresses_.end() || to.ip.is_v4() != v4 || !access_->is_up())
        return;
    Datagram datagram{{*own, port}, to, {bytes.begin(), bytes.end()}};
    if (ttl != 0)
        datagram.ttl = ttl;
    site_->send(std::move(datagram));
}

void Host::receive(const Datagram& datagram)
{
    const auto socket = sockets_.find({datagram.to.ip.is_v4(), datagram.to.port});
    if (socket == sockets_.end() || !access_->is_up() || !socket->second->sink_)
        return;
    const World::On here{*world_, access_->machine()};
    world_->mix(datagram.bytes.size());
    socket->second->sink_(datagram.from, datagram.bytes);
}

// ---- sites

Site::Site(Internet& internet, const NatKind& kind, Site* carrier, unsigned hops)
    : internet_{&internet}
    , carrier_{carrier}
    , hops_{hops}
    , number_{internet.add(*this)}
    , external_{external_of(kind, carrier, number_)}
    , nat_{kind, external_, internet.world_->network.draw()}
{
    if (kind.translates())
        for (const IpAddress& ip : external_)
            (carrier != nullptr ? carrier->homes_ : internet.owners_).insert_or_assign(ip, this);
}

Site::~Site()
{
    for (const IpAddress& ip : external_)
        (carrier_ != nullptr ? carrier_->homes_ : internet_->owners_).erase(ip);
}

std::vector<IpAddress> Site::join(Host& host)
{
    const unsigned number = 2 + joined_++;
    std::vector<IpAddress> addresses;
    if (kind().has_v4)
        addresses.push_back(kind().translates() ? ipv4(192, 168, 1, number)
                                                : ipv4(198, 18, number_, number));
    if (kind().has_v6)
        addresses.push_back(ipv6(number_, number));
    for (const IpAddress& ip : addresses) {
        hosts_.emplace(ip, &host);
        if (!kind().translates())
            internet_->owners_.insert_or_assign(ip, this);
    }
    return addresses;
}

void Site::leave(const Host& host)
{
    for (const IpAddress& ip : host.addresses()) {
        hosts_.erase(ip);
        if (!kind().translates())
            internet_->owners_.erase(ip);
    }
}

bool Site::is_inside(const IpAddress& ip) const
{
    return hosts_.contains(ip) || homes_.contains(ip);
}

void Site::send(Datagram datagram)
{
    const Instant now = internet_->world_->now();
    if (is_inside(datagram.to.ip)) { // a switch, or the provider's network
        internet_->deliver(std::move(datagram), *this, within_a_site);
        return;
    }
    if (kind().has_router && !hop(datagram, 1))
        return;
    const bool turns = nat_.owns(datagram.to.ip);
    if (turns && !kind().hairpins)
        return;
    const auto mapped = nat_.outbound(now, datagram.from, datagram.to);
    if (!mapped)
        return;
    datagram.from = *mapped;
    if (turns)
        receive(std::move(datagram));
    else if (carrier_ != nullptr)
        carrier_->send(std::move(datagram));
    else if (hop(datagram, hops_))
        internet_->route(std::move(datagram), this);
}

void Site::receive(Datagram datagram)
{
    const Instant now = internet_->world_->now();
    const auto local = nat_.inbound(now, datagram.from, datagram.to);
    if (!local || (kind().has_router && !hop(datagram, 1)))
        return;
    datagram.to = *local;
    if (is_inside(datagram.to.ip))
        pass_down(std::move(datagram), local->ip);
}

void Site::pass_down(Datagram datagram, const IpAddress& inside)
{
    if (const auto home = homes_.find(inside); home != homes_.end())
        home->second->receive(std::move(datagram));
    else if (const auto host = hosts_.find(inside); host != hosts_.end())
        host->second->receive(datagram);
}

// ---- between them

unsigned Internet::add(Site&)
{
    return ++sites_;
}

void Internet::add_server(const std::vector<IpAddress>& addresses, Sink sink)
{
    server_ = addresses;
    server_sink_ = std::move(sink);
}

void Internet::send_from_server(Datagram datagram)
{
    route(std::move(datagram), nullptr);
}

void Internet::route(Datagram datagram, Site* from)
{
    const bool to_server = std::ranges::find(server_, datagram.to.ip) != server_.end();
    const auto owner = owners_.find(datagram.to.ip);
    if (!hop(datagram, 1) || (!to_server && owner == owners_.end()))
        return;
    Site* const to = to_server ? nullptr : owner->second;
    const std::size_t size = datagram.bytes.size();
    const std::size_t packet = size + (datagram.to.ip.is_v4() ? 28 : 48); // RFC 791, 8200, 768
    if ((from != nullptr && packet > from->mtu) || (to != nullptr && packet > to->mtu))
        return;
    Instant at = world_->true_now();
    Dice& dice = world_->network;
    const auto pass = [&](Queue& queue, double rate) {
        const auto passed = queue.pass(at, size, rate);
        at = passed.value_or(at);
        return passed.has_value();
    };
    if (from != nullptr) {
        if (!pass(from->up_queue_, from->up.bytes_per_second))
            return;
        at += from->up.delay + dice.between(Duration{}, from->up.jitter);
    }
    if (from != nullptr && to != nullptr)
        ++crossed_;
    if (const auto found = troubles_.find({from, to}); found != troubles_.end()) {
        const Trouble& trouble = found->second;
        if (trouble.dead || packet > trouble.mtu || dice.chance(trouble.loss) ||
            (trouble.bytes_per_second > 0 && !pass(queues_[{from, to}], trouble.bytes_per_second)))
            return;
        at += trouble.delay + dice.between(Duration{}, trouble.jitter);
    }
    if (to == nullptr) {
        world_->at(at, life_, [this, d = std::move(datagram)] { server_sink_(d); });
        return;
    }
    if (!hop(datagram, to->hops_) || !pass(to->down_queue_, to->down.bytes_per_second))
        return;
    at += to->down.delay + dice.between(Duration{}, to->down.jitter);
    world_->at(at, to->life_,
               [to, d = std::move(datagram)]() mutable { to->receive(std::move(d)); });
}

/// Within a site.
void Internet::deliver(Datagram datagram, Site& to, Duration before)
{
    world_->after(before, to.life_, [&to, d = std::move(datagram)]() mutable {
        const IpAddress inside = d.to.ip;
        to.pass_down(std::move(d), inside);
    });
}

} // namespace narrowlink::sim
