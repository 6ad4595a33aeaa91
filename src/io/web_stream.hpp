#pragma once

#include "narrowlink/io/asio.hpp"
#include "tls_session.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/role.hpp>

#include <array>
#include <memory>
#include <span>

namespace narrowlink::io {

/// The byte stream below HTTP and WebSocket: a TCP socket, with TLS on it or without.
///
/// An AsyncReadStream and AsyncWriteStream of Asio. One read and one write may be outstanding at
/// once, on the socket's thread. A cancelled operation ends with net::error::operation_aborted
/// and leaves the stream fit only for close(). Destruction with operations outstanding ends them.
class WebStream {
public:
    using executor_type = tcp::socket::executor_type;

    /// Plain. Sets the options of the socket that web traffic wants.
    explicit WebStream(tcp::socket socket);

    /// With TLS; handshake() comes first.
    WebStream(tcp::socket socket, SslPointer ssl);

    WebStream(WebStream&&) noexcept = default;
    WebStream& operator=(WebStream&&) noexcept;
    ~WebStream();

    /// Throws boost::system::system_error.
    net::awaitable<void> handshake();

    /// See TlsSession::verify_result().
    [[nodiscard]] long verify_result() const;

    net::awaitable<std::size_t> read_some(MutableBytes into, ErrorCode& error);
    net::awaitable<void> write(Bytes bytes, ErrorCode& error);

    /// While corked, writes may be kept until flush(): see TlsSession::set_corked(). No effect
    /// without TLS.
    void set_corked(bool corked);
    net::awaitable<void> flush(ErrorCode& error);

    /// Sends close_notify and the end of the stream, then discards what the peer still sends for
    /// at most a second: closing a socket with unread bytes would reset the connection and could
    /// destroy the last message on its way.
    net::awaitable<void> linger();

    void close();

    [[nodiscard]] bool has_tls() const;

    [[nodiscard]] executor_type get_executor();

    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token);

    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token);

private:
    static constexpr std::size_t most_pieces = 8;

    /// Shared with the operations in flight, which may outlive the stream by one turn.
    struct Core {
        tcp::socket socket;
        std::unique_ptr<TlsSession> tls;
        bool drained = false; // plain only; TlsSession has its own

        Progress read(MutableBytes into);
        Progress write(std::span<const Bytes> pieces);
        Progress flush();
        void became_readable();
    };

    class ReadOperation;
    class WriteOperation;

    std::shared_ptr<Core> core_;
};

/// A first attempt, then one wait and one attempt in turn until something came.
class WebStream::ReadOperation {
public:
    ReadOperation(std::shared_ptr<Core> core, MutableBytes into)
        : core_{std::move(core)}, into_{into}
    {
    }

    template <class Self>
    void operator()(Self& self, ErrorCode error = {})
    {
        if (state_ == State::finished || error) {
            self.complete(error ? error : progress_.error, progress_.bytes);
            return;
        }
        if (state_ == State::waiting)
            core_->became_readable();
        progress_ = core_->read(into_);
        switch (progress_.need) {
        case Progress::Need::readable: return wait(self, tcp::socket::wait_read);
        case Progress::Need::writable: return wait(self, tcp::socket::wait_write);
        case Progress::Need::nothing: break;
        }
        if (state_ == State::waiting) {
            self.complete(progress_.error, progress_.bytes);
            return;
        }
        state_ = State::finished; // a completion never comes from within the initiating function
        const auto executor = core_->socket.get_executor();
        net::post(executor, std::move(self));
    }

private:
    enum class State { started, waiting, finished };

    template <class Self>
    void wait(Self& self, tcp::socket::wait_type what)
    {
        state_ = State::waiting;
        tcp::socket& socket = core_->socket; // `self` takes this operation along
        socket.async_wait(what, std::move(self));
    }

    std::shared_ptr<Core> core_;
    MutableBytes into_;
    Progress progress_;
    State state_ = State::started;
};

/// Hands everything to the kernel, waiting as often as it takes.
class WebStream::WriteOperation {
public:
    WriteOperation(std::shared_ptr<Core> core, std::array<Bytes, most_pieces> pieces,
                   std::size_t count)
        : core_{std::move(core)}, pieces_{pieces}, count_{count}
    {
    }

    template <class Self>
    void operator()(Self& self, ErrorCode error = {})
    {
        if (state_ == State::finished || error) {
            self.complete(error ? error : error_, error || error_ ? 0 : accepted_);
            return;
        }
        const bool initiating = state_ == State::started;
        Progress progress;
        if (initiating || accepted_ == 0) {
            progress = core_->write(std::span{pieces_}.first(count_));
            accepted_ = progress.bytes;
        } else {
            progress = core_->flush(); // TLS: sealed already, but the socket was full
        }
        if (progress.need != Progress::Need::nothing) {
            state_ = State::waiting;
            tcp::socket& socket = core_->socket;
            socket.async_wait(tcp::socket::wait_write, std::move(self));
            return;
        }
        error_ = progress.error;
        if (!initiating) {
            self.complete(error_, error_ ? 0 : accepted_);
            return;
        }
        state_ = State::finished;
        const auto executor = core_->socket.get_executor();
        net::post(executor, std::move(self));
    }

private:
    enum class State { started, waiting, finished };

    std::shared_ptr<Core> core_;
    std::array<Bytes, most_pieces> pieces_;
    std::size_t count_;
    std::size_t accepted_ = 0;
    ErrorCode error_;
    State state_ = State::started;
};

template <class Buffers, class Token>
auto WebStream::async_read_some(const Buffers& buffers, Token&& token)
{
    MutableBytes into;
    for (auto it = net::buffer_sequence_begin(buffers);
         it != net::buffer_sequence_end(buffers) && into.empty(); ++it) {
        const net::mutable_buffer piece{*it};
        into = {static_cast<std::byte*>(piece.data()), piece.size()};
    }
    return net::async_compose<Token, void(ErrorCode, std::size_t)>(ReadOperation{core_, into},
                                                                   token, core_->socket);
}

template <class Buffers, class Token>
auto WebStream::async_write_some(const Buffers& buffers, Token&& token)
{
    std::array<Bytes, most_pieces> pieces;
    std::size_t count = 0;
    for (auto it = net::buffer_sequence_begin(buffers);
         it != net::buffer_sequence_end(buffers) && count < most_pieces; ++it) {
        const net::const_buffer piece{*it};
        if (piece.size() > 0)
            pieces[count++] = {static_cast<const std::byte*>(piece.data()), piece.size()};
    }
    return net::async_compose<Token, void(ErrorCode, std::size_t)>(
        WriteOperation{core_, pieces, count}, token, core_->socket);
}

// What Beast asks of a stream that is not its own, found by argument-dependent lookup.

inline void beast_close_socket(WebStream& stream)
{
    stream.close();
}

template <class Completion>
void async_teardown(boost::beast::role_type, WebStream& stream, Completion&& completion)
{
    auto slot = net::get_associated_cancellation_slot(completion);
    net::co_spawn(stream.get_executor(), stream.linger(),
                  net::bind_cancellation_slot(
                      slot, [completion = std::forward<Completion>(completion)](
                                const std::exception_ptr&) mutable { completion(ErrorCode{}); }));
}

} // namespace narrowlink::io
