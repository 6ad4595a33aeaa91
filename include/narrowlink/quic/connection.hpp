#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/congestion_control.hpp"
#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/crypto/identity.hpp"
#include "narrowlink/quic/credentials.hpp"
#include "narrowlink/quic/error.hpp"
#include "narrowlink/quic/request.hpp"

#include <array>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

namespace narrowlink::quic {

/// A way of packets to the peer, as the owner of the connection numbers it.
enum class PathId : std::uint32_t {};

/// What short-header packets to us begin with, behind their first byte (RFC 9000 §5.1).
using ConnectionId = std::array<std::byte, 8>;

/// The handshake is complete and the peer is the one whose pin we were given.
struct Connected {};

/// A request has arrived (agent). Answer with respond().
struct RequestReceived {
    StreamId stream;
    Request request;
};

/// The answer to our request (client).
struct ResponseReceived {
    StreamId stream;
    Response response;
};

/// received(), receive_ended() or receive_datagram() have something new.
struct Readable {
    StreamId stream;
};

/// send_space() is no longer zero.
struct Writable {
    StreamId stream;
};

/// The peer has abandoned the stream, or it was refused by the library; no more bytes in either direction.
struct StreamReset {
    StreamId stream;
    std::uint64_t code; ///< HTTP/3 error code, RFC 9114 §8.1
};

/// A stream may be opened again after open() has answered Error::too_many_streams.
struct StreamsAvailable {};

/// Packets to this connection ID are ours from now on; from ConnectionIdRetired on they no longer are.
struct ConnectionIdIssued {
    ConnectionId id;
};

struct ConnectionIdRetired {
    ConnectionId id;
};

/// The end of a migrate(): whether the peer has answered on that path (RFC 9000 §8.2).
struct PathValidated {
    PathId path;
    bool succeeded;
};

/// The answer has come on the path that is validated, for a connection ID that the peer has given up since, as it
/// does three probe timeouts of the path in use later: that path works, and QUIC will not say so.
struct PathAnsweredLate {
    PathId path;
};

/// current_path() has changed: by migrate(), or because the client has migrated (agent).
struct PathTaken {
    PathId path;
};

/// The connection is over and all its streams with it. Told once.
struct Closed {
    ErrorCode reason;
    std::string detail; ///< the library's words, for the log
};

using Event = std::variant<Connected, RequestReceived, ResponseReceived, Readable, Writable,
                           StreamReset, StreamsAvailable, ConnectionIdIssued, ConnectionIdRetired,
                           PathValidated, PathAnsweredLate, PathTaken, Closed>;

/// HTTP/3 error codes we send (RFC 9114 §8.1).
inline constexpr std::uint64_t h3_no_error = 0x100;
inline constexpr std::uint64_t h3_internal_error = 0x102;
inline constexpr std::uint64_t h3_request_cancelled = 0x10c;
inline constexpr std::uint64_t h3_message_error = 0x10e;
inline constexpr std::uint64_t h3_connect_error = 0x10f;

/// One QUIC connection (RFC 9000) with HTTP/3 requests on it (RFC 9114), as a value: packets,
/// time and randomness come in as arguments, packets and events are polled out.
///
/// The client opens requests; the server is the agent. Both ends authenticate each other by the
/// pins of their certificates (mutual TLS 1.3). Bytes of a request's stream are queued in both
/// directions; a stream's record lives until release().
///
/// Contract: call handle_*() or a command, then drain poll_transmit(), then poll_event(), then
/// wait until deadline(). A connection that is over keeps answering and does nothing.
class Connection {
public:
    struct Config {
        std::size_t largest_packet = 16'368; ///< in bytes; what any carrier will ever take
        std::uint64_t streams = 1'024;       ///< requests the peer may have open at once, pings among them
        std::size_t send_buffer = 256 * 1'024;           ///< unsent bytes kept per stream
        std::size_t receive_buffer = 64 * 1'024 * 1'024; ///< undelivered bytes of all streams
        Duration keep_alive = std::chrono::seconds{15};
        Duration handshake_timeout = std::chrono::seconds{30};
        CongestionControl congestion_control = CongestionControl::bbr; ///< of what we send
        std::array<std::byte, 4> id_prefix{}; ///< of all our connection IDs; zeros: random as well
    };

    struct Peer {
        std::shared_ptr<const Credentials> credentials; ///< ours
        crypto::Pin pin;                                ///< theirs
    };

    struct Transmit {
        std::size_t size = 0;         ///< bytes written to the block; 0: nothing to send now
        std::size_t segment_size = 0; ///< each packet's size, the last may be shorter
        PathId path{};                ///< where it has to go
        std::uint8_t ecn = 0;         ///< mark for all of its packets: the two bits of RFC 3168 §5
    };

    struct PathLimits {
        std::size_t mtu = 1'200; ///< largest packet, in bytes
        bool paced = true;       ///< off where the carrier pushes back by itself
    };

    enum class Migration {
        validated, ///< packets stay where they are until the peer has answered on the new path
        immediate, ///< at once, because the old path is dead
    };

