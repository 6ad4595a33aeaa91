#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/path/carrier.hpp"
#include "narrowlink/quic/connection.hpp"

#include <deque>
#include <map>
#include <optional>
#include <variant>

namespace narrowlink::path {

/// The carrier in use has changed; without a value the pair waits for one to come back.
struct PathChanged {
    std::optional<CarrierKind> carrier;
};

using Event = std::variant<quic::Event, PathChanged>;

/// One end of a pair: the one QUIC connection with the peer, and the carriers of its packets.
///
/// Carriers come and go; the connection stays. While there is none its timers stand still, and
/// `resume_window` later it ends. Whoever moves packets asks with its own CarrierId and gets
/// something only if that carrier is the one to use: nothing above knows which one that is.
///
/// Contract: as quic::Connection.
class Pair {
public:
    struct Config {
        quic::Connection::Config quic;
        Duration resume_window = std::chrono::minutes{10}; ///< how long to wait without a carrier
        Duration silence_limit = std::chrono::seconds{60}; ///< with a carrier, without the peer
    };

    /// `random` must outlive the pair.
    static Result<Pair> client(const Config&, quic::Connection::Peer, Instant now, Random& random);
    static Pair server(const Config&, quic::Connection::Peer, Instant now, Random& random);

    void add_carrier(Instant now, CarrierId, Carrier);
    void remove_carrier(Instant now, CarrierId);

    void handle_packets(Instant now, CarrierId, Bytes train, std::size_t segment_size);
    void handle_timeout(Instant now);

    /// Fills `block` with a train for this carrier; size 0 when there is nothing for it to carry.
    quic::Connection::Transmit poll_transmit(Instant now, CarrierId, MutableBytes block);
    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    /// Requests and their bytes.
    quic::Connection& connection() { return connection_; }

    [[nodiscard]] const quic::Connection& connection() const { return connection_; }

    /// The carrier in use.
    [[nodiscard]] std::optional<CarrierKind> current() const;

    /// The largest QUIC packet of the carrier in use, for datagrams.
    [[nodiscard]] std::size_t mtu() const;

    void close(Instant now, std::uint64_t code) { connection_.close(now, code); }

private:
    Pair(const Config&, quic::Connection, Instant now);

    void choose(Instant now);
    void give_up(Instant now);

    Config config_;
    quic::Connection connection_;
    std::map<CarrierId, Carrier> carriers_;
    std::optional<CarrierId> current_;
    std::deque<PathChanged> changes_;
    Instant changed_at_; ///< since when there is a carrier, or none
    bool given_up_ = false;
};

} // namespace narrowlink::path
