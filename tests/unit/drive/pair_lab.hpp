#pragma once

#include "narrowlink/drive/notice.hpp"
#include "narrowlink/drive/pair_driver.hpp"
#include "narrowlink/drive/stream.hpp"
#include "narrowlink/io/task_scope.hpp"
#include "support/seeded_random.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace narrowlink::drive::test {

/// One end of a pair, and what its owner was told.
class End final : public PairDriver::Owner {
public:
    End(net::any_io_executor executor, path::Pair pair, PairDriver::WakeCarriers wake_carriers);

    PairDriver driver;
    std::deque<std::pair<quic::StreamId, quic::Request>> requests;
    std::vector<std::optional<path::CarrierKind>> paths;
    std::vector<std::optional<path::CarrierKind>> woken; ///< what the carriers were woken for
    std::optional<quic::Closed> closed;
    bool is_connected = false;
    Notice told;

private:
    void handle_connected() override;
    void handle_request(quic::StreamId, const quic::Request&) override;
    void handle_path_changed(const path::PathChanged&) override;
    void handle_closed(const quic::Closed&) override;
};

/// The client's and the agent's end of one pair in one loop. Their carrier is a queue of trains for
/// each direction, which the loop delivers one by one.
class PairLab {
public:
    explicit PairLab(const path::Pair::Config& config = {});

    /// Connects the pair, then runs `body`; ends every task and throws what `body` threw. A body
    /// that hangs fails with errc::timed_out.
    void run(net::awaitable<void> body);

    /// Takes the carrier away from both ends; the trains that are on their way are lost.
    void detach();
    void attach();

    /// Trains are accepted but wait.
    void pause() { paused_ = true; }

    void resume();

    void lose_next_trains(std::size_t count) { to_lose_ = count; }

    [[nodiscard]] std::size_t trains_sent() const { return trains_sent_; }

    /// Opens a request at the client and lets it leave. Throws system_error.
    quic::StreamId open(const quic::Request& request);

    /// The next request that reaches the agent.
    net::awaitable<std::pair<quic::StreamId, quic::Request>> next_request();

    net::any_io_executor executor() { return loop_.get_executor(); }

    /// A task that lives as long as run().
    void spawn(net::awaitable<void> task) { tasks_.spawn(std::move(task)); }

private:
    struct Train {
        std::vector<std::byte> bytes;
        std::size_t segment_size;
    };

    enum class Direction : std::size_t { to_agent, to_client };

    End& sender(Direction direction);
    End& receiver(Direction direction);
    void wake(Direction direction, std::optional<path::CarrierKind> kind);
    void collect(Direction direction);
    void deliver(Direction direction);
    net::awaitable<void> connect_and_run(net::awaitable<void> body);
    net::awaitable<void> bounded(net::awaitable<void> body);

    static constexpr std::size_t mtu = 16'368;

    net::io_context loop_{1};
    SeededRandom random_{1};
    crypto::Identity client_identity_, agent_identity_;
    std::array<std::deque<Train>, 2> trains_;
    std::array<bool, 2> collecting_{};
    path::CarrierId client_carrier_{}, agent_carrier_{};
    std::size_t to_lose_ = 0;
    std::size_t trains_sent_ = 0;
    bool attached_ = false;
    bool paused_ = false;

public:
    End client, agent;

private:
    io::TaskScope tasks_;
};

net::awaitable<void> sleep(Duration duration);

std::pair<tcp::socket, tcp::socket> tcp_pair(const net::any_io_executor& executor);
std::pair<udp::socket, udp::socket> udp_pair(const net::any_io_executor& executor);

/// The byte at this place of every long transfer: a lost, doubled or moved byte shows.
constexpr std::byte pattern(std::uint64_t offset)
{
    return static_cast<std::byte>(offset * 2'654'435'761U >> 13);
}

inline const quic::Request tcp_request{quic::Request::Kind::tcp, {"target.example", 22}};
inline const quic::Request udp_request{quic::Request::Kind::udp, {"target.example", 53}};

} // namespace narrowlink::drive::test
