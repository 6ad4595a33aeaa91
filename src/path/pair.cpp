// Theory of operation
//
// Goal: the connection outlives every carrier.
//
// States
//   carried   current_ is set: packets and timers of the connection run.
//     last carrier removed → frozen.  Timers stand still: what they would do (probe timeouts, loss
//       declarations) would only build up a backlog and collapse the congestion window.
//     nothing authentic from the peer for `silence_limit` although the WebSocket relay is there, or for
//       `resume_window` → over. Carriers over UDP say nothing of the network: nobody tells when it is gone.
//       Time in which this process has slept does not count.
//   frozen    no carrier.
//     a carrier is added → carried; a probe goes out at once, and again until one is acknowledged, so
//       that lost packets are repaired by the next exchange of packets and not by the next probe
//       timeout: until it froze, this end may have sent into the void for as long as its session took
//       to fall silent, with a back-off of the same length.
//     `resume_window` → over.
//   over      the connection is closed; nothing is due any more.
//
// Choice: direct before UDP relay before WebSocket relay; the newest of a kind first, because the
// older one belongs to a session that the gateway has forgotten.
//
// Paths. All WebSocket relays are one path to QUIC, 0: a new session is not a new path, and the
// congestion window stays. Every UDP carrier is a path of its own. A change of path is connection
// migration (RFC 9000 §9), and only a client migrates:
//   better carrier   → validated migration: nothing is lost if it does not work. At most one in
//                      `shortest_stay`.
//   slow carrier     → validated migration to a lesser one on which the round trip was much shorter; the slow
//                      one is left alone for five minutes, or until the other is as slow.
//                      A relay over UDP is taken two seconds after it is there: a direct path, which is mostly
//                      found by then, would have to wait for the end of the stay.
//   silent carrier   → immediate migration. Silent: something waits to be acknowledged, and nothing
//                      has been for three probe timeouts, or a quarter of a second; at most 3 s, if
//                      three round trips are no longer. That something authentic comes is not
//                      enough: one direction may be dead.
//   silence has ended on the carrier in use
//                    → immediate migration to the same carrier, as a new path: what the outage made
//                      of the round-trip time would hold back a paced sender for minutes, and put
//                      off the repair of the next loss for as long as the outage was. On a WebSocket
//                      a second later, if it is still so.
//                      The agent, which does not migrate, probes as soon as anything comes from the client: its
//                      next probe timeout may be as far away as the outage was long, and who only receives
//                      acknowledges nothing when it asks whether the agent is still there.
//   an answer after a migration for which there was no connection ID left
//                    → immediate migration to the same carrier, a second later: only now it is a
//                      new path, and what is known of the round trip was made by the outage.
//                      Without the WebSocket, after `most_unanswered` that nobody answered, nothing more of
//                      that: the network is gone, and what shows that it is back wants connection IDs.
//   carrier removed  → immediate migration.
//                      Both go to the WebSocket relay if there is one: what kills one UDP carrier often
//                      kills all of them, and from there better ones are tried without harm.
//   a carrier is there again, and nothing has got through since the last migration
//                    → immediate migration to it, as a new path: the challenges of the old one are lost.
//   new relay session while a direct carrier is in use
//                    → a ping, so that silence shows; if nothing has got through there yet, immediate migration.
//   no pong          → immediate migration to the best carrier, as a new path. After each migration the client
//                      sends a ping that the agent has to answer with stream data. An agent that has more in flight
//                      than the fresh congestion window allows, on a path whose validation was lost, only
//                      acknowledges, for ever; a new path frees it.
// The agent follows. It needs a connection ID of the client's for that, and gets new ones only when the
// client has heard that it has used up the old ones: when that was lost, too, it stays on a dead path,
// whatever comes on others. Then it sends to where the client is heard with the ID that it has.
// A carrier that died or did not answer is left alone for a while that doubles each time, until it has
// worked for ten times as long. Once it is known to work again, that while is over, or shorter.
//
//   a path on which the round trip is longer than on the one before
//                    → immediate migration to the same carrier, as a new path, as soon as that is known. What
//                      was sent before the migration was acknowledged faster, and BBR would keep the window
//                      that is right for that for ten seconds.
//   an answer that came late for QUIC
//                    → immediate migration there. With a faster path in use the agent gives up the
//                      connection ID of its answer before that has arrived.
//
// Who carries the agent's packets is told when the client is not heard for a moment: PathQuiet.
//
// What goes out by which carrier: pair_transmit.cpp. What round trips say: pair_round_trip.cpp.

