// Theory of operation
//
// The loops of src/drive/relay_node.cpp as callbacks: connect, serve, lose the session, wait,
// again. Constants and the order of steps are those of the original and have to follow it.

#include "relay_node.hpp"

#include "narrowlink/wire/relay_frame.hpp"

#include <utility>

namespace narrowlink::sim {
namespace {

constexpr std::size_t relay_mtu = 16'368;
constexpr Duration connect_timeout = seconds{10};
constexpr Duration longest_wait = seconds{30};
constexpr Duration resuming_wait = milliseconds{500};
constexpr Duration resuming_period = minutes{2};
constexpr Duration late_resuming_wait = seconds{3};
constexpr Duration late_resuming_period = minutes{10};
constexpr Duration closing_timeout = milliseconds{500};
constexpr Duration fresh_attempt_after = seconds{1}; // io::DialPace
constexpr Duration first_retransmission = milliseconds{200};

} // namespace

RelayNode::RelayNode(World& world, Gateway& gateway, Access& access, Claims claims,
                     control::Hello hello, Owner& owner)
    : world_{&world}
    , gateway_{&gateway}
    , access_{&access}
    , claims_{std::move(claims)}
    , hello_{std::move(hello)}
    , owner_{&owner}
    , backoff_{{.most = longest_wait}}
    , dial_{world, [this] { go_on_dialling(); }}
    , liveness_{world, [this] { handle_timeout(); }}
{
}

// ---- connecting

void RelayNode::connect()
{
    if (access_->has_no_route()) {
        retry();
        return;
    }
    dialling_ = Dialling{.give_up_at = world_->now() + connect_timeout};
    dial_.expires_at(world_->now() + access_->rtt());
}

/// A round trip should be over: was there one?
void RelayNode::go_on_dialling()
{
    const Instant now = world_->now();
    if (now >= dialling_->give_up_at) {
        retry();
        return;
    }
    if (!access_->is_up() || gateway_->is_silent()) {
        // A fresh SYN every second; later steps are up to TCP.
        dialling_->retry_after = dialling_->round_trips == 0
                                     ? fresh_attempt_after
                                     : std::max(2 * dialling_->retry_after, first_retransmission);
        dial_.expires_at(std::min(now + dialling_->retry_after, dialling_->give_up_at));
        if (dialling_->round_trips > 0)
            access_->excuse_for(dialling_->retry_after);
        return;
    }
    if (!gateway_->is_running()) {
        retry();
        return;
    }
    dialling_->retry_after = {};
    if (++dialling_->round_trips == round_trips_needed)
        finish_dialling();
    else
        dial_.expires_at(now + access_->rtt());
}

void RelayNode::finish_dialling()
{
    dialling_.reset();
    std::shared_ptr<Connection> connection;
    {
        const World::On network{*world_, nullptr};
        connection = std::make_shared<Connection>(*world_, *access_);
        access_->add(connection);
        gateway_->accept(std::make_unique<Socket>(connection, false), connection, claims_);
    }
    socket_ = std::make_unique<Socket>(connection, true);
    socket_->set_owner(this);
    serve();
}

void RelayNode::serve()
{
    session_.emplace(control::NodeSession::Config{}, claims_.role, hello_, world_->now());
    closed_.reset();
    writing_ = false;
    liveness_.expires_at(session_->deadline());
    wake();
}

void RelayNode::lose_session(const std::string& reason)
{
    world_->note("{}: session lost: {}", claims_.name, reason);
    ++sessions_lost_;
    liveness_.cancel();
    while (!attached_.empty())
        detach(*attached_.begin()->second.driver);
    const Duration closing = !closed_            ? Duration{}
                             : !access_->is_up() ? closing_timeout
                                                 : std::min(access_->rtt(), closing_timeout);
    socket_.reset();
    session_.reset();
    if (closed_ && !closed_->may_retry) {
        owner_->handle_refused();
        return;
    }
    world_->after(closing, life_, [this] { retry(); });
}

void RelayNode::retry()
{
    dialling_.reset();
    const Duration resuming = world_->now() - had_pairs_at_;
    backoff_.set_most(resuming < resuming_period        ? resuming_wait
                      : resuming < late_resuming_period ? late_resuming_wait
                                                        : longest_wait);
    const Duration wait = backoff_.next(world_->cores);
    owner_->handle_session_lost();
    world_->after(wait, life_, [this] { connect(); });
}

// ---- serving

void RelayNode::handle_message(MessageKind kind, Bytes bytes)
{
    if (!session_ || closed_)
        return;
    if (kind == MessageKind::text) {
        session_->handle_text(world_->now(), as_text(bytes));
    } else {
        session_->handle_binary_seen(world_->now());
        handle_relayed(bytes);
    }
    settle();
}

void RelayNode::handle_relayed(Bytes message)
{
    const auto frame = wire::decode_relay_frame(message);
    if (!frame) {
        world_->fail("the gateway has sent something that is no relay message");
        return;
    }
    const auto it = attached_.find(frame->header.handle);
    if (it == attached_.end())
        return;
    PairDriver& driver = *it->second.driver;
    driver.pair().handle_packets(world_->now(), it->second.carrier, frame->payload,
                                 frame->header.segment_size);
    driver.settle();
}

/// After each call that may have changed the session.
void RelayNode::settle()
{
    drain_session();
    if (session_)
        liveness_.expires_at(session_->deadline());
    wake();
}

void RelayNode::drain_session()
{
    while (session_) {
        const auto event = session_->poll_event();
        if (!event)
            return;
        if (const auto* closed = std::get_if<control::NodeSession::Closed>(&*event)) {
            closed_ = *closed;
            world_->post(life_, [this] {
                if (socket_)
                    lose_session(closed_->message);
            });
        } else if (const auto* established =
                       std::get_if<control::NodeSession::Established>(&*event)) {
            backoff_.reset();
            owner_->handle_session(*established);
        } else if (!std::holds_alternative<control::NodeSession::RttMeasured>(*event)) {
            owner_->handle_session_event(*event);
        }
    }
}

void RelayNode::handle_timeout()
{
    if (!session_)
        return;
    session_->handle_timeout(world_->now());
    settle();
}

void RelayNode::handle_end()
{
    if (socket_)
        lose_session("the connection has ended");
}

void RelayNode::handle_written()
{
    writing_ = false;
    wake();
}

void RelayNode::handle_network_changed()
{
    backoff_.reset();
    if (!session_ || closed_)
        return;
    closed_ = control::NodeSession::Closed{.reason = control::ClosingReason::silence,
                                           .message = "this machine no longer has the address",
                                           .may_retry = true};
    world_->post(life_, [this] {
        if (socket_)
            lose_session(closed_->message);
    });
}

void RelayNode::show_up()
{
    if (!session_ || closed_)
        return;
    session_->show_up(world_->now());
    settle();
}

void RelayNode::wake(std::optional<path::CarrierKind> kind)
{
    if ((kind && kind != path::CarrierKind::websocket_relay) || woken_ || writing_ || !session_)
        return;
    woken_ = true;
    world_->post(life_, [this] {
        woken_ = false;
        write_next();
    });
}

void RelayNode::write_next()
{
    while (session_ && !closed_ && !writing_) {
        if (const auto text = session_->poll_transmit())
            writing_ = !socket_->write(MessageKind::text, as_bytes(*text));
        else if (!send_train())
            return;
    }
}

/// The next pair that has anything, in turn.
bool RelayNode::send_train()
{
    for (std::size_t left = attached_.size(); left > 0 && !attached_.empty(); --left) {
        auto it = attached_.upper_bound(last_served_);
        if (it == attached_.end())
            it = attached_.begin();
        last_served_ = it->first;

        Buffer block{wire::RelayHeader::size, wire::max_relay_payload};
        PairDriver& driver = *it->second.driver;
        const auto train =
            driver.pair().poll_transmit(world_->now(), it->second.carrier, block.tailroom());
        driver.drain_events();
        if (train.size == 0)
            continue;
        block.commit(train.size);
        wire::prepend(block, {static_cast<std::uint16_t>(train.segment_size), last_served_});
        writing_ = !socket_->write(MessageKind::binary, std::as_const(block).bytes());
        return true;
    }
    return false;
}

void RelayNode::attach(wire::PairHandle handle, PairDriver& driver)
{
    detach(driver);
    const path::CarrierId carrier = driver.next_carrier();
    attached_.insert_or_assign(handle, Attached{&driver, carrier});
    driver.pair().add_carrier(
        world_->now(), carrier,
        {.kind = path::CarrierKind::websocket_relay, .mtu = relay_mtu, .paced = false});
    driver.settle();
}

void RelayNode::detach(PairDriver& driver)
{
    for (auto it = attached_.begin(); it != attached_.end(); ++it) {
        if (it->second.driver != &driver)
            continue;
        const path::CarrierId carrier = it->second.carrier;
        attached_.erase(it);
        had_pairs_at_ = world_->now(); // also when only the peer is gone
        driver.pair().remove_carrier(world_->now(), carrier);
        driver.settle();
        return;
    }
}

} // namespace narrowlink::sim
