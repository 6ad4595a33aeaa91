#include "narrowlink/drive/splice.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/together.hpp"

#include "pair_lab.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

namespace narrowlink::drive::test {
namespace {

using namespace std::chrono_literals;

/// A whole tunnel: app ─TCP─ splice ═stream═ splice ─TCP─ target.
class Tunnel {
public:
    explicit Tunnel(PairLab& lab)
        : app{lab.executor()}, target{lab.executor()}, lab_{&lab}, changed_{lab.executor()}
    {
    }

    tcp::socket app, target;
    std::optional<ErrorCode> client_ended, agent_ended;

    /// Small buffers in the kernel, so that what is in flight is known.
    net::awaitable<void> open(std::optional<int> kernel_buffer = {})
    {
        tcp::socket client_side{lab_->executor()};
        tcp::socket agent_side{lab_->executor()};
        std::tie(app, client_side) = tcp_pair(lab_->executor());
        std::tie(target, agent_side) = tcp_pair(lab_->executor());
        if (kernel_buffer)
            for (tcp::socket* socket : {&app, &client_side, &target, &agent_side}) {
                socket->set_option(net::socket_base::send_buffer_size{*kernel_buffer});
                socket->set_option(net::socket_base::receive_buffer_size{*kernel_buffer});
            }
        lab_->spawn(serve_client(std::move(client_side)));
        lab_->spawn(serve_agent(std::move(agent_side)));
        while (!is_open_) {
            auto waiting = changed_.wait_until(never);
            co_await std::move(waiting);
        }
    }

    net::awaitable<void> ended()
    {
        while (!client_ended || !agent_ended) {
            auto waiting = changed_.wait_until(never);
            co_await std::move(waiting);
        }
    }

private:
    net::awaitable<void> serve_client(tcp::socket socket)
    {
        Stream stream{lab_->client.driver, lab_->open(tcp_request)};
        auto waiting = stream.response();
        co_await std::move(waiting);
        is_open_ = true;
        changed_.tell();
        auto splicing = splice(std::move(socket), stream);
        client_ended = co_await std::move(splicing);
        changed_.tell();
    }

    net::awaitable<void> serve_agent(tcp::socket socket)
    {
        auto coming = lab_->next_request();
        const auto [id, request] = co_await std::move(coming);
        Stream stream{lab_->agent.driver, id};
        stream.respond({});
        auto splicing = splice(std::move(socket), stream);
        agent_ended = co_await std::move(splicing);
        changed_.tell();
    }

