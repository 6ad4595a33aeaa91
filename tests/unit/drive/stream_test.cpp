#include "narrowlink/io/clock.hpp"

#include "pair_lab.hpp"

#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <algorithm>

namespace narrowlink::drive::test {
namespace {

using namespace std::chrono_literals;

/// Sends `text` in one piece.
void send(Stream& stream, std::string_view text)
{
    std::ranges::copy(as_bytes(text), stream.send_block().begin());
    stream.send_committed(text.size());
}

/// Everything until the other side's half-close; stops at a failure.
net::awaitable<std::string> receive_all(Stream& stream)
{
    std::string text;
    std::array<Bytes, 4> spans;
    for (;;) {
        if (const std::size_t count = stream.received(std::span{spans}.first(1)); count > 0) {
            text += as_text(spans[0]);
            stream.consume(spans[0].size());
        } else if (stream.receive_ended() || stream.has_failed()) {
            co_return text;
        } else {
            co_await stream.wait_readable();
        }
    }
}

net::awaitable<void> until_failed(Stream& stream)
{
    while (!stream.has_failed())
        co_await stream.wait_readable();
}

/// The error that waiting for the answer ends with.
net::awaitable<ErrorCode> failure_of_response(Stream& stream)
{
    try {
        auto waiting = stream.response();
        const quic::Response response = co_await std::move(waiting);
        ADD_FAILURE() << "answered with " << response.status;
    } catch (const boost::system::system_error& error) {
        co_return error.code();
    }
    co_return ErrorCode{};
}

ErrorCode reason_of(const End& end)
{
    return end.closed ? end.closed->reason : ErrorCode{};
}

struct TwoStreams {
    TwoStreams(PairLab& lab, quic::StreamId id)
        : client{lab.client.driver, id}, agent{lab.agent.driver, id}
    {
    }

