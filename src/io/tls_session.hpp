#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "tls_context.hpp"

#include <memory>

namespace narrowlink::io {

/// How far a call on a non-blocking socket came.
struct Progress {
    /// What the socket must become before the call can go on.
    enum class Need { nothing, readable, writable };

    std::size_t bytes = 0;
    Need need = Need::nothing;
    ErrorCode error;
};

/// TLS on a non-blocking TCP socket, without a coroutine in sight: each call does what it can do
/// now.
///
/// Not asio::ssl::stream, which keeps two 17 KiB buffers for life and moves every record through
/// a BIO pair with system calls of its own. Here an idle session holds no buffer at all; a write
/// becomes one send(2), a read one recv(2), with up to 64 KiB each.
///
/// One thread. read() and write() may alternate in any order.
class TlsSession {
public:
    /// `descriptor` stays the caller's and must outlive the session.
    TlsSession(SslPointer ssl, int descriptor);
    TlsSession(const TlsSession&) = delete; // the BIO holds its address
    TlsSession& operator=(const TlsSession&) = delete;
    ~TlsSession();

    /// To be called again after what it needs, until it needs nothing.
    Progress handshake();

    /// At least one byte, an error (net::error::eof at the end), or Need::readable.
    Progress read(MutableBytes into);

    /// Seals up to 64 KiB of `pieces` and begins to send them. `bytes` of them are accepted; with
    /// Need::writable flush() must be called until it needs nothing, unless no byte was accepted.
    Progress write(std::span<const Bytes> pieces);

    /// While corked write() keeps up to four times 64 KiB, so that they leave with one system call.
    void set_corked(bool corked) { corked_ = corked; }

    Progress flush();

    /// The socket has been waited for and may have bytes again.
    void became_readable() { drained_ = false; }

    /// Sends close_notify if the socket takes it now.
    void close_notify();

    /// After a failed handshake: why the certificate was refused; X509_V_OK if it was not.
    [[nodiscard]] long verify_result() const;

private:
    friend struct TlsBio;

    /// The sealed records of one write, borrowed from the thread's pool while they wait.
    struct Outgoing {
        std::unique_ptr<std::byte[]> block;
        std::size_t begin = 0, end = 0;
    };

    Progress stopped_at(int outcome);
    bool seal(Bytes plain);
    void release_outgoing();

    SslPointer ssl_;
    Outgoing outgoing_;
    int descriptor_;
    int socket_error_ = 0;
    bool drained_ = false; // the last recv(2) brought less than was asked for
    bool failed_ = false;
    bool corked_ = false;
};

} // namespace narrowlink::io
