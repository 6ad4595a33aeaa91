// Theory of operation
//
// Beast does the framing over a WebStream; this file is the only one that instantiates its
// websocket::stream, which takes many seconds to compile.
//
// Memory: a server's side neither masks nor fragments, so Beast allocates no write buffer for it;
// its read buffer is 1.5 KiB inside the stream. A client's side masks in a 64 KiB buffer that it
// keeps. read() from a pool waits with 1.5 KiB in the coroutine's frame and takes a block when
// something has arrived.
//
// Ends: a close frame of the peer, a lost connection and an orderly end of TLS are all eof to the
// caller, who reconnects or forgets in each of these cases; close_code() tells more.

#include "narrowlink/io/web_socket.hpp"

#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/dial.hpp"
#include "narrowlink/io/with_deadline.hpp"
#include "web_failure.hpp"
#include "web_socket_upgrade.hpp"

#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <algorithm>
#include <utility>

namespace narrowlink::io {
namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

using BeastSocket = websocket::stream<WebStream, false>; // false: without permessage-deflate

// Read before a block is taken: as much as Beast reads ahead, so that a short message is complete
// with one operation. Each further one costs a turn of the event loop.
constexpr std::size_t first_bytes = 1'536;
constexpr std::uint16_t message_too_big = 1'009;
constexpr Duration close_time = std::chrono::seconds{2};

void throw_if(const ErrorCode& error)
{
    if (error == websocket::error::message_too_big)
        throw boost::system::system_error{make_error_code(boost::system::errc::message_size)};
    if (error == websocket::error::closed || error == net::error::connection_reset ||
        error == net::error::broken_pipe)
        throw boost::system::system_error{net::error::eof};
    if (error)
        throw boost::system::system_error{error};
}

} // namespace

