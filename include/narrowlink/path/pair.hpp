#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/path/carrier.hpp"
#include "narrowlink/quic/connection.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace narrowlink::path {

enum class ChangeReason {
    started,  ///< the first carrier
    better,   ///< the peer has answered on a better one
    silent,   ///< nothing was acknowledged on the one before
    lost,     ///< the one before is gone
    restored, ///< there is one again
    stuck,    ///< the peer acknowledged and sent nothing
    slower,   ///< the round trip was much longer than on another
    peer,     ///< the client has changed (agent)
};

std::string_view to_string(ChangeReason);

/// The carrier in use has changed; without a value the pair waits for one to come back.
struct PathChanged {
    std::optional<CarrierKind> carrier;
    ChangeReason reason = ChangeReason::started;
    std::optional<Duration> rtt_before; ///< on the carrier before, if it was measured
};

/// The first round trip on the carrier in use.
struct PathMeasured {
    CarrierKind carrier;
    Duration rtt;
};

/// Nothing has come from the client on a carrier over UDP for a moment, after more than keep-alives (agent). If a router has forgotten the
/// agent, then its session with the gateway, too: only what the agent sends brings it back.
struct PathQuiet {};

using Event = std::variant<quic::Event, PathChanged, PathMeasured, PathQuiet>;

/// One end of a pair: the one QUIC connection with the peer, and the carriers of its packets.
///
/// Carriers come and go; the connection stays. While the one in use is gone its timers stand still,
/// and `resume_window` later it ends. Whoever moves packets asks with its own CarrierId and gets
/// only what has to go by that carrier: nothing above knows which one is in use.
///
/// The client decides: it moves to a better carrier once the peer has answered on it, and leaves one
/// that has fallen silent at once. The agent follows.
///
/// Contract: as quic::Connection.
class Pair {
public:
    struct Config {
        quic::Connection::Config quic;
        Duration resume_window = std::chrono::minutes{10}; ///< how long to wait without a carrier
        /// With the WebSocket relay, without the peer.
        Duration silence_limit = std::chrono::seconds{60};
        /// On a direct carrier, so that its death is noticed and NATs remember it.
        Duration direct_keep_alive = std::chrono::seconds{2};
    };

    /// `random` must outlive the pair.
    static Result<Pair> client(const Config&, quic::Connection::Peer, Instant now, Random& random);
    static Pair server(const Config&, quic::Connection::Peer, Instant now, Random& random);

    void add_carrier(Instant now, CarrierId, Carrier);
    void remove_carrier(Instant now, CarrierId);

    /// Whoever drives the carrier knows that it works, whatever it did before.
    void handle_carrier_restored(Instant now, CarrierId);

    /// Packets of up to this size get through there. What was sent in larger ones is soon repaired.
    void set_mtu(Instant now, CarrierId, std::size_t mtu);

    void handle_packets(Instant now, CarrierId, Bytes train, std::size_t segment_size,
                        std::uint8_t ecn = 0);
    void handle_timeout(Instant now);

    /// Fills `block` with a train for this carrier; size 0 when there is nothing for it to carry.
    quic::Connection::Transmit poll_transmit(Instant now, CarrierId, MutableBytes block);

    /// Something waits for a carrier that is not in use, or another one has come into use. Told once.
    [[nodiscard]] bool take_wake() { return std::exchange(wake_, false); }

    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    /// Requests and their bytes.
    quic::Connection& connection() { return connection_; }

    [[nodiscard]] const quic::Connection& connection() const { return connection_; }

    /// The carrier in use.
    [[nodiscard]] std::optional<CarrierKind> current() const;

    [[nodiscard]] bool uses(CarrierId id) const { return current_ == id; }

    /// The peer has proved that it receives what goes there (path validation, RFC 9000 §8.2). Until
    /// then whoever sent from that address may have forged it.
    [[nodiscard]] bool is_validated(CarrierId) const;

    /// It works, but another one is much faster.
    [[nodiscard]] bool is_left_for_faster(CarrierId) const;

    /// Something authentic has come there since.
    [[nodiscard]] bool is_alive(CarrierId, Instant since) const;

    /// Something waits to be acknowledged for longer than a carrier that works would take (client).
    [[nodiscard]] bool is_silent(Instant now) const;

    /// When that is so of this end's packets on this carrier, if nothing is acknowledged before;
    /// never for a carrier that is not in use.
    [[nodiscard]] Instant doubtful_at(CarrierId) const;

    /// The largest QUIC packet of the carrier in use, for datagrams.
    [[nodiscard]] std::size_t mtu() const;

    void close(Instant now, std::uint64_t code) { connection_.close(now, code); }

private:
    struct Known {
        Carrier carrier;
        Instant usable_from{}; ///< after it has died, or has not answered
        unsigned deaths = 0;   ///< in a row
        Instant alive_at{};    ///< its last sign of life
        Instant added_at{};
        std::optional<Duration> round_trip; ///< the shortest when it was in use last
        Instant slow_until{};  ///< not taken again before, while another is much faster
        bool validated = false;
    };

