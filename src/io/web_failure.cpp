#include "web_failure.hpp"

#include "narrowlink/io/resolve.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/websocket/error.hpp>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <utility>

namespace narrowlink::io {
namespace {

namespace http = boost::beast::http;
namespace errc = boost::system::errc;

constexpr std::size_t longest_body = 4'096;

bool is_disconnection(const ErrorCode& error)
{
    return error == net::error::eof || error == net::error::connection_reset ||
           error == net::error::broken_pipe || error == http::error::end_of_stream ||
           error == http::error::partial_message;
}

WebError failure_of_connection(const HostPort& gateway)
{
    return {WebFailure::dropped,
            fmt::format("the gateway {} ended the connection during the handshake; check that a "
                        "proxy in between allows WebSockets, and try again",
                        to_string(gateway))};
}

} // namespace

WebError failure_of_dial(const HostPort& gateway, const ErrorCode& error)
{
    const std::string name = to_string(gateway);
    if (error == ResolveError::no_such_name || error == ResolveError::failed ||
        error == ResolveError::timed_out)
        return {WebFailure::name_not_resolved,
                fmt::format("the name of the gateway {} cannot be resolved ({}); check its "
                            "spelling and this machine's name servers",
                            name, error.message())};
    if (error == errc::connection_refused)
        return {WebFailure::refused,
                fmt::format("the gateway {} refuses the connection; check that it is running and "
                            "that the port is right",
                            name)};
    if (error == errc::timed_out)
        return {WebFailure::timed_out,
                fmt::format("the gateway {} does not answer; check its address and the firewalls "
                            "on the way",
                            name)};
    return {WebFailure::unreachable,
            fmt::format("the gateway {} cannot be reached ({}); check this machine's network", name,
                        error.message())};
}

WebError failure_of_tls(const HostPort& gateway, const ErrorCode& error, long verify_result)
{
    const std::string name = to_string(gateway);
    if (verify_result == X509_V_ERR_APPLICATION_VERIFICATION)
        return {WebFailure::tls_pin_mismatch,
                fmt::format("the gateway {} has another key than the one this join string names; "
                            "get a new join string, unless somebody sits in between",
                            name)};
    if (verify_result != X509_V_OK)
        return {WebFailure::tls_not_trusted,
                fmt::format("the certificate of the gateway {} is not trusted ({}); use a join "
                            "string with the gateway's pin, or a certificate of a known CA",
                            name, X509_verify_cert_error_string(verify_result))};
    if (is_disconnection(error))
        return failure_of_connection(gateway);
    return {WebFailure::tls_failed,
            fmt::format("no TLS with the gateway {} ({}); check that this port speaks HTTPS", name,
                        error.message())};
}

std::optional<UnixTime> parse_http_date(std::string_view text)
{
    const std::string field{text};
    std::tm parts{};
    const char* end = ::strptime(field.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == nullptr || *end != '\0')
        return std::nullopt;
    return UnixTime{std::chrono::seconds{::timegm(&parts)}};
}

WebError failure_of_answer(const ConnectOptions& options, unsigned http_status, std::string body,
                           std::string_view date)
{
    const std::string name = to_string(options.gateway);
    body.resize(std::min(body.size(), longest_body));
    if (http_status == 401)
        return {WebFailure::unauthorized,
                fmt::format("the gateway {} does not accept this token; ask its owner for a new "
                            "join string",
                            name),
                http_status, std::move(body), parse_http_date(date)};
    return {WebFailure::not_a_gateway,
            fmt::format("{} answers {} with HTTP status {} and no WebSocket; check host, port and "
                        "path, and that a proxy in between passes WebSockets on",
                        name, options.path, http_status),
            http_status, std::move(body), parse_http_date(date)};
}

WebError failure_of_upgrade(const HostPort& gateway, const ErrorCode& error)
{
    if (is_disconnection(error))
        return failure_of_connection(gateway);
    return {WebFailure::not_a_gateway,
            fmt::format("{} does not speak HTTP as a gateway does ({}); check host and port",
                        to_string(gateway), error.message())};
}

WebError failure_in_time(const HostPort& gateway)
{
    return {WebFailure::timed_out,
            fmt::format("the gateway {} accepted the connection but did not finish the handshake "
                        "in time; check that the port is the gateway's",
                        to_string(gateway))};
}

} // namespace narrowlink::io
