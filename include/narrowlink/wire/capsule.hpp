#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/wire/varint.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace narrowlink::wire {

inline constexpr std::uint64_t datagram_capsule = 0x00; ///< RFC 9297 §3.5
inline constexpr std::size_t max_udp_payload = 65'527;  ///< RFC 9298 §5
inline constexpr std::size_t max_datagram_capsule = 65'535 + max_varint_size;

/// Reads the DATAGRAM capsules of one stream (RFC 9297 §3.2), which arrives in pieces of any size.
///
///     Capsule { Type (varint), Length (varint), Value (Length bytes) }
///
/// Capsules of other types are skipped without being kept, whatever their length.
class CapsuleReader {
public:
    /// Consumes `input` from the front until one DATAGRAM capsule is complete, and returns its
    /// value; empty when `input` is used up first. Call again until it is empty.
    ///
    /// The value borrows from `input` or from the reader: it is good until the next call.
    /// Errors: errc::message_size when a DATAGRAM capsule exceeds max_datagram_capsule. The stream
    /// is then to be reset; every later call fails in the same way.
    Result<std::optional<Bytes>> read(Bytes& input);

    /// May the stream end here? An end within a capsule is a malformed message (RFC 9297 §3.3).
    [[nodiscard]] bool at_boundary() const { return state_ == State::header && head_size_ == 0; }

private:
    enum class State { header, value, skip, failed };

    bool take_header(Bytes& input);
    Result<std::optional<Bytes>> take_value(Bytes& input);
    void take_skipped(Bytes& input);

    State state_ = State::header;
    std::array<std::byte, 2 * max_varint_size> head_{}; ///< an incomplete type and length
    std::size_t head_size_ = 0;
    std::uint64_t remaining_ = 0; ///< bytes of the value still to come
    std::vector<std::byte> value_;
};

/// Writes type and length; `length` bytes of value follow.
void write_capsule_header(Writer& out, std::uint64_t type, std::uint64_t length);

/// How many bytes write_udp_capsule() adds in front of the largest payload.
inline constexpr std::size_t max_udp_capsule_overhead = 1 + 4 + 1;

/// Writes an HTTP datagram that carries one UDP payload: context ID 0, then the payload
/// (RFC 9298 §5). Requires: at most max_udp_payload bytes.
void write_udp_payload(Writer& out, Bytes payload);

/// Writes the same as a DATAGRAM capsule, for what does not fit into a QUIC DATAGRAM frame.
void write_udp_capsule(Writer& out, Bytes payload);

/// The UDP payload of an HTTP datagram; empty when its context ID is unknown, then it is dropped
/// (RFC 9298 §4).
///
/// Errors: errc::bad_message when it ends within the context ID, errc::message_size when the
/// payload exceeds max_udp_payload; in both cases the stream is to be reset.
Result<std::optional<Bytes>> decode_udp_payload(Bytes datagram);

} // namespace narrowlink::wire
