// Theory of operation
//
// Goal: the connection outlives every carrier.
//
// States
//   carried   current_ is set: packets and timers of the connection run.
//     last carrier removed → frozen.  Timers stand still: what they would do (probe timeouts, loss
//       declarations) would only build up a backlog and collapse the congestion window.
//     nothing authentic from the peer for `silence_limit` although a carrier is there → over.
//   frozen    no carrier.
//     a carrier is added → carried; a probe goes out at once, so that lost packets are repaired by
//       the next exchange of packets and not by the next probe timeout: until it froze, this end may
//       have sent into the void for as long as its session took to fall silent, with a back-off of
//       the same length.
//     `resume_window` → over.
//   over      the connection is closed; nothing is due any more.
//
// Choice: direct before UDP relay before WebSocket relay; the newest of a kind first, because the
// older one belongs to a session that the gateway has forgotten.

#include "narrowlink/path/pair.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::path {

Pair::Pair(const Config& config, quic::Connection connection, Instant now)
    : config_{config}
    , connection_{std::move(connection)}
    , changed_at_{now}
{
}

Result<Pair> Pair::client(const Config& config, quic::Connection::Peer peer, Instant now,
                          Random& random)
{
    auto connection = quic::Connection::client(config.quic, std::move(peer), now, random);
    if (!connection)
        return connection.error();
    return Pair{config, std::move(*connection), now};
}

Pair Pair::server(const Config& config, quic::Connection::Peer peer, Instant now, Random& random)
{
    return Pair{config, quic::Connection::server(config.quic, std::move(peer), now, random), now};
}

void Pair::add_carrier(Instant now, CarrierId id, Carrier carrier)
{
    carriers_.insert_or_assign(id, carrier);
    choose(now);
}

void Pair::remove_carrier(Instant now, CarrierId id)
{
    carriers_.erase(id);
    choose(now);
}

void Pair::choose(Instant now)
{
    const auto best = std::ranges::max_element(carriers_, {}, [](const auto& entry) {
        return std::pair{entry.second.kind, entry.first};
    });
    const auto chosen =
        best == carriers_.end() ? std::nullopt : std::optional<CarrierId>{best->first};
    if (chosen == current_)
        return;
    const bool was_frozen = !current_;
    const auto kind_before = current_ && carriers_.contains(*current_) ? current() : std::nullopt;
    current_ = chosen;
    if (was_frozen || !chosen)
        changed_at_ = now;
    if (was_frozen)
        connection_.handle_path_restored(now);
    if (was_frozen || !chosen || current() != kind_before)
        changes_.push_back({current()});
}

void Pair::handle_packets(Instant now, CarrierId, Bytes train, std::size_t segment_size)
{
    connection_.handle_packets(now, train, segment_size);
}

void Pair::handle_timeout(Instant now)
{
    if (connection_.is_closed() || given_up_)
        return;
    if (!current_) {
        if (now >= changed_at_ + config_.resume_window)
            give_up(now);
        return;
    }
    connection_.handle_timeout(now);
    if (now >= std::max(connection_.last_authentic(), changed_at_) + config_.silence_limit)
        give_up(now);
}

void Pair::give_up(Instant now)
{
    given_up_ = true;
    connection_.close(now, quic::h3_no_error);
}

quic::Connection::Transmit Pair::poll_transmit(Instant now, CarrierId id, MutableBytes block)
{
    if (current_ != id)
        return {};
    const Carrier& carrier = carriers_.at(id);
    return connection_.poll_transmit(now, block, carrier.mtu, carrier.paced);
}

std::optional<Event> Pair::poll_event()
{
    if (!changes_.empty()) {
        const PathChanged change = changes_.front();
        changes_.pop_front();
        return change;
    }
    auto event = connection_.poll_event();
    if (!event)
        return std::nullopt;
    if (auto* closed = std::get_if<quic::Closed>(&*event); closed && given_up_)
        closed->reason = make_error_code(quic::Error::timed_out);
    return std::move(*event);
}

Instant Pair::deadline() const
{
    if (connection_.is_closed() || (given_up_ && !current_))
        return never;
    if (!current_)
        return changed_at_ + config_.resume_window;
    return std::min(connection_.deadline(), std::max(connection_.last_authentic(), changed_at_) +
                                                config_.silence_limit);
}

std::optional<CarrierKind> Pair::current() const
{
    if (!current_)
        return std::nullopt;
    return carriers_.at(*current_).kind;
}

std::size_t Pair::mtu() const
{
    constexpr std::size_t least = 1'200; // RFC 9000 §14
    return current_ ? carriers_.at(*current_).mtu : least;
}

} // namespace narrowlink::path
