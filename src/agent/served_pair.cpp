#include "served_pair.hpp"

#include "target.hpp"

#include "narrowlink/control/relay_tag.hpp"
#include "narrowlink/drive/splice.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/dial.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <utility>

#include <boost/system/system_error.hpp>

namespace narrowlink::agent {
namespace {

/// A task of a pair that failed for a reason nobody foresaw is logged; nothing else depends on it.
void log_failure(const std::exception_ptr& failure)
{
    if (!failure || io::is_cancellation(failure))
        return;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        io::log_event(LogLevel::error, "request_failed", "error", error.what());
    }
}

path::Pair::Config pair_config(const Settings& settings, const control::Introduction& introduction)
{
    path::Pair::Config config = settings.pair;
    config.quic.id_prefix =
        control::relay_tag(control::Role::agent, introduction.key, introduction.pair);
    return config;
}

} // namespace

ServedPair::ServedPair(net::any_io_executor executor, const Settings& settings, std::string agent,
                       const control::Introduction& introduction, Random& random,
                       drive::PairDriver::WakeCarriers wake_carriers,
                       std::function<void()> on_quiet, std::function<void()> on_closed)
    : settings_{settings}
    , agent_{std::move(agent)}
    , client_{introduction.client}
    , policies_{introduction.policies}
    , on_quiet_{std::move(on_quiet)}
    , on_closed_{std::move(on_closed)}
    , driver_{executor,
              path::Pair::server(pair_config(settings, introduction),
                                 {settings.credentials, introduction.key}, io::now(), random),
              *this, std::move(wake_carriers)}
    , tasks_{executor, log_failure}
{
    tasks_.spawn(driver_.run());
}

void ServedPair::update(const control::Introduction& introduction)
{
    policies_ = access::PolicySet{introduction.policies};
}

void ServedPair::close()
{
    driver_.pair().close(io::now(), quic::h3_no_error);
    driver_.settle();
}

net::awaitable<void> ServedPair::join()
{
    auto joining = tasks_.join();
    co_await std::move(joining);
}

void ServedPair::handle_connected()
{
    io::log_event(LogLevel::info, "client_connected", "client", client_);
}

void ServedPair::handle_path_changed(const path::PathChanged& change)
{
    io::log_event(LogLevel::debug, "path_changed", "client", client_, "path",
                  change.carrier ? path::to_string(*change.carrier) : "none", "reason",
                  path::to_string(change.reason));
}

void ServedPair::handle_closed(const quic::Closed& closed)
{
    io::log_event(LogLevel::info, "client_gone", "client", client_, "reason", closed.reason,
                  "detail", closed.detail);
    on_closed_();
}

void ServedPair::handle_request(quic::StreamId id, const quic::Request& request)
{
    tasks_.spawn(serve(id, request));
}

net::awaitable<void> ServedPair::serve(quic::StreamId id, quic::Request request)
{
    drive::Stream stream{driver_, id};
    const Instant deadline = io::now() + settings_.connect_timeout;
    const access::PolicySet policies = policies_; // this request's, whatever comes meanwhile
    auto resolving = resolve_target(request, policies, agent_, deadline);
    Resolved resolved = co_await std::move(resolving);
    if (const auto* refusal = std::get_if<quic::Response>(&resolved)) {
        log_refusal(request, *refusal);
        stream.respond(*refusal);
        co_return;
    }
    auto& addresses = std::get<std::vector<IpAddress>>(resolved);
    if (request.kind == quic::Request::Kind::tcp) {
        auto serving = serve_tcp(stream, request, std::move(addresses), deadline);
        co_await std::move(serving);
    } else {
        auto serving = serve_udp(stream, request, std::move(addresses));
        co_await std::move(serving);
    }
}

net::awaitable<void> ServedPair::serve_tcp(drive::Stream& stream, const quic::Request& request,
                                           std::vector<IpAddress> addresses, Instant deadline)
{
    std::optional<tcp::socket> socket;
    ErrorCode failure;
    try {
        auto dialling = io::dial(std::move(addresses), request.target.port, deadline);
        socket.emplace(co_await std::move(dialling));
    } catch (const boost::system::system_error& error) {
        if (error.code() == net::error::operation_aborted)
            throw;
        failure = error.code();
    }
    if (!socket) {
        const quic::Response refusal = refusal_for_dial(failure);
        log_refusal(request, refusal);
        stream.respond(refusal);
        co_return;
    }
    stream.respond({});
    io::log_event(LogLevel::debug, "stream_opened", "client", client_, "target",
                  to_string(request.target));
    auto splicing = drive::splice(std::move(*socket), stream);
    const ErrorCode ended = co_await std::move(splicing);
    io::log_event(LogLevel::debug, "stream_closed", "client", client_, "target",
                  to_string(request.target), "reason", ended);
}

net::awaitable<void> ServedPair::serve_udp(drive::Stream& stream, const quic::Request& request,
                                           std::vector<IpAddress> addresses)
{
    std::optional<udp::socket> socket;
    ErrorCode failure;
    try {
        auto dialling = io::dial_udp(std::move(addresses), request.target.port);
        socket.emplace(co_await std::move(dialling));
    } catch (const boost::system::system_error& error) {
        if (error.code() == net::error::operation_aborted)
            throw;
        failure = error.code();
    }
    if (!socket) {
        const quic::Response refusal = refusal_for_dial(failure);
        log_refusal(request, refusal);
        stream.respond(refusal);
        co_return;
    }
    stream.respond({});
    auto splicing = drive::splice(std::move(*socket), stream, settings_.udp_idle_timeout);
    co_await std::move(splicing);
}

void ServedPair::log_refusal(const quic::Request& request, const quic::Response& response) const
{
    io::log_event(LogLevel::info, "request_refused", "client", client_, "target",
                  to_string(request.target), "status", response.status, "reason",
                  response.proxy_status);
}

} // namespace narrowlink::agent
