#include "narrowlink/drive/relay_node.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/interfaces.hpp"
#include "narrowlink/io/together.hpp"
#include "narrowlink/wire/relay_frame.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <boost/system/system_error.hpp>

namespace narrowlink::drive {
namespace {

/// QUIC packets on this carrier are far larger than an Ethernet frame, which makes the relay
/// cheap: four of them, with every header, are just under 64 KiB and so under four TLS records.
constexpr std::size_t relay_mtu = 16'368;

/// While streams wait to be resumed attempts come this fast: the longer it takes, the more nodes there
/// may be that wait for a gateway.
constexpr Duration resuming_wait = std::chrono::milliseconds{500};
constexpr Duration resuming_period = std::chrono::minutes{2};
constexpr Duration late_resuming_wait = std::chrono::seconds{3};
constexpr Duration late_resuming_period = std::chrono::minutes{10}; // path::Pair::Config::resume_window

constexpr Duration closing_timeout = std::chrono::milliseconds{500};

/// Ends the wait for what might interrupt an attempt.
struct IsConnected {};

bool is_loopback(const IpAddress& ip)
{
    return IpPrefix::parse("127.0.0.0/8")->contains(ip) || IpPrefix::parse("::1/128")->contains(ip);
}

} // namespace

RelayNode::RelayNode(net::any_io_executor executor, Config config, Owner& owner, Random& random)
    : config_{std::move(config)}
    , owner_{&owner}
    , random_{&random}
    , egress_{executor}
    , liveness_{executor}
    , interrupted_{executor}
    , backoff_{{.most = config_.longest_wait}}
    , messages_{0, wire::max_relay_message, 4}
{
}

net::awaitable<void> RelayNode::run()
{
    for (;;) {
        std::string sentence;
        try {
            interrupted_.clear();
            try {
                auto connecting = connect();
                auto interruption = wait_for_interruption();
                auto either = io::together(std::move(connecting), std::move(interruption));
                co_await std::move(either);
            } catch (const IsConnected&) {
            }
            session_.emplace(control::NodeSession::Config{}, config_.role, config_.hello,
                             io::now());
            closed_.reset();
            auto serving = serve();
            co_await std::move(serving);
        } catch (const io::WebError& error) {
            if (is_final(error))
                throw;
            sentence = error.what();
        } catch (const boost::system::system_error& error) {
            if (error.code() == net::error::operation_aborted)
                throw;
            sentence = "the connection to the gateway broke: " + error.code().message();
        }
        if (closed_) {
            if (!closed_->may_retry)
                throw SessionRefused{closed_->reason, closed_->message};
            sentence = closed_->message;
        }
        session_.reset();
        socket_.reset();

        const Instant now = io::now();
        const Duration resuming = now - had_pairs_at_;
        backoff_.set_most(resuming < resuming_period        ? resuming_wait
                          : resuming < late_resuming_period ? late_resuming_wait
                                                            : config_.longest_wait);
        const Duration wait = backoff_.next(*random_);
        owner_->handle_session_lost(sentence, wait);
        auto waiting = interrupted_.wait_until(now + wait);
        co_await std::move(waiting);
    }
}

net::awaitable<void> RelayNode::connect()
{
    io::ConnectOptions options = config_.gateway;
    options.deadline = io::now() + config_.connect_timeout;
    auto connecting = io::WebSocket::connect(std::move(options));
    socket_.emplace(co_await std::move(connecting));
    throw IsConnected{};
}

net::awaitable<void> RelayNode::wait_for_interruption()
{
    co_await interrupted_.wait();
    throw boost::system::system_error{net::error::network_down};
}

void RelayNode::handle_network_changed()
{
    backoff_.reset();
    if (!session_) {
        interrupted_.set();
        return;
    }
    const IpAddress local = socket_->local_address();
    const std::vector<IpAddress> ours = io::interface_addresses();
    if (!is_loopback(local) && std::ranges::find(ours, local) == ours.end()) {
        closed_ = {.reason = control::ClosingReason::silence,
                   .message = "this machine no longer has the address " + to_string(local),
                   .may_retry = true};
    } else {
        session_->handle_network_changed(io::now());
        drain_session(); // it may have ended: the node has slept
    }
    liveness_.set();
    egress_.set();
}

void RelayNode::show_up()
{
    if (!session_)
        return;
    session_->show_up(io::now());
    drain_session();
    liveness_.set();
    egress_.set();
}

bool RelayNode::is_final(const io::WebError& error) const
{
    switch (error.failure()) {
    case io::WebFailure::tls_pin_mismatch:
    case io::WebFailure::tls_not_trusted:
    case io::WebFailure::unauthorized: return true;
    case io::WebFailure::name_not_resolved:
    case io::WebFailure::refused:
    case io::WebFailure::timed_out:
    case io::WebFailure::unreachable:
    case io::WebFailure::tls_failed:
    case io::WebFailure::not_a_gateway:
    case io::WebFailure::dropped: return config_.give_up_when_unreachable && !was_established_;
    }
    return true;
}

net::awaitable<void> RelayNode::serve()
{
    std::exception_ptr failure;
    try {
        auto ingress = ingress_loop();
        auto egress = egress_loop();
        auto liveness = liveness_loop();
        auto both = io::together(std::move(ingress), std::move(egress), std::move(liveness));
        co_await std::move(both);
    } catch (...) {
        failure = std::current_exception();
    }
    const bool had_pairs = !attached_.empty();
    detach_all();
    if (had_pairs)
        had_pairs_at_ = io::now();
    const bool can_say_goodbye = closed_ && closed_->reason != control::ClosingReason::silence;
    if (can_say_goodbye || !failure) {
        auto closing = socket_->close(1'000, io::now() + closing_timeout);
        co_await std::move(closing);
        co_return;
    }
    if (closed_)
        co_return;
    std::rethrow_exception(failure);
}

net::awaitable<void> RelayNode::ingress_loop()
{
    Buffer message;
    while (!closed_) {
        auto reading = socket_->read(messages_, message);
        const io::MessageKind kind = co_await std::move(reading);
        if (kind == io::MessageKind::text) {
            session_->handle_text(io::now(), as_text(std::as_const(message).bytes()));
            drain_session();
        } else {
            session_->handle_binary_seen(io::now());
            handle_relayed(std::as_const(message).bytes());
        }
        messages_.give_back(std::move(message));
        egress_.set();
    }
}

void RelayNode::handle_relayed(Bytes message)
{
    const auto frame = wire::decode_relay_frame(message);
    if (!frame)
        return; // the gateway checks the shape; a broken one is lost like any packet
    const auto it = attached_.find(frame->header.handle);
    if (it == attached_.end())
        return;
    PairDriver& driver = *it->second.driver;
    driver.pair().handle_packets(io::now(), it->second.carrier, frame->payload,
                                 frame->header.segment_size);
    driver.settle();
}

void RelayNode::drain_session()
{
    while (const auto event = session_->poll_event()) {
        if (const auto* closed = std::get_if<control::NodeSession::Closed>(&*event)) {
            closed_ = *closed;
        } else if (const auto* rtt = std::get_if<control::NodeSession::RttMeasured>(&*event)) {
            gateway_rtt_ = rtt->rtt;
        } else if (const auto* established =
                       std::get_if<control::NodeSession::Established>(&*event)) {
            was_established_ = true;
            backoff_.reset();
            owner_->handle_session(*established);
        } else {
            owner_->handle_session_event(*event);
        }
    }
    if (session_->deadline() < watched_until_)
        liveness_.set();
}

net::awaitable<void> RelayNode::egress_loop()
{
    Buffer block{wire::RelayHeader::size, wire::max_relay_payload};
    for (;;) {
        while (auto text = session_->poll_transmit()) {
            auto writing = socket_->write(io::MessageKind::text, as_bytes(*text));
            co_await std::move(writing);
        }
        if (closed_)
            throw boost::system::system_error{net::error::eof}; // ends the ingress loop too
        auto round = send_one_round(block);
        if (co_await std::move(round))
            continue;
        auto flushing = socket_->flush();
        co_await std::move(flushing);
        co_await egress_.wait();
    }
}

/// Beside the egress loop, which may be stuck in a write exactly when the gateway has fallen silent.
net::awaitable<void> RelayNode::liveness_loop()
{
    for (;;) {
        watched_until_ = session_->deadline();
        auto waiting = liveness_.wait_until(watched_until_);
        const bool told = co_await std::move(waiting);
        if (told && !closed_)
            continue; // there is an earlier deadline now
        session_->handle_timeout(io::now());
        drain_session();
        egress_.set();
        if (closed_)
            throw boost::system::system_error{net::error::timed_out};
    }
}

/// One train of each attached pair, so that they share the connection. False when none had any.
net::awaitable<bool> RelayNode::send_one_round(Buffer& block)
{
    bool sent = false;
    for (std::size_t left = attached_.size(); left > 0 && !attached_.empty(); --left) {
        auto it = attached_.upper_bound(last_served_);
        if (it == attached_.end())
            it = attached_.begin();
        last_served_ = it->first;

        block.reset(wire::RelayHeader::size);
        PairDriver& driver = *it->second.driver;
        const auto train = driver.pair().poll_transmit(io::now(), it->second.carrier,
                                                       block.tailroom());
        driver.drain_events();
        if (train.size == 0)
            continue;
        block.commit(train.size);
        wire::prepend(block, {static_cast<std::uint16_t>(train.segment_size), last_served_});
        auto writing = socket_->write(io::MessageKind::binary, std::as_const(block).bytes(),
                                      io::WebSocket::Delivery::with_next);
        co_await std::move(writing);
        sent = true;
    }
    co_return sent;
}

void RelayNode::attach(wire::PairHandle handle, PairDriver& driver)
{
    detach(driver);
    const path::CarrierId carrier = driver.next_carrier();
    attached_.insert_or_assign(handle, Attached{&driver, carrier});
    driver.pair().add_carrier(io::now(), carrier,
                              {.kind = path::CarrierKind::websocket_relay,
                               .mtu = relay_mtu,
                               .paced = false});
    driver.settle();
}

void RelayNode::detach(PairDriver& driver)
{
    for (auto it = attached_.begin(); it != attached_.end(); ++it) {
        if (it->second.driver != &driver)
            continue;
        const path::CarrierId carrier = it->second.carrier;
        attached_.erase(it);
        driver.pair().remove_carrier(io::now(), carrier);
        driver.settle();
        return;
    }
}

void RelayNode::detach_all()
{
    while (!attached_.empty())
        detach(*attached_.begin()->second.driver);
}

} // namespace narrowlink::drive
