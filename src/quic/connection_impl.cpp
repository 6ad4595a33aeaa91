// Theory of operation
//
// Goals: drive ngtcp2 as a value. It never sees a socket, a real address or a clock.
//
// Time. ngtcp2 aborts when a timestamp is older than one before, so timestamps are clamped. Its time
// may be ahead of ours: when the path is restored it leaps to the next timer, because ngtcp2 has no
// other way to send a probe before its back-off has passed.
//
// Packet size. Shaping is off and each write is given the carrier's size as its room: a carrier's
// full size is used from the first packet, and PMTUD stays enabled only because ngtcp2 1.11
// asserts without it on a return to an old path.
//
// What goes out is in connection_transmit.cpp.
//
// States: waiting for the first packet (server, no conn_) → handshake → connected (http3_) →
// closing (one CONNECTION_CLOSE packet to write) → over.
//
// Probes. When its probe timeout fires and all that was in flight has been acknowledged in other
// packets, ngtcp2 (1.11, and still in 2026) sends no probe and stops its timer, but goes on counting
// the lost packets as in flight. With a full congestion window nothing would ever be sent again. So it
// is given a frame to send, one that changes nothing: room for one more unidirectional stream.
//
// Paths. The owner numbers them; what ngtcp2 sees are addresses of PathTable. Only a client migrates. A
// path is taken up by migrate() and left by another one; where ngtcp2 stands now is read off it after
// every call, by follow_path(). Recipe and reasons: docs/decisions/0008.
//
// Idle timeout: none. A connection has to survive outages of its carriers; who owns the connection
// watches last_authentic() and knows when a carrier was there to bring something.

#include "connection_impl.hpp"
#include "octets.hpp"

#include "narrowlink/wire/varint.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace narrowlink::quic {
namespace {

constexpr std::uint64_t stream_window = 1'024 * 1'024;
constexpr std::uint64_t largest_stream_window = 16 * 1'024 * 1'024;
constexpr std::uint64_t largest_datagram_frame = 65'535;
/// An acknowledgement costs each of three processes a wake-up and a system call, on the relay as
/// much as 64 KiB of data do. Few of them, then, but soon: the delay holds up slow start only.
constexpr std::size_t packets_per_ack = 16;
constexpr ngtcp2_duration ack_delay = 5 * NGTCP2_MILLISECONDS;

/// Counts packets that passed the AEAD: ngtcp2_conn_read_pkt returns 0 for forgeries too, and its
/// callback has no user pointer.
thread_local std::uint64_t opened_packets = 0;
thread_local std::uint64_t opened_challenges = 0; ///< those among them that begin with PATH_CHALLENGE

/// Of the one that passed last: the lowest bits of its number; no bits for one of the handshake.
struct TruncatedNumber {
    std::uint64_t value = 0;
    unsigned bits = 0;
};

thread_local TruncatedNumber opened_number;

/// Of a packet with a short header, which the AEAD has authenticated (RFC 9001 §5.3, RFC 9000 §17.3.1).
TruncatedNumber number_in(Bytes header)
{
    constexpr std::byte long_header{0x80}, length_bits{0x03};
    if (header.empty() || (header[0] & long_header) != std::byte{})
        return {};
    const std::size_t size = std::to_integer<std::size_t>(header[0] & length_bits) + 1;
    if (header.size() <= size)
        return {};
    TruncatedNumber number{.bits = static_cast<unsigned>(8 * size)};
    for (const std::byte byte : header.last(size))
        number.value = number.value << 8U | std::to_integer<std::uint64_t>(byte);
    return number;
}

constexpr std::uint8_t path_challenge = 0x1a; // RFC 9000 §19.17
constexpr std::uint8_t path_response = 0x1b;  // RFC 9000 §19.18

/// Of the one that passed last, if it begins with PATH_RESPONSE.
thread_local std::optional<ChallengeData> opened_response;

int count_opened(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
                 const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* ciphertext,
                 std::size_t length, const std::uint8_t* nonce, std::size_t nonce_length,
                 const std::uint8_t* aad, std::size_t aad_length)
{
    const int result = ngtcp2_crypto_decrypt_cb(dest, aead, context, ciphertext, length, nonce,
                                                nonce_length, aad, aad_length);
    if (result == 0) {
        ++opened_packets;
        opened_number = number_in(std::as_bytes(std::span{aad, aad_length}));
        if (length > aead->max_overhead && dest[0] == path_challenge)
            ++opened_challenges;
        opened_response.reset();
        if (length >= aead->max_overhead + 1 + sizeof(ChallengeData) && dest[0] == path_response)
            std::copy_n(dest + 1, sizeof(ChallengeData), opened_response.emplace().begin());
    }
    return result;
}

constexpr Duration longest_ack_delay = std::chrono::milliseconds{25}; // RFC 9000 §18.2, the default

ConnectionId as_array(const ngtcp2_cid& cid)
{
    ConnectionId id{};
    std::memcpy(id.data(), cid.data, std::min(id.size(), cid.datalen));
    return id;
}

/// The connection ID of a short-header packet (RFC 9000 §17.3); empty for others.
std::optional<ConnectionId> destination_of(Bytes packet)
{
    constexpr std::byte long_header{0x80};
    ConnectionId id;
    if (packet.size() < 1 + id.size() || (packet[0] & long_header) != std::byte{})
        return std::nullopt;
    std::copy_n(packet.begin() + 1, id.size(), id.begin());
    return id;
}

} // namespace

