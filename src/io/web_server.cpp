// Theory of operation
//
// The first thread accepts and deals the sockets out; each is registered with the event loop of its
// thread from the start and served there. A socket over a limit is closed at once, before any TLS.
//
// Ends: stop() first ends the accepting, then each thread's visits. What was handed over before
// that is in its thread's queue before the join, for both are posted from the first thread.
//
// Running out of descriptors makes accept(2) fail at once, again and again; hence the pause.

#include "narrowlink/io/web_server.hpp"

#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "web_visit.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <fmt/format.h>
#include <mutex>

namespace narrowlink::io {
namespace {

namespace errc = boost::system::errc;

constexpr Duration accept_pause = std::chrono::milliseconds{100};

std::string sentence(const SocketAddress& address, const ErrorCode& code)
{
    const std::string name = to_string(address);
    if (code == errc::address_in_use)
        return fmt::format("cannot listen on {}: another program uses this port; stop it (ss -ltnp "
                           "shows it) or choose another port",
                           name);
    if (code == errc::permission_denied)
        return fmt::format("cannot listen on {}: ports below 1024 need root or the capability "
                           "CAP_NET_BIND_SERVICE; grant it or choose a higher port",
                           name);
    if (code == errc::address_not_available)
        return fmt::format("cannot listen on {}: this machine has no such address; choose one of "
                           "its own, or 0.0.0.0 or [::] for all",
                           name);
    return fmt::format("cannot listen on {}: {}; choose another address or port", name,
                       code.message());
}

struct Listener {
    tcp::acceptor acceptor;
    SocketAddress address;
    SslContext tls; ///< guarded by State::certificate_mutex
};

/// One thread's visits.
struct Worker {
    explicit Worker(const net::any_io_executor& executor_)
        : executor{executor_}
        , visits{executor_, [](const std::exception_ptr&) {}} // visitors come and go as they like
    {
    }

    net::any_io_executor executor;
    TaskScope visits;
};

} // namespace

ListenError::ListenError(const SocketAddress& address, ErrorCode code)
    : std::runtime_error{sentence(address, code)}, code_{code}
{
}

struct WebServer::State {
    State(WebServerOptions options, WebApplication& application,
          const std::vector<net::any_io_executor>& threads);

    void open(const WebListener& wanted, bool only_v6);
    net::awaitable<void> accept_from(Listener& listener);
    void hand_over(tcp::socket socket, const SocketAddress& peer, const Listener& listener);
    SslContext context_of(const Listener& listener) const;

