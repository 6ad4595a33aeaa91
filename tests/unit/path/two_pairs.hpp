#pragma once

#include "narrowlink/path/pair.hpp"
#include "support/seeded_random.hpp"

#include <deque>
#include <functional>
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

    explicit TwoPairs(const Pair::Config& config = {});

    void add(CarrierId id, Carrier carrier);
    void remove(CarrierId id);

    /// Moves packets and time until `done`, at most for `most`.
    bool run(const std::function<bool()>& done, Duration most = seconds{5});

    void run_for(Duration time);

    bool connect();

    /// A stream that the agent has accepted.
    quic::StreamId open();

    static void say(End& end, quic::StreamId id, std::size_t bytes);

    static std::size_t heard(End& end, quic::StreamId id);

    /// As heard(), and makes room for more.
    static std::size_t take(End& end, quic::StreamId id);

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
    void flush();
    void send(End& end, CarrierId carrier);
    void deliver();

    std::multimap<Instant, Train> trains;
};

} // namespace narrowlink::path::test