    PairLab* lab_;
    Notice changed_;
    bool is_open_ = false;
};

net::awaitable<void> send_pattern(tcp::socket& socket, std::uint64_t total)
{
    std::vector<std::byte> block(30'011);
    for (std::uint64_t sent = 0; sent < total;) {
        const std::size_t n = std::min<std::uint64_t>(block.size(), total - sent);
        for (std::size_t i = 0; i < n; ++i)
            block[i] = pattern(sent + i);
        co_await net::async_write(socket, net::buffer(block.data(), n), net::use_awaitable);
        sent += n;
    }
    socket.shutdown(tcp::socket::shutdown_send);
}

/// Reads to the end of file; how many bytes came. Fails the test if one of them is not in its
/// place.
net::awaitable<std::uint64_t> receive_pattern(tcp::socket& socket)
{
    std::vector<std::byte> block(50'021);
    std::uint64_t received = 0;
    bool intact = true;
    for (;;) {
        ErrorCode error;
        const std::size_t n = co_await socket.async_read_some(
            net::buffer(block), net::redirect_error(net::use_awaitable, error));
        if (error == net::error::eof)
            break;
        if (error)
            throw boost::system::system_error{error};
        for (std::size_t i = 0; i < n; ++i)
            intact = intact && block[i] == pattern(received + i);
        received += n;
    }
    EXPECT_TRUE(intact);
    co_return received;
}

net::awaitable<void> expect_pattern(tcp::socket& socket, std::uint64_t total)
{
    auto receiving = receive_pattern(socket);
    const std::uint64_t received = co_await std::move(receiving);
    EXPECT_EQ(received, total);
}

/// How reading goes on: an error, or none if a byte came.
net::awaitable<ErrorCode> error_of_read(tcp::socket& socket)
{
    std::array<std::byte, 1> byte{};
    ErrorCode error;
    co_await socket.async_read_some(net::buffer(byte),
                                    net::redirect_error(net::use_awaitable, error));
    co_return error;
}

net::awaitable<void> say(tcp::socket& socket, std::string_view text)
{
    co_await net::async_write(socket, net::buffer(text), net::use_awaitable);
}

net::awaitable<void> expect_to_hear(tcp::socket& socket, std::string_view text)
{
    std::string heard(text.size(), '\0');
    co_await net::async_read(socket, net::buffer(heard), net::use_awaitable);
    EXPECT_EQ(heard, text);
}

void reset(tcp::socket& socket)
{
    socket.set_option(net::socket_base::linger{true, 0});
    socket.close();
}

net::awaitable<void> talk_at_once(PairLab& lab)
{
    constexpr std::uint64_t there = 5'000'011;
    constexpr std::uint64_t back = 3'000'017;
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    auto sending = send_pattern(tunnel.app, there);
    auto answering = send_pattern(tunnel.target, back);
    auto receiving = expect_pattern(tunnel.target, there);
    auto hearing = expect_pattern(tunnel.app, back);
    auto both_send = io::together(std::move(sending), std::move(answering));
    auto all = io::together(std::move(both_send), std::move(receiving), std::move(hearing));
    co_await std::move(all);
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_EQ(tunnel.client_ended, ErrorCode{});
    EXPECT_EQ(tunnel.agent_ended, ErrorCode{});
}

TEST(SpliceTcp, MovesEveryByteInBothDirectionsAtOnce)
{
    PairLab lab;
    lab.run(talk_at_once(lab));
}

net::awaitable<void> half_close(PairLab& lab, bool target_first)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    tcp::socket& first = target_first ? tunnel.target : tunnel.app;
    tcp::socket& second = target_first ? tunnel.app : tunnel.target;

    auto asking = say(first, "the last question");
    co_await std::move(asking);
    first.shutdown(tcp::socket::shutdown_send);
    auto hearing = expect_to_hear(second, "the last question");
    co_await std::move(hearing);
    auto ending_there = error_of_read(second);
    const ErrorCode end = co_await std::move(ending_there);
    EXPECT_EQ(end, net::error::eof);
    EXPECT_FALSE(tunnel.client_ended || tunnel.agent_ended) << "one direction is still open";

    for (const std::string_view text : {"an answer", "and another"}) {
        auto answering = say(second, text);
        co_await std::move(answering);
        auto hearing_back = expect_to_hear(first, text);
        co_await std::move(hearing_back);
    }
    second.shutdown(tcp::socket::shutdown_send);
    auto ending_here = error_of_read(first);
    const ErrorCode end_back = co_await std::move(ending_here);
    EXPECT_EQ(end_back, net::error::eof);
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_EQ(tunnel.client_ended, ErrorCode{});
    EXPECT_EQ(tunnel.agent_ended, ErrorCode{});
}

TEST(SpliceTcp, AHalfCloseOfTheApplicationLeavesTheWayBackOpen)
{
    PairLab lab;
    lab.run(half_close(lab, false));
}

TEST(SpliceTcp, AHalfCloseOfTheTargetLeavesTheWayThereOpen)
{
    PairLab lab;
    lab.run(half_close(lab, true));
}

net::awaitable<void> reset_one(PairLab& lab, bool target)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    auto asking = say(tunnel.app, "hello");
    co_await std::move(asking);
    auto hearing = expect_to_hear(tunnel.target, "hello");
    co_await std::move(hearing);

    reset(target ? tunnel.target : tunnel.app);
    auto reading = error_of_read(target ? tunnel.app : tunnel.target);
    const ErrorCode error = co_await std::move(reading);
    EXPECT_EQ(error, net::error::connection_reset);
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_EQ(tunnel.client_ended, net::error::connection_reset);
    EXPECT_EQ(tunnel.agent_ended, net::error::connection_reset);
    EXPECT_FALSE(lab.client.closed || lab.agent.closed);
}

TEST(SpliceTcp, AResetOfTheApplicationResetsTheTarget)
{
    PairLab lab;
    lab.run(reset_one(lab, false));
}

TEST(SpliceTcp, AResetOfTheTargetResetsTheApplication)
{
    PairLab lab;
    lab.run(reset_one(lab, true));
}

net::awaitable<void> reset_after_half_close(PairLab& lab)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    tunnel.app.shutdown(tcp::socket::shutdown_send);
    auto ending_there = error_of_read(tunnel.target);
    co_await std::move(ending_there);
    reset(tunnel.target);
    auto reading = error_of_read(tunnel.app);
    const ErrorCode error = co_await std::move(reading);
    EXPECT_EQ(error, net::error::connection_reset);
    auto ending = tunnel.ended();
    co_await std::move(ending);
}

TEST(SpliceTcp, AResetOfTheTargetIsHeardBehindAHalfCloseOfTheApplication)
{
    PairLab lab;
    lab.run(reset_after_half_close(lab));
}

net::awaitable<void> close_the_pair(PairLab& lab)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    lab.agent.driver.pair().close(io::now(), quic::h3_no_error);
    lab.agent.driver.settle();
    auto reading = error_of_read(tunnel.app);
    auto reading_there = error_of_read(tunnel.target);
    const ErrorCode here = co_await std::move(reading);
    const ErrorCode there = co_await std::move(reading_there);
    EXPECT_EQ(here, net::error::connection_reset);
    EXPECT_EQ(there, net::error::connection_reset);
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_EQ(tunnel.client_ended, net::error::connection_reset);
}

TEST(SpliceTcp, BothConnectionsAreResetWhenThePairCloses)
{
    PairLab lab;
    lab.run(close_the_pair(lab));
}

