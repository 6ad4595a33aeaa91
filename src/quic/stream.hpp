#pragma once

#include "narrowlink/base/byte_queue.hpp"
#include "narrowlink/quic/request.hpp"
#include "narrowlink/wire/capsule.hpp"

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::quic {

/// The fields of a request or response while they arrive.
struct Fields {
    std::string method, protocol, scheme, authority, path, status, proxy_status;
};

/// One request's stream, on either end.
struct Stream {
    static constexpr std::size_t most_datagrams = 1'024;
    static constexpr std::size_t most_datagram_bytes = 1'024 * 1'024;

    /// The large blocks of all streams of a connection.
    struct Pools {
        /// A read of a local socket that fills four trains costs a sender 5 % less CPU than four.
        BufferPool send{0, 4 * 65'536, 8};
        BufferPool receive{0, 65'536, 32};
    };

    Stream(StreamId stream_id, Pools& pools)
        : id{stream_id}
        , send{pools.send}
        , receive{pools.receive}
    {
    }

    StreamId id;
    Request::Kind kind = Request::Kind::tcp;
    ByteQueue send;    ///< kept until acknowledged; ngtcp2 does not copy
    ByteQueue receive; ///< until the owner consumes it
    Fields fields;
    wire::CapsuleReader capsules;
    std::deque<std::vector<std::byte>> datagrams; ///< received UDP payloads
    std::size_t datagram_bytes = 0;

    std::size_t quota = 0; ///< bytes it may still send in this round, see Http3::next_round
    std::uint64_t withheld_acknowledgements = 0; ///< bytes; only while end_waits
    bool exhausted = false;     ///< waits for the next round
    bool answered = false;      ///< headers went out (agent) or came in (client)
    bool send_ended = false;    ///< shutdown_send() was called
    bool end_waits = false;     ///< an END_STREAM without bytes is still to be written
    bool send_stopped = false;  ///< the peer wants no more
    bool receive_ended = false; ///< END_STREAM has come
    bool reset = false;         ///< told to the owner, or by the owner
    bool closed = false;        ///< QUIC has forgotten the stream
    bool released = false;      ///< the owner has forgotten the stream
    bool readable_told = false; ///< a Readable event is queued
    bool wants_writable = false;
};

} // namespace narrowlink::quic
