// Theory of operation
//
// One coroutine per connection: handshake, then requests in turn, each
//   wait for its first byte   idle_time (the first one: request_time)
//   read, answer              request_time for both
// and all of them within visit_time. Whoever is slower is cut off without an answer, so nobody
// holds a place longer than that. A valid upgrade that the application accepts ends the visit: the
// connection becomes a WebSocket, which has no deadline here.
//
// Memory: one block of a request's size, given up before the WebSocket begins.
//
// Beast parses; the few lines of an answer are put together here: in the order any other server
// has, and without an instance of Beast's serializer for our stream.

#include "web_visit.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"
#include "narrowlink/wire/forwarded_for.hpp"
#include "web_socket_upgrade.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <array>
#include <ctime>
#include <fmt/format.h>
#include <utility>

namespace narrowlink::io {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

using Parser = http::request_parser<http::string_body>;

constexpr std::size_t read_size = 4'096;

std::string_view reason_of(unsigned status)
{
    const auto text = http::obsolete_reason(http::int_to_status(status));
    return {text.data(), text.size()};
}

/// RFC 9110 §5.6.7.
std::string http_date(UnixTime time)
{
    const std::time_t seconds = time.time_since_epoch().count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    const std::size_t size =
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text.data(), size};
}

WebResponse error_page(unsigned status)
{
    WebResponse response;
    response.status = status;
    response.content_type = "text/html";
    response.body = fmt::format("<html>\r\n<head><title>{0} {1}</title></head>\r\n<body>\r\n"
                                "<center><h1>{0} {1}</h1></center>\r\n</body>\r\n</html>\r\n",
                                status, reason_of(status));
    if (status == 405)
        response.fields.emplace_back("Allow", "GET, HEAD");
    return response;
}

struct Framing {
    bool keep_alive;
    bool with_body; ///< false for HEAD
};

std::string format_response(const WebResponse& response, Framing framing)
{
    std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
        "Connection: {}\r\n",
        response.status, reason_of(response.status), http_date(unix_now()), response.content_type,
        response.body.size(), framing.keep_alive ? "keep-alive" : "close");
    for (const auto& [name, value] : response.fields)
        text += fmt::format("{}: {}\r\n", name, value);
    text += "\r\n";
    if (framing.with_body)
        text += response.body;
    return text;
}

std::string field(const HttpRequest& request, http::field name)
{
    return std::string{request[name]};
}

std::string bearer_of(const HttpRequest& request)
{
    constexpr std::string_view scheme = "Bearer ";
    const std::string value = field(request, http::field::authorization);
    if (value.size() <= scheme.size() ||
        !beast::iequals(value.substr(0, scheme.size()), scheme)) // RFC 9110 §11.1
        return {};
    const std::size_t first = value.find_first_not_of(' ', scheme.size());
    return first == std::string::npos ? std::string{} : value.substr(first);
}

std::string joined_field(const HttpRequest& request, std::string_view name)
{
    std::string joined;
    const auto [begin, end] = request.equal_range(name);
    for (auto it = begin; it != end; ++it) {
        if (it != begin)
            joined += ',';
        joined += it->value();
    }
    return joined;
}

unsigned status_of(const ErrorCode& error)
{
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
        return 431;
    if (error == http::error::body_limit)
        return 413;
    return 400;
}

/// One connection. A member coroutine never outlives it: receive_visitor() holds it.
class Visit {
public:
    Visit(Visitor visitor, const VisitRules& rules)
        : rules_{rules}
        , address_{visitor.address}
        , place_{std::move(visitor.place)}
        , stream_{open(std::move(visitor.socket), visitor.tls)}
        , buffer_{rules.limits.header_bytes + rules.limits.body_bytes}
        , thread_{visitor.thread}
    {
    }

    net::awaitable<void> run();

private:
    enum class Outcome { next_request, close, upgraded, lost };

    static WebStream open(tcp::socket socket, const SslContext& tls)
    {
        return tls ? WebStream{std::move(socket), accept_session(tls)}
                   : WebStream{std::move(socket)};
    }

    net::awaitable<bool> read_more();
    net::awaitable<Outcome> serve_request();
    net::awaitable<Outcome> answer(const WebResponse& response, Framing framing);
    net::awaitable<Outcome> upgrade(Parser& parser);
    WebRequest describe(const HttpRequest& request) const;

    const VisitRules& rules_;
    SocketAddress address_;
    std::shared_ptr<ConnectionLimits::Place> place_;
    WebStream stream_;
    beast::flat_buffer buffer_;
    std::size_t thread_;
    std::optional<WebSocket> socket_; ///< after Outcome::upgraded
    WebRequest request_;              ///< the one being served
};

