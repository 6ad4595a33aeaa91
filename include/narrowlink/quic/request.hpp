#pragma once

#include "narrowlink/base/address.hpp"

#include <cstdint>
#include <string>

namespace narrowlink::quic {

/// The QUIC stream of one request; what both ends know it by.
enum class StreamId : std::int64_t {};

/// What a client asks the agent for: the agent is an HTTP/3 proxy.
struct Request {
    enum class Kind {
        tcp, ///< CONNECT, RFC 9114 §4.4
        udp, ///< extended CONNECT with `:protocol connect-udp`, RFC 9298
    };

    Kind kind = Kind::tcp;
    HostPort target;

    bool operator==(const Request&) const = default;
};

/// The agent's answer: 2xx opens the tunnel, everything else refuses it.
struct Response {
    unsigned status = 200;
    std::string proxy_status; ///< Proxy-Status field value (RFC 9209), empty for none

    [[nodiscard]] bool is_success() const { return status >= 200 && status < 300; }

    bool operator==(const Response&) const = default;
};

} // namespace narrowlink::quic