    /// A train for a carrier that has not asked yet.
    struct Waiting {
        quic::PathId path;
        std::size_t segment_size;
        std::uint8_t ecn;
        std::vector<std::byte> bytes;
    };

    static constexpr Duration shortest_stay = std::chrono::seconds{1}; ///< on a path

    Pair(const Config&, bool client, quic::Connection, Instant now);

    static quic::PathId path_of(CarrierId, const Carrier&);
    [[nodiscard]] std::optional<CarrierId> carrier_of(quic::PathId) const;
    [[nodiscard]] std::optional<CarrierId> best(Instant now, std::optional<CarrierId> except) const;
    [[nodiscard]] std::optional<CarrierId> liveliest(std::optional<CarrierId> except) const;
    [[nodiscard]] std::optional<CarrierId> refuge(Instant now,
                                                  std::optional<CarrierId> except) const;
    [[nodiscard]] Instant overdue_at(Duration shortest, Duration longest) const;
    [[nodiscard]] Instant unanswered_at(Duration shortest, Duration longest) const;
    [[nodiscard]] Instant fell_silent_at() const;
    [[nodiscard]] bool has_lost_client(Instant now, CarrierId heard_on) const;
    [[nodiscard]] Instant silent_at() const;
    [[nodiscard]] Instant silence_ends_at() const;
    [[nodiscard]] Instant quiet_at() const;
    void note_quiet(Instant now);
    [[nodiscard]] std::optional<CarrierId> much_faster(Instant now) const;
    [[nodiscard]] bool is_left_alone(Instant now, const Known&) const;
    void decide(Instant now);
    void leave_dead(Instant now);
    void upgrade(Instant now);
    void leave_slow(Instant now);
    void watch_peer(Instant now);
    void ask_peer(Instant now);
    [[nodiscard]] bool is_round_trip_older() const;
    [[nodiscard]] bool remembers_faster() const;
    void forget_faster(Instant now);
    [[nodiscard]] bool may_take_new_path() const;
    [[nodiscard]] Instant pong_overdue_at() const;
    [[nodiscard]] Instant pong_watch_at() const;
    [[nodiscard]] Instant may_migrate_at() const;
    [[nodiscard]] Instant may_leave_at() const;
    bool migrate(Instant now, CarrierId, quic::Connection::Migration, ChangeReason);
    void settle(Instant now);
    bool renew(Instant now, CarrierId);
    void doubt_direct(Instant now, CarrierId session);
    [[nodiscard]] bool is_untried() const;
    [[nodiscard]] bool was_silent(Instant now, const Known& known) const;
    void probe(Instant now);
    void probe_again(Instant now);
    void handle_outage_over(Instant now, CarrierId);
    void forget_round_trip(Instant now);
    void observe(Instant now);
    void measure();
    void note_round_trip(Duration shortest);
    void note_failure(Instant now, CarrierId);
    void keep(const quic::Connection::Transmit&, Bytes block);
    quic::Connection::Transmit take(quic::PathId, MutableBytes block);
    void handle_validated(const quic::PathValidated&);
    void handle_answered_late(quic::PathId);
    void give_up(Instant now);

    Config config_;
    bool client_;
    quic::Connection connection_;
    std::map<CarrierId, Known> carriers_;
    std::optional<CarrierId> current_;
    std::deque<std::variant<PathChanged, PathMeasured, PathQuiet>> changes_;
    ChangeReason reason_ = ChangeReason::started; ///< of the next change
    std::optional<Duration> rtt_;   ///< the last that was measured on the carrier in use
    bool measure_due_ = false;
    unsigned round_trips_ = 0; ///< measured on the path in use
    std::optional<CarrierId> migrating_to_; ///< or already there
    std::optional<Duration> round_trip_before_; ///< on the carrier that was left for it
    bool has_started_ = false; ///< there was a carrier once
    std::deque<Waiting> waiting_;
    Instant changed_at_;            ///< since when there is a carrier, or none
    Instant outstanding_since_ = never; ///< since when something waits to be acknowledged
    Instant next_migration_{};
    Instant migrated_at_{};
    Instant retry_at_{};     ///< after a migration that could not begin
    Duration stay_{};        ///< after a migration; longer while nothing comes of them
    unsigned unanswered_ = 0; ///< migrations of which nothing came
    Instant probing_since_{};
    Instant probe_again_at_ = never; ///< after a carrier or the client has come back
    Duration probe_wait_{};
    Instant forget_round_trip_at_ = never; ///< if it is still that of an outage
    bool misled_ = false;    ///< the round trip of this path was one of before, see watch_peer()
    bool refreshed_ = false; ///< the last migration was because of what was known of an older round trip
    bool rebound_ = false; ///< the last migration was to no new path, see may_take_new_path()
    Instant asked_at_{};            ///< when the peer's pong began to be waited for
    Instant latest_{};              ///< of the times that were passed in
    bool answer_due_ = false;       ///< on a path that is not the one in use
    bool wake_ = false;
    bool given_up_ = false;
    bool is_quiet_ = false;   ///< nothing has come since it was seen to be so
    unsigned heard_ = 0;      ///< trains since then
    Instant awake_at_{}; ///< the process has slept before
};

} // namespace narrowlink::path
