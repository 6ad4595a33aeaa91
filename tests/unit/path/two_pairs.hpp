#pragma once

#include "narrowlink/path/pair.hpp"
#include "support/seeded_random.hpp"

#include <deque>
#include <map>
#include <set>

namespace narrowlink::path::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// One end of a pair and what it has reported.
struct End {
    Pair pair;
    std::deque<Event> events;

    /// The last one of its kind.
    template <class E>
    const E* find() const
    {
        for (auto event = events.rbegin(); event != events.rend(); ++event)
            if constexpr (std::is_same_v<E, PathChanged>) {
                if (const E* found = std::get_if<E>(&*event))
                    return found;
            } else if (const auto* inner = std::get_if<quic::Event>(&*event)) {
                if (const E* found = std::get_if<E>(inner))
                    return found;
            }
        return nullptr;
    }

    template <class E>
    [[nodiscard]] std::size_t count() const
    {
        std::size_t n = 0;
        for (const Event& event : events)
            n += std::holds_alternative<E>(event) ? 1 : 0;
        return n;
    }

    /// The same for what QUIC has reported.
    template <class E>
    [[nodiscard]] std::size_t count_quic() const
    {
        std::size_t n = 0;
        for (const Event& event : events)
            if (const auto* inner = std::get_if<quic::Event>(&event))
                n += std::holds_alternative<E>(*inner) ? 1 : 0;
        return n;
    }
};

/// A client's and an agent's end, and carriers between them with a fixed delay. A carrier has the
/// same number at both ends.
class TwoPairs {
public:
    static constexpr CarrierId first{1};
    static constexpr CarrierId second{2};
    static constexpr CarrierId third{3};
    static constexpr Carrier relay{
        .kind = CarrierKind::websocket_relay, .mtu = 16'368, .paced = false};
    static constexpr Carrier udp_relay{
        .kind = CarrierKind::udp_relay, .mtu = 1'200, .paced = true};
    static constexpr Carrier direct{.kind = CarrierKind::direct_udp, .mtu = 1'452, .paced = true};

    explicit TwoPairs(Pair::Config config = {})
        : client_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
        , agent_identity{*crypto::Identity::make_ed25519(wall_clock, random)}
        , client{*Pair::client(config,
                               {*quic::Credentials::load(client_identity), agent_identity.pin}, now,
                               random),
                 {}}
        , agent{Pair::server(config,
                             {*quic::Credentials::load(agent_identity), client_identity.pin}, now,
                             random),
                {}}
    {
    }

    void add(CarrierId id, Carrier carrier)
    {
        client.pair.add_carrier(now, id, carrier);
        agent.pair.add_carrier(now, id, carrier);
        flush();
    }

    void remove(CarrierId id)
    {
        client.pair.remove_carrier(now, id);
        agent.pair.remove_carrier(now, id);
        flush();
    }

    /// Moves packets and time until `done`, at most for `most`.
    template <class Done>
    bool run(Done done, Duration most = seconds{5})
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

    void run_for(Duration time)
    {
        run([] { return false; }, time);
    }

    bool connect()
    {
        add(first, relay);
        return run([this] {
            return client.find<quic::Connected>() != nullptr &&
                   agent.find<quic::Connected>() != nullptr;
        });
    }

    /// A stream that the agent has accepted.
    quic::StreamId open()
    {
        const quic::StreamId id =
            *client.pair.connection().open({quic::Request::Kind::tcp, {"localhost", 22}});
        run([this] { return agent.find<quic::RequestReceived>() != nullptr; });
        agent.pair.connection().respond(id, {});
        run([this] { return client.find<quic::ResponseReceived>() != nullptr; });
        return id;
    }

    static void say(End& end, quic::StreamId id, std::size_t bytes)
    {
        while (bytes > 0) {
            const std::size_t n = std::min(bytes, end.pair.connection().send_block(id).size());
            end.pair.connection().send_committed(id, n);
            bytes -= n;
        }
    }

    static std::size_t heard(End& end, quic::StreamId id)
    {
        std::array<Bytes, 64> spans;
        std::size_t bytes = 0;
        for (const Bytes span : std::span{spans}.first(end.pair.connection().received(id, spans)))
            bytes += span.size();
        return bytes;
    }

    /// As heard(), and makes room for more.
    static std::size_t take(End& end, quic::StreamId id)
    {
        const std::size_t bytes = heard(end, id);
        end.pair.connection().consume(id, bytes);
        return bytes;
    }

    static constexpr UnixTime wall_clock{seconds{1'700'000'000}};

    SeededRandom random{1};
    crypto::Identity client_identity, agent_identity;
    Instant now{seconds{1'000}};
    End client, agent;
    Duration delay = milliseconds{10};
    bool is_losing = false;     ///< everything, silently
    bool agent_sleeps = false;  ///< and what comes to it is lost
    std::set<CarrierId> dead;   ///< carriers that lose everything, silently
    std::set<CarrierId> dead_to_agent, dead_to_client; ///< in one direction
    std::set<CarrierId> doubling; ///< carriers that deliver everything twice
    std::map<CarrierId, Duration> delays; ///< where they are not `delay`
    std::map<CarrierId, std::size_t> narrow; ///< carriers that silently lose larger packets
    std::size_t trains_on_second = 0;

    struct Train {
        bool to_agent;
        CarrierId carrier;
        std::vector<std::byte> bytes;
        std::size_t segment_size;
    };

    Train last_to_client{};

private:
    void flush()
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

    void send(End& end, CarrierId carrier)
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

    void deliver()
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

    std::multimap<Instant, Train> trains;
};

} // namespace narrowlink::path::test
