// Theory of operation
//
// Two loops per TCP connection, one for each direction. Both read and write the socket without
// blocking and wait only when the kernel says so; bytes go directly between the socket and the
// stream's own blocks.
//
// Half-close: end of file on the socket becomes END_STREAM and the reverse. The loop towards the
// socket stays until the other one has ended as well, because it is the one that hears of a reset
// of the stream.
//
// Resets: an error of the socket resets the stream (H3_CONNECT_ERROR, RFC 9114 §4.4); a reset of the
// stream closes the socket with RST (SO_LINGER 0, socket(7)).

#include "narrowlink/drive/splice.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/event.hpp"
#include "narrowlink/io/together.hpp"

#include <array>

#include <boost/system/system_error.hpp>

namespace narrowlink::drive {
namespace {

struct Progress {
    bool upload_ended = false; ///< socket → stream
    bool download_ended = false;
};

[[noreturn]] void fail(const ErrorCode& error)
{
    throw boost::system::system_error{error};
}

net::awaitable<void> upload(tcp::socket& socket, Stream& stream, Progress& progress)
{
    for (;;) {
        while (stream.send_space() == 0) {
            if (stream.has_failed())
                fail(net::error::connection_reset);
            co_await stream.wait_writable();
        }
        const MutableBytes block = stream.send_block();
        ErrorCode error;
        // A whole block, although it may be more than send_space(): odd sizes would cost a second
        // call for each of the blocks that follow.
        const std::size_t n = socket.read_some(net::buffer(block.data(), block.size()), error);
        if (error == net::error::would_block) {
            co_await socket.async_wait(tcp::socket::wait_read, net::use_awaitable);
            continue;
        }
        if (error == net::error::eof)
            break;
        if (error)
            fail(error);
        stream.send_committed(n);
    }
    stream.shutdown_send();
    progress.upload_ended = true;
    stream.nudge_reader();
}

net::awaitable<void> download(tcp::socket& socket, Stream& stream, Progress& progress)
{
    std::array<Bytes, 16> spans;
    std::array<net::const_buffer, 16> buffers;
    for (;;) {
        const std::size_t count = stream.received(spans);
        if (count == 0) {
            if (stream.has_failed())
                fail(net::error::connection_reset);
            if (!progress.download_ended && stream.receive_ended()) {
                ErrorCode gone;
                socket.shutdown(tcp::socket::shutdown_send, gone);
                progress.download_ended = true;
            }
            if (progress.download_ended && progress.upload_ended)
                co_return;
            co_await stream.wait_readable();
            continue;
        }
        for (std::size_t i = 0; i < count; ++i)
            buffers[i] = net::buffer(spans[i].data(), spans[i].size());
        ErrorCode error;
        const std::size_t n = socket.write_some(std::span{buffers}.first(count), error);
        if (error == net::error::would_block) {
            co_await socket.async_wait(tcp::socket::wait_write, net::use_awaitable);
            continue;
        }
        if (error)
            fail(error);
        stream.consume(n);
    }
}

} // namespace

net::awaitable<ErrorCode> splice(tcp::socket socket, Stream& stream)
{
    socket.non_blocking(true);
    Progress progress;
    ErrorCode failure;
    try {
        auto there = upload(socket, stream, progress);
        auto back = download(socket, stream, progress);
        auto both = io::together(std::move(there), std::move(back));
        co_await std::move(both);
        co_return ErrorCode{};
    } catch (const boost::system::system_error& error) {
        failure = error.code();
    }
    if (!stream.has_failed())
        stream.reset(failure == net::error::operation_aborted ? quic::h3_request_cancelled
                                                              : quic::h3_connect_error);
    ErrorCode ignored;
    socket.set_option(net::socket_base::linger{true, 0}, ignored);
    socket.close(ignored);
    if (failure == net::error::operation_aborted)
        fail(failure);
    co_return failure;
}

namespace {

struct Activity {
    Instant last;
};

net::awaitable<void> upload_datagrams(udp::socket& socket, Stream& stream, Activity& activity)
{
    constexpr int datagrams_per_turn = 64;
    std::vector<std::byte> payload(65'535);
    for (;;) {
        co_await socket.async_wait(udp::socket::wait_read, net::use_awaitable);
        for (int i = 0; i < datagrams_per_turn; ++i) {
            ErrorCode error;
            const std::size_t n = socket.receive(net::buffer(payload), 0, error);
            if (error == net::error::would_block)
                break;
            if (error)
                continue; // ICMP for an earlier datagram; UDP has no broken connections
            stream.send_datagram(Bytes{payload}.first(n));
            activity.last = io::now();
        }
    }
}

net::awaitable<void> download_datagrams(udp::socket& socket, Stream& stream, Activity& activity)
{
    for (;;) {
        while (const auto payload = stream.receive_datagram()) {
            ErrorCode lost; // a full socket buffer drops it, as a router would
            socket.send(net::buffer(*payload), 0, lost);
            activity.last = io::now();
        }
        if (stream.has_failed() || stream.receive_ended())
            fail(net::error::eof);
        co_await stream.wait_readable();
    }
}

net::awaitable<void> end_when_idle(Activity& activity, Duration idle_timeout)
{
    net::steady_timer timer{co_await net::this_coro::executor};
    while (io::now() < activity.last + idle_timeout) {
        timer.expires_at(activity.last + idle_timeout);
        co_await timer.async_wait(net::use_awaitable);
    }
    fail(net::error::timed_out);
}

} // namespace

net::awaitable<void> splice(udp::socket socket, Stream& stream, Duration idle_timeout)
{
    socket.non_blocking(true);
    Activity activity{io::now()};
    try {
        auto there = upload_datagrams(socket, stream, activity);
        auto back = download_datagrams(socket, stream, activity);
        auto idle = end_when_idle(activity, idle_timeout);
        auto both = io::together(std::move(there), std::move(back), std::move(idle));
        co_await std::move(both);
    } catch (const boost::system::system_error& error) {
        if (error.code() == net::error::operation_aborted)
            throw;
    }
    stream.shutdown_send();
}

} // namespace narrowlink::drive
