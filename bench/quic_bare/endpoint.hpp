#pragma once

#include "datagram_socket.hpp"
#include "tls.hpp" // of src/quic: the yardstick encrypts with the same library and settings

#include <ngtcp2/ngtcp2.h>

#include <memory>
#include <optional>

namespace narrowlink::bench {

/// One end of a QUIC connection (RFC 9000) and its UDP socket: ngtcp2 and nothing else.
///
/// One unidirectional stream goes from the client to the server. ngtcp2's own pacing; packets of
/// one fixed size. Throws on every failure.
class Endpoint {
public:
    struct Options {
        std::string local;           ///< IPV4:PORT
        std::size_t payload = 1'472; ///< bytes of UDP payload of a full packet
        std::size_t segment = 0;     ///< bytes, see quic_bare.cpp; at least `payload`
        ngtcp2_cc_algo congestion = NGTCP2_CC_ALGO_CUBIC;
    };

    /// A server: the first packet decides who the peer is.
    explicit Endpoint(const Options&);

    /// A client of the server at `remote`.
    Endpoint(const Options&, const std::string& remote);

    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;
    ~Endpoint();

    [[nodiscard]] std::string local() const { return socket_.local(); }

    /// Server: until the stream has ended and the peer has closed. Returns the bytes received.
    std::uint64_t receive_all();

    /// Client: handshake, and the stream is open.
    void open_stream();

    /// Client: sends for so long, then waits until every byte is acknowledged. Returns their
    /// number.
    std::uint64_t send_for(std::chrono::milliseconds duration);

    /// Client: tells the server that it is over.
    void close();

private:
    static Endpoint& of(void* user) { return *static_cast<Endpoint*>(user); }

    static ngtcp2_callbacks callbacks(bool server);
    [[nodiscard]] ngtcp2_settings settings() const;
    [[nodiscard]] static ngtcp2_transport_params transport_params();
    void attach(quic::TlsSession::Role role);
    void accept(const DatagramSocket::Arrival&);
    ngtcp2_path path();
    void turn();
    void handle(const DatagramSocket::Arrival&);
    void transmit();
    ngtcp2_ssize write_packet(std::span<std::byte> place);

    Options options_;
    DatagramSocket socket_;
    sockaddr_in local_{};
    sockaddr_in remote_{};
    std::shared_ptr<const quic::Credentials> credentials_;
    quic::TlsSession::Owner tls_owner_;
    std::unique_ptr<quic::TlsSession> tls_;
    ngtcp2_conn* conn_ = nullptr;
    std::vector<std::byte> block_;   ///< a train to be sent
    std::vector<std::byte> payload_; ///< what the stream repeats, so that nothing has to be kept
    std::int64_t stream_ = -1;
    bool sending_ = false;
    bool ended_ = false; ///< our stream has its end written
    bool closed_ = false;
    std::uint64_t sent_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t received_ = 0;
};

} // namespace narrowlink::bench
