#include "two_pairs.hpp"

namespace narrowlink::path::test {

TwoPairs::TwoPairs(const Pair::Config& config)
    : client_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
    , agent_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
    , client{*Pair::client(config,
                           {*quic::Credentials::load(client_identity), agent_identity.pin}, now,
                           random),
             {}}
    , agent{Pair::server(config, {*quic::Credentials::load(agent_identity), client_identity.pin},
                         now, random),
            {}}
{
}

void TwoPairs::add(CarrierId id, Carrier carrier)
{
    client.pair.add_carrier(now, id, carrier);
    agent.pair.add_carrier(now, id, carrier);
    flush();
}

void TwoPairs::remove(CarrierId id)
{
    client.pair.remove_carrier(now, id);
    agent.pair.remove_carrier(now, id);
    flush();
}

bool TwoPairs::run(const std::function<bool()>& done, Duration most)
{
    const Instant end = now + most;
    for (;;) {
        flush();
        if (done())
            return true;
        const Instant agent_next = agent_sleeps ? never : agent.pair.deadline();
        const Instant next = std::min({client.pair.deadline(), agent_next,
                                       trains.empty() ? never : trains.begin()->first});
        if (next > end) {
            now = end;
            return false;
        }
        now = std::max(now, next);
        deliver();
        client.pair.handle_timeout(now);
        if (!agent_sleeps)
            agent.pair.handle_timeout(now);
    }
}

void TwoPairs::run_for(Duration time)
{
    run([] { return false; }, time);
}

bool TwoPairs::connect()
{
    add(first, relay);
    return run([this] {
        return client.find<quic::Connected>() != nullptr &&
               agent.find<quic::Connected>() != nullptr;
    });
}

quic::StreamId TwoPairs::open()
{
    const quic::StreamId id =
        *client.pair.connection().open({quic::Request::Kind::tcp, {"localhost", 22}});
    run([this] { return agent.find<quic::RequestReceived>() != nullptr; });
    agent.pair.connection().respond(id, {});
    run([this] { return client.find<quic::ResponseReceived>() != nullptr; });
    return id;
}

void TwoPairs::say(End& end, quic::StreamId id, std::size_t bytes)
{
    while (bytes > 0) {
        const std::size_t n = std::min(bytes, end.pair.connection().send_block(id).size());
        end.pair.connection().send_committed(id, n);
        bytes -= n;
    }
}

std::size_t TwoPairs::heard(End& end, quic::StreamId id)
{
    std::array<Bytes, 64> spans;
    std::size_t bytes = 0;
    for (const Bytes span : std::span{spans}.first(end.pair.connection().received(id, spans)))
        bytes += span.size();
    return bytes;
}

std::size_t TwoPairs::take(End& end, quic::StreamId id)
{
    const std::size_t bytes = heard(end, id);
    end.pair.connection().consume(id, bytes);
    return bytes;
}

void TwoPairs::flush()
{
    for (End* end : {&client, &agent}) {
        if (end == &agent && agent_sleeps)
            continue;
        do {
            for (const CarrierId carrier : {first, second, third})
                send(*end, carrier);
        } while (end->pair.take_wake());
        while (auto event = end->pair.poll_event())
            end->events.push_back(std::move(*event));
    }
}

void TwoPairs::send(End& end, CarrierId carrier)
{
    std::vector<std::byte> block(65'528);
    for (;;) {
        const auto train = end.pair.poll_transmit(now, carrier, block);
        if (train.size == 0)
            return;
        trains_on_second += carrier == second ? 1 : 0;
        const bool to_agent = &end == &client;
        const auto own = delays.find(carrier);
        const auto limit = narrow.find(carrier);
        if (limit != narrow.end() && train.segment_size > limit->second)
            continue;
        if (is_losing || dead.contains(carrier) ||
            (to_agent ? dead_to_agent : dead_to_client).contains(carrier))
            continue;
        for (int copies = doubling.contains(carrier) ? 2 : 1; copies > 0; --copies)
            trains.emplace(
                now + (own == delays.end() ? delay : own->second),
                Train{to_agent,
                      carrier,
                      {block.begin(), block.begin() + static_cast<std::ptrdiff_t>(train.size)},
                      train.segment_size});
    }
}

void TwoPairs::deliver()
{
    while (!trains.empty() && trains.begin()->first <= now) {
        const Train train = std::move(trains.begin()->second);
        trains.erase(trains.begin());
        if (train.to_agent && agent_sleeps)
            continue;
        Pair& pair = train.to_agent ? agent.pair : client.pair;
        pair.handle_packets(now, train.carrier, train.bytes, train.segment_size);
        if (!train.to_agent)
            last_to_client = train;
    }
}

} // namespace narrowlink::path::test
