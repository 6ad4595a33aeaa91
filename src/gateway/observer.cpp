#include "observer.hpp"

#include "narrowlink/io/log.hpp"

#include <algorithm>
#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::gateway {
namespace {

io::UdpSocket::Options options()
{
    // Probes are small and single; many nodes' may come at once.
    io::UdpSocket::Options options;
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
                opened.push_back({ports_.size(), io::UdpSocket::open(executor, address, options())});
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
        for (const io::UdpSocket::Arrival& arrival : arrivals) {
            for (Bytes rest = arrival.train; !rest.empty();) {
                const Bytes datagram = rest.first(std::min(rest.size(), arrival.segment_size));
                rest = rest.subspan(datagram.size());
                const auto answer = hub.handle_datagram({.port = listener.port,
                                                         .from = arrival.from,
                                                         .at = arrival.to,
                                                         .ttl = arrival.ttl},
                                                        datagram);
                if (answer)
                    listener.socket.try_send(arrival.from, *answer, answer->size(),
                                             {.from = arrival.to});
            }
        }
    }
}

} // namespace narrowlink::gateway