    VisitRules rules;
    std::shared_ptr<ConnectionLimits> limits;
    std::vector<std::unique_ptr<Worker>> workers;
    std::vector<std::unique_ptr<Listener>> listeners;
    mutable std::mutex certificate_mutex;
    std::size_t next_worker = 0;
    TaskScope accepting;
};

WebServer::State::State(WebServerOptions options, WebApplication& application,
                        const std::vector<net::any_io_executor>& threads)
    : rules{&application, options.limits, std::move(options.trusted_proxies)}
    , limits{std::make_shared<ConnectionLimits>(options.limits.quota)}
    , accepting{threads.at(0), [](const std::exception_ptr&) {}}
{
    for (const net::any_io_executor& executor : threads)
        workers.push_back(std::make_unique<Worker>(executor));
    for (const WebListener& wanted : options.listeners) {
        const bool has_v4_twin =
            std::ranges::any_of(options.listeners, [&wanted](const WebListener& other) {
                return other.address.ip.is_v4() && other.address.port == wanted.address.port;
            });
        open(wanted, has_v4_twin);
    }
}

void WebServer::State::open(const WebListener& wanted, bool only_v6)
{
    const tcp::endpoint endpoint = to_tcp_endpoint(wanted.address);
    tcp::acceptor acceptor{workers.front()->executor};
    try {
        acceptor.open(endpoint.protocol());
        acceptor.set_option(tcp::acceptor::reuse_address{true});
        if (!wanted.address.ip.is_v4())
            acceptor.set_option(net::ip::v6_only{only_v6}); // [::] alone serves IPv4 as well
        acceptor.bind(endpoint);
        acceptor.listen();
    } catch (const boost::system::system_error& e) {
        throw ListenError{wanted.address, e.code()};
    }
    SslContext tls = wanted.certificate ? server_context(*wanted.certificate) : nullptr;
    const SocketAddress address = from_asio(acceptor.local_endpoint());
    listeners.push_back(
        std::make_unique<Listener>(Listener{std::move(acceptor), address, std::move(tls)}));
}

net::awaitable<void> WebServer::State::accept_from(Listener& listener)
{
    for (;;) {
        tcp::socket socket{workers[next_worker]->executor};
        tcp::endpoint peer;
        ErrorCode error;
        co_await listener.acceptor.async_accept(socket, peer,
                                                net::redirect_error(net::use_awaitable, error));
        if (!listener.acceptor.is_open() || error == net::error::operation_aborted)
            co_return;
        if (error) {
            net::steady_timer pause{workers.front()->executor, now() + accept_pause};
            co_await pause.async_wait(net::use_awaitable);
            continue;
        }
        hand_over(std::move(socket), from_asio(peer), listener);
    }
}

void WebServer::State::hand_over(tcp::socket socket, const SocketAddress& peer,
                                 const Listener& listener)
{
    const bool is_proxy = std::ranges::any_of(
        rules.trusted_proxies, [&peer](const IpPrefix& p) { return p.contains(peer.ip); });
    const auto source = is_proxy ? std::nullopt : std::optional{peer.ip};
    auto place = limits->admit(now(), source);
    if (!place)
        return; // the destructor closes it
    // The loop's other listeners may have moved `next_worker` on: the socket knows its thread.
    const auto worker = std::ranges::find_if(workers, [&socket](const auto& candidate) {
        return candidate->executor == socket.get_executor();
    });
    assert(worker != workers.end());
    const auto index = static_cast<std::size_t>(worker - workers.begin());
    next_worker = (index + 1) % workers.size();

    Visitor visitor{std::move(socket), peer, context_of(listener), std::move(place), index};
    net::post((*worker)->executor,
              [this, &home = **worker, visitor = std::move(visitor)]() mutable {
                  home.visits.spawn(receive_visitor(std::move(visitor), rules));
              });
}

SslContext WebServer::State::context_of(const Listener& listener) const
{
    const std::scoped_lock lock{certificate_mutex};
    return listener.tls;
}

WebServer::WebServer(WebServerOptions options, WebApplication& application,
                     std::vector<net::any_io_executor> threads)
    : state_{std::make_unique<State>(std::move(options), application, threads)}
{
}

WebServer::~WebServer() = default;

void WebServer::start()
{
    for (const auto& listener : state_->listeners)
        state_->accepting.spawn(state_->accept_from(*listener));
}

net::awaitable<void> WebServer::stop()
{
    const bool throws = co_await net::this_coro::throw_if_cancelled();
    co_await net::this_coro::throw_if_cancelled(false);
    for (const auto& listener : state_->listeners) {
        ErrorCode ignored;
        listener->acceptor.close(ignored);
    }
    co_await state_->accepting.join();
    for (const auto& worker : state_->workers) {
        auto joining = worker->visits.join();
        // The empty slot: a cancellation of ours must not reach into another thread.
        auto joined = net::co_spawn(
            worker->executor, std::move(joining),
            net::bind_cancellation_slot(net::cancellation_slot{}, net::use_awaitable));
        co_await std::move(joined);
    }
    co_await net::this_coro::throw_if_cancelled(throws);
}

Result<void> WebServer::set_certificate(const PemCertificate& certificate)
{
    SslContext context;
    try {
        context = server_context(certificate);
    } catch (const std::runtime_error&) {
        return make_error_code(errc::invalid_argument);
    }
    const std::scoped_lock lock{state_->certificate_mutex};
    for (const auto& listener : state_->listeners)
        if (listener->tls)
            listener->tls = context;
    return {};
}

std::vector<SocketAddress> WebServer::addresses() const
{
    std::vector<SocketAddress> addresses;
    for (const auto& listener : state_->listeners)
        addresses.push_back(listener->address);
    return addresses;
}

ConnectionLimits::Counters WebServer::counters() const
{
    return state_->limits->counters();
}

} // namespace narrowlink::io
