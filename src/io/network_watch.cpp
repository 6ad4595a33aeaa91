#include "narrowlink/io/network_watch.hpp"

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/together.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <limits>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <optional>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace narrowlink::io {
namespace {

/// Long enough for a new address to have its route.
constexpr Duration settling_time = std::chrono::milliseconds{50};

/// -1 where the system refuses.
int open_route_socket()
{
    const int descriptor =
        ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (descriptor < 0)
        return -1;
    sockaddr_nl groups{};
    groups.nl_family = AF_NETLINK;
    groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                       RTMGRP_IPV6_ROUTE;
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&groups), sizeof groups) == 0)
        return descriptor;
    ::close(descriptor);
    return -1;
}

/// A timer that never runs out and becomes readable when the clock is set. -1 where the system
/// refuses.
int open_clock()
{
    const int descriptor = ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (descriptor < 0)
        return -1;
    itimerspec never_rings{};
    never_rings.it_value.tv_sec = std::numeric_limits<std::int32_t>::max();
    if (::timerfd_settime(descriptor, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never_rings,
                          nullptr) == 0)
        return descriptor;
    ::close(descriptor);
    return -1;
}

/// What is compared.
struct Network {
    std::vector<IpAddress> addresses;
    std::optional<IpAddress> router;

    bool operator==(const Network&) const = default;
};

Network network_now()
{
    return {interface_addresses(), default_router()};
}

class Watch {
public:
    Watch(const net::any_io_executor& executor, int route_socket, int clock,
          std::function<void()> on_change)
        : routes_{executor, route_socket}
        , clock_{executor, clock}
        , reported_{executor}
        , on_change_{std::move(on_change)}
    {
    }

    net::awaitable<void> run()
    {
        auto routes = watch_routes();
        auto clock = watch_clock();
        auto reports = handle_reports();
        auto all = together(std::move(routes), std::move(clock), std::move(reports));
        co_await std::move(all);
    }

private:
    net::awaitable<void> watch_routes()
    {
        std::array<std::byte, 8'192> block;
        for (;;) {
            co_await routes_.async_wait(net::posix::stream_descriptor::wait_read,
                                        net::use_awaitable);
            // Whatever it says, also ENOBUFS: messages were lost.
            while (::recv(routes_.native_handle(), block.data(), block.size(), MSG_DONTWAIT) > 0)
                ;
            reported_.set();
        }
    }

    net::awaitable<void> watch_clock()
    {
        for (;;) {
            co_await clock_.async_wait(net::posix::stream_descriptor::wait_read,
                                       net::use_awaitable);
            std::uint64_t ignored = 0; // the read fails with ECANCELED, and arms it again
            (void)!::read(clock_.native_handle(), &ignored, sizeof ignored);
            was_asleep_ = true;
            reported_.set();
        }
    }

    net::awaitable<void> handle_reports()
    {
        auto executor = co_await net::this_coro::executor;
        net::steady_timer timer{executor};
        for (;;) {
            co_await reported_.wait();
            timer.expires_after(settling_time);
            co_await timer.async_wait(net::use_awaitable);
            Network now = network_now();
            if (std::exchange(was_asleep_, false) || now != before_)
                on_change_();
            before_ = std::move(now);
        }
    }

    net::posix::stream_descriptor routes_, clock_;
    Event reported_;
    std::function<void()> on_change_;
    Network before_ = network_now();
    bool was_asleep_ = false;
};

} // namespace

net::awaitable<void> watch_network(std::function<void()> on_change)
{
    const int route_socket = open_route_socket();
    const int clock = open_clock();
    if (route_socket < 0 || clock < 0) {
        for (const int descriptor : {route_socket, clock})
            if (descriptor >= 0)
                ::close(descriptor);
        co_return;
    }
    auto executor = co_await net::this_coro::executor;
    Watch watch{executor, route_socket, clock, std::move(on_change)};
    auto running = watch.run();
    co_await std::move(running);
}

} // namespace narrowlink::io
