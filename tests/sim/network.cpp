// Theory of operation
//
// TCP as an application sees it. Each direction sends one message after the other at the access's
// rate. A write is taken while less than `not_sent_low_water` waits unsent, as with
// TCP_NOTSENT_LOWAT.
//
// Outage: what is in flight is kept; when the path is back, nothing moves before TCP's next
// retransmission, whose distances double (RFC 6298 §5.5). A connection that was reset for one end
// only stays silent for the other.

#include "network.hpp"

#include <algorithm>

namespace narrowlink::sim {
namespace {

constexpr std::size_t not_sent_low_water = 128 * 1'024; // as in io/web_stream.cpp
constexpr std::size_t framing = 40;                     // WebSocket, TLS and TCP headers, about
constexpr Duration least_retransmission = milliseconds{200};

/// After this long without an answer a node gives the connection up itself.
constexpr Duration silence_limit = seconds{8};
constexpr Duration closing_timeout = milliseconds{500};

Duration time_for(std::size_t bytes, double bytes_per_second)
{
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(static_cast<double>(bytes + framing) / bytes_per_second));
}

} // namespace

Pipe::Pipe(World& world, const Shape& shape, std::function<void(Message)> deliver,
           std::function<void()> writable)
    : world_{&world}
    , shape_{shape}
    , deliver_{std::move(deliver)}
    , writable_{std::move(writable)}
    , transmission_{world, [this] { finish_transmission(); }}
    , arrival_{world, [this] { arrive(); }}
    , retransmission_{world, [this] {
                          stalled_ = false;
                          unanswered_since_.reset();
                          Instant at = world_->now() + shape_.delay;
                          for (InFlight& flight : in_flight_) {
                              at += time_for(flight.message.bytes.size(), shape_.bytes_per_second);
                              flight.arrives_at = last_arrival_ = at;
                          }
                          if (!in_flight_.empty())
                              arrival_.expires_at(in_flight_.front().arrives_at);
                          transmit_next();
                      }}
{
}

bool Pipe::send(Message message)
{
    if (unsent_bytes_ >= not_sent_low_water) {
        waiting_ = std::move(message);
        return false;
    }
    accept(std::move(message));
    return true;
}

void Pipe::accept(Message message)
{
    if (stalled_ && !unanswered_since_)
        unanswered_since_ = world_->now();
    unsent_bytes_ += message.bytes.size();
    unsent_.push_back(std::move(message));
    transmit_next();
}

void Pipe::transmit_next()
{
    if (transmitting_ || stalled_ || cut_ || unsent_.empty())
        return;
    transmitting_ = true;
    Duration time = time_for(unsent_.front().bytes.size(), shape_.bytes_per_second);
    if (world_->network.chance(shape_.hiccup))
        time += least_retransmission + 2 * shape_.delay;
    transmission_.expires_at(world_->now() + time);
}

void Pipe::finish_transmission()
{
    transmitting_ = false;
    Message message = std::move(unsent_.front());
    unsent_.pop_front();
    unsent_bytes_ -= message.bytes.size();
    last_arrival_ = std::max(last_arrival_, world_->now() + shape_.delay +
                                                world_->network.between(Duration{}, shape_.jitter));
    in_flight_.push_back({std::move(message), last_arrival_});
    if (in_flight_.size() == 1)
        arrival_.expires_at(last_arrival_);
    if (waiting_ && unsent_bytes_ < not_sent_low_water) {
        accept(std::move(*waiting_));
        waiting_.reset();
        writable_();
    }
    transmit_next();
}

void Pipe::arrive()
{
    while (!in_flight_.empty() && in_flight_.front().arrives_at <= world_->now() && !cut_) {
        Message message = std::move(in_flight_.front().message);
        in_flight_.pop_front();
        deliver_(std::move(message));
    }
    if (!in_flight_.empty())
        arrival_.expires_at(in_flight_.front().arrives_at);
}

void Pipe::stall()
{
    if (cut_)
        return;
    stalled_ = true;
    transmitting_ = false;
    transmission_.cancel();
    arrival_.cancel();
    retransmission_.cancel();
    if (!unanswered_since_ && (!in_flight_.empty() || !unsent_.empty()))
        unanswered_since_ = world_->now();
}

Instant Pipe::resume()
{
    if (cut_ || !stalled_)
        return world_->now();
    Duration wait = least_retransmission + 2 * shape_.delay;
    Instant next = unanswered_since_.value_or(world_->now());
    while (unanswered_since_ && next < world_->now()) {
        next += wait;
        wait *= 2;
    }
    retransmission_.expires_at(next);
    return next;
}

