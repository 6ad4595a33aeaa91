#include "narrowlink/quic/error.hpp"

#include <string>

namespace narrowlink::quic {
namespace {

class ErrorCategory final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "narrowlink.quic"; }

    std::string message(int value) const override
    {
        switch (static_cast<Error>(value)) {
        case Error::closed_by_peer: return "the peer closed the connection";
        case Error::closed_locally: return "the connection was closed on this side";
        case Error::wrong_peer: return "the peer's key is not the one that was announced";
        case Error::rejected_by_peer: return "the peer rejected our key";
        case Error::handshake_failed: return "the TLS handshake failed";
        case Error::protocol_violation: return "the peer violated the protocol";
        case Error::timed_out: return "the peer has fallen silent";
        case Error::too_many_streams: return "the peer allows no further stream at the moment";
        case Error::not_connected: return "the connection is not established";
        case Error::busy: return "the connection is busy with the same at the moment";
        case Error::bad_credentials: return "the private key or certificate cannot be used";
        case Error::internal: return "the QUIC library reported an internal error";
        }
        return "unknown QUIC error";
    }
};

constinit const ErrorCategory category;

} // namespace

ErrorCode make_error_code(Error error) noexcept
{
    return {static_cast<int>(error), category};
}

} // namespace narrowlink::quic