Connection::Impl::Impl(bool server, const Config& config, Peer peer, Instant now, Random& random)
    : server_{server}
    , config_{config}
    , peer_{std::move(peer)}
    , random_{&random}
    , last_authentic_{now}
    , last_acknowledged_{now}
{
    tls_owner_.expected_peer = peer_.pin;
    tls_owner_.conn_ref.get_conn = [](ngtcp2_crypto_conn_ref* ref) {
        auto* owner = static_cast<TlsSession::Owner*>(ref->user_data);
        return owner->connection;
    };
    ngtcp2_ccerr_default(&close_error_);
}

Connection::Impl::~Impl()
{
    http3_.reset();
    if (conn_ != nullptr)
        ngtcp2_conn_del(conn_);
}

ngtcp2_cid Connection::Impl::new_cid()
{
    auto bytes = random_->array<connection_id_size>();
    if (config_.id_prefix != decltype(config_.id_prefix){})
        std::ranges::copy(config_.id_prefix, bytes.begin());
    ngtcp2_cid cid;
    ngtcp2_cid_init(&cid, octets(Bytes{bytes}), bytes.size());
    return cid;
}

void Connection::Impl::issue(const ngtcp2_cid& cid)
{
    const ConnectionId id = as_array(cid);
    issued_.insert(id);
    events_.push_back(ConnectionIdIssued{id});
}

ngtcp2_tstamp Connection::Impl::timestamp(Instant now)
{
    const auto since_epoch = static_cast<ngtcp2_tstamp>((now + skipped_).time_since_epoch().count());
    latest_ = std::max(latest_, since_epoch);
    return latest_;
}

