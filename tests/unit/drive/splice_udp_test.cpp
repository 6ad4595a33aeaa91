#include "narrowlink/drive/splice.hpp"

#include "narrowlink/io/clock.hpp"

#include "pair_lab.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

namespace narrowlink::drive::test {
namespace {

using namespace std::chrono_literals;

/// A whole tunnel: app ─UDP─ splice ═stream═ splice ─UDP─ target.
class UdpTunnel {
public:
    UdpTunnel(PairLab& lab, Duration client_idle, Duration agent_idle)
        : app{lab.executor()}
        , target{lab.executor()}
        , lab_{&lab}
        , changed_{lab.executor()}
        , client_idle_{client_idle}
        , agent_idle_{agent_idle}
    {
    }

    udp::socket app, target;
    bool client_ended = false, agent_ended = false;

    net::awaitable<void> open()
    {
        udp::socket client_side{lab_->executor()};
        udp::socket agent_side{lab_->executor()};
        std::tie(app, client_side) = udp_pair(lab_->executor());
        std::tie(target, agent_side) = udp_pair(lab_->executor());
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
    net::awaitable<void> serve_client(udp::socket socket)
    {
        Stream stream{lab_->client.driver, lab_->open(udp_request)};
        auto waiting = stream.response();
        co_await std::move(waiting);
        is_open_ = true;
        changed_.tell();
        auto splicing = splice(std::move(socket), stream, client_idle_);
        co_await std::move(splicing);
        client_ended = true;
        changed_.tell();
    }

    net::awaitable<void> serve_agent(udp::socket socket)
    {
        auto coming = lab_->next_request();
        const auto [id, request] = co_await std::move(coming);
        Stream stream{lab_->agent.driver, id};
        stream.respond({});
        auto splicing = splice(std::move(socket), stream, agent_idle_);
        co_await std::move(splicing);
        agent_ended = true;
        changed_.tell();
    }

    PairLab* lab_;
    Notice changed_;
    Duration client_idle_, agent_idle_;
    bool is_open_ = false;
};

net::awaitable<void> send_and_expect(udp::socket& from, udp::socket& to, std::size_t size)
{
    std::vector<std::byte> payload(size);
    for (std::size_t i = 0; i < size; ++i)
        payload[i] = pattern(size + i);
    co_await from.async_send(net::buffer(payload), net::use_awaitable);
    std::vector<std::byte> arrived(65'535);
    const std::size_t n = co_await to.async_receive(net::buffer(arrived), net::use_awaitable);
    arrived.resize(n);
    EXPECT_EQ(n, size);
    EXPECT_EQ(arrived, payload);
}

net::awaitable<void> exchange_all_sizes(PairLab& lab)
{
    UdpTunnel tunnel{lab, 1h, 1h};
    auto opening = tunnel.open();
    co_await std::move(opening);
    for (const std::size_t size :
         {0,      1,      2,      63,     64,     512,    1'199,  1'200,  1'472,  8'192, 16'300,
          16'333, 16'334, 16'335, 16'340, 16'368, 16'400, 30'000, 60'000, 65'507, 0,     5}) {
        auto there = send_and_expect(tunnel.app, tunnel.target, size);
        co_await std::move(there);
        auto back = send_and_expect(tunnel.target, tunnel.app, size);
        co_await std::move(back);
    }
}

TEST(SpliceUdp, CarriesDatagramsOfEverySizeInBothDirections)
{
    PairLab lab;
    lab.run(exchange_all_sizes(lab));
}

net::awaitable<void> idle_out(PairLab& lab, Duration client_idle, Duration agent_idle)
{
    UdpTunnel tunnel{lab, client_idle, agent_idle};
    auto opening = tunnel.open();
    co_await std::move(opening);
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_FALSE(lab.client.closed || lab.agent.closed);
}

TEST(SpliceUdp, EndsAtBothEndsWhenTheClientFindsItIdle)
{
    PairLab lab;
    lab.run(idle_out(lab, 50ms, 1h));
}

TEST(SpliceUdp, EndsAtBothEndsWhenTheAgentFindsItIdle)
{
    PairLab lab;
    lab.run(idle_out(lab, 1h, 50ms));
}

net::awaitable<void> close_the_pair(PairLab& lab)
{
    UdpTunnel tunnel{lab, 1h, 1h};
    auto opening = tunnel.open();
    co_await std::move(opening);
    lab.client.driver.pair().close(io::now(), quic::h3_no_error);
    lab.client.driver.settle();
    auto ending = tunnel.ended();
    co_await std::move(ending);
    EXPECT_TRUE(lab.agent.closed);
}

TEST(SpliceUdp, EndsWhenThePairCloses)
{
    PairLab lab;
    lab.run(close_the_pair(lab));
}

/// Nobody listens at `port` any more: the kernel reports that to the next call of the sender.
net::awaitable<void> survive_a_closed_port(PairLab& lab)
{
    UdpTunnel tunnel{lab, 1h, 1h};
    auto opening = tunnel.open();
    co_await std::move(opening);
    const udp::endpoint port = tunnel.target.local_endpoint();
    const udp::endpoint agent_side = tunnel.target.remote_endpoint();
    tunnel.target.close();
    for (int i = 0; i < 3; ++i) {
        co_await tunnel.app.async_send(net::buffer("lost", 4), net::use_awaitable);
        auto pausing = sleep(10ms);
        co_await std::move(pausing);
    }
    tunnel.target = udp::socket{lab.executor(), port};
    tunnel.target.connect(agent_side);
    for (int i = 0; i < 2; ++i) {
        auto sending = send_and_expect(tunnel.app, tunnel.target, 100);
        co_await std::move(sending);
        auto back = send_and_expect(tunnel.target, tunnel.app, 100);
        co_await std::move(back);
    }
    EXPECT_FALSE(tunnel.client_ended || tunnel.agent_ended);
}

TEST(SpliceUdp, OutlivesATargetThatIsAwayForAWhile)
{
    PairLab lab;
    lab.run(survive_a_closed_port(lab));
}

constexpr std::size_t piled_up = 60'000;
constexpr std::size_t mark = 60'001;

/// As a capsule, too, and so behind all that waits; again and again, for it may be dropped itself.
net::awaitable<void> send_marks(udp::socket& from)
{
    const std::vector<std::byte> payload(mark);
    for (;;) {
        co_await from.async_send(net::buffer(payload), net::use_awaitable);
        auto pausing = sleep(5ms);
        co_await std::move(pausing);
    }
}

net::awaitable<void> count_until_mark(io::TaskScope& marking, UdpTunnel& tunnel, int& arrived)
{
    marking.spawn(send_marks(tunnel.app));
    std::vector<std::byte> payload(65'535);
    while (co_await tunnel.target.async_receive(net::buffer(payload), net::use_awaitable) != mark)
        ++arrived;
}

net::awaitable<void> pile_up(PairLab& lab)
{
    UdpTunnel tunnel{lab, 1h, 1h};
    auto opening = tunnel.open();
    co_await std::move(opening);
    lab.detach();
    std::vector<std::byte> payload(65'535);
    for (int i = 0; i < 50; ++i) {
        co_await tunnel.app.async_send(net::buffer(payload.data(), piled_up), net::use_awaitable);
        auto pausing = sleep(1ms);
        co_await std::move(pausing);
    }
    lab.attach();
    int arrived = 0;
    io::TaskScope marking{lab.executor(), [](const std::exception_ptr&) {}};
    auto body = count_until_mark(marking, tunnel, arrived);
    auto counting = marking.run(std::move(body));
    co_await std::move(counting);
    EXPECT_LE(arrived * piled_up, 256U * 1'024) << "more than one stream's queue was kept";
}

TEST(SpliceUdp, DropsWhatPilesUpWithoutACarrierAndGoesOn)
{
    PairLab lab;
    lab.run(pile_up(lab));
}

} // namespace
} // namespace narrowlink::drive::test