struct WebSocket::Connection {
    Connection(WebStream stream, SocketAddress remote_address, std::shared_ptr<void> held)
        : ticket{std::move(held)}, socket{std::move(stream)}, remote{remote_address}
    {
        socket.auto_fragment(false);
        socket.write_buffer_bytes(65'536);
        socket.read_message_max(longest_message);
    }

    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // An awaiting coroutine shares Beast's stream, which would keep the socket open.
    ~Connection() { socket.next_layer().close(); }

    net::awaitable<std::size_t> read_some(MutableBytes into)
    {
        ErrorCode error;
        const std::size_t n = co_await socket.async_read_some(
            net::buffer(into.data(), into.size()), net::redirect_error(net::use_awaitable, error));
        throw_if(error); // before anything of *this is touched: it may be gone
        co_return n;
    }

    net::awaitable<MessageKind> read_to_end_of_message(Buffer& into);
    net::awaitable<void> send_close(std::uint16_t code);

    [[nodiscard]] MessageKind kind() const
    {
        return socket.got_binary() ? MessageKind::binary : MessageKind::text;
    }

    std::shared_ptr<void> ticket; // before the socket: a place is free once the socket is closed
    BeastSocket socket;
    SocketAddress remote;
    IpAddress local; ///< of client sides
    bool closing = false;
};

net::awaitable<MessageKind> WebSocket::Connection::read_to_end_of_message(Buffer& into)
{
    do {
        std::byte surplus;
        const MutableBytes room = into.tailroom();
        const bool full = room.empty();
        const std::size_t n = co_await read_some(full ? MutableBytes{&surplus, 1} : room);
        if (!full) {
            into.commit(n);
        } else if (n > 0) {
            auto closing_frame = send_close(message_too_big);
            try {
                auto bounded = with_deadline(now() + close_time, std::move(closing_frame));
                co_await std::move(bounded);
            } catch (const boost::system::system_error&) { // the peer hears no reason, then
            }
            throw boost::system::system_error{make_error_code(boost::system::errc::message_size)};
        }
    } while (!socket.is_message_done());
    co_return kind();
}

net::awaitable<void> WebSocket::Connection::send_close(std::uint16_t code)
{
    closing = true;
    socket.next_layer().set_corked(false);
    const websocket::close_reason reason{code};
    co_await socket.async_close(reason, net::use_awaitable);
}

WebSocket::WebSocket(std::unique_ptr<Connection> connection) : connection_{std::move(connection)} {}

WebSocket::WebSocket(WebSocket&&) noexcept = default;
WebSocket& WebSocket::operator=(WebSocket&&) noexcept = default;
WebSocket::~WebSocket() = default;

net::awaitable<MessageKind> WebSocket::read(Buffer& into)
{
    return connection_->read_to_end_of_message(into);
}

net::awaitable<MessageKind> WebSocket::read(BufferPool& pool, Buffer& into)
{
    Connection& connection = *connection_;
    std::array<std::byte, first_bytes> first;
    const std::size_t n = co_await connection.read_some(first);
    into = pool.take();
    assert(into.tailroom().size() >= n && "the pool's blocks are for whole messages");
    std::copy_n(first.begin(), n, into.tailroom().begin());
    into.commit(n);
    if (connection.socket.is_message_done())
        co_return connection.kind();
    co_return co_await connection.read_to_end_of_message(into);
}

net::awaitable<void> WebSocket::write(MessageKind kind, Bytes message, Delivery delivery)
{
    BeastSocket& socket = connection_->socket;
    ErrorCode error;
    socket.next_layer().set_corked(delivery == Delivery::with_next);
    socket.binary(kind == MessageKind::binary);
    co_await socket.async_write(net::buffer(message.data(), message.size()),
                                net::redirect_error(net::use_awaitable, error));
    throw_if(error);
}

net::awaitable<void> WebSocket::flush()
{
    ErrorCode error;
    auto flushing = connection_->socket.next_layer().flush(error);
    co_await std::move(flushing);
    throw_if(error);
}

net::awaitable<void> WebSocket::close(std::uint16_t code, Instant deadline)
{
    if (!connection_->closing) {
        try {
            auto closing = connection_->send_close(code);
            auto bounded = with_deadline(deadline, std::move(closing));
            co_await std::move(bounded);
        } catch (const boost::system::system_error&) { // the peer does not answer, or has closed
        }
    }
    abort();
}

void WebSocket::abort()
{
    connection_->socket.next_layer().close();
}

std::uint16_t WebSocket::close_code() const
{
    return connection_->socket.reason().code;
}

SocketAddress WebSocket::remote_address() const
{
    return connection_->remote;
}

IpAddress WebSocket::local_address() const
{
    return connection_->local;
}

net::any_io_executor WebSocket::get_executor()
{
    return connection_->socket.get_executor();
}

// The server's side

bool WebSocketUpgrade::is_valid(const HttpRequest& request)
{
    constexpr std::size_t key_size = 24; // 16 bytes in base64, RFC 6455 §4.1
    return websocket::is_upgrade(request) && request.count(http::field::host) == 1 &&
           request[http::field::sec_websocket_version] == "13" &&
           request[http::field::sec_websocket_key].size() == key_size;
}

net::awaitable<WebSocket> WebSocketUpgrade::accept(WebStream stream, HttpRequest request,
                                                   SocketAddress remote,
                                                   std::shared_ptr<void> ticket)
{
    auto connection =
        std::make_unique<WebSocket::Connection>(std::move(stream), remote, std::move(ticket));
    BeastSocket& socket = connection->socket;
    // Else Beast names itself. Only holders of a token see this answer.
    socket.set_option(websocket::stream_base::decorator(
        [](websocket::response_type& response) { response.set(http::field::server, ""); }));
    ErrorCode error;
    co_await socket.async_accept(request, net::redirect_error(net::use_awaitable, error));
    throw_if(error);
    co_return WebSocket{std::move(connection)};
}

// The client's side

namespace {

net::awaitable<tcp::socket> dial_gateway(const ConnectOptions& options)
{
    ErrorCode failure;
    try {
        auto dialling = dial(options.gateway, options.deadline);
        co_return co_await std::move(dialling);
    } catch (const boost::system::system_error& e) {
        failure = e.code();
    }
    if (failure == net::error::operation_aborted)
        throw boost::system::system_error{failure};
    throw failure_of_dial(options.gateway, failure);
}

net::awaitable<WebStream> secure(tcp::socket socket, const ConnectOptions& options)
{
    if (!options.tls)
        co_return WebStream{std::move(socket)};
    const SslContext context = client_context(options.pin);
    WebStream stream{std::move(socket),
                     connect_session(context, options.gateway.host, !options.pin)};
    ErrorCode failure;
    try {
        auto handshaking = stream.handshake();
        co_await std::move(handshaking);
        co_return stream;
    } catch (const boost::system::system_error& e) {
        failure = e.code();
    }
    if (failure == net::error::operation_aborted)
        throw boost::system::system_error{failure};
    throw failure_of_tls(options.gateway, failure, stream.verify_result());
}

/// The Host field: the port is named unless it is the scheme's own (RFC 9110 §7.2).
std::string host_field(const ConnectOptions& options)
{
    std::string host = to_string(options.gateway);
    if (options.gateway.port == (options.tls ? 443 : 80))
        host.resize(host.rfind(':'));
    return host;
}

net::awaitable<void> upgrade(BeastSocket& socket, const ConnectOptions& options)
{
    socket.set_option(
        websocket::stream_base::decorator([&options](websocket::request_type& request) {
            request.set(http::field::user_agent, options.user_agent);
            if (!options.bearer.empty())
                request.set(http::field::authorization, "Bearer " + options.bearer);
        }));
    const std::string host = host_field(options);
    websocket::response_type response;
    ErrorCode error;
    co_await socket.async_handshake(response, host, options.path,
                                    net::redirect_error(net::use_awaitable, error));
    if (error == net::error::operation_aborted)
        throw boost::system::system_error{error};
    if (error && error.category() == make_error_code(websocket::error::closed).category())
        throw failure_of_answer(options, response.result_int(), std::move(response.body()),
                                response[http::field::date]);
    if (error)
        throw failure_of_upgrade(options.gateway, error);
}

} // namespace

net::awaitable<WebSocket> WebSocketUpgrade::request(tcp::socket socket,
                                                    const ConnectOptions& options)
{
    ErrorCode ignored; // the peer may be gone already; the handshake will tell
    const tcp::endpoint peer = socket.remote_endpoint(ignored);
    const tcp::endpoint local = socket.local_endpoint(ignored);
    auto securing = secure(std::move(socket), options);
    WebStream stream = co_await std::move(securing);
    auto connection = std::make_unique<WebSocket::Connection>(std::move(stream), from_asio(peer),
                                                              std::shared_ptr<void>{});
    connection->local = from_asio(local).ip;
    auto upgrading = upgrade(connection->socket, options);
    co_await std::move(upgrading);
    co_return WebSocket{std::move(connection)};
}

net::awaitable<WebSocket> WebSocket::connect(ConnectOptions options)
{
    auto dialling = dial_gateway(options);
    tcp::socket socket = co_await std::move(dialling);
    try {
        auto requesting = WebSocketUpgrade::request(std::move(socket), options);
        auto bounded = with_deadline(options.deadline, std::move(requesting));
        co_return co_await std::move(bounded);
    } catch (const boost::system::system_error& e) {
        if (e.code() != boost::system::errc::timed_out)
            throw;
    }
    throw failure_in_time(options.gateway);
}

} // namespace narrowlink::io
