#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/io/asio.hpp"
#include "narrowlink/io/connection_limits.hpp"
#include "narrowlink/io/web_socket.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace narrowlink::io {

/// A certificate with its chain, leaf first, and the key that belongs to it.
struct PemCertificate {
    std::string chain;
    std::string private_key;
};

/// One HTTP/1.1 request. Header and body come from strangers.
struct WebRequest {
    std::string method; ///< GET or HEAD
    std::string target; ///< path and query as sent
    std::string host;   ///< as sent; empty if it was not
    std::string bearer; ///< of `Authorization: Bearer …`; empty without one
    std::string user_agent;
    IpAddress remote; ///< the client; X-Forwarded-For counts only from trusted proxies
    bool tls = false; ///< of this connection, not of one a proxy ended
};

struct WebResponse {
    unsigned status = 200;
    std::string content_type = "text/html; charset=utf-8";
    std::string body;
    std::vector<std::pair<std::string, std::string>> fields{}; ///< further ones, e.g. Location
};

/// What the server serves. Called on the thread of each connection: must be thread-safe, and must
/// not block.
class WebApplication {
public:
    struct Accept {};

    virtual ~WebApplication() = default;

    virtual WebResponse respond(const WebRequest& request) = 0;

    /// A valid WebSocket upgrade: take it, or answer as an ordinary web site would.
    virtual std::variant<Accept, WebResponse> authorize(const WebRequest& request) = 0;

    /// An accepted WebSocket, open, on thread number `thread` of the server, which is the caller's.
    virtual void adopt(WebSocket socket, WebRequest request, std::size_t thread) = 0;
};

struct WebLimits {
    ConnectionQuota quota;
    std::size_t header_bytes = 16 * 1024;
    std::size_t body_bytes = 4 * 1024;
    Duration handshake_time = std::chrono::seconds{10};
    Duration request_time = std::chrono::seconds{10}; ///< from its first byte to the answer's last
    Duration idle_time = std::chrono::seconds{30};    ///< between requests
    Duration visit_time = std::chrono::minutes{5};    ///< of a connection that only asks for pages
};

struct WebListener {
    SocketAddress address;                     ///< port 0: any free one
    std::optional<PemCertificate> certificate; ///< without: plain HTTP
};

struct WebServerOptions {
    std::vector<WebListener> listeners;
    std::vector<IpPrefix> trusted_proxies;
    WebLimits limits;
};

/// A listener could not be opened. what() names the address and the remedy; code() the reason.
class ListenError : public std::runtime_error {
public:
    ListenError(const SocketAddress& address, ErrorCode code);

    [[nodiscard]] ErrorCode code() const { return code_; }

private:
    ErrorCode code_;
};

/// An HTTP/1.1 and WebSocket server over several threads, each with an executor of its own.
///
/// Connections are dealt out in turn and keep their thread for life. The listeners live on the
/// first thread. A connection whose WebSocket was adopted is the application's; it keeps its place
/// in the quota until the WebSocket is destroyed.
class WebServer {
public:
    /// Opens the listeners. Throws ListenError; std::runtime_error for a bad certificate.
    /// Requires: `application` outlives the server; every executor is run by one thread.
    WebServer(WebServerOptions options, WebApplication& application,
              std::vector<net::any_io_executor> threads);
    WebServer(WebServer&&) = delete;

    /// Requires: never started, or stop() has returned.
    ~WebServer();

    /// Begins to accept. To be called on the first thread, or before it runs.
    void start();

    /// Closes the listeners and every connection that was not adopted, and waits until all have
    /// ended. To be awaited on the first thread while all threads run. Cannot be cancelled.
    net::awaitable<void> stop();

    /// Replaces the certificate of every TLS listener for the handshakes to come. Thread-safe.
    /// Errors: errc::invalid_argument when the texts are no certificate with its key.
    Result<void> set_certificate(const PemCertificate& certificate);

    /// The addresses listened on, in the order of the options, with the real ports.
    [[nodiscard]] std::vector<SocketAddress> addresses() const;

    [[nodiscard]] ConnectionLimits::Counters counters() const;

private:
    struct State;

    std::unique_ptr<State> state_;
};

} // namespace narrowlink::io
