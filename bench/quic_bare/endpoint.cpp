// Theory of operation
//
// Goal: what ngtcp2 moves over one path on this machine when nothing stands above it: the yardstick
// for direct paths.
//
// One thread, one turn after the other: what has arrived goes to ngtcp2, what it has to send goes
// out in trains, then the turn waits for the next arrival or for ngtcp2's timer. Both ends have the
// same key, made from a fixed seed, so that each knows the other's pin.
//
// The settings are those of the product (src/quic/connection_impl.cpp) where these exist: windows,
// how often to acknowledge, and CUBIC unless another is asked for. Pacing is ngtcp2's own. The size
// of packets is given; there is no search for it, and nothing that is larger than the path's MTU
// ever arrives.

#include "endpoint.hpp"

#include "narrowlink/crypto/identity.hpp"
#include "narrowlink/crypto/random.hpp"

#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>

namespace narrowlink::bench {

namespace {

constexpr std::uint64_t window = 16 << 20; ///< bytes
constexpr std::uint64_t first_stream_window = 1 << 20;
constexpr std::size_t packets_per_ack = 16;
constexpr ngtcp2_duration ack_delay = 5 * NGTCP2_MILLISECONDS;
constexpr std::size_t most_segments = 64;     // of one train, udp(7)
constexpr std::size_t longest_train = 65'507; // what one IPv4 packet holds
constexpr std::size_t connection_id_size = 8;
constexpr int copies_of_close = 16; // nobody answers it, and some paths lose packets

crypto::SystemRandom system_random;

/// Any sequence will do: the key protects nothing but a measurement.
class FixedRandom final : public Random {
public:
    void fill(MutableBytes block) override
    {
        for (std::byte& byte : block) {
            state_ = state_ * 69'069 + 12'345;
            byte = static_cast<std::byte>(state_ >> 24);
        }
    }

private:
    std::uint32_t state_ = 1;
};

ngtcp2_tstamp now()
{
    return static_cast<ngtcp2_tstamp>(
        std::chrono::nanoseconds{Clock::now().time_since_epoch()}.count());
}

std::uint8_t* octets(std::span<std::byte> bytes)
{
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

const std::uint8_t* octets(std::span<const std::byte> bytes)
{
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

void check(ngtcp2_ssize result, const char* what)
{
    if (result < 0)
        fail(std::string{what} + ": " + ngtcp2_strerror(static_cast<int>(result)));
}

ngtcp2_cid random_cid()
{
    const auto bytes = system_random.array<connection_id_size>();
    ngtcp2_cid cid;
    ngtcp2_cid_init(&cid, octets(std::span{bytes}), bytes.size());
    return cid;
}

} // namespace

Endpoint::Endpoint(const Options& options)
    : options_{options}
    , socket_{options.local}
    , local_{parse_address(socket_.local())}
    , block_(longest_train)
    , payload_(random_chunk())
{
    FixedRandom fixed;
    const auto identity = crypto::Identity::make_ed25519(UnixTime{}, fixed);
    if (!identity)
        fail("no key: " + identity.error().message());
    const auto credentials = quic::Credentials::load(*identity);
    if (!credentials)
        fail("no credentials: " + credentials.error().message());
    credentials_ = *credentials;
    tls_owner_.expected_peer = identity->pin;
    tls_owner_.conn_ref.get_conn = [](ngtcp2_crypto_conn_ref* ref) {
        return static_cast<quic::TlsSession::Owner*>(ref->user_data)->connection;
    };
}

Endpoint::Endpoint(const Options& options, const std::string& remote) : Endpoint{options}
{
    remote_ = parse_address(remote);
    const ngtcp2_cid destination = random_cid();
    const ngtcp2_cid source = random_cid();
    const ngtcp2_path on = path();
    const ngtcp2_callbacks table = callbacks(false);
    const ngtcp2_settings chosen = settings();
    const ngtcp2_transport_params parameters = transport_params();
    check(ngtcp2_conn_client_new(&conn_, &destination, &source, &on, NGTCP2_PROTO_VER_V1, &table,
                                 &chosen, &parameters, nullptr, this),
          "ngtcp2_conn_client_new");
    attach(quic::TlsSession::Role::client);
}

Endpoint::~Endpoint()
{
    tls_.reset();
    if (conn_ != nullptr)
        ngtcp2_conn_del(conn_);
}

ngtcp2_callbacks Endpoint::callbacks(bool server)
{
    ngtcp2_callbacks table{};
    if (server)
        table.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    else
        table.client_initial = ngtcp2_crypto_client_initial_cb;
    table.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    table.encrypt = ngtcp2_crypto_encrypt_cb;
    table.decrypt = ngtcp2_crypto_decrypt_cb;
    table.hp_mask = ngtcp2_crypto_hp_mask_cb;
    table.recv_retry = ngtcp2_crypto_recv_retry_cb;
    table.update_key = ngtcp2_crypto_update_key_cb;
    table.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    table.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    table.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    table.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    table.rand = [](std::uint8_t* block, std::size_t size, const ngtcp2_rand_ctx*) {
        system_random.fill(std::as_writable_bytes(std::span{block, size}));
    };
    table.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* cid, std::uint8_t* token,
                                     std::size_t, void*) {
        *cid = random_cid();
        system_random.fill(
            std::as_writable_bytes(std::span{token, NGTCP2_STATELESS_RESET_TOKENLEN}));
        return 0;
    };
    table.recv_stream_data = [](ngtcp2_conn* conn, std::uint32_t, std::int64_t stream,
                                std::uint64_t, const std::uint8_t*, std::size_t size, void* user,
                                void*) {
        of(user).received_ += size;
        ngtcp2_conn_extend_max_stream_offset(conn, stream, size);
        ngtcp2_conn_extend_max_offset(conn, size);
        return 0;
    };
    table.acked_stream_data_offset = [](ngtcp2_conn*, std::int64_t, std::uint64_t,
                                        std::uint64_t size, void* user, void*) {
        of(user).acknowledged_ += size;
        return 0;
    };
    return table;
}

ngtcp2_settings Endpoint::settings() const
{
    ngtcp2_settings chosen;
    ngtcp2_settings_default(&chosen);
    chosen.initial_ts = now();
    chosen.cc_algo = options_.congestion;
    chosen.max_tx_udp_payload_size = std::max(options_.segment, options_.payload);
    chosen.no_tx_udp_payload_size_shaping = 1;
    chosen.no_pmtud = 1;
    chosen.ack_thresh = packets_per_ack;
    chosen.max_window = window;
    chosen.max_stream_window = window;
    return chosen;
}

ngtcp2_transport_params Endpoint::transport_params()
{
    ngtcp2_transport_params parameters;
    ngtcp2_transport_params_default(&parameters);
    parameters.initial_max_streams_uni = 1;
    parameters.initial_max_stream_data_uni = first_stream_window;
    parameters.initial_max_data = window;
    parameters.max_udp_payload_size = 65'527;
    parameters.max_ack_delay = ack_delay;
    parameters.max_idle_timeout = static_cast<ngtcp2_duration>(patience.count()) * NGTCP2_SECONDS;
    return parameters;
}

void Endpoint::attach(quic::TlsSession::Role role)
{
    tls_owner_.connection = conn_;
    auto session = quic::TlsSession::make(role, *credentials_, tls_owner_);
    if (!session)
        fail("no TLS: " + session.error().message());
    tls_ = std::move(*session);
    ngtcp2_conn_set_tls_native_handle(conn_, tls_->native_handle());
}

void Endpoint::accept(const DatagramSocket::Arrival& arrival)
{
    remote_ = arrival.from;
    ngtcp2_pkt_hd header;
    check(ngtcp2_accept(&header, octets(arrival.train), arrival.segment_size), "ngtcp2_accept");
    const ngtcp2_cid source = random_cid();
    const ngtcp2_path on = path();
    const ngtcp2_callbacks table = callbacks(true);
    const ngtcp2_settings chosen = settings();
    ngtcp2_transport_params parameters = transport_params();
    parameters.original_dcid = header.dcid;
    parameters.original_dcid_present = 1;
    check(ngtcp2_conn_server_new(&conn_, &header.scid, &source, &on, header.version, &table,
                                 &chosen, &parameters, nullptr, this),
          "ngtcp2_conn_server_new");
    attach(quic::TlsSession::Role::server);
}

ngtcp2_path Endpoint::path()
{
    return {{reinterpret_cast<ngtcp2_sockaddr*>(&local_), sizeof local_},
            {reinterpret_cast<ngtcp2_sockaddr*>(&remote_), sizeof remote_},
            nullptr};
}

/// Receives once, sends all that may go now, and waits until there is a reason for another turn.
void Endpoint::turn()
{
    if (conn_ != nullptr) {
        const ngtcp2_tstamp present = now(), due = ngtcp2_conn_get_expiry(conn_);
        if (due <= present)
            check(ngtcp2_conn_handle_expiry(conn_, present), "the connection is lost");
        transmit();
    }
    const ngtcp2_tstamp due = conn_ != nullptr ? ngtcp2_conn_get_expiry(conn_) : UINT64_MAX;
    const ngtcp2_tstamp present = now();
    const ngtcp2_tstamp longest =
        static_cast<ngtcp2_tstamp>(std::chrono::nanoseconds{patience}.count());
    const ngtcp2_tstamp pause = due <= present ? 0 : std::min(due - present, longest);
    if (!socket_.wait(std::chrono::nanoseconds{pause})) {
        if (pause == longest)
            fail("nothing arrived for " + std::to_string(patience.count()) + " s");
        return;
    }
    for (const DatagramSocket::Arrival& arrival : socket_.receive())
        handle(arrival);
}

void Endpoint::handle(const DatagramSocket::Arrival& arrival)
{
    if (conn_ == nullptr)
        accept(arrival);
    const ngtcp2_path on = path();
    const ngtcp2_pkt_info info{};
    std::span rest = arrival.train;
    while (!rest.empty() && !closed_) {
        const auto packet = rest.first(std::min(rest.size(), arrival.segment_size));
        rest = rest.subspan(packet.size());
        const int result =
            ngtcp2_conn_read_pkt(conn_, &on, &info, octets(packet), packet.size(), now());
        if (result == NGTCP2_ERR_DRAINING)
            closed_ = true;
        else
            check(result, "a packet was refused");
    }
}

ngtcp2_ssize Endpoint::write_packet(std::span<std::byte> place)
{
    const std::span<const std::byte> all{payload_};
    const auto rest = all.subspan(sent_ % all.size());
    ngtcp2_vec data[] = {{const_cast<std::uint8_t*>(octets(rest)), rest.size()},
                         {const_cast<std::uint8_t*>(octets(all)), all.size() - rest.size()}};
    const bool has_data = stream_ >= 0 && sending_;
    const bool end = stream_ >= 0 && !sending_ && !ended_;
    ngtcp2_ssize accepted = -1;
    const ngtcp2_ssize size = ngtcp2_conn_writev_stream(
        conn_, nullptr, nullptr, octets(place), place.size(), &accepted,
        end ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE,
        has_data || end ? stream_ : -1, data, has_data ? 2 : 0, now());
    if (size == NGTCP2_ERR_STREAM_DATA_BLOCKED)
        return ngtcp2_conn_writev_stream(conn_, nullptr, nullptr, octets(place), place.size(),
                                         nullptr, NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0,
                                         now());
    if (accepted >= 0) {
        sent_ += static_cast<std::uint64_t>(accepted);
        ended_ = ended_ || end;
    }
    return size;
}

void Endpoint::transmit()
{
    for (;;) {
        const std::size_t most =
            std::clamp(ngtcp2_conn_get_send_quantum(conn_), options_.payload, block_.size());
        std::size_t filled = 0, segment = 0;
        for (std::size_t count = 0; count < most_segments && filled + options_.payload <= most;
             ++count) {
            const ngtcp2_ssize written = write_packet(
                std::span{block_}.subspan(filled, segment != 0 ? segment : options_.payload));
            check(written, "no packet could be written");
            const auto size = static_cast<std::size_t>(written);
            filled += size;
            if (segment == 0)
                segment = size;
            if (size == 0 || size < segment)
                break;
        }
        if (filled == 0)
            return;
        ngtcp2_conn_update_pkt_tx_time(conn_, now());
        socket_.send(remote_, std::span{block_}.first(filled), segment);
    }
}

std::uint64_t Endpoint::receive_all()
{
    while (!closed_)
        turn();
    return received_;
}

void Endpoint::open_stream()
{
    while (ngtcp2_conn_get_handshake_completed(conn_) == 0 ||
           ngtcp2_conn_get_streams_uni_left(conn_) == 0)
        turn();
    check(ngtcp2_conn_open_uni_stream(conn_, &stream_, nullptr), "ngtcp2_conn_open_uni_stream");
}

std::uint64_t Endpoint::send_for(std::chrono::milliseconds duration)
{
    const auto deadline = Clock::now() + duration;
    sending_ = true;
    while (Clock::now() < deadline)
        turn();
    sending_ = false;
    while (!ended_ || acknowledged_ < sent_)
        turn();
    return sent_;
}

void Endpoint::close()
{
    ngtcp2_ccerr reason;
    ngtcp2_ccerr_default(&reason);
    const ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
        conn_, nullptr, nullptr, octets(std::span{block_}), options_.payload, &reason, now());
    check(size, "ngtcp2_conn_write_connection_close");
    for (int copy = 0; copy < copies_of_close; ++copy)
        socket_.send(remote_, std::span{block_}.first(static_cast<std::size_t>(size)),
                     static_cast<std::size_t>(size));
}

} // namespace narrowlink::bench