ngtcp2_callbacks Connection::Impl::callbacks(bool server)
{
    ngtcp2_callbacks c{};
    if (server)
        c.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    else
        c.client_initial = ngtcp2_crypto_client_initial_cb;
    c.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    c.encrypt = ngtcp2_crypto_encrypt_cb;
    c.decrypt = count_opened;
    c.hp_mask = ngtcp2_crypto_hp_mask_cb;
    c.recv_retry = ngtcp2_crypto_recv_retry_cb;
    c.update_key = ngtcp2_crypto_update_key_cb;
    c.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    c.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    c.get_path_challenge_data = [](ngtcp2_conn* conn, std::uint8_t* data, void* user) {
        const int result = ngtcp2_crypto_get_path_challenge_data_cb(conn, data, user);
        std::deque<ChallengeData>& challenges = of(user).challenges_;
        if (challenges.size() == most_challenges)
            challenges.pop_front();
        std::copy_n(data, sizeof(ChallengeData), challenges.emplace_back().begin());
        return result;
    };
    c.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    c.rand = [](std::uint8_t* block, std::size_t size, const ngtcp2_rand_ctx* context) {
        static_cast<Random*>(context->native_handle)
            ->fill(std::as_writable_bytes(std::span{block, size}));
    };
    c.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* cid, std::uint8_t* token,
                                 std::size_t size, void* user) {
        Random& random = *of(user).random_;
        if (size != connection_id_size)
            return NGTCP2_ERR_CALLBACK_FAILURE;
        *cid = of(user).new_cid();
        random.fill(std::as_writable_bytes(std::span{token, NGTCP2_STATELESS_RESET_TOKENLEN}));
        of(user).issue(*cid);
        return 0;
    };
    c.remove_connection_id = [](ngtcp2_conn*, const ngtcp2_cid* cid, void* user) {
        Impl& self = of(user);
        const ConnectionId id = as_array(*cid);
        if (self.issued_.erase(id) == 0)
            return 0;
        self.events_.push_back(ConnectionIdRetired{id});
        if (self.retired_.size() == most_retired)
            self.retired_.pop_front();
        self.retired_.push_back(id);
        return 0;
    };
    c.path_validation = [](ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path,
                           const ngtcp2_path*, ngtcp2_path_validation_result result, void* user) {
        Impl& self = of(user);
        const auto id = self.paths_.find(*path);
        if (self.server_ && id && result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS)
            self.events_.push_back(PathValidated{*id, true});
        if (self.server_ || !id || self.target_ != id)
            return 0; // of a migration that another one has overtaken
        self.target_.reset();
        if (result != NGTCP2_PATH_VALIDATION_RESULT_ABORTED)
            self.events_.push_back(
                PathValidated{*id, result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS});
        return 0;
    };
    c.handshake_completed = [](ngtcp2_conn*, void* user) { return of(user).start_http3(); };
    c.recv_stream_data = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t,
                            const std::uint8_t* data, std::size_t size, void* user, void*) {
        Impl& self = of(user);
        if (!self.http3_)
            return 0;
        return self.http3_result(
            self.http3_->handle_stream_data(id, std::as_bytes(std::span{data, size}),
                                            (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0));
    };
    c.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t,
                                    std::uint64_t size, void* user, void*) {
        Impl& self = of(user);
        if (self.http3_)
            self.http3_->handle_acknowledged(id, size);
        return 0;
    };
    c.stream_close = [](ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t code,
                        void* user, void*) {
        Impl& self = of(user);
        if ((flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) == 0)
            code = h3_no_error;
        return self.http3_ ? self.http3_result(self.http3_->handle_stream_closed(id, code)) : 0;
    };
    c.stream_reset = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code,
                        void* user, void*) {
        Impl& self = of(user);
        return self.http3_ ? self.http3_result(self.http3_->handle_stream_reset(id, code)) : 0;
    };
    c.extend_max_stream_data = [](ngtcp2_conn*, std::int64_t id, std::uint64_t, void* user,
                                  void*) {
        if (Impl& self = of(user); self.http3_)
            self.http3_->handle_credit(id);
        return 0;
    };
    c.extend_max_local_streams_bidi = [](ngtcp2_conn*, std::uint64_t, void* user) {
        if (Impl& self = of(user); self.http3_ && !self.server_)
            self.events_.push_back(StreamsAvailable{});
        return 0;
    };
    c.recv_datagram = [](ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t size,
                         void* user) {
        if (Impl& self = of(user); self.http3_)
            self.http3_->handle_datagram(std::as_bytes(std::span{data, size}));
        return 0;
    };
    return c;
}

ngtcp2_settings Connection::Impl::settings(Instant now) const
{
    ngtcp2_settings s;
    ngtcp2_settings_default(&s);
    s.initial_ts = static_cast<ngtcp2_tstamp>(now.time_since_epoch().count());
    s.cc_algo = is_ecn_obeyed() ? NGTCP2_CC_ALGO_CUBIC : NGTCP2_CC_ALGO_BBR;
    s.max_tx_udp_payload_size = config_.largest_packet;
    s.no_tx_udp_payload_size_shaping = 1;
    s.ack_thresh = packets_per_ack;
    s.max_stream_window = largest_stream_window;
    s.max_window = largest_stream_window;
    s.handshake_timeout = static_cast<ngtcp2_duration>(config_.handshake_timeout.count());
    s.rand_ctx.native_handle = random_;
    return s;
}

