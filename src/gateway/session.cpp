// Theory of operation
//
// Three loops on one thread. Ingress reads messages: control texts go to the GatewaySession core and
// what it reports to the hub; relay messages get the receiver's handle written into them and go,
// the same block, to the receiver's queue. Egress writes what is queued. Liveness runs the core's
// timers beside it, because egress may be stuck in a write to a peer that is gone.
//
// A receiver on another thread gets the block by a post. What is on its way between threads counts
// and is bounded, like everything else that waits.

#include "session.hpp"

#include "hub.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/together.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

constexpr std::size_t most_posted_bytes = 2 * 1'024 * 1'024;
constexpr Duration closing_timeout = std::chrono::milliseconds{500};

} // namespace

Session::Session(const Config& config, control::SessionId id, Worker& worker, io::WebSocket socket,
                 Admission admission, const io::WebRequest& request, const Authority& authority,
                 Hub& hub)
    : id_{id}
    , worker_{&worker}
    , socket_{std::move(socket)}
    , admission_{std::move(admission)}
    , remote_{request.remote}
    , through_proxy_{socket_.remote_address().ip != request.remote}
    , authority_{&authority}
    , hub_{&hub}
    , since_{io::now()}
    , control_{config.control, admission_.role, since_}
    , offered_{config.control.features}
    , queue_{config.queue}
    , egress_{worker.context.get_executor()}
    , liveness_{worker.context.get_executor()}
{
}

