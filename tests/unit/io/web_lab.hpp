#pragma once

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/web_server.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <deque>
#include <string>
#include <string_view>

namespace narrowlink::io::test {

/// A self-signed certificate with a fresh key.
struct Certified {
    PemCertificate pem;
    CertificatePin pin{};
};

Certified make_certificate();

/// A web site whose WebSockets are open to the bearer "good". Knows the page "/" only.
class Site : public WebApplication {
public:
    explicit Site(const net::any_io_executor& executor) : arrived_{executor} {}

    WebResponse respond(const WebRequest& request) override;
    std::variant<Accept, WebResponse> authorize(const WebRequest& request) override;
    void adopt(WebSocket socket, WebRequest request, std::size_t thread) override;

    /// The server's side of the next accepted WebSocket.
    net::awaitable<WebSocket> next_socket();

    std::string refusal = R"({"reason":"expired"})"; ///< the body of a 401
    WebRequest last_request;
    std::deque<WebSocket> adopted;

private:
    Event arrived_;
};

/// A server on loopback and what it serves, all on one thread.
class WebLab {
public:
    /// Two listeners: plain, then TLS with `certified`.
    explicit WebLab(WebLimits limits = {}, std::vector<IpPrefix> trusted_proxies = {});

    /// Runs `test` to its end, then stops the server; throws what `test` threw.
    void run(net::awaitable<void> test);

    [[nodiscard]] ConnectOptions options(bool tls) const;
    net::awaitable<WebSocket> connect(bool tls);
    net::awaitable<tcp::socket> dial_plain();

    /// Sends `request` as it stands and returns everything until the server closes.
    net::awaitable<std::string> exchange(std::string request);

    net::io_context loop;
    Certified certified = make_certificate();
    Site site{loop.get_executor()};
    WebServer server;

private:
    net::awaitable<void> run_and_stop(net::awaitable<void> test);
};

/// Whether the other side has closed, found out by reading.
net::awaitable<bool> is_closed_by_peer(tcp::socket& socket);

/// The failure of a connect(); no value when it succeeds.
net::awaitable<std::optional<WebError>> failure_of(ConnectOptions options);

std::string get(std::string_view target, std::string_view further_fields = {});

} // namespace narrowlink::io::test