#include "narrowlink/path/pair.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::path {
namespace {

constexpr quic::PathId relay_path{0};
constexpr Duration longest_stay = std::chrono::seconds{4};
constexpr Duration shortest_silence = std::chrono::milliseconds{250};
constexpr Duration longest_silence = std::chrono::seconds{3}; ///< or three round trips
constexpr Duration shortest_outage = std::chrono::seconds{1};
constexpr Duration longest_oversleep = std::chrono::seconds{5}; ///< of a process that runs
constexpr Duration shortest_pong_wait = std::chrono::seconds{2};
constexpr Duration first_rest = std::chrono::seconds{2};
constexpr Duration first_mistrust = std::chrono::seconds{1};
constexpr unsigned most_doublings = 5;
constexpr unsigned most_unanswered = 3; ///< migrations without the WebSocket
constexpr unsigned forgiven_after = 10; ///< times the rest
constexpr Duration relay_patience = std::chrono::seconds{2}; ///< with a relay over UDP
constexpr Duration busy_wait = std::chrono::milliseconds{100}; ///< about a round trip

Duration doubled(Duration first, unsigned times)
{
    return first * (1U << std::min(times, most_doublings));
}

} // namespace

std::string_view to_string(ChangeReason reason)
{
    switch (reason) {
    case ChangeReason::started: return "started";
    case ChangeReason::better: return "better";
    case ChangeReason::silent: return "silent";
    case ChangeReason::lost: return "lost";
    case ChangeReason::restored: return "restored";
    case ChangeReason::stuck: return "stuck";
    case ChangeReason::slower: return "slower";
    case ChangeReason::peer: return "peer";
    }
    return "";
}

Pair::Pair(const Config& config, bool client, quic::Connection connection, Instant now)
    : config_{config}
    , client_{client}
    , connection_{std::move(connection)}
    , changed_at_{now}
    , latest_{now}
{
}

Result<Pair> Pair::client(const Config& config, quic::Connection::Peer peer, Instant now,
                          Random& random)
{
    auto connection = quic::Connection::client(config.quic, std::move(peer), now, random);
    if (!connection)
        return connection.error();
    return Pair{config, true, std::move(*connection), now};
}

Pair Pair::server(const Config& config, quic::Connection::Peer peer, Instant now, Random& random)
{
    return Pair{config, false,
                quic::Connection::server(config.quic, std::move(peer), now, random), now};
}

quic::PathId Pair::path_of(CarrierId id, const Carrier& carrier)
{
    return carrier.kind == CarrierKind::websocket_relay
               ? relay_path
               : quic::PathId{static_cast<std::uint32_t>(id)};
}

std::optional<CarrierId> Pair::carrier_of(quic::PathId path) const
{
    std::optional<CarrierId> newest;
    for (const auto& [id, known] : carriers_)
        if (path_of(id, known.carrier) == path)
            newest = id;
    return newest;
}

std::optional<CarrierId> Pair::best(Instant now, std::optional<CarrierId> except) const
{
    std::optional<CarrierId> found;
    for (const auto& [id, known] : carriers_)
        if (id != except && now >= known.usable_from && !is_left_alone(now, known) &&
            (!found || rank(known.carrier.kind) >= rank(carriers_.at(*found).carrier.kind)))
            found = id;
    return found;
}

std::optional<CarrierId> Pair::liveliest(std::optional<CarrierId> except) const
{
    std::optional<CarrierId> found;
    for (const auto& [id, known] : carriers_)
        if (id != except && (!found || known.alive_at >= carriers_.at(*found).alive_at))
            found = id;
    return found;
}