void Pipe::cut()
{
    cut_ = true;
    transmission_.cancel();
    arrival_.cancel();
    retransmission_.cancel();
}

Socket::Socket(std::shared_ptr<Connection> connection, bool at_node)
    : connection_{std::move(connection)}, at_node_{at_node}
{
}

void Socket::set_owner(Owner* owner)
{
    connection_->owners_[at_node_ ? 1 : 0] = owner;
}

bool Socket::write(MessageKind kind, Bytes bytes)
{
    const World::On network{*connection_->world_, nullptr};
    Pipe& pipe = at_node_ ? connection_->up_ : connection_->down_;
    return pipe.send({kind, {bytes.begin(), bytes.end()}});
}

void Socket::close()
{
    const World::On network{*connection_->world_, nullptr};
    bool& closed = connection_->closed_[at_node_ ? 1 : 0];
    if (closed)
        return;
    closed = true;
    connection_->owners_[at_node_ ? 1 : 0] = nullptr;
    if (!connection_->lost_)
        (at_node_ ? connection_->up_ : connection_->down_).send({MessageKind::end, {}});
}

void Access::fail(bool with_an_error)
{
    up_ = false;
    no_route_ = with_an_error;
    failed_at_ = world_->now();
    for (const auto& connection : connections())
        connection->stall();
}

void Access::restore()
{
    up_ = true;
    good_since_ = std::max(good_since_, world_->now());
    for (const auto& connection : connections()) {
        const Instant moves_again = connection->resume();
        excuse_until(std::min(moves_again, failed_at_ + silence_limit + closing_timeout));
    }
}

void Access::add(const std::shared_ptr<Connection>& connection)
{
    std::erase_if(connections_, [](const auto& c) { return c.expired(); });
    connections_.push_back(connection);
}

std::vector<std::shared_ptr<Connection>> Access::connections()
{
    std::vector<std::shared_ptr<Connection>> there;
    for (const auto& connection : connections_)
        if (auto locked = connection.lock())
            there.push_back(std::move(locked));
    return there;
}

Connection::Connection(World& world, Access& access)
    : world_{&world}
    , machine_{access.machine()}
    , made_at_{world.true_now()}
    , delay_{access.up.delay}
    , up_{world, access.up, [this](const Pipe::Message& m) { deliver(false, m); },
          [this] { tell_written(true); }}
    , down_{world, access.down, [this](const Pipe::Message& m) { deliver(true, m); },
            [this] { tell_written(false); }}
{
}

void Connection::deliver(bool to_node, const Pipe::Message& message)
{
    const auto alive = shared_from_this(); // an owner may let go of it
    if (message.kind == MessageKind::end) {
        end(to_node);
        return;
    }
    world_->mix(message.bytes.size());
    if (closed_[to_node ? 1 : 0]) {
        if (!lost_) // the kernel answers with a reset
            world_->after(delay_, life_, [this, to_node] { end(!to_node); });
    } else if (Socket::Owner* owner = owners_[to_node ? 1 : 0]) {
        const World::On there{*world_, machine(to_node)};
        owner->handle_message(message.kind, message.bytes);
    }
}

void Connection::tell_written(bool at_node)
{
    const World::On there{*world_, machine(at_node)};
    if (Socket::Owner* owner = owners_[at_node ? 1 : 0])
        owner->handle_written();
}

void Connection::end(bool at_node)
{
    const auto alive = shared_from_this();
    const World::On there{*world_, machine(at_node)};
    if (at_node && machine_->is_asleep())
        world_->post(life_, [this] { end(true); }); // it learns it when it wakes up
    else if (Socket::Owner* owner = owners_[at_node ? 1 : 0])
        owner->handle_end();
}

void Connection::reset(Learns learns)
{
    lost_ = true;
    up_.cut();
    down_.cut();
    if (learns.node)
        world_->post(life_, [this] { end(true); });
    if (learns.gateway)
        world_->post(life_, [this] { end(false); });
}

void Connection::stall()
{
    if (++stalls_ > 1)
        return;
    up_.stall();
    down_.stall();
}

Instant Connection::resume()
{
    if (--stalls_ > 0)
        return world_->now();
    return std::max(up_.resume(), down_.resume());
}

} // namespace narrowlink::sim
