#include "observer.hpp"

#include "narrowlink/io/log.hpp"
#include "narrowlink/wire/relay_tag.hpp"

#include <algorithm>
#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::gateway {
namespace {

io::UdpSocket::Options options(bool is_main)
{
    io::UdpSocket::Options options;
    if (is_main)
        return options; // trains of packets for peers
    // Probes are small and single; many nodes' may come at once.
    options.arrivals_per_call = 64;
    options.longest_train = 2'048;
    return options;
}

} // namespace

Observer::Observer(const net::any_io_executor& executor, const Config& config)
{
    for (const std::uint16_t port : config.ports) {
        std::vector<Listener> opened;
        for (const IpAddress& ip : config.listen) {
            const SocketAddress address{ip, port};
            try {
                opened.push_back({ports_.size(), io::UdpSocket::open(
                                                     executor, address, options(ports_.empty()))});
            } catch (const boost::system::system_error& error) {
                io::log_event(LogLevel::warning, "probe_port_unavailable", "address",
                              to_string(address), "error", error.code());
            }
        }
        if (opened.empty() && ports_.empty())
            return; // without the main port what the others see means little
        if (opened.empty())
            continue;
        ports_.push_back(port);
        std::ranges::move(opened, std::back_inserter(listeners_));
    }
}

bool Observer::is_active() const
{
    return !ports_.empty();
}

void Observer::start(io::TaskScope& scope, Hub& hub)
{
    hub.send_datagrams_with([this](const control::Rendezvous::Transmit& transmit) { send(transmit); });
    for (Listener& listener : listeners_)
        scope.spawn(serve(listener, hub));
}

void Observer::send(const control::Rendezvous::Transmit& transmit)
{
    for (Listener& listener : listeners_) {
        const IpAddress bound = listener.socket.local_address().ip;
        const bool is_any = bound == IpAddress{} || bound == *IpAddress::parse("::");
        if (listener.port != transmit.port || bound.is_v4() != transmit.to.ip.is_v4() ||
            (!is_any && bound != transmit.from))
            continue;
        listener.socket.try_send(transmit.to, transmit.packet, transmit.packet.size(),
                                 {.from = transmit.from});
        return;
    }
}

net::awaitable<void> Observer::serve(Listener& listener, Hub& hub)
{
    for (;;) {
        auto receiving = listener.socket.receive();
        const auto arrivals = co_await std::move(receiving);
        for (const io::UdpSocket::Arrival& arrival : arrivals)
            handle_train(listener, arrival, hub);
    }
}

/// Probes one by one, and packets for a peer as many at once as follow each other.
void Observer::handle_train(Listener& listener, const io::UdpSocket::Arrival& arrival, Hub& hub)
{
    const bool may_relay = listener.port == 0;
    std::size_t begin = 0; ///< of the packets for `tag`
    std::optional<wire::RelayTag> tag;
    const auto finish = [&](std::size_t end) {
        if (tag)
            relay(arrival, arrival.train.subspan(begin, end - begin), *tag, hub);
        tag.reset();
    };
    for (std::size_t at = 0; at < arrival.train.size();) {
        const Bytes rest = arrival.train.subspan(at);
        const Bytes datagram = rest.first(std::min(rest.size(), arrival.segment_size));
        std::optional<nat::ProbePacket> answer;
        if (datagram.size() == wire::probe_size)
            answer = hub.handle_datagram({.port = listener.port,
                                          .from = arrival.from,
                                          .at = arrival.to,
                                          .ttl = arrival.ttl},
                                         datagram);
        const auto tag_here =
            may_relay && !answer ? wire::relay_tag_of(datagram) : std::nullopt;
        if (tag != tag_here) {
            finish(at);
            tag = tag_here;
            begin = at;
        }
        if (answer)
            listener.socket.try_send(arrival.from, *answer, answer->size(), {.from = arrival.to});
        at += datagram.size();
    }
    finish(arrival.train.size());
}

/// To the peer if there is one, from the main port of the family in which that is reached.
void Observer::relay(const io::UdpSocket::Arrival& arrival, Bytes run, const wire::RelayTag& tag,
                     Hub& hub)
{
    const auto found = hub.find_route(arrival.from, tag);
    if (found.to == nullptr)
        return;
    for (Listener& listener : listeners_) {
        if (listener.port != 0 || listener.socket.local_address().ip.is_v4() !=
                                      found.to->address.ip.is_v4())
            continue;
        const std::size_t sent = listener.socket.try_send(
            found.to->address, run, arrival.segment_size,
            {.from = found.to->ours, .ecn = arrival.ecn});
        found.route->forwarded.bytes += sent; // the rest is lost, as in a router's full queue
        found.route->forwarded.packets += (sent + arrival.segment_size - 1) / arrival.segment_size;
        return;
    }
}

} // namespace narrowlink::gateway
