#include "pair_lab.hpp"

#include "narrowlink/io/clock.hpp"
#include "narrowlink/io/with_deadline.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

namespace narrowlink::drive::test {
namespace {

/// Nothing here takes a tenth of it; it turns a hang into a failure.
constexpr Duration longest_test = std::chrono::seconds{30};

constexpr UnixTime birth{std::chrono::seconds{1'000'000'000}};

path::Pair client_pair(const path::Pair::Config& config, const crypto::Identity& own,
                       const crypto::Pin& peer, Random& random)
{
    return path::Pair::client(config, {*quic::Credentials::load(own), peer}, io::now(), random)
        .value();
}

path::Pair agent_pair(const path::Pair::Config& config, const crypto::Identity& own,
                      const crypto::Pin& peer, Random& random)
{
    return path::Pair::server(config, {*quic::Credentials::load(own), peer}, io::now(), random);
}

/// A task of the lab has no business to fail but by cancellation.
void expect_no_failure(const std::exception_ptr& failure)
{
    if (!failure || io::is_cancellation(failure))
        return;
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        ADD_FAILURE() << "a task failed: " << error.what();
    }
}

} // namespace

End::End(net::any_io_executor executor, path::Pair pair, PairDriver::WakeCarriers wake_carriers)
    : driver{executor, std::move(pair), *this, std::move(wake_carriers)}, told{executor}
{
}

void End::handle_connected()
{
    is_connected = true;
    told.tell();
}

void End::handle_request(quic::StreamId id, const quic::Request& request)
{
    requests.emplace_back(id, request);
    told.tell();
}

void End::handle_path_changed(const path::PathChanged& change)
{
    paths.push_back(change.carrier);
    told.tell();
}

void End::handle_closed(const quic::Closed& reason)
{
    closed = reason;
    told.tell();
}

PairLab::PairLab(const path::Pair::Config& config)
    : client_identity_{crypto::Identity::make_ed25519(birth, random_).value()}
    , agent_identity_{crypto::Identity::make_ed25519(birth, random_).value()}
    , client{executor(), client_pair(config, client_identity_, agent_identity_.pin, random_),
             [this](auto kind) { wake(Direction::to_agent, kind); }}
    , agent{executor(), agent_pair(config, agent_identity_, client_identity_.pin, random_),
            [this](auto kind) { wake(Direction::to_client, kind); }}
    , tasks_{executor(), expect_no_failure}
{
}

void PairLab::run(net::awaitable<void> body)
{
    std::exception_ptr failure;
    net::co_spawn(loop_, connect_and_run(std::move(body)),
                  [&](std::exception_ptr thrown) { failure = thrown; });
    loop_.run();
    loop_.restart();
    if (failure)
        std::rethrow_exception(failure);
}

net::awaitable<void> PairLab::connect_and_run(net::awaitable<void> body)
{
    auto whole = bounded(std::move(body));
    auto running = tasks_.run(std::move(whole));
    co_await std::move(running);
}

namespace {

net::awaitable<void> connect_first(PairLab& lab, net::awaitable<void> body)
{
    lab.attach();
    while (!lab.client.is_connected || !lab.agent.is_connected) {
        auto waiting = (lab.client.is_connected ? lab.agent : lab.client).told.wait_until(never);
        co_await std::move(waiting);
    }
    co_await std::move(body);
}

} // namespace

net::awaitable<void> PairLab::bounded(net::awaitable<void> body)
{
    tasks_.spawn(client.driver.run());
    tasks_.spawn(agent.driver.run());
    auto whole = connect_first(*this, std::move(body));
    auto limited = io::with_deadline(io::now() + longest_test, std::move(whole));
    co_await std::move(limited);
}

void PairLab::attach()
{
    attached_ = true;
    const path::Carrier carrier{path::CarrierKind::websocket_relay, mtu, false};
    client_carrier_ = client.driver.next_carrier();
    agent_carrier_ = agent.driver.next_carrier();
    client.driver.pair().add_carrier(io::now(), client_carrier_, carrier);
    agent.driver.pair().add_carrier(io::now(), agent_carrier_, carrier);
    client.driver.settle();
    agent.driver.settle();
}

void PairLab::detach()
{
    attached_ = false;
    for (auto& queue : trains_)
        queue.clear();
    client.driver.pair().remove_carrier(io::now(), client_carrier_);
    agent.driver.pair().remove_carrier(io::now(), agent_carrier_);
    client.driver.settle();
    agent.driver.settle();
}

void PairLab::resume()
{
    paused_ = false;
    for (const Direction direction : {Direction::to_agent, Direction::to_client})
        for (std::size_t i = 0; i < trains_[static_cast<std::size_t>(direction)].size(); ++i)
            net::post(loop_, [this, direction] { deliver(direction); });
}

quic::StreamId PairLab::open(const quic::Request& request)
{
    const quic::StreamId id = client.driver.connection().open(request).value();
    client.driver.settle();
    return id;
}

net::awaitable<std::pair<quic::StreamId, quic::Request>> PairLab::next_request()
{
    while (agent.requests.empty()) {
        auto waiting = agent.told.wait_until(never);
        co_await std::move(waiting);
    }
    const auto request = agent.requests.front();
    agent.requests.pop_front();
    co_return request;
}

End& PairLab::sender(Direction direction)
{
    return direction == Direction::to_agent ? client : agent;
}

End& PairLab::receiver(Direction direction)
{
    return direction == Direction::to_agent ? agent : client;
}

void PairLab::wake(Direction direction, std::optional<path::CarrierKind> kind)
{
    sender(direction).woken.push_back(kind);
    bool& collecting = collecting_[static_cast<std::size_t>(direction)];
    if (std::exchange(collecting, true))
        return;
    net::post(loop_, [this, direction] { collect(direction); });
}

void PairLab::collect(Direction direction)
{
    collecting_[static_cast<std::size_t>(direction)] = false;
    PairDriver& driver = sender(direction).driver;
    std::vector<std::byte> block(65'528);
    const auto carrier = direction == Direction::to_agent ? client_carrier_ : agent_carrier_;
    while (attached_) {
        const auto train = driver.pair().poll_transmit(io::now(), carrier, block);
        driver.drain_events();
        if (train.size == 0)
            return;
        ++trains_sent_;
        if (to_lose_ > 0) {
            --to_lose_;
            continue;
        }
        const Bytes bytes = Bytes{block}.first(train.size);
        trains_[static_cast<std::size_t>(direction)].push_back(
            {{bytes.begin(), bytes.end()}, train.segment_size});
        if (!paused_)
            net::post(loop_, [this, direction] { deliver(direction); });
    }
}

void PairLab::deliver(Direction direction)
{
    auto& queue = trains_[static_cast<std::size_t>(direction)];
    if (queue.empty() || paused_)
        return;
    const Train train = std::move(queue.front());
    queue.pop_front();
    const auto carrier = direction == Direction::to_agent ? agent_carrier_ : client_carrier_;
    PairDriver& driver = receiver(direction).driver;
    driver.pair().handle_packets(io::now(), carrier, train.bytes, train.segment_size);
    driver.settle();
}

net::awaitable<void> sleep(Duration duration)
{
    net::steady_timer timer{co_await net::this_coro::executor, io::now() + duration};
    co_await timer.async_wait(net::use_awaitable);
}

std::pair<tcp::socket, tcp::socket> tcp_pair(const net::any_io_executor& executor)
{
    tcp::acceptor acceptor{executor, {net::ip::address_v4::loopback(), 0}};
    tcp::socket near{executor};
    near.connect(acceptor.local_endpoint());
    return {std::move(near), acceptor.accept()};
}

std::pair<udp::socket, udp::socket> udp_pair(const net::any_io_executor& executor)
{
    const udp::endpoint any{net::ip::address_v4::loopback(), 0};
    udp::socket near{executor, any};
    udp::socket far{executor, any};
    near.connect(far.local_endpoint());
    far.connect(near.local_endpoint());
    return {std::move(near), std::move(far)};
}

} // namespace narrowlink::drive::test
