#pragma once

#include "narrowlink/base/buffer.hpp"
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/wire/pair.hpp"

#include <cstdint>

namespace narrowlink::wire {

/// The head of a relay message, which is one binary WebSocket message; docs/protocol.md §5.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +---------------+---------------+-------------------------------+
///     |   Type (1)    | Reserved (0)  |         Segment size          |
///     +---------------+---------------+-------------------------------+
///     |                         Pair handle                           |
///     +---------------------------------------------------------------+
///     |   QUIC packets of that size each, the last may be shorter …   |
///     +---------------------------------------------------------------+
struct RelayHeader {
    static constexpr std::uint8_t type = 1;
    static constexpr std::size_t size = 8;

    std::uint16_t segment_size;
    PairHandle handle;

    bool operator==(const RelayHeader&) const = default;
};

inline constexpr std::size_t max_relay_payload = 65'528;
inline constexpr std::size_t max_relay_message = RelayHeader::size + max_relay_payload;
inline constexpr std::size_t max_relay_segments = 64; ///< what one UDP_SEGMENT call takes, udp(7)

/// A decoded relay message; `payload` borrows from the message.
struct RelayFrame {
    RelayHeader header;
    Bytes payload;

    [[nodiscard]] std::size_t segments() const
    {
        return (payload.size() + header.segment_size - 1) / header.segment_size;
    }
};

/// Puts the header in front of the packets in `buffer`.
///
/// Requires: RelayHeader::size bytes of headroom, and packets that decode() would accept.
void prepend(Buffer& buffer, RelayHeader header);

/// Errors: errc::bad_message for another type, reserved bits, a segment size of 0, no packet,
/// more than max_relay_payload bytes or more than max_relay_segments packets.
Result<RelayFrame> decode_relay_frame(Bytes message);

/// Changes the handle of an encoded message in place.
///
/// Requires: a message that decode_relay_frame() accepted.
void rewrite_handle(MutableBytes message, PairHandle handle);

} // namespace narrowlink::wire