ngtcp2_transport_params Connection::Impl::transport_params() const
{
    ngtcp2_transport_params p;
    ngtcp2_transport_params_default(&p);
    p.initial_max_stream_data_bidi_local = stream_window;
    p.initial_max_stream_data_bidi_remote = stream_window;
    p.initial_max_stream_data_uni = 256 * 1'024;
    p.initial_max_data = largest_stream_window;
    p.initial_max_streams_bidi = server_ ? config_.streams : 0;
    p.initial_max_streams_uni = 3; // control, QPACK encoder and decoder, RFC 9114 §6.2
    p.max_idle_timeout = 0;
    p.max_ack_delay = ack_delay;
    p.max_udp_payload_size = 65'527;
    p.active_connection_id_limit = 8; // one is used up by every migration; ngtcp2 takes no more
    p.max_datagram_frame_size = largest_datagram_frame;
    return p;
}

Result<> Connection::Impl::attach_tls(TlsSession::Role role)
{
    tls_owner_.connection = conn_;
    auto session = TlsSession::make(role, *peer_.credentials, tls_owner_);
    if (!session)
        return session.error();
    tls_ = std::move(*session);
    ngtcp2_conn_set_tls_native_handle(conn_, tls_->native_handle());
    set_keep_alive();
    return {};
}

Result<> Connection::Impl::start_client(Instant now)
{
    timestamp(now);
    const ngtcp2_cid dcid = new_cid();
    const ngtcp2_cid scid = new_cid();
    issue(scid);
    const ngtcp2_path synthetic = paths_.open(current_path_);
    const ngtcp2_callbacks table = callbacks(false);
    const ngtcp2_settings s = settings(now);
    const ngtcp2_transport_params p = transport_params();
    if (ngtcp2_conn_client_new(&conn_, &dcid, &scid, &synthetic, NGTCP2_PROTO_VER_V1, &table, &s,
                               &p, nullptr, this) != 0)
        return make_error_code(Error::internal);
    return attach_tls(TlsSession::Role::client);
}

Result<> Connection::Impl::accept(Instant now, PathId path, Bytes packet)
{
    ngtcp2_pkt_hd header;
    if (ngtcp2_accept(&header, octets(packet), packet.size()) != 0)
        return make_error_code(Error::protocol_violation);
    timestamp(now);
    const ngtcp2_cid scid = new_cid();
    issue(scid);
    first_id_ = as_array(scid);
    current_path_ = path;
    const ngtcp2_path synthetic = paths_.arrival(path, first_id_);
    const ngtcp2_callbacks table = callbacks(true);
    const ngtcp2_settings s = settings(now);
    ngtcp2_transport_params p = transport_params();
    p.original_dcid = header.dcid;
    p.original_dcid_present = 1;
    if (ngtcp2_conn_server_new(&conn_, &header.scid, &scid, &synthetic, header.version, &table, &s,
                               &p, nullptr, this) != 0)
        return make_error_code(Error::internal);
    return attach_tls(TlsSession::Role::server);
}

int Connection::Impl::start_http3()
{
    http3_ = std::make_unique<Http3>(server_, config_, conn_, events_);
    if (!http3_->start())
        return NGTCP2_ERR_CALLBACK_FAILURE;
    events_.push_back(Connected{});
    return 0;
}

int Connection::Impl::http3_result(int result)
{
    if (result == 0)
        return 0;
    http3_error_ = result;
    return NGTCP2_ERR_CALLBACK_FAILURE;
}

void Connection::Impl::handle_packets(Instant now, PathId path, Bytes train,
                                      std::size_t segment_size, std::uint8_t ecn)
{
    while (!train.empty() && !over_) {
        const std::size_t size = std::min(segment_size, train.size());
        handle_packet(now, path, train.first(size), ecn);
        train = train.subspan(size);
    }
    if (http3_ && !over_)
        if (const int result = http3_->settle_acknowledged(); result < 0)
            fail_http3(result);
}

