#pragma once

#include "narrowlink/base/result.hpp"
#include "narrowlink/io/web_socket.hpp"

namespace narrowlink::io {

/// What dial() threw.
WebError failure_of_dial(const HostPort& gateway, const ErrorCode& error);

/// `verify_result` as of TlsSession::verify_result().
WebError failure_of_tls(const HostPort& gateway, const ErrorCode& error, long verify_result);

/// An HTTP answer that is not 101; `body` is cut to what WebError keeps.
WebError failure_of_answer(const ConnectOptions& options, unsigned http_status, std::string body,
                           std::string_view date);

/// A Date field in the form that is not obsolete (RFC 9110 §5.6.7); empty for anything else.
std::optional<UnixTime> parse_http_date(std::string_view text);

/// No HTTP answer at all.
WebError failure_of_upgrade(const HostPort& gateway, const ErrorCode& error);

/// The deadline passed after the connection was made.
WebError failure_in_time(const HostPort& gateway);

} // namespace narrowlink::io