/// Where to go when the carrier in use is dead. Often all of UDP is, and a WebSocket has its own watch:
/// better ones may prove from there that they work. Without it, what has given a sign of life last
/// if the peer was not reached any more after the last change; and rather a carrier that is left alone
/// than none.
std::optional<CarrierId> Pair::refuge(Instant now, std::optional<CarrierId> except) const
{
    if (const auto websocket = carrier_of(relay_path); websocket && websocket != except)
        return websocket;
    if (is_untried())
        return liveliest(except);
    const auto other = best(now, except);
    return other ? other : best(never, except);
}

void Pair::add_carrier(Instant now, CarrierId id, Carrier carrier)
{
    const bool may_wait = carrier.kind == CarrierKind::udp_relay;
    carriers_.insert_or_assign(id, Known{.carrier = carrier,
                                         .usable_from = may_wait ? now + relay_patience : Instant{},
                                         .alive_at = now,
                                         .added_at = now});
    connection_.set_limits(path_of(id, carrier), {.mtu = carrier.mtu, .paced = carrier.paced});
    next_migration_ = std::min(next_migration_, migrated_at_ + shortest_stay);
    unanswered_ = 0;
    if (carrier.kind == CarrierKind::websocket_relay)
        doubt_direct(now, id);
    decide(now);
}

/// A new session with the gateway often means that the network has changed, and it has just proved
/// that it works. Does the direct carrier?
void Pair::doubt_direct(Instant now, CarrierId session)
{
    if (!client_ || !connection_.is_connected() || !current_ ||
        current() == CarrierKind::websocket_relay)
        return;
    if (is_untried())
        migrate(now, session, quic::Connection::Migration::immediate, ChangeReason::silent);
    else
        ask_peer(now);
}

/// Nothing has ever got through on the path in use.
bool Pair::is_untried() const
{
    return connection_.last_acknowledged() < migrated_at_;
}

void Pair::remove_carrier(Instant now, CarrierId id)
{
    carriers_.erase(id);
    decide(now);
}

void Pair::set_mtu(Instant now, CarrierId id, std::size_t mtu)
{
    const auto known = carriers_.find(id);
    if (known == carriers_.end())
        return;
    Carrier& carrier = known->second.carrier;
    const bool smaller = mtu < std::exchange(carrier.mtu, mtu);
    connection_.set_limits(path_of(id, carrier), {.mtu = mtu, .paced = carrier.paced});
    if (smaller && now >= doubtful_at(id))
        connection_.handle_path_restored(now);
}

void Pair::handle_carrier_restored(Instant now, CarrierId id)
{
    const auto known = carriers_.find(id);
    if (known == carriers_.end())
        return;
    Known& carrier = known->second;
    unanswered_ = 0;
    carrier.alive_at = now; // that it works says nothing of how fast it is
    // What has died again and again is believed later each time: probes may get through where packets
    // do not.
    const Duration wait =
        carrier.deaths > 1 ? doubled(first_mistrust, carrier.deaths - 2) : Duration{};
    carrier.usable_from = std::min(carrier.usable_from, now + wait);
    next_migration_ = std::min(next_migration_, migrated_at_ + shortest_stay);
    if (current_ == id && outstanding_since_ != never)
        connection_.handle_path_restored(now);
    decide(now);
}

void Pair::decide(Instant now)
{
    latest_ = std::max(latest_, now);
    if (client_ && connection_.is_connected()) {
        leave_dead(now);
        leave_slow(now);
        upgrade(now);
        forget_faster(now);
        watch_peer(now);
    }
    settle(now);
}

/// The client decides.
Instant Pair::unanswered_at(Duration shortest, Duration longest) const
{
    return client_ ? overdue_at(shortest, longest) : never;
}

/// The client is heard on another carrier, and QUIC has not followed it there.
bool Pair::has_lost_client(Instant now, CarrierId heard_on) const
{
    return !client_ && current_ && current_ != heard_on && connection_.last_authentic() == now &&
           path_of(heard_on, carriers_.at(heard_on).carrier) != connection_.current_path() &&
           now >= carriers_.at(*current_).alive_at + shortest_outage &&
           now >= overdue_at(shortest_outage, Duration::max());
}