net::awaitable<void> Session::run()
{
    const std::shared_ptr<Session> alive = shared_from_this();
    std::string reason;
    bool cancelled = false;
    try {
        auto ingress = ingress_loop();
        auto egress = egress_loop();
        auto liveness = liveness_loop();
        auto both = io::together(std::move(ingress), std::move(egress), std::move(liveness));
        co_await std::move(both);
    } catch (const boost::system::system_error& error) {
        reason = error.code().message();
        cancelled = error.code() == net::error::operation_aborted;
    }
    if (closed_ && !cancelled) {
        auto closing = socket_.close(1'000, io::now() + closing_timeout);
        co_await std::move(closing);
    }
    socket_.abort();
    log_end(closed_ ? closed_->message : reason);
    peers_.clear();
    hub_->post_end(id_);
}

void Session::log_end(const std::string& reason) const
{
    const relay::EgressQueue::Counters& counters = queue_.counters();
    io::log_event(LogLevel::info, "node_gone", "role", control::to_string(admission_.role), "name",
                  admission_.claims.name, "user", admission_.claims.user, "session",
                  static_cast<std::uint64_t>(id_), "reason", reason, "connected",
                  io::now() - since_, "relayed_to_bytes", counters.sent.bytes,
                  "dropped_packets", counters.dropped.packets);
}

net::awaitable<void> Session::ingress_loop()
{
    while (!closed_) {
        Buffer message;
        auto reading = socket_.read(worker_->messages, message);
        const io::MessageKind kind = co_await std::move(reading);
        if (kind == io::MessageKind::text) {
            control_.handle_text(io::now(), as_text(std::as_const(message).bytes()));
            worker_->messages.give_back(std::move(message));
        } else {
            control_.handle_binary_seen(io::now());
            if (control_.is_established())
                relay(std::move(message));
        }
        drain_control();
    }
}

void Session::relay(Buffer message)
{
    const auto route = table_.forward(message.bytes());
    if (!route) {
        control_.handle_malformed_binary(io::now());
        return;
    }
    const auto peer = *route ? peers_.find((*route)->to) : peers_.end();
    if (peer == peers_.end()) {
        worker_->messages.give_back(std::move(message));
        return; // the pair has ended while the message travelled
    }
    Session& receiver = *peer->second;
    if (receiver.worker_ == worker_)
        receiver.deliver((*route)->handle_at_to, std::move(message));
    else
        receiver.post_delivery((*route)->handle_at_to, std::move(message));
}

void Session::post_delivery(wire::PairHandle handle, Buffer message)
{
    const std::size_t size = message.size();
    if (posted_bytes_.fetch_add(size, std::memory_order_relaxed) > most_posted_bytes) {
        posted_bytes_.fetch_sub(size, std::memory_order_relaxed);
        return;
    }
    net::post(executor(), [self = shared_from_this(), handle, size,
                           message = std::move(message)]() mutable {
        self->posted_bytes_.fetch_sub(size, std::memory_order_relaxed);
        self->deliver(handle, std::move(message));
    });
}

void Session::deliver(wire::PairHandle handle, Buffer message)
{
    if (closed_)
        return;
    if (queue_.offer(io::now(), handle, std::move(message)))
        egress_.set();
    else
        worker_->messages.give_back(std::move(message)); // offer() left it with us
}

net::awaitable<void> Session::egress_loop()
{
    for (;;) {
        while (auto text = control_.poll_transmit())
            if (!queue_.offer_text(std::move(*text)))
                throw boost::system::system_error{net::error::no_buffer_space};
        auto writing = write_next();
        if (co_await std::move(writing))
            continue;
        if (closed_)
            throw boost::system::system_error{net::error::eof}; // ends the other loops
        co_await egress_.wait();
    }
}

/// Writes one item; false when there is none.
net::awaitable<bool> Session::write_next()
{
    auto item = queue_.poll(io::now());
    if (!item)
        co_return false;
    std::size_t size = 0;
    if (auto* text = std::get_if<std::string>(&*item)) {
        size = text->size();
        auto writing = socket_.write(io::MessageKind::text, as_bytes(*text));
        co_await std::move(writing);
    } else {
        auto& message = std::get<Buffer>(*item);
        size = message.size();
        using enum io::WebSocket::Delivery;
        auto writing = socket_.write(io::MessageKind::binary, std::as_const(message).bytes(),
                                     queue_.empty() ? now : with_next);
        co_await std::move(writing);
        worker_->messages.give_back(std::move(message));
    }
    queue_.handle_written(io::now(), size);
    co_return true;
}

net::awaitable<void> Session::liveness_loop()
{
    for (;;) {
        watched_until_ = std::min(control_.deadline(), expires_at_);
        auto waiting = liveness_.wait_until(watched_until_);
        if (co_await std::move(waiting))
            continue; // there is an earlier deadline now
        const Instant now = io::now();
        if (now >= expires_at_) {
            expires_at_ = never;
            control_.close(now, control::ClosingReason::expired,
                           "the token has expired; issue a new one with `narrowlink-gateway token`");
        }
        control_.handle_timeout(now);
        drain_control();
        if (closed_ && closed_->reason == control::ClosingReason::silence)
            throw boost::system::system_error{net::error::timed_out};
        if (closed_)
            co_return;
    }
}

void Session::drain_control()
{
    while (auto event = control_.poll_event()) {
        if (auto* hello = std::get_if<control::GatewaySession::HelloReceived>(&*event))
            handle_hello(hello->hello);
        else if (auto* message = std::get_if<control::GatewaySession::MessageReceived>(&*event))
            hub_->post_message(id_, std::move(message->message));
        else if (auto* rtt = std::get_if<control::GatewaySession::RttMeasured>(&*event))
            hub_->post_rtt(id_, rtt->rtt);
        else if (auto* closed = std::get_if<control::GatewaySession::Closed>(&*event))
            closed_ = *closed;
    }
    egress_.set();
    if (std::min(control_.deadline(), expires_at_) < watched_until_)
        liveness_.set();
}

void Session::handle_hello(const control::Hello& hello)
{
    const auto policies = authority_->policies(admission_, hello.policies);
    if (!policies) {
        control_.refuse(io::now(), control::ClosingReason::unauthorized,
                        policies.error().message());
        return;
    }
    const UnixTime expires =
        std::min(admission_.claims.expires, policies->expires.value_or(UnixTime::max()));
    const std::chrono::seconds left = expires - io::unix_now();
    constexpr std::chrono::hours far{24 * 365 * 10};
    if (left < far)
        expires_at_ = io::now() + left;
    control::Registry::Node node{
        .user = admission_.claims.user,
        .name = admission_.claims.name,
        .token = admission_.claims.id,
        .key = hello.key,
        .instance = hello.instance,
        .software = hello.software,
        .address = to_string(remote_)};
    const auto both_have = [&](std::string_view feature) {
        return std::ranges::find(hello.features, feature) != hello.features.end() &&
               std::ranges::find(offered_, feature) != offered_.end();
    };
    hub_->post_hello(shared_from_this(), admission_.role, std::move(node), *policies,
                     {.punches = both_have(control::direct_feature),
                      .relays = both_have(control::udp_relay_feature),
                      .tells_lifetime = both_have(control::mapping_lifetime_feature)});
}

void Session::accept()
{
    control_.accept(io::now(), {.session = fmt::format("{:x}", static_cast<std::uint64_t>(id_)),
                                .name = admission_.claims.name,
                                .user = admission_.claims.user});
    drain_control();
}

void Session::refuse(control::ClosingReason reason, const std::string& message)
{
    control_.refuse(io::now(), reason, message);
    drain_control();
}

void Session::send(const control::Message& message)
{
    control_.send(message);
    egress_.set();
}

void Session::close(control::ClosingReason reason, const std::string& message)
{
    control_.close(io::now(), reason, message);
    drain_control();
}

void Session::add_route(wire::PairHandle handle, std::shared_ptr<Session> peer,
                        wire::PairHandle handle_at_peer)
{
    if (closed_)
        return;
    table_.add(handle, peer->id(), handle_at_peer);
    peers_.insert_or_assign(peer->id(), std::move(peer));
}

void Session::remove_route(wire::PairHandle handle)
{
    table_.remove(handle);
    queue_.forget(handle);
    if (table_.size() == 0)
        peers_.clear();
}

} // namespace narrowlink::gateway
