#pragma once

#include "narrowlink/base/buffer.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/relay/rate_meter.hpp"
#include "narrowlink/relay/table.hpp"
#include "narrowlink/wire/relay_frame.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

namespace narrowlink::relay {

/// Everything that waits to be written to one session's WebSocket.
///
/// Control texts go first. Relay messages wait in one queue per pair; pairs take turns, and a turn
/// is 64 KiB, so that small trains are not at a disadvantage against large ones. Each pair may wait
/// for about `queue_time` at the rate the socket was seen to take; beyond that the newest message
/// is dropped and counted, as a router does it, and the sender's congestion control reacts.
///
/// Requires: the socket's own buffer is small (TCP_NOTSENT_LOWAT, tcp(7)); otherwise the rate is
/// that of the buffer, and most of the waiting is done there.
class EgressQueue {
public:
    struct Config {
        Duration queue_time = std::chrono::milliseconds{50};
        std::size_t pair_least = 128 * 1024;
        std::size_t pair_most = 4 * 1024 * 1024;
        std::size_t pair_unmeasured = 512 * 1024; ///< until the rate is known
        /// Blocks of all pairs together. One pair may take as much as it leaves free for others.
        std::size_t memory_most = 16 * 1024 * 1024;
        std::size_t texts_most = 1'024;
        std::size_t text_bytes_most = 1024 * 1024;
    };

    using Item = std::variant<std::string, Buffer>;

    struct Counters {
        Volume sent;
        Volume dropped;
        std::uint64_t texts = 0;
    };

    explicit EgressQueue(Config config);

    /// Queues a relay message for `handle`, which is also the handle in the message. False when it
    /// is dropped; `message` then stays with the caller, for reuse.
    bool offer(Instant now, PairHandle handle, Buffer&& message);

    /// Queues a control text. False when the session does not take them fast enough: it is then to
    /// be closed, because control messages are never dropped.
    bool offer_text(std::string text);

    /// The next item to write. More than one may be on its way to the socket.
    [[nodiscard]] std::optional<Item> poll(Instant now);

    /// The socket has taken `bytes` of what poll() returned, in their order, not counting any
    /// framing: the size of a text or of a Buffer.
    void handle_written(Instant now, std::size_t bytes);

    /// Drops, without counting, what waits for `handle`, and all that is known of it.
    void forget(PairHandle handle);

    /// Nothing waits; something may still be on its way to the socket.
    [[nodiscard]] bool empty() const { return texts_.empty() && turns_.empty(); }

    /// A text did not fit.
    [[nodiscard]] bool overflowed() const { return overflowed_; }

    [[nodiscard]] const Counters& counters() const { return counters_; }

    /// Bytes of relay messages one pair may have waiting at the moment.
    [[nodiscard]] std::size_t pair_limit(Instant now) const;

    [[nodiscard]] std::optional<double> bytes_per_second() const
    {
        return meter_.bytes_per_second();
    }

private:
    static constexpr std::size_t least_sweep = 64;

    struct Pair {
        std::deque<Buffer> messages;
        std::size_t bytes = 0;
        std::size_t memory = 0;
        std::size_t credit = 0; ///< bytes it may still send in this turn
    };

    Pair& find_pair(PairHandle handle);
    [[nodiscard]] std::optional<Item> poll_message();
    void note_polled(Instant now, std::size_t bytes);

    Config config_;
    std::deque<std::string> texts_;
    std::size_t text_bytes_ = 0;
    bool overflowed_ = false;
    std::unordered_map<PairHandle, Pair> pairs_; // handles are the gateway's own counters
    std::size_t sweep_above_ = least_sweep;
    std::deque<PairHandle> turns_; // pairs with messages, the one to serve in front
    std::size_t memory_ = 0;
    std::size_t on_the_way_ = 0; ///< bytes polled and not yet written
    Instant writing_since_{};
    bool backlogged_ = false; ///< since writing_since_ there was always more to write
    RateMeter meter_;
    Counters counters_;
};

} // namespace narrowlink::relay