    Stream client, agent;
};

net::awaitable<void> ask_and_answer(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    EXPECT_EQ(request, tcp_request);
    EXPECT_EQ(id, asking.id());
    Stream answering{lab.agent.driver, id};
    answering.respond({});
    auto waiting = asking.response();
    const quic::Response response = co_await std::move(waiting);
    EXPECT_TRUE(response.is_success());

    send(asking, "ping");
    asking.shutdown_send();
    auto reading = receive_all(answering);
    const std::string question = co_await std::move(reading);
    EXPECT_EQ(question, "ping");
    send(answering, "pong");
    answering.shutdown_send();
    auto reading_back = receive_all(asking);
    const std::string answer = co_await std::move(reading_back);
    EXPECT_EQ(answer, "pong");
    EXPECT_FALSE(asking.has_failed() || answering.has_failed());
}

TEST(Stream, CarriesARequestItsAnswerAndBytesBothWays)
{
    PairLab lab;
    lab.run(ask_and_answer(lab));
}

net::awaitable<void> wake_carriers(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    Stream answering{lab.agent.driver, id};
    answering.respond({200, ""});
    auto waiting = asking.response();
    co_await std::move(waiting);

    lab.client.woken.clear();
    send(asking, "ping");
    using Kinds = std::vector<std::optional<path::CarrierKind>>;
    EXPECT_EQ(lab.client.woken, Kinds{path::CarrierKind::websocket_relay});

    lab.detach();
    EXPECT_TRUE(std::ranges::any_of(lab.client.woken, [](const auto& kind) { return !kind; }))
        << "another may take over";
}

/// Each wake-up of a carrier that is not in use would be for nothing.
TEST(Stream, WakesTheCarrierInUseAndAllWhenThatChanges)
{
    PairLab lab;
    lab.run(wake_carriers(lab));
}

net::awaitable<void> be_refused(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(udp_request)};
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    EXPECT_EQ(request, udp_request);
    {
        Stream answering{lab.agent.driver, id};
        answering.respond({403, "narrowlink; error=destination_ip_prohibited"});
    }
    auto waiting = asking.response();
    const quic::Response response = co_await std::move(waiting);
    EXPECT_EQ(response, (quic::Response{403, "narrowlink; error=destination_ip_prohibited"}));
}

TEST(Stream, BringsARefusalEvenIfTheAgentsEndIsGoneAtOnce)
{
    PairLab lab;
    lab.run(be_refused(lab));
}

net::awaitable<void> be_reset_before_the_answer(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    {
        const Stream answering{lab.agent.driver, id}; // gives up without an answer
    }
    auto waiting = failure_of_response(asking);
    const ErrorCode failure = co_await std::move(waiting);
    EXPECT_EQ(failure, net::error::connection_reset);
    EXPECT_TRUE(asking.has_failed());
    EXPECT_EQ(asking.reset_code(), quic::h3_request_cancelled);
}

TEST(Stream, AnAgentThatGivesUpWithoutAnAnswerIsAReset)
{
    PairLab lab;
    lab.run(be_reset_before_the_answer(lab));
}

net::awaitable<void> reset_with_code(PairLab& lab)
{
    TwoStreams streams{lab, lab.open(tcp_request)};
    auto coming = lab.next_request();
    co_await std::move(coming);
    streams.agent.respond({});
    auto waiting = streams.client.response();
    co_await std::move(waiting);
    streams.client.reset(quic::h3_connect_error);
    auto failing = until_failed(streams.agent);
    co_await std::move(failing);
    EXPECT_EQ(streams.agent.reset_code(), quic::h3_connect_error);
    EXPECT_EQ(streams.agent.send_space(), 0U);
    EXPECT_FALSE(lab.client.closed || lab.agent.closed) << "a reset stream must not end the pair";
}

TEST(Stream, TheCodeOfAResetReachesThePeer)
{
    PairLab lab;
    lab.run(reset_with_code(lab));
}

net::awaitable<void> close_the_pair(PairLab& lab)
{
    TwoStreams streams{lab, lab.open(tcp_request)};
    auto coming = lab.next_request();
    co_await std::move(coming);
    lab.client.driver.pair().close(io::now(), quic::h3_no_error);
    lab.client.driver.settle();
    EXPECT_TRUE(streams.client.has_failed());
    auto waiting = failure_of_response(streams.client);
    const ErrorCode failure = co_await std::move(waiting);
    EXPECT_EQ(failure, net::error::connection_reset);
    auto failing = until_failed(streams.agent);
    co_await std::move(failing);
    EXPECT_FALSE(streams.client.reset_code() || streams.agent.reset_code());
    EXPECT_TRUE(lab.client.driver.is_closed() && lab.agent.driver.is_closed());
    EXPECT_EQ(reason_of(lab.client), quic::Error::closed_locally);
    EXPECT_EQ(reason_of(lab.agent), quic::Error::closed_by_peer);

    // Nothing waits on a stream that has failed, or on one made too late.
    co_await streams.client.wait_readable();
    co_await streams.client.wait_writable();
    const Stream late{lab.agent.driver, quic::StreamId{4}};
    EXPECT_TRUE(late.has_failed());
}

TEST(Stream, AllStreamsFailWithoutACodeWhenThePairCloses)
{
    PairLab lab;
    lab.run(close_the_pair(lab));
}

net::awaitable<void> fall_silent(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    lab.pause();
    auto waiting = failure_of_response(asking);
    const ErrorCode failure = co_await std::move(waiting);
    EXPECT_EQ(failure, net::error::connection_reset);
    EXPECT_EQ(reason_of(lab.client), quic::Error::timed_out);
}

TEST(Stream, FailsWhenThePeerIsSilentForTooLong)
{
    PairLab lab{{.silence_limit = 1s}};
    lab.run(fall_silent(lab));
}

net::awaitable<void> stay_frozen(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    lab.detach();
    auto waiting = failure_of_response(asking);
    const ErrorCode failure = co_await std::move(waiting);
    EXPECT_EQ(failure, net::error::connection_reset);
    EXPECT_EQ(reason_of(lab.client), quic::Error::timed_out);
}

TEST(Stream, FailsWhenNoCarrierComesBackWithinTheResumeWindow)
{
    PairLab lab{{.resume_window = 500ms}};
    lab.run(stay_frozen(lab));
}

net::awaitable<void> answer_later(PairLab& lab)
{
    auto coming = lab.next_request();
    const auto [id, request] = co_await std::move(coming);
    lab.detach();
    auto pausing = sleep(50ms);
    co_await std::move(pausing);
    EXPECT_FALSE(lab.client.driver.pair().current());
    lab.attach();
    Stream answering{lab.agent.driver, id};
    answering.respond({});
    auto reading = receive_all(answering);
    co_await std::move(reading);
}

net::awaitable<void> ask_across_an_outage(PairLab& lab)
{
    Stream asking{lab.client.driver, lab.open(tcp_request)};
    lab.spawn(answer_later(lab));
    auto waiting = asking.response();
    const quic::Response response = co_await std::move(waiting);
    EXPECT_TRUE(response.is_success());
    using Kind = std::optional<path::CarrierKind>;
    const Kind relay = path::CarrierKind::websocket_relay;
    EXPECT_EQ(lab.client.paths, (std::vector<Kind>{relay, std::nullopt, relay}));
    EXPECT_EQ(lab.agent.paths, lab.client.paths);
}

TEST(Stream, WaitsForItsAnswerWhileThereIsNoCarrier)
{
    PairLab lab;
    lab.run(ask_across_an_outage(lab));
}

net::awaitable<void> fill_and_drain(PairLab& lab)
{
    TwoStreams streams{lab, lab.open(tcp_request)};
    auto coming = lab.next_request();
    co_await std::move(coming);
    streams.agent.respond({});
    auto waiting = streams.client.response();
    co_await std::move(waiting);

    lab.pause();
    std::uint64_t sent = 0;
    while (const std::size_t space = streams.client.send_space()) {
        const MutableBytes block = streams.client.send_block();
        const std::size_t n = std::min(block.size(), space);
        for (std::size_t i = 0; i < n; ++i)
            block[i] = pattern(sent++);
        streams.client.send_committed(n);
    }
    EXPECT_GT(sent, 0U);
    lab.resume();
    co_await streams.client.wait_writable();
    EXPECT_GT(streams.client.send_space(), 0U);
    streams.client.shutdown_send();
    auto reading = receive_all(streams.agent);
    const std::string text = co_await std::move(reading);
    EXPECT_EQ(text.size(), sent);
    std::uint64_t offset = 0;
    EXPECT_TRUE(
        std::ranges::all_of(as_bytes(text), [&](std::byte b) { return b == pattern(offset++); }));
}

TEST(Stream, BecomesWritableAgainOnceThePeerReads)
{
    PairLab lab;
    lab.run(fill_and_drain(lab));
}

} // namespace
} // namespace narrowlink::drive::test
