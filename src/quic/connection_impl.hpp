#pragma once

#include "arrival_count.hpp"
#include "http3.hpp"
#include "path_table.hpp"
#include "tls.hpp"

#include "narrowlink/quic/connection.hpp"

#include <array>
#include <deque>
#include <map>
#include <set>

#include <ngtcp2/ngtcp2.h>

namespace narrowlink::quic {

using ChallengeData = std::array<std::uint8_t, 8>; ///< RFC 9000 §19.17

/// The QUIC half of a connection: packets, timers, keys, and the calls of ngtcp2.
class Connection::Impl {
public:
    Impl(bool server, const Config&, Peer, Instant now, Random&);
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<> start_client(Instant now);
    void handle_packets(Instant now, PathId path, Bytes train, std::size_t segment_size,
                        std::uint8_t ecn);
    void handle_timeout(Instant now);
    void handle_path_restored(Instant now);
    void rebind(Instant now, PathId path);
    void set_limits(PathId path, PathLimits limits);
    Transmit poll_transmit(Instant now, MutableBytes block);
    Transmit poll_control(Instant now, MutableBytes block);
    Result<> migrate(Instant now, PathId path, Migration how);
    void set_keep_alive(Duration interval);
    std::optional<Event> poll_event();
    [[nodiscard]] Instant deadline() const;
    [[nodiscard]] Statistics statistics() const;
    bool send_datagram(StreamId, Bytes payload);
    void close(Instant now, std::uint64_t code);

    [[nodiscard]] bool is_connected() const { return http3_ != nullptr && !over_ && !closing_; }

    [[nodiscard]] bool is_closed() const { return over_; }

    [[nodiscard]] Instant last_authentic() const { return last_authentic_; }

    [[nodiscard]] Instant last_acknowledged() const { return last_acknowledged_; }

    [[nodiscard]] PathId current_path() const { return current_path_; }

    /// Null before the handshake is complete.
    Http3* http3() { return over_ ? nullptr : http3_.get(); }

private:
    struct Datagram {
        std::array<std::byte, 9> prefix; ///< quarter stream ID and context ID
        std::size_t prefix_size;
        std::vector<std::byte> payload;
    };

    static constexpr std::size_t most_datagram_bytes = 1'024 * 1'024;
    static constexpr int most_unanswered_challenges = 4; ///< ngtcp2 keeps no more
    static constexpr std::size_t most_retired = 16;
    static constexpr std::size_t most_challenges = 16;
    static constexpr std::size_t connection_id_size = std::tuple_size_v<ConnectionId>;

    static ngtcp2_callbacks callbacks(bool server);
    static Impl& of(void* user) { return *static_cast<Impl*>(user); }

    [[nodiscard]] ngtcp2_settings settings(Instant now) const;
    [[nodiscard]] ngtcp2_transport_params transport_params() const;
    ngtcp2_cid new_cid();
    void issue(const ngtcp2_cid&);
    [[nodiscard]] const PathLimits& limits() const;
    [[nodiscard]] std::size_t room_of_next_packet() const;
    /// Marks are sent only by who slows down when they come back changed (RFC 9002 §7.1): ngtcp2's
    /// BBR does not.
    [[nodiscard]] bool is_ecn_obeyed() const
    {
        return config_.congestion_control == CongestionControl::cubic;
    }

    void note_written(std::size_t size);
    [[nodiscard]] ngtcp2_conn_info info() const;
    void note_round_trip(ngtcp2_duration before, ngtcp2_tstamp ts);
    void handle_late_packet(Instant now, PathId path, const ConnectionId& to, Bytes packet);
    void pace(Instant now, std::size_t sent);
    void follow_path();
    ngtcp2_tstamp timestamp(Instant now);
    void set_keep_alive();
    void make_probe_worthwhile();
    Result<> accept(Instant now, PathId path, Bytes packet);
    Result<> attach_tls(TlsSession::Role);
    int start_http3();
    void handle_packet(Instant now, PathId path, Bytes packet, std::uint8_t ecn);
    ngtcp2_ssize write_packet(ngtcp2_tstamp, MutableBytes place, ngtcp2_path*, ngtcp2_pkt_info&,
                              bool& datagram);
    ngtcp2_ssize write_datagram(ngtcp2_tstamp, MutableBytes place, ngtcp2_path*, ngtcp2_pkt_info&,
                                bool& accepted);
    ngtcp2_ssize write_close(ngtcp2_tstamp, MutableBytes place);
    [[nodiscard]] Transmit take_held(MutableBytes block);
    void fail(int library_error);
    void fail_http3(int library_error);
    void end(ErrorCode reason, std::string detail);
    int http3_result(int result);

    bool server_;
    Config config_;
    Peer peer_;
    Random* random_;
    TlsSession::Owner tls_owner_;
    std::unique_ptr<TlsSession> tls_;
    ngtcp2_conn* conn_ = nullptr;
    std::unique_ptr<Http3> http3_;
    int http3_error_ = 0; ///< what nghttp3 said inside a callback of ngtcp2
    std::deque<Event> events_;
    std::deque<Datagram> datagrams_; ///< to be sent
    std::size_t datagram_bytes_ = 0;
    std::uint64_t datagrams_dropped_ = 0;
    std::uint64_t bytes_sent_ = 0, bytes_received_ = 0;
    ArrivalCount arrivals_;
    ngtcp2_tstamp latest_ = 0; ///< ngtcp2 aborts when time goes back
    Duration skipped_{};       ///< by how much ngtcp2's time is ahead of ours
    Instant last_authentic_;
    Instant last_acknowledged_;
    Instant last_arrival_{};
    PathTable paths_;
    PathId current_path_{};
    std::uint32_t path_number_ = 0; ///< in paths_: the same one may be taken up anew
    ngtcp2_tstamp path_taken_at_ = 0;
    std::optional<Duration> own_shortest_rtt_; ///< of what was sent since
    std::map<PathId, PathLimits> limits_;
    std::set<ConnectionId> issued_;    ///< what a packet may be addressed to
    std::deque<ConnectionId> retired_; ///< the last that were, see PathAnsweredLate
    std::deque<ChallengeData> challenges_; ///< the last ones since migrate()
    std::vector<std::byte> held_;   ///< a packet that came up while a train for another path was filled
    PathId held_path_{};
    std::uint8_t held_ecn_ = 0;
    Instant next_send_{};           ///< by pacing
    bool pacing_blocked_ = false;   ///< something may wait for that
    std::optional<PathId> target_;  ///< of a migrate() that has not ended
    ConnectionId first_id_{};       ///< server: its first one
    int unanswered_challenges_ = 0; ///< about as many packets with a PATH_RESPONSE are to come
    bool closing_ = false; ///< a CONNECTION_CLOSE packet is still to be written
    bool over_ = false;
    ngtcp2_ccerr close_error_{};
};

} // namespace narrowlink::quic