/// Writes until the other side has stopped taking anything, or `most` bytes.
net::awaitable<std::uint64_t> write_until_stuck(tcp::socket& socket, std::uint64_t most)
{
    constexpr int turns_without_progress = 30;
    socket.non_blocking(true);
    std::vector<std::byte> block(16'384);
    std::uint64_t sent = 0;
    for (int idle = 0; idle < turns_without_progress && sent < most;) {
        for (std::size_t i = 0; i < block.size(); ++i)
            block[i] = pattern(sent + i);
        ErrorCode error;
        const std::size_t n = socket.write_some(net::buffer(block), error);
        sent += n;
        idle = error ? idle + 1 : 0;
        auto pausing = sleep(error ? 10ms : 0ms);
        co_await std::move(pausing);
    }
    co_return sent;
}

net::awaitable<void> read_slowly(PairLab& lab, std::uint64_t most, std::uint64_t& accepted)
{
    constexpr int kernel_buffer = 32 * 1'024;
    Tunnel tunnel{lab};
    auto opening = tunnel.open(kernel_buffer);
    co_await std::move(opening);
    auto writing = write_until_stuck(tunnel.app, most);
    accepted = co_await std::move(writing);
    tunnel.app.shutdown(tcp::socket::shutdown_send);
    auto receiving = expect_pattern(tunnel.target, accepted); // and nothing was dropped for it
    co_await std::move(receiving);
    reset(tunnel.target);
}

TEST(SpliceTcp, ASlowReaderHoldsTheWriterBack)
{
    // At most: one stream's window of 1 MiB, the sender's queue, and the kernel's buffers (which
    // doubles what it is asked for) of four sockets.
    constexpr std::uint64_t bound = 1'024 * 1'024 + 256 * 1'024 + 8 * 4 * 32 * 1'024;
    PairLab lab;
    std::uint64_t accepted = 0;
    lab.run(read_slowly(lab, 4 * bound, accepted));
    EXPECT_LE(accepted, bound);
    EXPECT_GT(accepted, 256U * 1'024);
}

net::awaitable<void> interrupt(PairLab& lab, int times)
{
    for (int i = 0; i < times; ++i) {
        const std::size_t before = lab.trains_sent();
        while (lab.trains_sent() < before + 40) { // in the middle of it, however fast it is
            auto running = sleep(0ms);
            co_await std::move(running);
        }
        lab.detach();
        auto pausing = sleep(20ms);
        co_await std::move(pausing);
        lab.attach();
    }
}

net::awaitable<void> transfer_across_outages(PairLab& lab, std::uint64_t total)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    auto sending = send_pattern(tunnel.app, total);
    auto receiving = expect_pattern(tunnel.target, total);
    auto interrupting = interrupt(lab, 5);
    auto all = io::together(std::move(sending), std::move(receiving), std::move(interrupting));
    co_await std::move(all);
    tunnel.target.close();
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_EQ(tunnel.client_ended, ErrorCode{});
    EXPECT_EQ(lab.client.paths.size(),
              11U); // one carrier at first, then five times none and a new one
}

TEST(SpliceTcp, LosesNoByteWhenCarriersGoAndComeInTheMiddle)
{
    PairLab lab;
    lab.run(transfer_across_outages(lab, 40'000'003));
}

net::awaitable<void> lose_trains(PairLab& lab, std::uint64_t total)
{
    Tunnel tunnel{lab};
    auto opening = tunnel.open();
    co_await std::move(opening);
    auto sending = send_pattern(tunnel.app, total);
    auto receiving = expect_pattern(tunnel.target, total);
    lab.lose_next_trains(3);
    auto both = io::together(std::move(sending), std::move(receiving));
    co_await std::move(both);
}

TEST(SpliceTcp, LosesNoByteWhenTrainsAreLost)
{
    PairLab lab;
    lab.run(lose_trains(lab, 2'000'003));
}

net::awaitable<void> splice_until_cancelled(tcp::socket socket, Stream& stream, bool& cancelled)
{
    try {
        auto splicing = splice(std::move(socket), stream);
        co_await std::move(splicing);
    } catch (const boost::system::system_error& error) {
        cancelled = error.code() == net::error::operation_aborted;
    }
}

net::awaitable<void> cancel_a_splice(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    Stream answering{lab.agent.driver, id};
    answering.respond({});
    auto [socket, peer] = tcp_pair(lab.executor());
    bool cancelled = false;
    {
        io::TaskScope scope{lab.executor(), [](const std::exception_ptr&) {}};
        scope.spawn(splice_until_cancelled(std::move(socket), answering, cancelled));
        auto joining = scope.join();
        co_await std::move(joining);
    }
    EXPECT_TRUE(cancelled);
    auto reading = error_of_read(peer);
    const ErrorCode error = co_await std::move(reading);
    EXPECT_EQ(error, net::error::connection_reset);
    while (!asking.has_failed())
        co_await asking.wait_readable();
    EXPECT_EQ(asking.reset_code(), quic::h3_request_cancelled);
}

TEST(SpliceTcp, ACancelledSpliceResetsBothSides)
{
    PairLab lab;
    lab.run(cancel_a_splice(lab));
}

} // namespace
} // namespace narrowlink::drive::test