/// When the wait for an acknowledgement lasts three probe timeouts, but at least `shortest` and at
/// most `longest`.
Instant Pair::overdue_at(Duration shortest, Duration longest) const
{
    if (outstanding_since_ == never || !current_)
        return never;
    return std::max(connection_.last_acknowledged(), outstanding_since_) +
           std::clamp(3 * connection_.statistics().probe_timeout, shortest, longest);
}

/// Whoever only receives measures the round trip with each keep-alive: for a long time after a path
/// was slow, its probe timeout says little of it.
Instant Pair::fell_silent_at() const
{
    // After an outage the latest round trip may be as long as that.
    const Duration round_trip = rebound_ ? Duration{} : connection_.statistics().latest_rtt;
    return unanswered_at(shortest_silence, std::max(longest_silence, 3 * round_trip));
}

Instant Pair::silent_at() const
{
    if (carriers_.size() == 1 || current() == CarrierKind::websocket_relay)
        return never; // there is no choice; a WebSocket has its own watch
    if (unanswered_ >= most_unanswered && !carrier_of(relay_path))
        return never; // it is not the path: whoever comes back first will show
    return fell_silent_at();
}

void Pair::leave_dead(Instant now)
{
    using enum quic::Connection::Migration;
    const auto here = carrier_of(connection_.current_path());
    const bool silent = here && here == current_ && now >= silent_at();
    if (here && !silent)
        return;
    const auto other = refuge(now, here);
    if (!other || now < may_leave_at())
        return;
    if (silent)
        note_failure(now, *here);
    migrate(now, *other, immediate, silent ? ChangeReason::silent : ChangeReason::lost);
}

void Pair::upgrade(Instant now)
{
    const auto here = carrier_of(connection_.current_path());
    const auto better = best(now, std::nullopt);
    if (!here || !better || now < may_migrate_at())
        return;
    if (rank(carriers_.at(*better).carrier.kind) <= rank(carriers_.at(*here).carrier.kind))
        return;
    migrate(now, *better, quic::Connection::Migration::validated, ChangeReason::better);
}

/// Whether the peer sends data on the path that was taken up last.
void Pair::watch_peer(Instant now)
{
    const auto here = carrier_of(connection_.current_path());
    misled_ = misled_ || is_round_trip_older();
    if (!here || now < pong_watch_at())
        return;
    const bool overdue = may_take_new_path(); // where the peer has answered
    const bool refresh = misled_ || overdue;
    const auto to = overdue ? here : best(now, std::nullopt);
    const auto reason = refresh ? ChangeReason::restored : ChangeReason::stuck;
    if (migrate(now, to.value_or(*here), quic::Connection::Migration::immediate, reason))
        refreshed_ = refresh;
}

/// The last migration was to no new path, for lack of connection IDs. The peer has been heard
/// since, so there are some again.
bool Pair::may_take_new_path() const
{
    return rebound_ && !is_untried();
}

void Pair::ask_peer(Instant now)
{
    if (!connection_.ping_waits())
        (void)connection_.ping(); // with every stream in use there is no watch
    asked_at_ = now;
}

/// Never while nothing at all comes from the peer: that is silence, and no reason to use up
/// connection IDs.
Instant Pair::pong_overdue_at() const
{
    if (!client_ || !connection_.ping_waits() || connection_.last_authentic() <= asked_at_)
        return never;
    return asked_at_ + std::max(4 * connection_.statistics().probe_timeout, shortest_pong_wait);
}

Instant Pair::pong_watch_at() const
{
    // Who has answered is there: no reason to wait longer than usual.
    return misled_ || may_take_new_path() ? std::max(migrated_at_ + shortest_stay, retry_at_)
                                          : std::max(pong_overdue_at(), may_migrate_at());
}

