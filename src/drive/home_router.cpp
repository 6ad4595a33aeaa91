#include "narrowlink/drive/home_router.hpp"

#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/wire/nat_pmp.hpp"

#include <algorithm>
#include <array>

namespace narrowlink::drive {
namespace {

using namespace std::chrono_literals;

/// RFC 6886 §3.1 goes on for a minute; who has it answers at once.
constexpr std::array<Duration, 3> intervals{250ms, 500ms, 1s};

bool is_inside(const IpAddress& ip)
{
    // RFC 6598 §7, RFC 1918 §3.
    return std::ranges::any_of(
        std::array{"100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"},
        [&](const char* prefix) { return IpPrefix::parse(prefix)->contains(ip); });
}

} // namespace

void HomeRouter::ask(Instant now)
{
    close();
    external_.reset();
    const auto router = io::default_router();
    if (!router)
        return;
    socket_ = sockets_->open(true, DirectSocket::Use::router);
    if (!socket_)
        return;
    router_ = {*router, wire::nat_pmp_port};
    asked_ = 0;
    due_ = now;
    handle_timeout(now);
}

void HomeRouter::close()
{
    if (socket_)
        UdpSockets::close(*socket_);
    socket_.reset();
    due_ = never;
}

void HomeRouter::handle_timeout(Instant now)
{
    if (now < due_)
        return;
    if (asked_ == intervals.size()) {
        close();
        return;
    }
    socket_->udp.try_send(router_, wire::nat_pmp_request, wire::nat_pmp_request.size());
    due_ = now + intervals[asked_++];
}

bool HomeRouter::handle_datagram(const SocketAddress& from, Bytes datagram)
{
    if (!socket_ || from != router_)
        return false;
    const auto external = wire::decode_nat_pmp_answer(datagram);
    if (!external)
        return false;
    close();
    if (!is_inside(*external))
        return false;
    external_ = external;
    return true;
}

} // namespace narrowlink::drive
