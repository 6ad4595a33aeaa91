#pragma once

#include <cstdint>

namespace narrowlink {

/// How a sender of QUIC packets finds out how much the way takes.
enum class CongestionControl : std::uint8_t {
    cubic, ///< RFC 9438: every loss and every ECN mark (RFC 3168) is congestion
    bbr,   ///< draft-cardwell-iccrg-bbr-congestion-control: by rate and round trip; without ECN
};

} // namespace narrowlink
