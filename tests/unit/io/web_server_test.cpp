#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/web_server.hpp"
#include "web_lab.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <gmock/gmock.h>
#include <set>
#include <thread>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::WebLab;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::string_view close_after = "Connection: close\r\n";

net::awaitable<void> ask(WebLab& lab, std::string request, std::string& answer)
{
    auto exchanging = lab.exchange(std::move(request));
    answer = co_await std::move(exchanging);
}

/// What a fresh server answers to `request`, sent as it stands.
std::string answer_to(std::string request, WebLab& lab)
{
    std::string answer;
    lab.run(ask(lab, std::move(request), answer));
    return answer;
}

std::string answer_to(std::string request)
{
    WebLab lab;
    return answer_to(std::move(request), lab);
}

TEST(WebServer, ShowsAStrangerAnOrdinaryPage)
{
    const std::string answer = answer_to(get("/", close_after));
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nDate: "),
                              HasSubstr(" GMT\r\n"), HasSubstr("Content-Length: 7\r\n"),
                              EndsWith("\r\n\r\nwelcome")));
    EXPECT_THAT(answer, Not(HasSubstr("Server:")));
}

TEST(WebServer, AnswersHeadWithoutABody)
{
    EXPECT_THAT(answer_to("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                AllOf(HasSubstr("Content-Length: 7\r\n"), EndsWith("\r\n\r\n")));
}

TEST(WebServer, RefusesOtherMethodsAndNamesTheAllowed)
{
    EXPECT_THAT(
        answer_to("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"),
        AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD\r\n")));
}

TEST(WebServer, RefusesWhatIsNoHttp)
{
    EXPECT_THAT(answer_to("SSH-2.0-x\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST(WebServer, RefusesAHeaderOverTheLimit)
{
    const std::string field = "X: " + std::string(16 * 1'024, 'x') + "\r\n";
    EXPECT_THAT(answer_to(get("/", field)), StartsWith("HTTP/1.1 431 "));
}

TEST(WebServer, RefusesABodyOverTheLimit)
{
    EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n"),
                StartsWith("HTTP/1.1 413 "));
}

TEST(WebServer, TakesABodyAtTheLimit)
{
    EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4096\r\n"
                          "Connection: close\r\n\r\n" +
                          std::string(4'096, 'x')),
                StartsWith("HTTP/1.1 405 "));
}

TEST(WebServer, AnswersSeveralRequestsOnOneConnectionInOrder)
{
    const std::string answer = answer_to(get("/") + get("/none") + get("/", close_after));
    const std::size_t first = answer.find("welcome");
    const std::size_t second = answer.find("nothing here");
    const std::size_t third = answer.rfind("welcome");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos);
    EXPECT_THAT(answer, HasSubstr("Connection: keep-alive\r\n"));
}

constexpr std::string_view upgrade_fields =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST(WebServer, AnswersAnUpgradeWithoutATokenLikeAnyRequest)
{
    const std::string upgrade = get("/", upgrade_fields) + get("/", close_after);
    const std::string ordinary = get("/") + get("/", close_after);
    const std::string date = "Date: ";
    std::string a = answer_to(upgrade), b = answer_to(ordinary);
    for (std::string* text : {&a, &b}) // the only thing that may differ
        for (auto at = text->find(date); at != std::string::npos; at = text->find(date))
            text->erase(at, text->find("\r\n", at) - at);
    EXPECT_EQ(a, b);
}

TEST(WebServer, AnswersAnIncompleteUpgradeLikeAnyRequest)
{
    WebLab lab;
    const std::string fields = "Authorization: Bearer good\r\nConnection: Upgrade\r\n"
                               "Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\n";
    const std::string answer = answer_to(get("/", fields) + get("/", close_after), lab);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(lab.site.adopted.empty());
}

TEST(WebServer, RefusesAnUpgradeWithFramesBeforeItsAnswer)
{
    const std::string fields = std::string{upgrade_fields} + "Authorization: Bearer good\r\n";
    EXPECT_THAT(answer_to(get("/", fields) + "frames"), StartsWith("HTTP/1.1 400 "));
}

TEST(WebServer, KnowsTheBearerSchemeInAnyCase)
{
    WebLab lab;
    const std::string fields = "authorization: bEARER  abc.def\r\nConnection: close\r\n";
    answer_to(get("/", fields), lab);
    EXPECT_EQ(lab.site.last_request.bearer, "abc.def");
}

TEST(WebServer, KnowsNoBearerOfAnotherScheme)
{
    WebLab lab;
    answer_to(get("/", "Authorization: Basic abc\r\nConnection: close\r\n"), lab);
    EXPECT_EQ(lab.site.last_request.bearer, "");
}

TEST(WebServer, TellsTheClientsAddressOnlyAsTrustedProxiesSay)
{
    const std::string fields = "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 192.0.2.1\r\n"
                               "Connection: close\r\n";
    WebLab without_proxy;
    answer_to(get("/", fields), without_proxy);
    EXPECT_EQ(to_string(without_proxy.site.last_request.remote), "127.0.0.1");

    WebLab behind_proxy{{}, {*IpPrefix::parse("127.0.0.0/8")}};
    answer_to(get("/", fields), behind_proxy);
    EXPECT_EQ(to_string(behind_proxy.site.last_request.remote), "192.0.2.1");

    WebLab behind_two{{}, {*IpPrefix::parse("127.0.0.0/8"), *IpPrefix::parse("192.0.2.0/24")}};
    answer_to(get("/", fields), behind_two);
    EXPECT_EQ(to_string(behind_two.site.last_request.remote), "198.51.100.7");
}

WebLimits limits_of(ConnectionQuota quota)
{
    WebLimits limits;
    limits.quota = quota;
    return limits;
}

net::awaitable<void> exceed_the_quota(WebLab& lab)
{
    auto first_dial = lab.dial_plain();
    std::optional<tcp::socket> first{co_await std::move(first_dial)};
    auto second_dial = lab.dial_plain();
    tcp::socket second = co_await std::move(second_dial);
    auto third_dial = lab.dial_plain();
    tcp::socket third = co_await std::move(third_dial);
    const bool closed = co_await test::is_closed_by_peer(third);
    EXPECT_TRUE(closed);
    EXPECT_EQ(lab.server.counters().refused_by_source, 1U);

    first.reset(); // its place becomes free when the server has seen that it is gone
    while (lab.server.counters().connections > 1) {
        net::steady_timer turn{lab.loop, now() + 1ms};
        co_await turn.async_wait(net::use_awaitable);
    }
    auto exchanging = lab.exchange(get("/", close_after));
    const std::string answer = co_await std::move(exchanging);
    EXPECT_THAT(answer, EndsWith("welcome"));
}

TEST(WebServer, ClosesConnectionsOverTheQuotaOfASourceAtOnce)
{
    WebLab lab{limits_of({.unauthenticated_per_source = 2})};
    lab.run(exceed_the_quota(lab));
}

net::awaitable<void> authenticate_many(WebLab& lab)
{
    std::vector<WebSocket> held;
    for (int i = 0; i < 5; ++i) {
        auto connecting = lab.connect(i % 2 == 0);
        held.push_back(co_await std::move(connecting));
    }
    EXPECT_EQ(lab.server.counters().connections, 5U);
    EXPECT_EQ(lab.server.counters().unauthenticated, 0U);

    auto dialling = lab.dial_plain();
    tcp::socket sixth = co_await std::move(dialling);
    const bool closed = co_await test::is_closed_by_peer(sixth);
    EXPECT_TRUE(closed);
    EXPECT_EQ(lab.server.counters().refused_in_total, 1U);

    lab.site.adopted.clear();
    EXPECT_EQ(lab.server.counters().connections, 0U);
}

TEST(WebServer, CountsAcceptedWebSocketsInTheTotalOnly)
{
    WebLab lab{
        limits_of({.connections = 5, .unauthenticated = 1, .unauthenticated_per_source = 1})};
    lab.run(authenticate_many(lab));
}

/// Sends `opening` and waits for the server to lose its patience.
net::awaitable<void> dawdle(WebLab& lab, std::size_t listener, std::string opening)
{
    tcp::socket socket{lab.loop};
    co_await socket.async_connect(to_tcp_endpoint(lab.server.addresses()[listener]),
                                  net::use_awaitable);
    co_await net::async_write(socket, net::buffer(opening), net::use_awaitable);
    const bool closed = co_await test::is_closed_by_peer(socket);
    EXPECT_TRUE(closed);
}

/// Sends a byte of a request now and then, for ever.
net::awaitable<void> drip(WebLab& lab)
{
    auto dialling = lab.dial_plain();
    tcp::socket socket = co_await std::move(dialling);
    ErrorCode error;
    const std::string beginning = "GET / HTTP/1.1\r\nX: ";
    co_await net::async_write(socket, net::buffer(beginning), net::use_awaitable);
    while (!error) {
        net::steady_timer pause{lab.loop, now() + 2ms};
        co_await pause.async_wait(net::use_awaitable);
        co_await net::async_write(socket, net::buffer("x", 1),
                                  net::redirect_error(net::use_awaitable, error));
    }
}

/// Asks for a page again and again.
net::awaitable<void> keep_asking(WebLab& lab)
{
    auto dialling = lab.dial_plain();
    tcp::socket socket = co_await std::move(dialling);
    ErrorCode error;
    const std::string request = get("/");
    while (!error) {
        co_await net::async_write(socket, net::buffer(request),
                                  net::redirect_error(net::use_awaitable, error));
        std::array<char, 1'024> answer;
        if (!error)
            co_await socket.async_read_some(net::buffer(answer),
                                            net::redirect_error(net::use_awaitable, error));
    }
}

WebLimits with_short(Duration WebLimits::*time)
{
    WebLimits limits;
    for (const auto other : {&WebLimits::handshake_time, &WebLimits::request_time,
                             &WebLimits::idle_time, &WebLimits::visit_time})
        limits.*other = 1h;
    limits.*time = 30ms;
    return limits;
}

TEST(WebServer, CutsOffWhoSendsNothing)
{
    WebLab lab{with_short(&WebLimits::request_time)};
    lab.run(dawdle(lab, 0, ""));
}

TEST(WebServer, CutsOffWhoSendsHalfARequest)
{
    WebLab lab{with_short(&WebLimits::request_time)};
    lab.run(dawdle(lab, 0, "GET / HTTP/1.1\r\nHost:"));
}

TEST(WebServer, CutsOffWhoSendsHalfABody)
{
    WebLab lab{with_short(&WebLimits::request_time)};
    lab.run(dawdle(lab, 0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"));
}

TEST(WebServer, CutsOffWhoDripsARequestByteByByte)
{
    WebLab lab{with_short(&WebLimits::request_time)};
    lab.run(drip(lab));
}

TEST(WebServer, CutsOffWhoDoesNotFinishTheTlsHandshake)
{
    WebLab lab{with_short(&WebLimits::handshake_time)};
    lab.run(dawdle(lab, 1, "\x16\x03\x01"));
}

TEST(WebServer, CutsOffWhoIdlesBetweenRequests)
{
    WebLab lab{with_short(&WebLimits::idle_time)};
    lab.run(dawdle(lab, 0, get("/")));
}

TEST(WebServer, EndsAVisitThatLastsTooLong)
{
    WebLab lab{with_short(&WebLimits::visit_time)};
    lab.run(keep_asking(lab));
}

net::awaitable<void> connect_with(WebLab& lab, CertificatePin pin, std::optional<WebError>& failure)
{
    ConnectOptions options = lab.options(true);
    options.pin = pin;
    failure = co_await test::failure_of(options);
}

net::awaitable<void> renew(WebLab& lab)
{
    auto connecting = lab.connect(true);
    WebSocket old_client = co_await std::move(connecting);
    auto arriving = lab.site.next_socket();
    WebSocket old_server = co_await std::move(arriving);

    const test::Certified renewed = test::make_certificate();
    EXPECT_TRUE(lab.server.set_certificate(renewed.pem));
    std::optional<WebError> failure;
    co_await connect_with(lab, lab.certified.pin, failure);
    EXPECT_TRUE(failure && failure->failure() == WebFailure::tls_pin_mismatch);
    co_await connect_with(lab, renewed.pin, failure);
    EXPECT_FALSE(failure);

    const std::string_view text = "still here";
    co_await old_client.write(MessageKind::text, as_bytes(text));
    Buffer received{0, 1'024};
    co_await old_server.read(received);
    EXPECT_EQ(as_text(received.bytes()), text);
}

TEST(WebServer, UsesANewCertificateForNewConnectionsOnly)
{
    WebLab lab;
    lab.run(renew(lab));
}

TEST(WebServer, KeepsItsCertificateWhenTheNewOneIsBroken)
{
    WebLab lab;
    const test::Certified other = test::make_certificate();
    EXPECT_FALSE(lab.server.set_certificate({"no", "certificate"}));
    EXPECT_FALSE(lab.server.set_certificate({lab.certified.pem.chain, other.pem.private_key}));
    std::optional<WebError> failure;
    lab.run(connect_with(lab, lab.certified.pin, failure));
    EXPECT_FALSE(failure);
}

TEST(WebServer, RefusesToStartWithABrokenCertificate)
{
    net::io_context loop;
    test::Site site{loop.get_executor()};
    WebServerOptions options;
    options.listeners.push_back(
        {{*IpAddress::parse("127.0.0.1"), 0}, PemCertificate{"no", "certificate"}});
    EXPECT_THROW((WebServer{options, site, {loop.get_executor()}}), std::runtime_error);
}

TEST(WebServer, NamesTheAddressThatIsInUseAndTheRemedy)
{
    const SocketAddress any_port{*IpAddress::parse("127.0.0.1"), 0};
    net::io_context loop;
    test::Site site{loop.get_executor()};
    const WebServer first{{.listeners = {{any_port, std::nullopt}}}, site, {loop.get_executor()}};
    WebServerOptions options;
    options.listeners.push_back({first.addresses()[0], std::nullopt});
    try {
        const WebServer second{options, site, {loop.get_executor()}};
        FAIL() << "two servers on one port";
    } catch (const ListenError& error) {
        EXPECT_EQ(error.code(), boost::system::errc::address_in_use);
        EXPECT_THAT(error.what(), AllOf(HasSubstr(to_string(first.addresses()[0])),
                                        HasSubstr("choose another port")));
    }
}

net::awaitable<void> stop_midway(WebLab& lab)
{
    auto visiting = lab.dial_plain();
    tcp::socket visitor = co_await std::move(visiting);
    auto connecting = lab.connect(true);
    WebSocket client = co_await std::move(connecting);
    auto arriving = lab.site.next_socket();
    WebSocket server = co_await std::move(arriving);

    auto stopping = lab.server.stop();
    co_await std::move(stopping);
    const bool closed = co_await test::is_closed_by_peer(visitor);
    EXPECT_TRUE(closed);
    const std::string_view text = "still here";
    co_await client.write(MessageKind::text, as_bytes(text));
    Buffer received{0, 1'024};
    co_await server.read(received);
    EXPECT_EQ(as_text(received.bytes()), text);

    const std::optional<WebError> failure = co_await test::failure_of(lab.options(true));
    EXPECT_TRUE(failure && failure->failure() == WebFailure::refused);
}

TEST(WebServer, StopsVisitsButNotAdoptedWebSockets)
{
    WebLab lab;
    lab.run(stop_midway(lab));
}

/// Notes on which thread it was called, and that each socket stays there.
class ThreadSite : public WebApplication {
public:
    WebResponse respond(const WebRequest&) override { return {}; }

    std::variant<Accept, WebResponse> authorize(const WebRequest&) override { return Accept{}; }

    void adopt(WebSocket socket, WebRequest, std::size_t thread) override
    {
        const std::scoped_lock lock{mutex};
        threads.insert({thread, std::this_thread::get_id()});
        sockets.push_back(std::move(socket));
    }

    std::mutex mutex;
    std::set<std::pair<std::size_t, std::thread::id>> threads;
    std::vector<WebSocket> sockets;
};

net::awaitable<void> connect_some(SocketAddress address, std::vector<WebSocket>& clients)
{
    for (int i = 0; i < 8; ++i) {
        ConnectOptions options;
        options.tls = false;
        options.gateway = {to_string(address.ip), address.port};
        options.deadline = now() + 20s;
        auto connecting = WebSocket::connect(options);
        clients.push_back(co_await std::move(connecting));
    }
}

/// Reading to the end of the close proves that the server's side has been adopted and closed.
net::awaitable<void> use_threads(WebServer& server, ThreadSite& site, net::io_context& second)
{
    std::vector<WebSocket> clients;
    auto connecting = connect_some(server.addresses()[0], clients);
    co_await std::move(connecting);
    std::size_t adopted = 0;
    while (adopted < clients.size()) {
        net::steady_timer turn{co_await net::this_coro::executor, now() + 1ms};
        co_await turn.async_wait(net::use_awaitable);
        const std::scoped_lock lock{site.mutex};
        adopted = site.sockets.size();
    }
    auto stopping = server.stop();
    co_await std::move(stopping);
    second.stop();
}

TEST(WebServer, DealsConnectionsOutToItsThreads)
{
    net::io_context first, second;
    auto work = net::make_work_guard(second);
    ThreadSite site;
    WebServerOptions options;
    options.listeners.push_back({{*IpAddress::parse("127.0.0.1"), 0}, std::nullopt});
    WebServer server{options, site, {first.get_executor(), second.get_executor()}};
    server.start();
    std::thread thread{[&second] { second.run(); }};
    std::exception_ptr failure;
    net::co_spawn(first, use_threads(server, site, second),
                  [&](std::exception_ptr thrown) { failure = std::move(thrown); });
    first.run();
    second.stop();
    thread.join();
    EXPECT_EQ(failure, nullptr);
    const std::set<std::pair<std::size_t, std::thread::id>> expected = [&] {
        std::set<std::pair<std::size_t, std::thread::id>> both{{0, std::this_thread::get_id()}};
        for (const auto& entry : site.threads)
            if (entry.first == 1)
                both.insert(entry);
        return both;
    }();
    EXPECT_EQ(site.threads.size(), 2U);
    EXPECT_EQ(site.threads, expected);
}

} // namespace
} // namespace narrowlink::io
