#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/web_socket.hpp"
#include "web_lab.hpp"

#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <gmock/gmock.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
using test::WebLab;
using testing::AllOf;
using testing::HasSubstr;

class Connect : public testing::Test {
protected:
    /// The failure of connecting with `options`.
    std::optional<WebError> failure(const ConnectOptions& options)
    {
        std::optional<WebError> found;
        lab_.run(find(options, found));
        return found;
    }

    static net::awaitable<void> find(ConnectOptions options, std::optional<WebError>& found)
    {
        found = co_await test::failure_of(std::move(options));
    }

    WebLab lab_;
};

TEST_F(Connect, SucceedsWithTheRightPin)
{
    EXPECT_FALSE(failure(lab_.options(true)));
}

TEST_F(Connect, RefusesAnotherKeyThanThePinnedOne)
{
    ConnectOptions options = lab_.options(true);
    options.pin->front() ^= std::byte{1};
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::tls_pin_mismatch);
    EXPECT_THAT(found->what(), AllOf(HasSubstr(to_string(options.gateway)), HasSubstr("key")));
    EXPECT_TRUE(lab_.site.last_request.target.empty()) << "the token was sent to a stranger";
}

TEST_F(Connect, TrustsNoSelfSignedCertificateWithoutAPin)
{
    ConnectOptions options = lab_.options(true);
    options.pin.reset();
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::tls_not_trusted);
    EXPECT_THAT(found->what(), HasSubstr("self-signed certificate"));
    EXPECT_TRUE(lab_.site.last_request.target.empty()) << "the token was sent to a stranger";
}

TEST_F(Connect, SaysSoWhenThePortSpeaksNoTls)
{
    ConnectOptions options = lab_.options(false);
    options.tls = true;
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::tls_failed);
    EXPECT_THAT(found->what(), HasSubstr("HTTPS"));
}

TEST_F(Connect, SaysSoWhenNobodyListens)
{
    ConnectOptions options = lab_.options(false);
    {
        tcp::acceptor gone{lab_.loop, {net::ip::address_v4::loopback(), 0}};
        options.gateway.port = gone.local_endpoint().port();
    }
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::refused);
    EXPECT_THAT(found->what(), HasSubstr(to_string(options.gateway)));
}

TEST_F(Connect, SaysSoWhenTheNameDoesNotExist)
{
    ConnectOptions options = lab_.options(true);
    options.gateway.host = "no-such-gateway.invalid"; // RFC 6761 §6.4
    options.deadline = now() + 5s;
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::name_not_resolved);
}

TEST_F(Connect, TellsARefusedTokenWithTheReason)
{
    ConnectOptions options = lab_.options(true);
    options.bearer = "bad";
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::unauthorized);
    EXPECT_EQ(found->http_status(), 401U);
    EXPECT_EQ(found->body(), R"({"reason":"expired"})");
}

TEST_F(Connect, KeepsOnlyTheBeginningOfALongRefusal)
{
    lab_.site.refusal.assign(100'000, 'x');
    ConnectOptions options = lab_.options(true);
    options.bearer = "bad";
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->body().size(), 4'096U);
}

TEST_F(Connect, TellsAnOrdinaryWebSiteByItsStatus)
{
    ConnectOptions options = lab_.options(true);
    options.bearer.clear();
    options.path = "/elsewhere";
    const auto found = failure(options);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::not_a_gateway);
    EXPECT_EQ(found->http_status(), 404U);
    EXPECT_THAT(found->what(), AllOf(HasSubstr("404"), HasSubstr("/elsewhere")));
}

TEST_F(Connect, SendsTheTokenTheHostAndAnOrdinaryUserAgent)
{
    ConnectOptions options = lab_.options(true);
    options.path = "/some/path";
    ASSERT_FALSE(failure(options));
    EXPECT_EQ(lab_.site.last_request.bearer, "good");
    EXPECT_EQ(lab_.site.last_request.target, "/some/path");
    EXPECT_EQ(lab_.site.last_request.host, to_string(options.gateway));
    EXPECT_EQ(lab_.site.last_request.user_agent, options.user_agent);
    EXPECT_TRUE(lab_.site.last_request.tls);
}

/// Accepts one connection, says `answer` after it has heard something, and keeps or closes it.
struct Impostor {
    tcp::acceptor acceptor;
    std::string answer;
    bool keep;
    Event done;

    net::awaitable<void> run()
    {
        tcp::socket socket = co_await acceptor.async_accept(net::use_awaitable);
        std::array<char, 4'096> block;
        co_await socket.async_read_some(net::buffer(block), net::use_awaitable);
        co_await net::async_write(socket, net::buffer(answer), net::use_awaitable);
        if (keep)
            co_await done.wait();
    }
};

class ConnectToAnImpostor : public Connect {
protected:
    std::optional<WebError> failure(const std::string& answer, bool keep, bool tls,
                                    Duration patience)
    {
        Impostor impostor{tcp::acceptor{lab_.loop, {net::ip::address_v4::loopback(), 0}}, answer,
                          keep, Event{lab_.loop.get_executor()}};
        ConnectOptions options = lab_.options(tls);
        options.gateway.port = impostor.acceptor.local_endpoint().port();
        options.deadline = now() + patience;
        std::optional<WebError> found;
        lab_.run(meet(impostor, options, found));
        return found;
    }

    net::awaitable<void> meet(Impostor& impostor, ConnectOptions options,
                              std::optional<WebError>& found)
    {
        TaskScope tasks{lab_.loop.get_executor(), [](const std::exception_ptr&) {}};
        tasks.spawn(impostor.run());
        found = co_await test::failure_of(options);
        auto joined = tasks.join();
        co_await std::move(joined);
    }
};

TEST_F(ConnectToAnImpostor, SaysSoWhenTheConnectionEndsInTheHandshake)
{
    for (const bool tls : {false, true}) {
        const auto found = failure("", false, tls, 20s);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->failure(), WebFailure::dropped) << found->what();
        lab_.loop.restart();
    }
}

TEST_F(ConnectToAnImpostor, GivesUpAtTheDeadlineWhenTheGatewayFallsSilent)
{
    for (const bool tls : {false, true}) {
        const auto found = failure("", true, tls, 50ms);
        ASSERT_TRUE(found);
        EXPECT_EQ(found->failure(), WebFailure::timed_out) << found->what();
        lab_.loop.restart();
    }
}

TEST_F(ConnectToAnImpostor, SaysSoWhenItIsNotHttp)
{
    const auto found = failure("SSH-2.0-OpenSSH_9.2p1\r\n\r\n", true, false, 20s);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::not_a_gateway);
}

TEST_F(ConnectToAnImpostor, BelievesNo101WithoutItsProof)
{
    const auto found = failure("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
                               true, false, 20s);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->failure(), WebFailure::not_a_gateway);
}

} // namespace
} // namespace narrowlink::io
