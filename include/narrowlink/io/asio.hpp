#pragma once

// The pieces of Asio that nearly every coroutine needs. <boost/asio.hpp> costs several seconds per
// translation unit and is never included; whatever is not here is included where it is used.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace narrowlink {

namespace net = boost::asio;
using net::ip::tcp;
using net::ip::udp;

} // namespace narrowlink
