#pragma once

#include "narrowlink/base/result.hpp"

#include <type_traits>

namespace narrowlink::quic {

/// Why a connection ended or an operation on it was refused.
enum class Error {
    closed_by_peer = 1,  ///< the peer closed the connection
    closed_locally,      ///< we closed it
    wrong_peer,          ///< the certificate is not the one whose pin we were given
    rejected_by_peer,    ///< the peer did not accept our certificate
    handshake_failed,    ///< TLS could not agree
    protocol_violation,  ///< the peer broke QUIC or HTTP/3
    timed_out,           ///< the peer has fallen silent
    too_many_streams,    ///< the peer allows no further stream just now
    not_connected,       ///< the handshake is not complete
    busy,                ///< not now, but after the next exchange of packets
    bad_credentials,     ///< key or certificate could not be loaded
    internal,            ///< the QUIC library failed
};

ErrorCode make_error_code(Error) noexcept;

} // namespace narrowlink::quic

template <>
struct boost::system::is_error_code_enum<narrowlink::quic::Error> : std::true_type {
};
