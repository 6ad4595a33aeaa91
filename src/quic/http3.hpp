#pragma once

#include "stream.hpp"

#include "narrowlink/quic/connection.hpp"

#include <unordered_map>

#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>

namespace narrowlink::quic {

/// The HTTP/3 half of a connection: requests, their bytes, and which of them sends next.
///
/// It reads and writes stream bytes for the QUIC half, which calls it; QUIC operations on streams
/// (flow-control credit, reset) go directly to ngtcp2.
class Http3 {
public:
    Http3(bool server, const Connection::Config&, ngtcp2_conn*, std::deque<Event>& events);
    ~Http3();
    Http3(const Http3&) = delete;
    Http3& operator=(const Http3&) = delete;

    /// Opens the control and QPACK streams. Errors: Error::internal.
    Result<> start();

    // What the QUIC half reports. A negative result is an nghttp3 error that ends the connection.
    int handle_stream_data(std::int64_t id, Bytes data, bool fin);
    void handle_acknowledged(std::int64_t id, std::uint64_t length);
    /// To be called after a train of packets: nghttp3 hears of all its acknowledgements at once.
    int settle_acknowledged();
    int handle_stream_closed(std::int64_t id, std::uint64_t code);
    int handle_stream_reset(std::int64_t id, std::uint64_t code);
    void handle_credit(std::int64_t id);
    void handle_send_stopped(std::int64_t id);
    void handle_datagram(Bytes frame);

    /// The next piece of stream data to put into a packet.
    struct Output {
        std::int64_t stream = -1; ///< -1: nothing
        bool fin = false;
        std::array<nghttp3_vec, 16> parts;
        std::size_t first = 0, count = 0; ///< of the parts; those before `first` are in packets

        [[nodiscard]] const nghttp3_vec* data() const { return parts.data() + first; }
        [[nodiscard]] std::size_t size() const { return count - first; }
    };

    /// Makes output() what is next. Returns 0 or a negative nghttp3 error.
    int next_output();

    [[nodiscard]] const Output& output() const { return output_; }

    /// So many bytes of output() are in a packet.
    void handle_output_sent(std::size_t length);
    void handle_output_blocked();
    /// To be called before anything else is: nghttp3 hears of a whole train at once.
    void settle_output();

    // Commands of the owner; see Connection.
    Result<StreamId> open(const Request&);
    void respond(StreamId, const Response&);
    std::size_t send_space(StreamId);
    MutableBytes send_block(StreamId);
    void send_committed(StreamId, std::size_t n);
    bool send_capsule(StreamId, Bytes payload);
    void shutdown_send(StreamId);
    std::size_t received(StreamId, std::span<Bytes> spans);
    void consume(StreamId, std::size_t n);
    [[nodiscard]] bool receive_ended(StreamId) const;
    std::optional<std::vector<std::byte>> receive_datagram(StreamId);
    void reset(StreamId, std::uint64_t code);
    void release(StreamId);
    Result<> ping();

    [[nodiscard]] bool ping_waits() const { return ping_.has_value(); }

    [[nodiscard]] std::uint64_t datagrams_dropped() const { return datagrams_dropped_; }

private:
    static nghttp3_callbacks callbacks();
    static nghttp3_ssize read_data(nghttp3_conn*, std::int64_t id, nghttp3_vec*, std::size_t,
                                   std::uint32_t* flags, void* self, void*);

    Stream* find(std::int64_t id);
    const Stream* find(StreamId) const;
    Stream* find(StreamId);
    Stream& add(std::int64_t id);
    void erase_if_done(Stream&);
    void tell_readable(Stream&);
    void tell_reset(Stream&, std::uint64_t code);
    void give_credit(std::int64_t id, std::size_t stream_bytes, std::size_t connection_bytes);
    void fill(Stream&, Bytes data);
    void add_datagram(Stream&, Bytes payload);
    void read_capsules(Stream&, Bytes data);
    void resume(Stream&);
    void next_round();
    void finish_fields(Stream&, bool fin);
    void finish_request(Stream&);
    void finish_response(Stream&);
    void answer_ping(Stream&);
    nghttp3_ssize provide(Stream&, nghttp3_vec*, std::size_t, std::uint32_t* flags);

    bool server_;
    Connection::Config config_;
    ngtcp2_conn* quic_;
    std::deque<Event>* events_;
    Stream::Pools pools_;
    nghttp3_conn* h3_ = nullptr;
    std::unordered_map<std::int64_t, Stream> streams_;
    std::vector<std::int64_t> exhausted_; ///< streams that wait for the next round
    bool would_block_ = false;            ///< a stream that nghttp3 asked had nothing to send
    Output output_;
    std::optional<std::size_t> output_sent_; ///< bytes of it that nghttp3 has not been told of
    std::int64_t acknowledged_stream_ = -1;
    std::uint64_t acknowledged_ = 0; ///< bytes of that stream, likewise
    std::optional<std::int64_t> ping_;    ///< client: the one that has not been answered
    std::size_t undelivered_ = 0;         ///< bytes in all receive queues
    std::size_t withheld_credit_ = 0;     ///< connection credit kept back while over budget
    std::uint64_t datagrams_dropped_ = 0;
};

} // namespace narrowlink::quic