/// The longer stay is for a peer that is not reached.
Instant Pair::may_migrate_at() const
{
    const Instant at = is_untried() ? next_migration_
                                    : std::min(next_migration_, migrated_at_ + shortest_stay);
    return std::max(at, retry_at_);
}

/// What was reached by the path in use has given new connection IDs: no reason to wait on a dead one.
Instant Pair::may_leave_at() const
{
    return is_untried() ? may_migrate_at() : retry_at_;
}

bool Pair::migrate(Instant now, CarrierId to, quic::Connection::Migration how,
                   ChangeReason reason)
{
    const auto started = connection_.migrate(now, path_of(to, carriers_.at(to).carrier), how);
    // Each costs a connection ID of both ends, of which there are seven until the peer is heard again.
    if (started)
        stay_ = is_untried() ? std::min(2 * stay_, longest_stay) : shortest_stay;
    next_migration_ = started ? now + stay_ : next_migration_;
    retry_at_ = started ? now : now + busy_wait;
    answer_due_ = answer_due_ || started;
    wake_ = wake_ || started;
    if (started) {
        migrating_to_ = to;
        if (current_ && carriers_.contains(*current_))
            round_trip_before_ = carriers_.at(*current_).round_trip;
        unanswered_ = is_untried() ? unanswered_ + 1 : 0;
        reason_ = reason;
        refreshed_ = false;
        misled_ = false;
        migrated_at_ = now;
        // A new path has no round trip yet.
        rebound_ =
            how == quic::Connection::Migration::immediate && connection_.statistics().has_rtt;
    }
    if (started && how == quic::Connection::Migration::immediate)
        ask_peer(now);
    return started.has_value();
}

void Pair::note_failure(Instant now, CarrierId id)
{
    Known& known = carriers_.at(id);
    if (now >= known.usable_from + forgiven_after * doubled(first_rest, known.deaths))
        known.deaths = 0;
    known.usable_from = now + doubled(first_rest, known.deaths++);
}

void Pair::handle_validated(const quic::PathValidated& validated)
{
    const auto id = carrier_of(validated.path);
    if (!id)
        return;
    if (!validated.succeeded) {
        note_failure(latest_, *id);
        return;
    }
    carriers_.at(*id).validated = true;
    if (client_ && id == carrier_of(connection_.current_path()))
        ask_peer(latest_);
}

/// The migration goes on without QUIC's validation, which cannot succeed: the path has just proved itself.
void Pair::handle_answered_late(quic::PathId path)
{
    const auto id = carrier_of(path);
    if (!id || path == connection_.current_path())
        return; // there are several challenges, and as many answers
    migrate(latest_, *id, quic::Connection::Migration::immediate, reason_);
    settle(latest_);
}

/// Makes current_ what QUIC's path says.
void Pair::settle(Instant now)
{
    const auto chosen = carrier_of(connection_.current_path());
    if (chosen == current_)
        return;
    const bool was_frozen = !current_;
    const auto kind_before = current_ && carriers_.contains(*current_) ? current() : std::nullopt;
    current_ = chosen;
    wake_ = true;
    if (was_frozen || !chosen)
        changed_at_ = now;
    probe_again_at_ = never;
    if (was_frozen && !renew(now, *chosen))
        probe(now);
    if (chosen)
        connection_.set_keep_alive(current() == CarrierKind::websocket_relay
                                       ? config_.quic.keep_alive
                                       : config_.direct_keep_alive);
    measure_due_ = chosen.has_value();
    round_trips_ = 0;
    if (!was_frozen && chosen && current() == kind_before)
        return;
    ChangeReason reason = client_ ? reason_ : ChangeReason::peer;
    if (!chosen)
        reason = ChangeReason::lost;
    else if (was_frozen)
        reason = has_started_ ? ChangeReason::restored : ChangeReason::started;
    has_started_ = true;
    changes_.emplace_back(PathChanged{current(), reason, std::exchange(rtt_, std::nullopt)});
}

/// Takes the path up anew if nothing has ever got through on it: its challenges are lost.
bool Pair::renew(Instant now, CarrierId id)
{
    return client_ && connection_.is_connected() && is_untried() &&
           migrate(now, id, quic::Connection::Migration::immediate, ChangeReason::restored);
}

