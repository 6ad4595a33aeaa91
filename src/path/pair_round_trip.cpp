// What round trips say of carriers; pair.cpp has the theory of operation.
//
// Acknowledgements of packets that were sent before a migration come in after it. Their round trip is that
// of the path before, or half and half. Only those of packets that were sent on the path in use count here
// (quic::Connection::Statistics::own_shortest_rtt).

#include "narrowlink/path/pair.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::path {
namespace {

constexpr unsigned enough_round_trips = 5;
constexpr Duration slow_rest = std::chrono::minutes{5};

/// So that it can be felt, and is not due to one late packet.
bool is_much_longer(Duration round_trip, Duration other)
{
    return round_trip > 2 * other + std::chrono::milliseconds{50};
}

/// So that a congestion window which is right for the other one is too small, and not by a delayed
/// acknowledgement.
bool is_longer(Duration round_trip, Duration other)
{
    return 2 * round_trip > 3 * other + std::chrono::milliseconds{20};
}

} // namespace

/// As slow as it was last time, while what is in use is not.
bool Pair::is_left_alone(Instant now, const Known& known) const
{
    if (now >= known.slow_until || !current_ || !carriers_.contains(*current_))
        return false;
    const Known& in_use = carriers_.at(*current_);
    return &in_use != &known && in_use.round_trip &&
           is_much_longer(*known.round_trip, *in_use.round_trip);
}

/// A carrier of a lower rank on which the round trip was much shorter.
std::optional<CarrierId> Pair::much_faster(Instant now) const
{
    const auto here = carrier_of(connection_.current_path());
    if (!client_ || !here || here != current_ || round_trips_ < enough_round_trips)
        return std::nullopt;
    const Known& in_use = carriers_.at(*here);
    std::optional<CarrierId> found;
    for (const auto& [id, known] : carriers_)
        if (now >= known.usable_from && known.round_trip &&
            rank(known.carrier.kind) < rank(in_use.carrier.kind) &&
            is_much_longer(*in_use.round_trip, *known.round_trip) &&
            (!found || rank(known.carrier.kind) > rank(carriers_.at(*found).carrier.kind)))
            found = id;
    return found;
}

void Pair::leave_slow(Instant now)
{
    const auto to = much_faster(now);
    if (!to || now < may_migrate_at())
        return;
    carriers_.at(*current_).slow_until = now + slow_rest;
    migrate(now, *to, quic::Connection::Migration::validated, ChangeReason::slower);
}

/// Whether what is known of the round trip comes from a packet of before the migration. It may have
/// waited for a whole outage, and every timer would now last several times as long.
bool Pair::is_round_trip_older() const
{
    const Duration round_trip = connection_.statistics().latest_rtt; // a migration forgets it
    return client_ && !refreshed_ && round_trip > shortest_stay &&
           round_trip > latest_ - asked_at_;
}

/// The path before was faster, and congestion control at either end may believe that this one is, too.
bool Pair::remembers_faster() const
{
    if (!client_ || refreshed_ || reason_ != ChangeReason::better || !round_trip_before_)
        return false;
    const auto here = carrier_of(connection_.current_path());
    const auto round_trip = connection_.statistics().own_shortest_rtt;
    return here && here == migrating_to_ && round_trip &&
           is_longer(*round_trip, *round_trip_before_);
}

void Pair::forget_faster(Instant now)
{
    if (now < retry_at_ || !remembers_faster())
        return;
    refreshed_ = migrate(now, *carrier_of(connection_.current_path()),
                         quic::Connection::Migration::immediate, reason_);
}

/// Tells the first round trip on a carrier, and remembers the last.
void Pair::measure()
{
    const auto statistics = connection_.statistics();
    if (!current_ || !statistics.own_shortest_rtt || !connection_.is_connected())
        return;
    rtt_ = std::max(statistics.smoothed_rtt, *statistics.own_shortest_rtt);
    note_round_trip(*statistics.own_shortest_rtt);
    if (std::exchange(measure_due_, false))
        changes_.emplace_back(PathMeasured{*current(), *rtt_});
}

/// What is known from before counts until there is better knowledge.
void Pair::note_round_trip(Duration shortest)
{
    if (current_ != carrier_of(connection_.current_path()))
        return;
    if (connection_.last_acknowledged() == latest_)
        ++round_trips_;
    std::optional<Duration>& round_trip = carriers_.at(*current_).round_trip;
    if (!round_trip || round_trips_ >= enough_round_trips || shortest < *round_trip)
        round_trip = shortest;
}

} // namespace narrowlink::path