void Connection::Impl::handle_packet(Instant now, PathId path, Bytes packet, std::uint8_t ecn)
{
    if (closing_ || (conn_ == nullptr && (!server_ || !accept(now, path, packet))))
        return;
    const auto destination = destination_of(packet);
    if (destination && !issued_.contains(*destination)) {
        handle_late_packet(now, path, *destination, packet);
        return;
    }
    last_arrival_ = now;
    bytes_received_ += packet.size();

    // A client calls every packet one of the path in use: ngtcp2 drops those of paths that it has
    // left, although packets are authentic wherever they come from, and a server that lags behind
    // would never be heard again.
    ngtcp2_path_storage label;
    const ngtcp2_path origin = server_ ? paths_.arrival(path, destination.value_or(first_id_))
                                       : *ngtcp2_conn_get_path(conn_);
    ngtcp2_path_storage_init(&label, origin.local.addr, origin.local.addrlen, origin.remote.addr,
                             origin.remote.addrlen, nullptr);
    const ngtcp2_pkt_info info{.ecn = ecn};
    const std::uint64_t opened_before = opened_packets;
    const std::uint64_t challenges_before = opened_challenges;
    const ngtcp2_conn_info before = this->info();
    const ngtcp2_tstamp ts = timestamp(now);
    const int result =
        ngtcp2_conn_read_pkt(conn_, &label.path, &info, octets(packet), packet.size(), ts);
    if (opened_packets != opened_before) {
        last_authentic_ = std::max(last_authentic_, now);
        if (opened_number.bits != 0)
            arrivals_.handle(opened_number.value, opened_number.bits);
    }
    if (opened_challenges != challenges_before)
        unanswered_challenges_ = std::min(unanswered_challenges_ + 1, most_unanswered_challenges);
    // Nothing is sent while a packet is read, and losses are only declared with an acknowledgement.
    if (this->info().bytes_in_flight < before.bytes_in_flight) {
        last_acknowledged_ = std::max(last_acknowledged_, now);
        note_round_trip(before.latest_rtt, ts);
    }
    if (result != 0)
        fail(result);
    follow_path();
}

/// ngtcp2 opens it and throws it away, because of where it is addressed to. Does it answer a challenge?
void Connection::Impl::handle_late_packet(Instant now, PathId path, const ConnectionId& to,
                                          Bytes packet)
{
    if (server_ || target_ != path || path == current_path_ || !is_connected() ||
        std::ranges::find(retired_, to) == retired_.end())
        return;
    opened_response.reset();
    const ngtcp2_pkt_info info{};
    const int result = ngtcp2_conn_read_pkt(conn_, ngtcp2_conn_get_path(conn_), &info,
                                            octets(packet), packet.size(), timestamp(now));
    if (result != 0)
        fail(result);
    else if (opened_response &&
             std::ranges::find(challenges_, *opened_response) != challenges_.end())
        events_.push_back(PathAnsweredLate{path});
}

/// A round trip that is longer than the time on this path began on the one before.
void Connection::Impl::note_round_trip(ngtcp2_duration before, ngtcp2_tstamp ts)
{
    const ngtcp2_duration latest = info().latest_rtt;
    if (latest == 0 || latest == before || latest > ts - path_taken_at_)
        return; // 0: ngtcp2 has just left the path
    const Duration round_trip{static_cast<Duration::rep>(latest)};
    own_shortest_rtt_ = std::min(own_shortest_rtt_.value_or(round_trip), round_trip);
}

ngtcp2_conn_info Connection::Impl::info() const
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(conn_, &info);
    return info;
}

void Connection::Impl::follow_path()
{
    if (conn_ == nullptr || over_)
        return;
    const ngtcp2_path& address = *ngtcp2_conn_get_path(conn_);
    const auto path = paths_.find(address);
    if (!path)
        return;
    const std::uint32_t number = PathTable::number_of(address);
    if (std::exchange(path_number_, number) != number || *path != current_path_) {
        next_send_ = {}; // it was by the round trip of the path before
        own_shortest_rtt_.reset();
        path_taken_at_ = latest_;
    }
    if (*path == current_path_)
        return;
    current_path_ = *path;
    events_.push_back(PathTaken{*path});
}

