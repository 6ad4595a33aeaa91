#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "narrowlink/io/web_socket.hpp"
#include "narrowlink/io/with_deadline.hpp"
#include "web_lab.hpp"

#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;
using test::WebLab;

constexpr std::size_t room = WebSocket::longest_message;

/// Both sides of one open WebSocket.
struct Sides {
    WebSocket client;
    WebSocket server;
};

net::awaitable<Sides> open(WebLab& lab, bool tls)
{
    auto connecting = lab.connect(tls);
    WebSocket client = co_await std::move(connecting);
    auto arriving = lab.site.next_socket();
    WebSocket server = co_await std::move(arriving);
    co_return Sides{std::move(client), std::move(server)};
}

std::vector<std::byte> pattern(std::size_t size, std::size_t seed)
{
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>(i * 31 + i / 251 + seed);
    return bytes;
}

/// The error that a read of a whole message ends with.
net::awaitable<ErrorCode> error_of_read(WebSocket& socket, std::size_t capacity = room)
{
    Buffer into{0, capacity};
    try {
        co_await socket.read(into);
    } catch (const boost::system::system_error& error) {
        co_return error.code();
    }
    co_return ErrorCode{};
}

net::awaitable<void> store_error_of_read(WebSocket& socket, ErrorCode& error)
{
    error = co_await error_of_read(socket);
}

class WebSocketOver : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static bool tls() { return GetParam(); }

    WebLab lab_;
};

INSTANTIATE_TEST_SUITE_P(Streams, WebSocketOver, testing::Bool(),
                         [](const auto& tested) { return tested.param ? "Tls" : "Plain"; });

net::awaitable<void> exchange_one(WebSocket& from, WebSocket& to, MessageKind kind, Bytes sent)
{
    co_await from.write(kind, sent);
    Buffer received{16, room};
    const MessageKind received_kind = co_await to.read(received);
    EXPECT_EQ(received_kind, kind);
    EXPECT_TRUE(std::ranges::equal(received.bytes(), sent)) << sent.size() << " bytes";
}

net::awaitable<void> exchange_sizes(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    // Around every border there is: Beast's frame lengths and read buffer, TLS records, send
    // limits.
    for (const std::size_t size :
         {0,      1,      125,    126,    127,    128,    129,    1'535,  1'536,  16'373,
          16'374, 16'384, 16'385, 32'768, 65'508, 65'522, 65'523, 65'535, 65'536, 65'600}) {
        const std::vector<std::byte> message = pattern(size, size);
        co_await exchange_one(sides.client, sides.server, MessageKind::binary, message);
        co_await exchange_one(sides.server, sides.client, MessageKind::binary, message);
    }
    const std::string_view text = R"({"type":"ping"})";
    co_await exchange_one(sides.client, sides.server, MessageKind::text, as_bytes(text));
    co_await exchange_one(sides.server, sides.client, MessageKind::text, as_bytes(text));
}

TEST_P(WebSocketOver, CarriesMessagesOfEverySizeAndKindBothWays)
{
    lab_.run(exchange_sizes(lab_, tls()));
}

constexpr std::size_t rounds = 200;

