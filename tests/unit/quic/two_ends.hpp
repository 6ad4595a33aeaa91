#pragma once

#include "narrowlink/quic/connection.hpp"
#include "support/seeded_random.hpp"

#include <deque>
#include <functional>

namespace narrowlink::quic::test {

/// A client and a server connection joined by a link of fixed delay, under a virtual clock.
class TwoEnds {
public:
    struct Train {
        Instant at;
        std::vector<std::byte> bytes;
        std::size_t segment_size;
        PathId path;
        std::uint8_t ecn = 0;
    };

    explicit TwoEnds(std::uint64_t seed = 1, Connection::Config config = {})
        : random{seed}
        , client_identity{*crypto::Identity::make_ed25519(UnixTime{std::chrono::seconds{1'000'000'000}}, random)}
        , server_identity{*crypto::Identity::make_ed25519(UnixTime{std::chrono::seconds{1'000'000'000}}, random)}
        , now{std::chrono::seconds{1'000}}
        , client{*Connection::client(config, {*Credentials::load(client_identity), server_identity.pin}, now, random)}
        , server{Connection::server(config, {*Credentials::load(server_identity), client_identity.pin}, now, random)}
    {
    }

    /// Moves packets and time until `done` or for `most` of virtual time.
    template <class Done>
    bool run(Done done, Duration most = std::chrono::seconds{30})
    {
        const Instant end = now + most;
        while (now < end) {
            step(client, to_server, client_events);
            step(server, to_client, server_events);
            if (done())
                return true;
            Instant next = std::min(client.deadline(), server.deadline());
            if (!to_server.empty())
                next = std::min(next, to_server.front().at);
            if (!to_client.empty())
                next = std::min(next, to_client.front().at);
            if (next == never)
                return false;
            now = std::max(now, next);
            deliver(to_server, server);
            deliver(to_client, client);
            client.handle_timeout(now);
            server.handle_timeout(now);
        }
        return false;
    }

    template <class E>
    static const E* find(const std::deque<Event>& events)
    {
        for (const Event& event : events)
            if (const E* found = std::get_if<E>(&event))
                return found;
        return nullptr;
    }

    bool connect()
    {
        return run([&] {
            return find<Connected>(client_events) != nullptr &&
                   find<Connected>(server_events) != nullptr;
        });
    }

    SeededRandom random;
    crypto::Identity client_identity, server_identity;
    Instant now;
    Connection client, server;
    std::deque<Train> to_server, to_client;
    std::deque<Event> client_events, server_events;
    Duration delay = std::chrono::milliseconds{10};
    std::uint64_t loss_per_mille = 0;
    std::size_t mtu = 16'368;
    bool paced = false;
    std::optional<std::uint8_t> remark; ///< what the network makes of ECN marks
    std::uint8_t last_mark = 0;         ///< of what was sent

private:
    void step(Connection& from, std::deque<Train>& link, std::deque<Event>& events)
    {
        std::vector<std::byte> block(65'528);
        for (;;) {
            from.set_limits(from.current_path(), {.mtu = mtu, .paced = paced});
            const auto train = from.poll_transmit(now, block);
            if (train.size == 0)
                break;
            if (random.below(1'000) >= loss_per_mille)
                link.push_back({now + delay, {block.begin(), block.begin() + static_cast<std::ptrdiff_t>(train.size)}, train.segment_size, train.path, remark ? *remark : train.ecn});
            last_mark = train.ecn;
        }
        while (auto event = from.poll_event())
            events.push_back(std::move(*event));
    }

    void deliver(std::deque<Train>& link, Connection& to)
    {
        while (!link.empty() && link.front().at <= now) {
            const Train train = std::move(link.front());
            link.pop_front();
            to.handle_packets(now, train.path, train.bytes, train.segment_size, train.ecn);
        }
    }
};

} // namespace narrowlink::quic::test
