#pragma once

#include "narrowlink/io/web_socket.hpp"
#include "web_stream.hpp"

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <memory>

namespace narrowlink::io {

using HttpRequest = boost::beast::http::request<boost::beast::http::string_body>;

/// How WebSockets are made. Beast's WebSocket is instantiated in web_socket.cpp only; this is the
/// server's door to it.
struct WebSocketUpgrade {
    /// A complete upgrade request (RFC 6455 §4.2.1), which accept() answers with nothing but 101.
    static bool is_valid(const HttpRequest& request);

    /// Answers 101. `ticket` lives as long as the WebSocket. Throws system_error.
    static net::awaitable<WebSocket> accept(WebStream stream, HttpRequest request,
                                            SocketAddress remote, std::shared_ptr<void> ticket);

    /// The client's side on a connected socket: TLS, then the upgrade.
    /// Requires: `options` outlives the await.
    static net::awaitable<WebSocket> request(tcp::socket socket, const ConnectOptions& options);
};

} // namespace narrowlink::io
