// forward: local listeners whose connections are opened on the agent's side.
//
// The listeners are open before there is a session. A connection waits for its stream, and is
// reset when there is none in time; the reason is logged.

#include "client_node.hpp"
#include "datagram_forward.hpp"

#include "narrowlink/client/client.hpp"
#include "narrowlink/drive/splice.hpp"
#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"

#include <utility>

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::client {
namespace {

void log_failure(const std::exception_ptr& failure)
{
    if (!failure || io::is_cancellation(failure))
        return;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        io::log_event(LogLevel::warning, "forward_failed", "error", error.what());
    }
}

Failure cannot_listen(const SocketAddress& local, const ErrorCode& error)
{
    return {ExitCode::address_in_use,
            fmt::format("cannot listen on {}: {}; choose another address with -l",
                        to_string(local), error.message())};
}

tcp::acceptor listen(const net::any_io_executor& executor, const SocketAddress& local)
{
    ErrorCode error;
    const tcp::endpoint endpoint = io::to_tcp_endpoint(local);
    tcp::acceptor acceptor{executor};
    acceptor.open(endpoint.protocol(), error);
    if (!error)
        acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
    if (!error)
        acceptor.bind(endpoint, error);
    if (!error)
        acceptor.listen(net::socket_base::max_listen_connections, error);
    if (error)
        throw cannot_listen(local, error);
    return acceptor;
}

net::awaitable<void> serve(ClientNode& node, AgentLink& link, tcp::socket socket, HostPort target)
{
    socket.set_option(tcp::no_delay{true});
    std::optional<LinkStream> opened;
    std::string trouble;
    try {
        auto opening = link.open({quic::Request::Kind::tcp, target},
                                 io::now() + node.settings().connect_timeout);
        opened.emplace(co_await std::move(opening));
    } catch (const Failure& failure) {
        trouble = failure.what();
    }
    if (!opened) {
        io::log_event(LogLevel::warning, "connection_refused", "target", to_string(target),
                      "reason", trouble);
        ErrorCode ignored;
        socket.set_option(net::socket_base::linger{true, 0}, ignored);
        co_return;
    }
    io::log_event(LogLevel::debug, "connection_opened", "target", to_string(target));
    auto splicing = drive::splice(std::move(socket), *opened->stream);
    const ErrorCode ended = co_await std::move(splicing);
    io::log_event(LogLevel::debug, "connection_closed", "target", to_string(target), "reason",
                  ended);
}

net::awaitable<void> accept_loop(ClientNode& node, AgentLink& link, tcp::acceptor acceptor,
                                 HostPort target, io::TaskScope& scope)
{
    constexpr Duration pause = std::chrono::milliseconds{100};
    for (;;) {
        ErrorCode error;
        tcp::socket socket =
            co_await acceptor.async_accept(net::redirect_error(net::use_awaitable, error));
        if (error == net::error::operation_aborted)
            throw boost::system::system_error{error};
        if (error) { // out of descriptors, or the peer has gone: neither ends a listener
            io::log_event(LogLevel::warning, "accept_failed", "error", error);
            net::steady_timer timer{acceptor.get_executor(), pause};
            co_await timer.async_wait(net::use_awaitable);
            continue;
        }
        scope.spawn(serve(node, link, std::move(socket), target));
    }
}

/// Who insists on a direct path is told if there is none; else the agent may come whenever it likes.
net::awaitable<void> wait_for_agent(ClientNode& node, AgentLink& link)
{
    const Settings& settings = node.settings();
    const bool insists = settings.route == Route::direct;
    auto waiting = link.ready(insists ? io::now() + settings.connect_timeout : never);
    co_await std::move(waiting);
    net::steady_timer forever{co_await net::this_coro::executor, never};
    co_await forever.async_wait(net::use_awaitable);
}

udp::socket bind_udp(const net::any_io_executor& executor, const SocketAddress& local)
{
    ErrorCode error;
    const udp::endpoint endpoint = io::to_udp_endpoint(local);
    udp::socket socket{executor};
    socket.open(endpoint.protocol(), error);
    if (!error)
        socket.bind(endpoint, error);
    if (error)
        throw cannot_listen(local, error);
    return socket;
}

void start(ClientNode& node, AgentLink& link, const std::string& agent, const Forward& forward,
           const net::any_io_executor& executor, io::TaskScope& scope)
{
    SocketAddress local;
    if (forward.udp) {
        udp::socket socket = bind_udp(executor, forward.local);
        local = io::from_asio(socket.local_endpoint());
        scope.spawn(forward_datagrams(node, link, std::move(socket), forward.target));
    } else {
        tcp::acceptor acceptor = listen(executor, forward.local);
        local = io::from_asio(acceptor.local_endpoint());
        scope.spawn(accept_loop(node, link, std::move(acceptor), forward.target, scope));
    }
    io::log_event(LogLevel::info, "listening", "protocol", forward.udp ? "udp" : "tcp", "local",
                  to_string(local), "target", to_string(forward.target), "agent", agent);
}

/// Every listener first, then the session.
net::awaitable<void> run(ClientNode& node, AgentLink& link, const std::string& agent,
                         const std::vector<Forward>& forwards, io::TaskScope& scope)
{
    const net::any_io_executor executor = co_await net::this_coro::executor;
    for (const Forward& forward : forwards)
        start(node, link, agent, forward, executor, scope);
    auto command = wait_for_agent(node, link);
    auto running = node.run(std::move(command));
    co_await std::move(running);
}

} // namespace

net::awaitable<void> forward(Settings settings, std::string agent, std::vector<Forward> forwards,
                             Random& random)
{
    settings.node.give_up_when_unreachable = true;
    const net::any_io_executor executor = co_await net::this_coro::executor;
    ClientNode node{executor, std::move(settings), random};
    AgentLink& link = node.link_to(agent);
    io::TaskScope scope{executor, log_failure};
    auto body = run(node, link, agent, forwards, scope);
    auto running = scope.run(std::move(body));
    co_await std::move(running);
}

} // namespace narrowlink::client