Result<> Connection::Impl::migrate(Instant now, PathId path, Migration how)
{
    if (server_ || !is_connected())
        return make_error_code(Error::not_connected);
    if (target_ && how == Migration::validated)
        return make_error_code(Error::busy);
    const ngtcp2_path fresh = paths_.open(path);
    const auto call = how == Migration::validated ? ngtcp2_conn_initiate_migration
                                                  : ngtcp2_conn_initiate_immediate_migration;
    const int result = call(conn_, &fresh, timestamp(now));
    if (result != 0)
        paths_.take_back(); // else retries would push the path in use out of the table
    switch (result) {
    case 0: break;
    case NGTCP2_ERR_CONN_ID_BLOCKED:
        if (how == Migration::validated)
            return make_error_code(Error::busy);
        // The peer has not been reached for so long that no connection ID is left. As when a NAT
        // rebinds (RFC 9000 §9.5): the same one, from elsewhere. So is a validation of the path.
        if (target_ == current_path_)
            target_ = path;
        rebind(now, path);
        return {};
    case NGTCP2_ERR_INVALID_STATE: return make_error_code(Error::not_connected);
    default: return make_error_code(Error::internal);
    }
    challenges_.clear(); // the new ones are made when they are written
    target_ = path;
    follow_path();
    return {};
}

void Connection::Impl::rebind(Instant now, PathId path)
{
    if (!is_connected())
        return;
    paths_.rebind(*ngtcp2_conn_get_path(conn_), path);
    follow_path();
    handle_path_restored(now);
}

void Connection::Impl::handle_timeout(Instant now)
{
    if (conn_ == nullptr || closing_ || over_)
        return;
    const ngtcp2_tstamp ts = timestamp(now);
    if (ngtcp2_conn_get_expiry(conn_) > ts)
        return;
    if (now - last_arrival_ > longest_ack_delay) // else it may be time for an acknowledgement
        make_probe_worthwhile();
    if (const int result = ngtcp2_conn_handle_expiry(conn_, ts); result != 0)
        fail(result);
    follow_path();
}

void Connection::Impl::handle_path_restored(Instant now)
{
    handle_timeout(now);
    if (!is_connected())
        return; // during a handshake the next timer may be the one that ends it
    make_probe_worthwhile();
    // Its PING would have to wait for the congestion window; a probe does not.
    ngtcp2_conn_set_keep_alive_timeout(conn_, UINT64_MAX);
    // Before the probe timeout there is at most a delayed acknowledgement.
    bool acknowledged = true;
    for (int leaps = 0; leaps < 2 && acknowledged && is_connected(); ++leaps) {
        const Instant next = deadline();
        if (next == never || next <= now)
            break;
        const Duration leap = next - now;
        skipped_ += leap;
        handle_timeout(now);
        acknowledged = leap <= longest_ack_delay;
    }
    set_keep_alive();
}

void Connection::Impl::make_probe_worthwhile()
{
    if (const ngtcp2_conn_info now = info(); is_connected() && now.bytes_in_flight >= now.cwnd)
        ngtcp2_conn_extend_max_streams_uni(conn_, 1);
}

void Connection::Impl::set_keep_alive(Duration interval)
{
    config_.keep_alive = interval;
    if (conn_ != nullptr && !over_)
        set_keep_alive();
}

void Connection::Impl::set_keep_alive()
{
    ngtcp2_conn_set_keep_alive_timeout(conn_,
                                       static_cast<ngtcp2_duration>(config_.keep_alive.count()));
}

void Connection::Impl::fail_http3(int library_error)
{
    ngtcp2_ccerr_set_application_error(
        &close_error_, nghttp3_err_infer_quic_app_error_code(library_error), nullptr, 0);
    closing_ = true;
    end(make_error_code(Error::protocol_violation), nghttp3_strerror(library_error));
}

