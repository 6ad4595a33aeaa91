#include "web_stream.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <boost/asio/write.hpp>

#include <algorithm>
#include <cerrno>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace narrowlink::io {
namespace {

// Enough unsent bytes to keep the link busy; what waits beyond that waits in queues of ours, where
// control messages can still overtake it.
constexpr int not_sent_low_water_bytes = 128 * 1024;

constexpr Duration linger_time = std::chrono::seconds{1};
constexpr std::size_t most_discarded = 256 * 1'024; ///< bytes taken in meanwhile

void set_options(tcp::socket& socket)
{
    ErrorCode ignored; // a socket the peer has reset already refuses options; the next read tells
    socket.non_blocking(true, ignored);
    socket.set_option(tcp::no_delay{true}, ignored);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &not_sent_low_water_bytes,
                 sizeof not_sent_low_water_bytes);
}

ErrorCode last_error()
{
    return {errno, boost::system::system_category()};
}

} // namespace

Progress WebStream::Core::read(MutableBytes into)
{
    if (into.empty())
        return {};
    if (!socket.is_open())
        return {.error = net::error::operation_aborted};
    if (tls)
        return tls->read(into);
    if (drained)
        return {.need = Progress::Need::readable};
    for (;;) {
        const ssize_t n = ::recv(socket.native_handle(), into.data(), into.size(), 0);
        if (n > 0) {
            drained = static_cast<std::size_t>(n) < into.size();
            return {.bytes = static_cast<std::size_t>(n)};
        }
        if (n == 0)
            return {.error = net::error::eof};
        if (errno == EAGAIN)
            return {.need = Progress::Need::readable};
        if (errno != EINTR)
            return {.error = last_error()};
    }
}

Progress WebStream::Core::write(std::span<const Bytes> pieces)
{
    if (pieces.empty())
        return {};
    if (!socket.is_open())
        return {.error = net::error::operation_aborted};
    if (tls)
        return tls->write(pieces);
    std::array<iovec, most_pieces> vectors{};
    std::ranges::transform(pieces, vectors.begin(), [](Bytes piece) {
        return iovec{const_cast<std::byte*>(piece.data()), piece.size()};
    });
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = pieces.size();
    for (;;) {
        const ssize_t n = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL);
        if (n >= 0)
            return {.bytes = static_cast<std::size_t>(n)};
        if (errno == EAGAIN)
            return {.need = Progress::Need::writable};
        if (errno != EINTR)
            return {.error = last_error()};
    }
}

Progress WebStream::Core::flush()
{
    if (!socket.is_open())
        return {.error = net::error::operation_aborted};
    return tls->flush();
}

void WebStream::Core::became_readable()
{
    drained = false;
    if (tls)
        tls->became_readable();
}

WebStream::WebStream(tcp::socket socket)
    : core_{std::make_shared<Core>(Core{std::move(socket), nullptr})}
{
    set_options(core_->socket);
}

WebStream::WebStream(tcp::socket socket, SslPointer ssl) : WebStream{std::move(socket)}
{
    core_->tls = std::make_unique<TlsSession>(std::move(ssl), core_->socket.native_handle());
}

WebStream& WebStream::operator=(WebStream&& other) noexcept
{
    close();
    core_ = std::move(other.core_);
    return *this;
}

WebStream::~WebStream()
{
    close();
}

net::awaitable<void> WebStream::handshake()
{
    const std::shared_ptr<Core> core = core_;
    while (core->tls) {
        const Progress progress = core->tls->handshake();
        if (progress.error)
            throw boost::system::system_error{progress.error};
        if (progress.need == Progress::Need::nothing)
            co_return;
        const bool for_reading = progress.need == Progress::Need::readable;
        co_await core->socket.async_wait(
            for_reading ? tcp::socket::wait_read : tcp::socket::wait_write, net::use_awaitable);
        if (for_reading)
            core->became_readable();
    }
}

long WebStream::verify_result() const
{
    return core_->tls ? core_->tls->verify_result() : 0;
}

net::awaitable<std::size_t> WebStream::read_some(MutableBytes into, ErrorCode& error)
{
    co_return co_await async_read_some(net::buffer(into.data(), into.size()),
                                       net::redirect_error(net::use_awaitable, error));
}

net::awaitable<void> WebStream::write(Bytes bytes, ErrorCode& error)
{
    co_await net::async_write(*this, net::buffer(bytes.data(), bytes.size()),
                              net::redirect_error(net::use_awaitable, error));
}

void WebStream::set_corked(bool corked)
{
    if (core_->tls)
        core_->tls->set_corked(corked);
}

net::awaitable<void> WebStream::flush(ErrorCode& error)
{
    const std::shared_ptr<Core> core = core_;
    while (core->tls && !error) {
        const Progress progress = core->flush();
        error = progress.error;
        if (progress.need == Progress::Need::nothing)
            co_return;
        co_await core->socket.async_wait(tcp::socket::wait_write,
                                         net::redirect_error(net::use_awaitable, error));
    }
}

net::awaitable<void> WebStream::linger()
{
    const std::shared_ptr<Core> core = core_;
    if (!core->socket.is_open())
        co_return;
    if (core->tls)
        core->tls->close_notify();
    ErrorCode error;
    core->socket.shutdown(tcp::socket::shutdown_send, error);

    net::steady_timer end{core->socket.get_executor(), now() + linger_time};
    end.async_wait([core](const ErrorCode& cancelled) {
        if (!cancelled)
            core->socket.close();
    });
    std::array<std::byte, 4'096> discarded;
    std::size_t left = most_discarded;
    while (!error && left > 0) {
        const std::size_t n = co_await core->socket.async_read_some(
            net::buffer(discarded), net::redirect_error(net::use_awaitable, error));
        left -= std::min(left, n);
    }
    if (left == 0)
        core->socket.close(); // it does not want to hear our last words
}

void WebStream::close()
{
    if (!core_)
        return;
    ErrorCode ignored;
    core_->socket.close(ignored);
}

bool WebStream::has_tls() const
{
    return core_->tls != nullptr;
}

WebStream::executor_type WebStream::get_executor()
{
    return core_->socket.get_executor();
}

} // namespace narrowlink::io
