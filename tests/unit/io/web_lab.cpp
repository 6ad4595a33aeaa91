#include "web_lab.hpp"

#include "narrowlink/io/asio_address.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/write.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <fmt/format.h>
#include <memory>
#include <utility>

namespace narrowlink::io::test {
namespace {

constexpr Duration patience = std::chrono::seconds{30}; // a test that hangs shall fail

template <class Write>
std::string to_pem(Write write)
{
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    char* text = nullptr;
    const long size = BIO_get_mem_data(bio, &text);
    std::string pem{text, static_cast<std::size_t>(size)};
    BIO_free(bio);
    return pem;
}

WebServerOptions server_options(const Certified& certified, WebLimits limits,
                                std::vector<IpPrefix> trusted_proxies)
{
    const SocketAddress any_port{*IpAddress::parse("127.0.0.1"), 0};
    return {.listeners = {{any_port, std::nullopt}, {any_port, certified.pem}},
            .trusted_proxies = std::move(trusted_proxies),
            .limits = limits};
}

} // namespace

Certified make_certificate()
{
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
    X509_set_pubkey(certificate, key);
    const std::string name = "localhost";
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_sign(certificate, key, EVP_sha256());

    Certified made;
    made.pem.chain = to_pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
    made.pem.private_key = to_pem([&](BIO* bio) {
        PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    SHA256(der, static_cast<std::size_t>(size), reinterpret_cast<unsigned char*>(made.pin.data()));
    OPENSSL_free(der);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return made;
}

WebResponse Site::respond(const WebRequest& request)
{
    last_request = request;
    WebResponse page;
    page.status = request.target == "/" ? 200 : 404;
    page.body = request.target == "/" ? "welcome" : "nothing here";
    return page;
}

std::variant<WebApplication::Accept, WebResponse> Site::authorize(const WebRequest& request)
{
    last_request = request;
    if (request.bearer == "good")
        return Accept{};
    if (request.bearer.empty())
        return respond(request);
    WebResponse answer;
    answer.status = 401;
    answer.content_type = "application/json";
    answer.body = refusal;
    return answer;
}

void Site::adopt(WebSocket socket, WebRequest, std::size_t)
{
    adopted.push_back(std::move(socket));
    arrived_.set();
}

net::awaitable<WebSocket> Site::next_socket()
{
    while (adopted.empty())
        co_await arrived_.wait();
    WebSocket socket = std::move(adopted.front());
    adopted.pop_front();
    co_return socket;
}

WebLab::WebLab(WebLimits limits, std::vector<IpPrefix> trusted_proxies)
    : server{server_options(certified, limits, std::move(trusted_proxies)),
             site,
             {loop.get_executor()}}
{
    server.start();
}

void WebLab::run(net::awaitable<void> test)
{
    std::exception_ptr failure;
    net::co_spawn(loop, run_and_stop(std::move(test)),
                  [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
    loop.run();
    if (failure)
        std::rethrow_exception(failure);
}

net::awaitable<void> WebLab::run_and_stop(net::awaitable<void> test)
{
    std::exception_ptr failure;
    try {
        auto bounded = with_deadline(now() + patience, std::move(test));
        co_await std::move(bounded);
    } catch (...) {
        failure = std::current_exception();
    }
    auto stopping = server.stop();
    co_await std::move(stopping);
    if (failure)
        std::rethrow_exception(failure);
}

ConnectOptions WebLab::options(bool tls) const
{
    ConnectOptions options;
    options.tls = tls;
    options.gateway = {"127.0.0.1", server.addresses()[tls ? 1 : 0].port};
    options.path = "/";
    options.bearer = "good";
    options.pin = certified.pin;
    options.deadline = now() + patience;
    return options;
}

net::awaitable<WebSocket> WebLab::connect(bool tls)
{
    return WebSocket::connect(options(tls));
}

net::awaitable<tcp::socket> WebLab::dial_plain()
{
    tcp::socket socket{loop};
    co_await socket.async_connect(to_tcp_endpoint(server.addresses()[0]), net::use_awaitable);
    co_return socket;
}

net::awaitable<std::string> WebLab::exchange(std::string request)
{
    auto dialling = dial_plain();
    tcp::socket socket = co_await std::move(dialling);
    co_await net::async_write(socket, net::buffer(request), net::use_awaitable);
    std::string answer;
    ErrorCode error;
    while (!error) {
        std::array<char, 1'024> block;
        const std::size_t n = co_await socket.async_read_some(
            net::buffer(block), net::redirect_error(net::use_awaitable, error));
        answer.append(block.data(), n);
    }
    co_return answer;
}

net::awaitable<bool> is_closed_by_peer(tcp::socket& socket)
{
    ErrorCode error;
    std::array<char, 1'024> block;
    while (!error)
        co_await socket.async_read_some(net::buffer(block),
                                        net::redirect_error(net::use_awaitable, error));
    co_return error == net::error::eof || error == net::error::connection_reset;
}

net::awaitable<std::optional<WebError>> failure_of(ConnectOptions options)
{
    auto connecting = WebSocket::connect(std::move(options));
    try {
        co_await std::move(connecting);
    } catch (const WebError& failure) {
        co_return failure;
    }
    co_return std::nullopt;
}

std::string get(std::string_view target, std::string_view further_fields)
{
    return fmt::format("GET {} HTTP/1.1\r\nHost: example.org\r\n{}\r\n", target, further_fields);
}

} // namespace narrowlink::io::test
