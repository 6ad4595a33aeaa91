#pragma once

#include "narrowlink/drive/pair_driver.hpp"

#include <optional>
#include <span>
#include <vector>

namespace narrowlink::drive {

/// One request's stream, for coroutines. Owns the request: its end releases it, and an unfinished
/// one is reset. Must not outlive its PairDriver.
class Stream {
public:
    Stream(PairDriver& driver, quic::StreamId id);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    [[nodiscard]] quic::StreamId id() const { return id_; }

    /// The peer has given the stream up, or the pair is over.
    [[nodiscard]] bool has_failed() const { return failed_; }

    /// HTTP/3 error code of a reset by the peer; empty when the whole pair is over.
    [[nodiscard]] std::optional<std::uint64_t> reset_code() const { return reset_code_; }

    /// Client: waits for the answer. Throws errc::connection_reset when the stream fails before.
    net::awaitable<quic::Response> response();

    /// Agent: answers the request.
    void respond(const quic::Response&);

    /// Wait until something may have changed; the caller looks what. They return at once when the
    /// stream has failed.
    net::awaitable<void> wait_readable();
    net::awaitable<void> wait_writable();

    std::size_t send_space() { return failed_ ? 0 : connection().send_space(id_); }

    MutableBytes send_block() { return connection().send_block(id_); }

    void send_committed(std::size_t n);
    void shutdown_send();

    std::size_t received(std::span<Bytes> spans) { return connection().received(id_, spans); }

    void consume(std::size_t n);

    [[nodiscard]] bool receive_ended() { return connection().receive_ended(id_); }

    bool send_datagram(Bytes payload);

    std::optional<std::vector<std::byte>> receive_datagram()
    {
        return connection().receive_datagram(id_);
    }

    void reset(std::uint64_t code);

    /// Lets wait_readable() return, for a task that has to tell another something.
    void nudge_reader() { readable_.set(); }

private:
    friend class PairDriver;

    quic::Connection& connection() { return driver_->connection(); }

    void fail(std::optional<std::uint64_t> code);

    PairDriver* driver_;
    quic::StreamId id_;
    io::Event readable_, writable_;
    std::optional<quic::Response> response_;
    std::optional<std::uint64_t> reset_code_;
    bool failed_ = false;
};

} // namespace narrowlink::drive