net::awaitable<void> Visit::run()
{
    const WebLimits& limits = rules_.limits;
    const Instant began = now();
    auto handshaking = stream_.handshake();
    auto handshake = with_deadline(began + limits.handshake_time, std::move(handshaking));
    co_await std::move(handshake);

    const Instant end = began + limits.visit_time;
    Duration patience = limits.request_time;
    Outcome outcome = Outcome::next_request;
    while (outcome == Outcome::next_request) {
        if (buffer_.size() == 0) {
            auto reading = read_more();
            auto first_byte = with_deadline(std::min(now() + patience, end), std::move(reading));
            if (!co_await std::move(first_byte))
                co_return;
        }
        auto serving = serve_request();
        auto served = with_deadline(now() + limits.request_time, std::move(serving));
        outcome = co_await std::move(served);
        patience = limits.idle_time;
        if (outcome == Outcome::next_request && now() >= end)
            outcome = Outcome::close;
    }
    if (outcome == Outcome::upgraded)
        rules_.application->adopt(std::move(*socket_), std::move(request_), thread_);
    if (outcome == Outcome::close)
        co_await stream_.linger();
}

net::awaitable<bool> Visit::read_more()
{
    const std::size_t room = std::min(read_size, buffer_.max_size() - buffer_.size());
    const net::mutable_buffer block = buffer_.prepare(room);
    ErrorCode error;
    const std::size_t n =
        co_await stream_.read_some({static_cast<std::byte*>(block.data()), block.size()}, error);
    buffer_.commit(n);
    co_return !error && n > 0;
}

net::awaitable<Visit::Outcome> Visit::serve_request()
{
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(rules_.limits.header_bytes));
    parser.body_limit(rules_.limits.body_bytes);
    parser.eager(true);
    ErrorCode error;
    while (!parser.is_done()) {
        buffer_.consume(parser.put(buffer_.data(), error));
        if (error && error != http::error::need_more) {
            const WebResponse refusal = error_page(status_of(error));
            co_return co_await answer(refusal, {.keep_alive = false, .with_body = true});
        }
        if (!parser.is_done() && !co_await read_more())
            co_return Outcome::lost;
    }

    const HttpRequest& request = parser.get();
    const Framing framing{.keep_alive = parser.keep_alive(),
                          .with_body = request.method() != http::verb::head};
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        const WebResponse refusal = error_page(405);
        co_return co_await answer(refusal, framing);
    }
    request_ = describe(request);
    if (WebSocketUpgrade::is_valid(request)) {
        auto verdict = rules_.application->authorize(request_);
        if (const auto* refusal = std::get_if<WebResponse>(&verdict))
            co_return co_await answer(*refusal, framing);
        co_return co_await upgrade(parser);
    }
    const WebResponse page = rules_.application->respond(request_);
    co_return co_await answer(page, framing);
}

net::awaitable<Visit::Outcome> Visit::answer(const WebResponse& response, Framing framing)
{
    const std::string text = format_response(response, framing);
    ErrorCode error;
    co_await stream_.write(as_bytes(text), error);
    if (error)
        co_return Outcome::lost;
    co_return framing.keep_alive ? Outcome::next_request : Outcome::close;
}

net::awaitable<Visit::Outcome> Visit::upgrade(Parser& parser)
{
    if (buffer_.size() > 0) { // frames before our 101: RFC 6455 §4.1 has the client wait for it
        const WebResponse refusal = error_page(400);
        co_return co_await answer(refusal, {.keep_alive = false, .with_body = true});
    }
    buffer_.shrink_to_fit();
    place_->authenticate();
    auto accepting =
        WebSocketUpgrade::accept(std::move(stream_), parser.release(), address_, std::move(place_));
    WebSocket accepted = co_await std::move(accepting);
    socket_.emplace(std::move(accepted));
    co_return Outcome::upgraded;
}

WebRequest Visit::describe(const HttpRequest& request) const
{
    return {.method = std::string{request.method_string()},
            .target = std::string{request.target()},
            .host = field(request, http::field::host),
            .bearer = bearer_of(request),
            .user_agent = field(request, http::field::user_agent),
            .remote = wire::forwarded_client(address_.ip, joined_field(request, "X-Forwarded-For"),
                                             rules_.trusted_proxies),
            .tls = stream_.has_tls()};
}

} // namespace

net::awaitable<void> receive_visitor(Visitor visitor, const VisitRules& rules)
{
    Visit visit{std::move(visitor), rules};
    co_await visit.run();
}

} // namespace narrowlink::io