/// At once, and again until something is acknowledged: the probe may be lost, too, and QUIC's next one
/// is as far away as the outage was long.
void Pair::probe(Instant now)
{
    probing_since_ = now;
    probe_wait_ = std::max(connection_.statistics().probe_timeout, shortest_silence);
    probe_again_at_ = now + probe_wait_;
    connection_.handle_path_restored(now);
}

void Pair::probe_again(Instant now)
{
    if (now < probe_again_at_)
        return;
    connection_.handle_path_restored(now);
    probe_wait_ *= 2;
    probe_again_at_ = now + probe_wait_;
}

void Pair::observe(Instant now)
{
    const bool outstanding = connection_.statistics().bytes_in_flight > 0;
    if (!outstanding || connection_.last_acknowledged() > probing_since_)
        probe_again_at_ = never;
    if (!outstanding)
        outstanding_since_ = never;
    else if (outstanding_since_ == never)
        outstanding_since_ = now;
}

void Pair::handle_packets(Instant now, CarrierId id, Bytes train, std::size_t segment_size,
                          std::uint8_t ecn)
{
    const auto known = carriers_.find(id);
    if (known == carriers_.end())
        return;
    const quic::PathId path = path_of(id, known->second.carrier);
    const bool was_out = now >= unanswered_at(shortest_outage, Duration::max());
    const bool was_dead = current_ == id && was_silent(now, known->second);
    latest_ = std::max(latest_, now);
    connection_.handle_packets(now, path, train, segment_size, ecn);
    if (connection_.last_authentic() == now) {
        known->second.alive_at = now;
        is_quiet_ = false;
        ++heard_;
        if (id != current_)
            unanswered_ = 0;
    }
    if (was_out && connection_.last_acknowledged() == now && current_ == id)
        handle_outage_over(now, id);
    else if (was_dead && connection_.last_authentic() == now &&
             connection_.last_acknowledged() != now)
        probe(now);
    if (has_lost_client(now, id))
        connection_.rebind(now, path);
    measure();
    if (path != connection_.current_path()) {
        answer_due_ = true;
        wake_ = true;
    }
    observe(now);
    decide(now);
}

/// Nothing was heard of a client that should have acknowledged something.
bool Pair::was_silent(Instant now, const Known& known) const
{
    return !client_ && probe_again_at_ == never &&
           known.carrier.kind != CarrierKind::websocket_relay &&
           now >= known.alive_at + shortest_outage &&
           now >= overdue_at(shortest_outage, Duration::max());
}

/// A WebSocket delivers what TCP held back: everything moves again, and a new path would only be in
/// the way. A round trip that is still as long as the outage a moment later is one that nothing corrects.
void Pair::handle_outage_over(Instant now, CarrierId id)
{
    if (carriers_.at(id).carrier.kind == CarrierKind::websocket_relay)
        forget_round_trip_at_ = now + shortest_stay;
    else
        migrate(now, id, quic::Connection::Migration::immediate, ChangeReason::restored);
}

void Pair::forget_round_trip(Instant now)
{
    if (now < forget_round_trip_at_)
        return;
    forget_round_trip_at_ = never;
    if (current() == CarrierKind::websocket_relay && connection_.is_connected() &&
        connection_.statistics().probe_timeout > shortest_outage)
        migrate(now, *current_, quic::Connection::Migration::immediate, ChangeReason::restored);
}

void Pair::handle_timeout(Instant now)
{
    if (connection_.is_closed() || given_up_)
        return;
    if (now > deadline() + longest_oversleep)
        awake_at_ = now;
    decide(now);
    if (!current_) {
        if (now >= changed_at_ + config_.resume_window)
            give_up(now);
        return;
    }
    connection_.handle_timeout(now);
    note_quiet(now);
    probe_again(now);
    forget_round_trip(now);
    if (now >= silence_ends_at())
        give_up(now);
}

