#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/buffer.hpp"
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace narrowlink::io {

enum class MessageKind : std::uint8_t { text, binary };

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER (RFC 7469 §2.4).
using CertificatePin = std::array<std::byte, 32>;

/// Why no WebSocket to a gateway came about.
enum class WebFailure : std::uint8_t {
    name_not_resolved = 1,
    refused,          ///< nobody listens there
    timed_out,        ///< the deadline passed
    unreachable,      ///< no route, or another error of connect(2)
    tls_pin_mismatch, ///< a different key than the pinned one
    tls_not_trusted,  ///< no pin, and the certificate does not verify
    tls_failed,       ///< any other failure of the handshake, e.g. the port speaks no TLS
    not_a_gateway,    ///< an HTTP answer other than 101 and 401, or no HTTP at all
    unauthorized,     ///< 401: the token is refused; see WebError::body()
    dropped,          ///< the connection ended during a handshake
};

/// what() is one sentence for people: what happened at which host:port, and what to do.
class WebError : public std::runtime_error {
public:
    WebError(WebFailure failure, const std::string& sentence, unsigned http_status = 0,
             std::string body = {}, std::optional<UnixTime> server_time = {})
        : std::runtime_error{sentence}
        , body_{std::move(body)}
        , server_time_{server_time}
        , http_status_{http_status}
        , failure_{failure}
    {
    }

    [[nodiscard]] WebFailure failure() const { return failure_; }

    /// 0 when no HTTP answer came.
    [[nodiscard]] unsigned http_status() const { return http_status_; }

    /// The first 4 KiB of the answer's body. Written by the peer: not to be trusted.
    [[nodiscard]] const std::string& body() const { return body_; }

    /// The answer's Date field (RFC 9110 §6.6.1).
    [[nodiscard]] std::optional<UnixTime> server_time() const { return server_time_; }

private:
    std::string body_;
    std::optional<UnixTime> server_time_;
    unsigned http_status_;
    WebFailure failure_;
};

struct ConnectOptions {
    bool tls = true;
    HostPort gateway;
    std::string path = "/";
    std::string bearer;                ///< the token; empty sends no Authorization field
    std::optional<CertificatePin> pin; ///< only this key; without it the system's CAs decide
    Instant deadline = never;          ///< of everything until the WebSocket is open
    std::string user_agent = "Mozilla/5.0";
};

/// One WebSocket (RFC 6455) over TLS or plain TCP, either side.
///
/// One thread: that of its executor. One read and one write may be outstanding at once. After a
/// cancelled or failed operation only abort() and the destructor are of use. Pings of the peer are
/// answered while a read is outstanding; there are no timeouts of its own but those named here.
///
/// While nothing arrives a connection holds neither a message block nor a TLS buffer. Messages of
/// at most `most_efficient_message` bytes leave with one system call.
class WebSocket {
public:
    static constexpr std::size_t longest_message = 65'536 + 64;
    static constexpr std::size_t most_efficient_message = 65'536 - 14; ///< 14: a frame header

    /// Connects, does the TLS handshake and the upgrade. Throws WebError; system_error with
    /// operation_aborted when cancelled.
    static net::awaitable<WebSocket> connect(ConnectOptions options);

    WebSocket(WebSocket&&) noexcept;
    WebSocket& operator=(WebSocket&&) noexcept; ///< aborts what was there
    ~WebSocket();                               ///< aborts

    /// Reads one whole message into `into.tailroom()` and commits it. Throws system_error:
    /// errc::message_size when it does not fit or exceeds `longest_message` (the connection is then
    /// closed with 1009), net::error::eof when the peer closed or vanished, otherwise the reason.
    net::awaitable<MessageKind> read(Buffer& into);

    /// The same, but takes `into` from the pool only when a message has begun to arrive, so that
    /// idle connections share few blocks. Requires: `into` has no block, or one that is given up.
    net::awaitable<MessageKind> read(BufferPool& pool, Buffer& into);

    /// Sends one message in one frame. Returns when the kernel has taken it; with Delivery::with_next
    /// it may be kept, within bounds, until the next message or flush(), so that several leave with
    /// one system call.
    enum class Delivery { now, with_next };
    net::awaitable<void> write(MessageKind kind, Bytes message, Delivery = Delivery::now);
    net::awaitable<void> flush();

    /// Sends a close frame with `code` (RFC 6455 §7.4) and waits for the peer's until `deadline`,
    /// then aborts. Never throws. A read may be outstanding; it ends with an error.
    net::awaitable<void> close(std::uint16_t code, Instant deadline);

    /// Closes the socket at once; outstanding operations end with an error.
    void abort();

    /// The code of the peer's close frame once a read has ended with eof; 0 if there was none.
    [[nodiscard]] std::uint16_t close_code() const;

    /// The TCP peer; behind a proxy that is the proxy, see WebRequest::remote.
    [[nodiscard]] SocketAddress remote_address() const;

    /// This host's address on the TCP connection, of a socket made by connect().
    [[nodiscard]] IpAddress local_address() const;

    [[nodiscard]] net::any_io_executor get_executor();

private:
    friend struct WebSocketUpgrade; // makes server sides
    struct Connection;

    explicit WebSocket(std::unique_ptr<Connection> connection);

    std::unique_ptr<Connection> connection_;
};

} // namespace narrowlink::io