void Connection::Impl::fail(int library_error)
{
    if (closing_ || over_)
        return;
    if (library_error == NGTCP2_ERR_CALLBACK_FAILURE && http3_error_ != 0) {
        fail_http3(http3_error_);
        return;
    }
    const char* detail = ngtcp2_strerror(library_error);
    if (library_error == NGTCP2_ERR_DRAINING) {
        const ngtcp2_ccerr* peer_error = ngtcp2_conn_get_ccerr(conn_);
        const bool rejected = !server_ && peer_error->type == NGTCP2_CCERR_TYPE_TRANSPORT &&
                              (peer_error->error_code & ~0xffU) == NGTCP2_CRYPTO_ERROR;
        over_ = true;
        end(make_error_code(rejected ? Error::rejected_by_peer : Error::closed_by_peer), detail);
        return;
    }
    if (library_error == NGTCP2_ERR_DROP_CONN || library_error == NGTCP2_ERR_IDLE_CLOSE ||
        library_error == NGTCP2_ERR_HANDSHAKE_TIMEOUT) {
        over_ = true;
        end(make_error_code(Error::timed_out), detail);
        return;
    }
    if (library_error == NGTCP2_ERR_CRYPTO) {
        ngtcp2_ccerr_set_tls_alert(&close_error_, ngtcp2_conn_get_tls_alert(conn_), nullptr, 0);
        closing_ = true;
        end(make_error_code(tls_owner_.wrong_peer ? Error::wrong_peer : Error::handshake_failed),
            detail);
        return;
    }
    ngtcp2_ccerr_set_liberr(&close_error_, library_error, nullptr, 0);
    closing_ = true;
    end(make_error_code(ngtcp2_err_is_fatal(library_error) != 0 ? Error::internal
                                                                : Error::protocol_violation),
        detail);
}

void Connection::Impl::end(ErrorCode reason, std::string detail)
{
    events_.push_back(Closed{reason, std::move(detail)});
}

void Connection::Impl::close(Instant, std::uint64_t code)
{
    if (closing_ || over_)
        return;
    if (conn_ == nullptr) {
        over_ = true;
    } else {
        ngtcp2_ccerr_set_application_error(&close_error_, code, nullptr, 0);
        closing_ = true;
    }
    end(make_error_code(Error::closed_locally), {});
}

std::optional<Event> Connection::Impl::poll_event()
{
    if (events_.empty())
        return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Instant Connection::Impl::deadline() const
{
    if (conn_ == nullptr || over_)
        return never;
    if (closing_)
        return Instant{}; // at once
    const Instant paced = pacing_blocked_ ? next_send_ : never;
    const ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(conn_);
    if (expiry >= static_cast<ngtcp2_tstamp>(std::numeric_limits<Duration::rep>::max()))
        return paced;
    return std::min(paced, Instant{Duration{static_cast<Duration::rep>(expiry)}} - skipped_);
}

Connection::Statistics Connection::Impl::statistics() const
{
    Statistics s;
    s.bytes_sent = bytes_sent_;
    s.bytes_received = bytes_received_;
    s.packets_received = arrivals_.arrived();
    s.packets_missing = arrivals_.missing();
    s.datagrams_dropped = datagrams_dropped_ + (http3_ ? http3_->datagrams_dropped() : 0);
    if (conn_ == nullptr)
        return s;
    const ngtcp2_conn_info info = this->info();
    s.smoothed_rtt = Duration{static_cast<Duration::rep>(info.smoothed_rtt)};
    s.latest_rtt = Duration{static_cast<Duration::rep>(info.latest_rtt)};
    s.has_rtt = info.min_rtt != UINT64_MAX;
    if (s.has_rtt)
        s.shortest_rtt = Duration{static_cast<Duration::rep>(info.min_rtt)};
    s.own_shortest_rtt = own_shortest_rtt_;
    s.congestion_window = info.cwnd;
    s.bytes_in_flight = info.bytes_in_flight;
    s.probe_timeout = Duration{static_cast<Duration::rep>(ngtcp2_conn_get_pto(conn_))};
    return s;
}

} // namespace narrowlink::quic