    struct Statistics {
        Duration smoothed_rtt{};
        Duration latest_rtt{};
        bool has_rtt = false; ///< measured on this path; before that a guess
        Duration shortest_rtt{}; ///< what congestion control believes, if has_rtt
        /// Of packets that were sent on this path; the others count those of before as well.
        std::optional<Duration> own_shortest_rtt;
        std::uint64_t congestion_window = 0; ///< bytes
        std::uint64_t bytes_in_flight = 0;
        Duration probe_timeout{}; ///< RFC 9002 §6.2
        std::uint64_t datagrams_dropped = 0; ///< because a queue was full
        std::uint64_t bytes_sent = 0;        ///< in packets, with all overhead
        std::uint64_t bytes_received = 0;    ///< the same; of packets for this connection
        std::uint64_t packets_received = 0;  ///< after the handshake
        std::uint64_t packets_missing = 0;   ///< that the peer sent between those, and did not arrive
    };

    /// Begins on path 0. `random` must outlive the connection.
    static Result<Connection> client(const Config&, Peer, Instant now, Random& random);

    /// Waits for the client's first packet; the path it comes by is the first.
    static Connection server(const Config&, Peer, Instant now, Random& random);

    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;
    ~Connection();

    /// `train`: packets of `segment_size` bytes, the last may be shorter, that came by `path`, all
    /// marked with `ecn`.
    void handle_packets(Instant now, PathId path, Bytes train, std::size_t segment_size,
                        std::uint8_t ecn = 0);
    void handle_timeout(Instant now);

    /// A carrier is there again. Instead of waiting for the next probe timeout, which has backed off
    /// while packets vanished, what was lost is found out at once.
    void handle_path_restored(Instant now);

    /// Server: what would go by the path in use goes by this one from now on. For a client that is
    /// heard here, no longer there, and cannot be followed because it has no way to give us another
    /// connection ID: its packets say which one, and ours would be lost.
    void rebind(Instant now, PathId path);

    /// For trains on that path from now on. A path nobody has said anything about has the default.
    void set_limits(PathId path, PathLimits limits);

    /// Fills `block` with packets for one path: nearly always current_path(), else one that is being
    /// validated.
    Transmit poll_transmit(Instant now, MutableBytes block);

    /// The same, but without bytes of streams and datagrams: for a path that is being validated, while
    /// the current one cannot take anything.
    Transmit poll_control(Instant now, MutableBytes block);

    /// Moves the connection to another path (client; RFC 9000 §9). PathTaken tells of the move,
    /// PathValidated how it ended. Errors: Error::not_connected before the handshake is confirmed,
    /// Error::busy while another migration is being validated or no connection ID is left.
    Result<> migrate(Instant now, PathId path, Migration);

    [[nodiscard]] PathId current_path() const;
    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;

    [[nodiscard]] bool is_connected() const;
    [[nodiscard]] bool is_closed() const;

    /// How often a PING goes out on a connection that sends nothing else.
    void set_keep_alive(Duration interval);

    /// When the last packet came that passed authentication.
    [[nodiscard]] Instant last_authentic() const;

    /// When the peer last acknowledged something new: packets get through in both directions.
    [[nodiscard]] Instant last_acknowledged() const;
    [[nodiscard]] Statistics statistics() const;

    /// Sends a request. Errors: Error::not_connected, Error::too_many_streams.
    Result<StreamId> open(const Request&);

    /// Answers a request; a refusal ends the stream after it.
    void respond(StreamId, const Response&);

    /// How many more bytes the stream takes now. 0 arms a Writable event.
    std::size_t send_space(StreamId);

    /// Room at the end of the stream's queue, to be filled and committed before any other call.
    MutableBytes send_block(StreamId);
    void send_committed(StreamId, std::size_t n);

    /// No more bytes will follow: half-close.
    void shutdown_send(StreamId);

    /// Spans of what has been received; valid until consume(). Returns how many were stored.
    std::size_t received(StreamId, std::span<Bytes> spans);
    void consume(StreamId, std::size_t n);

    /// The peer has half-closed and every byte before has been consumed.
    [[nodiscard]] bool receive_ended(StreamId) const;

    /// Sends one UDP payload: as a DATAGRAM frame where it fits (RFC 9221), as a capsule on the stream
    /// otherwise (RFC 9297 §3.5). Returns false when a queue is full and the payload was dropped.
    bool send_datagram(StreamId, Bytes payload);
    std::optional<std::vector<std::byte>> receive_datagram(StreamId);

    /// Abandons both directions.
    void reset(StreamId, std::uint64_t code);

    /// The owner is done with the stream: whatever is unread is dropped, an unfinished stream is reset, bytes
    /// already sent are still delivered.
    void release(StreamId);

    /// Asks the peer for an answer (client): OPTIONS for `*`, the ping of RFC 9110 §9.3.7. Unlike QUIC's
    /// acknowledgements it comes only if the peer is able to send data. Errors: as open().
    Result<> ping();

    /// The last ping() has not been answered.
    [[nodiscard]] bool ping_waits() const;

    /// Ends the connection with one CONNECTION_CLOSE packet.
    void close(Instant now, std::uint64_t code);

    class Impl;

private:
    explicit Connection(std::unique_ptr<Impl>);

    std::unique_ptr<Impl> impl_;
};

} // namespace narrowlink::quic
