// connect: stdin and stdout joined with a target, like netcat. Nothing but the target's bytes ever
// reaches stdout.

#include "client_node.hpp"

#include "narrowlink/client/client.hpp"
#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/standard_streams.hpp"
#include "narrowlink/io/together.hpp"

#include <array>
#include <utility>

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

namespace narrowlink::client {
namespace {

/// After the end of stdin, how long answers to datagrams are waited for.
constexpr Duration last_answers = std::chrono::seconds{3};

struct Finished {}; // ends the other direction; `&&` stops at a failure only

net::awaitable<void> upload(io::StandardInput& input, drive::Stream& stream)
{
    for (;;) {
        while (stream.send_space() == 0) {
            if (stream.has_failed())
                co_return; // the other direction reports it
            co_await stream.wait_writable();
        }
        std::array<std::byte, 16'384> block; // the stream's own block may go away during a read
        const MutableBytes room = MutableBytes{block}.first(std::min(block.size(), stream.send_space()));
        auto reading = input.read_some(room);
        const std::size_t n = co_await std::move(reading);
        if (n == 0)
            break;
        for (Bytes rest = Bytes{block}.first(n); !rest.empty() && !stream.has_failed();) {
            const MutableBytes place = stream.send_block();
            const std::size_t part = std::min(place.size(), rest.size());
            std::copy_n(rest.begin(), part, place.begin());
            stream.send_committed(part);
            rest = rest.subspan(part);
        }
    }
    stream.shutdown_send();
}

net::awaitable<void> download(drive::Stream& stream, io::StandardOutput& output)
{
    std::array<Bytes, 1> span;
    for (;;) {
        if (stream.received(span) > 0) {
            auto writing = output.write(span[0]);
            const std::size_t n = span[0].size();
            co_await std::move(writing);
            stream.consume(n);
            continue;
        }
        if (stream.receive_ended() && !stream.has_failed())
            break;
        if (stream.has_failed())
            throw Failure{ExitCode::connection_lost,
                          stream.reset_code() ? "the target closed the connection abruptly"
                                              : "the connection to the agent was lost"};
        co_await stream.wait_readable();
    }
    output.close();
    throw Finished{};
}

net::awaitable<void> upload_datagrams(io::StandardInput& input, drive::Stream& stream)
{
    std::vector<std::byte> payload(65'507);
    for (;;) {
        auto reading = input.read_some(payload);
        const std::size_t n = co_await std::move(reading);
        if (n == 0)
            break;
        stream.send_datagram(Bytes{payload}.first(n));
    }
    net::steady_timer timer{co_await net::this_coro::executor, last_answers};
    co_await timer.async_wait(net::use_awaitable);
    throw Finished{};
}

net::awaitable<void> download_datagrams(drive::Stream& stream, io::StandardOutput& output)
{
    for (;;) {
        while (auto payload = stream.receive_datagram()) {
            auto writing = output.write(*payload);
            co_await std::move(writing);
        }
        if (stream.has_failed() || stream.receive_ended())
            throw Failure{ExitCode::connection_lost, "the connection to the agent was lost"};
        co_await stream.wait_readable();
    }
}

net::awaitable<void> converse(ClientNode& node, AgentLink& link, quic::Request request)
{
    const bool udp = request.kind == quic::Request::Kind::udp;
    auto opening = link.open(std::move(request), io::now() + node.settings().connect_timeout);
    const LinkStream opened = co_await std::move(opening);
    auto executor = co_await net::this_coro::executor;
    io::StandardInput input{executor};
    io::StandardOutput output{executor};
    try {
        auto there = udp ? upload_datagrams(input, *opened.stream) : upload(input, *opened.stream);
        auto back =
            udp ? download_datagrams(*opened.stream, output) : download(*opened.stream, output);
        auto both = io::together(std::move(there), std::move(back));
        co_await std::move(both);
    } catch (const Finished&) {
    }
}

} // namespace

net::awaitable<void> connect(Settings settings, std::string agent, HostPort target, bool udp,
                             Random& random)
{
    settings.node.give_up_when_unreachable = true;
    ClientNode node{co_await net::this_coro::executor, std::move(settings), random};
    AgentLink& link = node.link_to(agent);
    auto command = converse(
        node, link, {udp ? quic::Request::Kind::udp : quic::Request::Kind::tcp, std::move(target)});
    auto running = node.run(std::move(command));
    co_await std::move(running);
}

} // namespace narrowlink::client