net::awaitable<void> send_rounds(WebSocket& socket, std::size_t seed)
{
    for (std::size_t i = 0; i < rounds; ++i) {
        const std::vector<std::byte> message = pattern(65'536, seed + i);
        co_await socket.write(MessageKind::binary, message);
    }
}

net::awaitable<void> receive_rounds(WebSocket& socket, std::size_t seed)
{
    BufferPool pool{16, room, 2};
    for (std::size_t i = 0; i < rounds; ++i) {
        Buffer message;
        co_await socket.read(pool, message);
        EXPECT_TRUE(std::ranges::equal(message.bytes(), pattern(65'536, seed + i))) << i;
        pool.give_back(std::move(message));
    }
}

net::awaitable<void> exchange_at_once(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(),
                    [](const std::exception_ptr& failure) { EXPECT_EQ(failure, nullptr); }};
    tasks.spawn(send_rounds(sides.client, 1));
    tasks.spawn(send_rounds(sides.server, 2));
    tasks.spawn(receive_rounds(sides.client, 2));
    tasks.spawn(receive_rounds(sides.server, 1));
    auto all = tasks.wait();
    co_await std::move(all);
}

TEST_P(WebSocketOver, CarriesLongMessagesBothWaysAtOnce)
{
    lab_.run(exchange_at_once(lab_, tls()));
}

net::awaitable<void> overfill(WebLab& lab, bool tls, std::size_t capacity, std::size_t size)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    ErrorCode at_client;
    tasks.spawn(store_error_of_read(sides.client, at_client));
    const std::vector<std::byte> message = pattern(size, 0);
    tasks.spawn(sides.client.write(MessageKind::binary, message));
    const ErrorCode at_server = co_await error_of_read(sides.server, capacity);
    EXPECT_EQ(at_server, boost::system::errc::message_size);
    auto both = tasks.wait();
    co_await std::move(both);
    EXPECT_EQ(at_client, net::error::eof);
    EXPECT_EQ(sides.client.close_code(), 1'009);
}

TEST_P(WebSocketOver, ClosesWith1009WhenAMessageDoesNotFitTheBuffer)
{
    lab_.run(overfill(lab_, tls(), 1'024, 1'025));
}

TEST_P(WebSocketOver, ClosesWith1009WhenAMessageExceedsTheLimit)
{
    lab_.run(overfill(lab_, tls(), 200'000, WebSocket::longest_message + 1));
}

net::awaitable<void> write_gathered(WebSocket& socket, int count)
{
    for (int i = 0; i < count; ++i) {
        // More than four of them do not fit into what is kept.
        const std::vector<std::byte> message = pattern(i % 2 == 0 ? 65'536 : 100, i);
        co_await socket.write(MessageKind::binary, message, WebSocket::Delivery::with_next);
    }
    co_await socket.flush();
}

net::awaitable<void> gather(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    for (WebSocket* writer : {&sides.client, &sides.server}) {
        WebSocket& reader = writer == &sides.client ? sides.server : sides.client;
        for (const int count : {1, 25}) {
            TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr& failure) {
                                EXPECT_EQ(failure, nullptr);
                            }};
            tasks.spawn(write_gathered(*writer, count));
            for (int i = 0; i < count; ++i) {
                Buffer into{0, room};
                co_await reader.read(into);
                EXPECT_TRUE(std::ranges::equal(std::as_const(into).bytes(),
                                               pattern(i % 2 == 0 ? 65'536 : 100, i)))
                    << "message " << i << " of " << count;
            }
            auto ended = tasks.wait();
            co_await std::move(ended);
        }
    }
}

TEST_P(WebSocketOver, DeliversMessagesThatWereKeptInTheirOrder)
{
    lab_.run(gather(lab_, tls()));
}

net::awaitable<void> write_for_ever(WebSocket& socket, std::size_t first)
{
    const std::vector<std::byte> message = pattern(65'536, 0);
    const std::vector<std::byte> too_long = pattern(first, 0);
    co_await socket.write(MessageKind::binary, too_long);
    for (;;)
        co_await socket.write(MessageKind::binary, message);
}

net::awaitable<void> overfill_and_go_on(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    tasks.spawn(write_for_ever(sides.client, WebSocket::longest_message + 1));
    ErrorCode at_server;
    tasks.spawn(store_error_of_read(sides.server, at_server));
    const ErrorCode at_client = co_await error_of_read(sides.client);
    EXPECT_TRUE(at_client);
    EXPECT_EQ(sides.client.close_code(), 1'009);
    auto joined = tasks.join();
    co_await std::move(joined);
}

TEST_P(WebSocketOver, TellsTheReasonAlsoToAPeerThatKeepsSending)
{
    lab_.run(overfill_and_go_on(lab_, tls()));
}

net::awaitable<void> fill_exactly(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    const std::vector<std::byte> message = pattern(1'024, 0);
    co_await sides.client.write(MessageKind::binary, message);
    const ErrorCode error = co_await error_of_read(sides.server, 1'024);
    EXPECT_FALSE(error) << error.message();
}

TEST_P(WebSocketOver, TakesAMessageThatFillsTheBufferExactly)
{
    lab_.run(fill_exactly(lab_, tls()));
}

net::awaitable<void> read_from_pool(WebSocket& socket, BufferPool& pool, Buffer& into)
{
    co_await socket.read(pool, into);
}

net::awaitable<void> wait_without_block(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(),
                    [](const std::exception_ptr& failure) { EXPECT_EQ(failure, nullptr); }};
    BufferPool pool{0, room, 1};
    Buffer into;
    tasks.spawn(read_from_pool(sides.server, pool, into));
    // A whole exchange the other way proves that the read has had its turns.
    const std::string_view text = "meanwhile";
    co_await exchange_one(sides.server, sides.client, MessageKind::text, as_bytes(text));
    EXPECT_FALSE(into.has_block());
    co_await sides.client.write(MessageKind::text, as_bytes(text));
    auto ended = tasks.wait();
    co_await std::move(ended);
    EXPECT_EQ(as_text(into.bytes()), text);
}

TEST_P(WebSocketOver, TakesABlockFromThePoolOnlyWhenAMessageBegins)
{
    lab_.run(wait_without_block(lab_, tls()));
}

net::awaitable<void> abort_while_reading(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    ErrorCode at_client;
    tasks.spawn(store_error_of_read(sides.client, at_client));
    sides.client.abort();
    auto ended = tasks.wait();
    co_await std::move(ended);
    EXPECT_EQ(at_client, net::error::operation_aborted);
    const ErrorCode at_server = co_await error_of_read(sides.server);
    EXPECT_EQ(at_server, net::error::eof);
    EXPECT_EQ(sides.server.close_code(), 0);
}

TEST_P(WebSocketOver, AbortEndsAnOutstandingReadAndThePeersToo)
{
    lab_.run(abort_while_reading(lab_, tls()));
}

net::awaitable<void> destroy_while_reading(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    std::optional<WebSocket> doomed{std::move(sides.client)};
    ErrorCode at_client;
    tasks.spawn(store_error_of_read(*doomed, at_client));
    // The message is in the reader's socket already, unnoticed, when the reader goes.
    const std::vector<std::byte> message = pattern(65'536, 0);
    tasks.spawn(sides.server.write(MessageKind::binary, message));
    doomed.reset();
    auto ended = tasks.wait();
    co_await std::move(ended);
    EXPECT_EQ(at_client, net::error::operation_aborted);
}

TEST_P(WebSocketOver, DestructionEndsAnOutstandingRead)
{
    lab_.run(destroy_while_reading(lab_, tls()));
}

net::awaitable<void> write_until_it_fails(WebSocket& socket, ErrorCode& error)
{
    const std::vector<std::byte> message = pattern(65'536, 0);
    try {
        for (;;)
            co_await socket.write(MessageKind::binary, message);
    } catch (const boost::system::system_error& failure) {
        error = failure.code();
    }
}

net::awaitable<void> abort_while_writing(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    ErrorCode at_client;
    tasks.spawn(write_until_it_fails(sides.client, at_client)); // nobody reads: it gets stuck
    auto first = error_of_read(sides.server);
    const ErrorCode read_error = co_await std::move(first);
    EXPECT_FALSE(read_error);
    sides.client.abort();
    auto ended = tasks.wait();
    co_await std::move(ended);
    EXPECT_EQ(at_client, net::error::operation_aborted);
}

TEST_P(WebSocketOver, AbortEndsAnOutstandingWrite)
{
    lab_.run(abort_while_writing(lab_, tls()));
}

net::awaitable<void> close_with_code(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(), [](const std::exception_ptr&) {}};
    ErrorCode at_server;
    tasks.spawn(store_error_of_read(sides.server, at_server));
    co_await sides.client.close(4'001, now() + 10s);
    auto ended = tasks.wait();
    co_await std::move(ended);
    EXPECT_EQ(at_server, net::error::eof);
    EXPECT_EQ(sides.server.close_code(), 4'001);
    co_await sides.client.close(4'001, now() + 10s); // a second time is nothing
}

TEST_P(WebSocketOver, CloseTellsThePeerItsCode)
{
    lab_.run(close_with_code(lab_, tls()));
}

net::awaitable<void> close_on_a_silent_peer(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    co_await sides.client.close(1'000, now() + 50ms); // the server never reads
    const ErrorCode after = co_await error_of_read(sides.client);
    EXPECT_TRUE(after);
}

TEST_P(WebSocketOver, CloseGivesUpAtItsDeadlineWhenThePeerIsSilent)
{
    lab_.run(close_on_a_silent_peer(lab_, tls()));
}

net::awaitable<void> close_twice(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    TaskScope tasks{lab.loop.get_executor(),
                    [](const std::exception_ptr& failure) { EXPECT_EQ(failure, nullptr); }};
    tasks.spawn(sides.client.close(1'000, now() + 1h)); // the server never reads
    co_await sides.client.close(1'001, now() + 1h);
    auto ended = tasks.wait();
    co_await std::move(ended);
}

TEST_P(WebSocketOver, ClosesAtOnceWhenToldToCloseAgain)
{
    lab_.run(close_twice(lab_, tls()));
}

net::awaitable<void> cancel_a_read(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    Sides sides = co_await std::move(opening);
    Buffer into{0, room};
    ErrorCode error;
    try {
        auto reading = sides.client.read(into);
        auto bounded = with_deadline(now() + 20ms, std::move(reading));
        co_await std::move(bounded);
    } catch (const boost::system::system_error& failure) {
        error = failure.code();
    }
    EXPECT_EQ(error, boost::system::errc::timed_out);
}

TEST_P(WebSocketOver, AReadCanBeGivenADeadline)
{
    lab_.run(cancel_a_read(lab_, tls()));
}

net::awaitable<void> know_the_peer(WebLab& lab, bool tls)
{
    auto opening = open(lab, tls);
    const Sides sides = co_await std::move(opening);
    EXPECT_EQ(sides.client.remote_address(), lab.server.addresses()[tls ? 1 : 0]);
    EXPECT_EQ(to_string(sides.server.remote_address().ip), "127.0.0.1");
    EXPECT_NE(sides.server.remote_address().port, 0);
}

TEST_P(WebSocketOver, KnowsTheAddressOfItsPeer)
{
    lab_.run(know_the_peer(lab_, tls()));
}

/// A WebSocket whose client is written by hand.
struct ByHand {
    tcp::socket client;
    WebSocket server;
};

net::awaitable<ByHand> open_by_hand(WebLab& lab)
{
    auto dialling = lab.dial_plain();
    tcp::socket client = co_await std::move(dialling);
    const std::string request =
        test::get("/", "Authorization: Bearer good\r\nConnection: Upgrade\r\n"
                       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    co_await net::async_write(client, net::buffer(request), net::use_awaitable);
    auto arriving = lab.site.next_socket();
    WebSocket server = co_await std::move(arriving);
    co_return ByHand{std::move(client), std::move(server)};
}

/// A masked frame (RFC 6455 §5.2) whose key is zero, so that the payload stays legible.
std::string frame(unsigned char first_byte, std::string_view payload)
{
    std::string bytes;
    bytes += static_cast<char>(first_byte);
    bytes += static_cast<char>(0x80 | payload.size());
    bytes.append(4, '\0');
    return bytes.append(payload);
}

constexpr unsigned char final_frame = 0x80, text_frame = 1, ping_frame = 9;

net::awaitable<void> read_fragments(WebLab& lab)
{
    auto opening = open_by_hand(lab);
    ByHand sides = co_await std::move(opening);
    const std::string frames =
        frame(text_frame, "ab") + frame(0, "") + frame(0, "cd") + frame(final_frame, "");
    co_await net::async_write(sides.client, net::buffer(frames), net::use_awaitable);
    Buffer into{0, 4};
    co_await sides.server.read(into);
    EXPECT_EQ(as_text(into.bytes()), "abcd");
}

TEST(WebSocket, JoinsTheFramesOfAMessage)
{
    WebLab lab;
    lab.run(read_fragments(lab));
}

net::awaitable<void> ping(WebLab& lab)
{
    auto opening = open_by_hand(lab);
    ByHand sides = co_await std::move(opening);
    const std::string frames =
        frame(final_frame | ping_frame, "are you there") + frame(final_frame | text_frame, "end");
    co_await net::async_write(sides.client, net::buffer(frames), net::use_awaitable);
    Buffer into{0, 64};
    co_await sides.server.read(into);
    EXPECT_EQ(as_text(into.bytes()), "end");
    sides.server.abort();
    std::string received;
    ErrorCode error;
    while (!error) {
        std::array<char, 1'024> block;
        const std::size_t n = co_await sides.client.async_read_some(
            net::buffer(block), net::redirect_error(net::use_awaitable, error));
        received.append(block.data(), n);
    }
    EXPECT_TRUE(received.ends_with("\x8a\x0d"
                                   "are you there"))
        << received;
}

TEST(WebSocket, AnswersPingsWhileItReads)
{
    WebLab lab;
    lab.run(ping(lab));
}

net::awaitable<void> send_unmasked(WebLab& lab)
{
    auto opening = open_by_hand(lab);
    ByHand sides = co_await std::move(opening);
    const std::string unmasked = "\x81\x02hi";
    co_await net::async_write(sides.client, net::buffer(unmasked), net::use_awaitable);
    sides.client.shutdown(tcp::socket::shutdown_send);
    const ErrorCode error = co_await error_of_read(sides.server);
    EXPECT_TRUE(error);
}

TEST(WebSocket, RefusesFramesThatAClientDidNotMask)
{
    WebLab lab;
    lab.run(send_unmasked(lab));
}

} // namespace
} // namespace narrowlink::io