/// After keep-alives alone it is always quiet.
void Pair::note_quiet(Instant now)
{
    constexpr unsigned most_of_keep_alives = 3;
    if (now < quiet_at())
        return;
    is_quiet_ = true;
    if (std::exchange(heard_, 0) > most_of_keep_alives)
        changes_.emplace_back(PathQuiet{});
}

Instant Pair::quiet_at() const
{
    if (client_ || is_quiet_ || !current_ || current() == CarrierKind::websocket_relay)
        return never;
    return connection_.last_authentic() +
           std::clamp(3 * connection_.statistics().probe_timeout, shortest_silence,
                      shortest_outage);
}

/// When the peer, which is not heard, is given up.
Instant Pair::silence_ends_at() const
{
    const Instant since = std::max({connection_.last_authentic(), changed_at_, awake_at_});
    const auto websocket = carrier_of(relay_path);
    if (!websocket)
        return since + config_.resume_window;
    return std::max(since, carriers_.at(*websocket).added_at) + config_.silence_limit;
}

void Pair::give_up(Instant now)
{
    given_up_ = true;
    connection_.close(now, quic::h3_no_error);
}

std::optional<Event> Pair::poll_event()
{
    if (!changes_.empty()) {
        const auto change = changes_.front();
        changes_.pop_front();
        return std::visit([](const auto& one) -> Event { return one; }, change);
    }
    auto event = connection_.poll_event();
    if (!event)
        return std::nullopt;
    if (const auto* validated = std::get_if<quic::PathValidated>(&*event))
        handle_validated(*validated);
    if (const auto* late = std::get_if<quic::PathAnsweredLate>(&*event))
        handle_answered_late(late->path);
    if (auto* closed = std::get_if<quic::Closed>(&*event); closed && given_up_)
        closed->reason = make_error_code(quic::Error::timed_out);
    return std::move(*event);
}

Instant Pair::deadline() const
{
    if (connection_.is_closed() || (given_up_ && !current_))
        return never;
    const bool may_move = client_ && connection_.is_connected();
    if (!current_)
        return may_move && !carriers_.empty() ? may_leave_at()
                                              : changed_at_ + config_.resume_window;
    Instant next = std::min(
        {connection_.deadline(), probe_again_at_, forget_round_trip_at_, silence_ends_at(),
         quiet_at()});
    if (!may_move)
        return next;
    next = std::min({next, pong_watch_at(), std::max(silent_at(), may_leave_at())});
    if (much_faster(latest_))
        next = std::min(next, may_migrate_at());
    if (remembers_faster())
        next = std::min(next, retry_at_);
    for (const auto& [id, known] : carriers_)
        if (rank(known.carrier.kind) > rank(carriers_.at(*current_).carrier.kind))
            next = std::min(next, std::max(is_left_alone(latest_, known) ? known.slow_until
                                                                         : known.usable_from,
                                           may_migrate_at()));
    return next;
}

std::optional<CarrierKind> Pair::current() const
{
    if (!current_)
        return std::nullopt;
    return carriers_.at(*current_).carrier.kind;
}

bool Pair::is_silent(Instant now) const
{
    return current() != CarrierKind::websocket_relay && now >= fell_silent_at();
}

Instant Pair::doubtful_at(CarrierId id) const
{
    return current_ == id ? overdue_at(shortest_silence, longest_silence) : never;
}

bool Pair::is_left_for_faster(CarrierId id) const
{
    const auto known = carriers_.find(id);
    return known != carriers_.end() && is_left_alone(latest_, known->second);
}

bool Pair::is_validated(CarrierId id) const
{
    const auto known = carriers_.find(id);
    return known != carriers_.end() && known->second.validated;
}

bool Pair::is_alive(CarrierId id, Instant since) const
{
    const auto known = carriers_.find(id);
    return known != carriers_.end() && known->second.alive_at >= since;
}

std::size_t Pair::mtu() const
{
    constexpr std::size_t least = 1'200; // RFC 9000 §14
    return current_ ? carriers_.at(*current_).carrier.mtu : least;
}

} // namespace narrowlink::path
