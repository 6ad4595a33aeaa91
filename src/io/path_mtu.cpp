#include "narrowlink/io/path_mtu.hpp"

#include "narrowlink/io/asio_address.hpp"

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <vector>

namespace narrowlink::io {
namespace {

constexpr unsigned headers_v4 = 20 + 8;
constexpr unsigned headers_v6 = 40 + 8;
constexpr unsigned longest_datagram = 65'507;
constexpr int most_rounds = 4; ///< each of several tunnels may make it smaller once more

ErrorCode last_error()
{
    return {errno, boost::system::system_category()};
}

Result<unsigned> known_mtu(int descriptor, bool v4)
{
    int mtu = 0;
    socklen_t size = sizeof mtu;
    if (::getsockopt(descriptor, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu,
                     &size) != 0)
        return last_error();
    return static_cast<unsigned>(std::max(mtu, 0));
}

} // namespace

net::awaitable<Result<unsigned>> path_mtu(SocketAddress to, Duration patience)
{
    const bool v4 = to.ip.is_v4();
    const auto executor = co_await net::this_coro::executor;
    udp::socket socket{executor};
    ErrorCode error;
    const udp::endpoint endpoint = to_udp_endpoint(to);
    socket.open(endpoint.protocol(), error);
    if (!error)
        socket.connect(endpoint, error);
    if (error)
        co_return error;
    socket.non_blocking(true);
    const int descriptor = socket.native_handle();
    const int always = v4 ? IP_PMTUDISC_DO : IPV6_PMTUDISC_DO;
    if (::setsockopt(descriptor, v4 ? IPPROTO_IP : IPPROTO_IPV6,
                     v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &always, sizeof always) != 0)
        co_return last_error();

    net::steady_timer timer{executor};
    Result<unsigned> mtu = known_mtu(descriptor, v4);
    for (int round = 0; mtu && round < most_rounds; ++round) {
        const unsigned headers = v4 ? headers_v4 : headers_v6;
        const std::vector<char> zeros(std::min(*mtu - std::min(*mtu, headers), longest_datagram));
        ::send(descriptor, zeros.data(), zeros.size(), MSG_NOSIGNAL); // an error shows in the MTU
        timer.expires_after(patience);
        co_await timer.async_wait(net::use_awaitable);
        const unsigned before = *mtu;
        mtu = known_mtu(descriptor, v4);
        if (mtu && *mtu == before)
            break;
    }
    co_return mtu;
}

} // namespace narrowlink::io
