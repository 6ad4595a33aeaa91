// The server's TLS as a foreign implementation sees it: asio::ssl::stream.
#include "narrowlink/io/asio_address.hpp"
#include "web_lab.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <gmock/gmock.h>
#include <string>

namespace narrowlink::io {
namespace {

using test::WebLab;

struct Visited {
    ErrorCode handshake;
    ErrorCode end; ///< how the connection ended, after the handshake
    std::string answer;
    std::string version;
    std::string protocol;
};

net::awaitable<void> visit(WebLab& lab, net::ssl::context& context, std::string request,
                           Visited& visited)
{
    net::ssl::stream<tcp::socket> stream{lab.loop, context};
    co_await stream.next_layer().async_connect(to_tcp_endpoint(lab.server.addresses()[1]),
                                               net::use_awaitable);
    co_await stream.async_handshake(net::ssl::stream_base::client,
                                    net::redirect_error(net::use_awaitable, visited.handshake));
    if (visited.handshake)
        co_return;
    visited.version = SSL_get_version(stream.native_handle());
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(stream.native_handle(), &protocol, &size);
    visited.protocol.assign(reinterpret_cast<const char*>(protocol), size);
    co_await net::async_write(stream, net::buffer(request), net::use_awaitable);
    while (!visited.end) {
        std::array<char, 1'024> block;
        const std::size_t n = co_await stream.async_read_some(
            net::buffer(block), net::redirect_error(net::use_awaitable, visited.end));
        visited.answer.append(block.data(), n);
    }
}

class WebTls : public testing::Test {
protected:
    Visited visit_with(int most_version, std::string_view protocols = "\x08http/1.1")
    {
        SSL_CTX_set_min_proto_version(context_.native_handle(), TLS1_VERSION);
        SSL_CTX_set_max_proto_version(context_.native_handle(), most_version);
        SSL_CTX_set_security_level(context_.native_handle(), 0); // TLS 1.1 needs it
        SSL_CTX_set_alpn_protos(context_.native_handle(),
                                reinterpret_cast<const unsigned char*>(protocols.data()),
                                static_cast<unsigned>(protocols.size()));
        Visited visited;
        const std::string request = test::get("/", "Connection: close\r\n");
        lab_.run(visit(lab_, context_, request, visited));
        return visited;
    }

    WebLab lab_;
    net::ssl::context context_{net::ssl::context::tls_client};
};

TEST_F(WebTls, SpeaksVersion13AndEndsWithCloseNotify)
{
    const Visited visited = visit_with(TLS1_3_VERSION);
    EXPECT_EQ(visited.version, "TLSv1.3");
    EXPECT_EQ(visited.protocol, "http/1.1");
    EXPECT_THAT(visited.answer, testing::EndsWith("welcome"));
    EXPECT_EQ(visited.end, net::error::eof) << visited.end.message(); // else stream_truncated
}

TEST_F(WebTls, SpeaksVersion12WithVisitors)
{
    const Visited visited = visit_with(TLS1_2_VERSION);
    EXPECT_EQ(visited.version, "TLSv1.2");
    EXPECT_THAT(visited.answer, testing::EndsWith("welcome"));
}

TEST_F(WebTls, RefusesOlderVersions)
{
    EXPECT_TRUE(visit_with(TLS1_1_VERSION).handshake);
}

TEST_F(WebTls, ChoosesHttp11AmongSeveralProtocols)
{
    const Visited visited = visit_with(TLS1_3_VERSION, "\x02h2\x08http/1.1");
    EXPECT_EQ(visited.protocol, "http/1.1");
}

TEST_F(WebTls, RefusesAVisitorWhoSpeaksHttp2Only)
{
    EXPECT_TRUE(visit_with(TLS1_3_VERSION, "\x02h2").handshake);
}

} // namespace
} // namespace narrowlink::io
