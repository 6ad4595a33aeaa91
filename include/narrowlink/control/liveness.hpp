#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

namespace narrowlink::control {

/// Is the peer of an established session still there, and how far away is it?
///
/// Pings at fixed intervals and not only after silence, because every pong also measures the RTT.
/// Pings are answered by the peer's session and not by its socket, so that a peer whose process
/// hangs is silent although its kernel still takes our bytes.
class Liveness {
public:
    struct Config {
        Duration ping_interval;
        Duration silence_limit;
    };

    Liveness(Config config, Instant now);

    /// The peer has sent something that makes sense.
    void handle_heard(Instant now)
    {
        heard_at_ = now;
        doubted_until_ = never;
    }

    /// The RTT, when this answers a ping of ours that was not answered before.
    [[nodiscard]] std::optional<Duration> handle_pong(Instant now, Pong pong);

    /// The network below has changed: the peer has `patience` to be heard, and is asked at once.
    void doubt(Instant now, Duration patience);

    /// The next ping goes out now, or as soon as the last one is `least` ago.
    void hasten(Instant now, Duration least)
    {
        ping_at_ = std::min(ping_at_, std::max(now, ping_at_ - config_.ping_interval + least));
    }

    [[nodiscard]] bool is_silent(Instant now) const { return now >= silent_at(); }

    /// The ping that is due, if one is.
    [[nodiscard]] std::optional<Ping> poll_ping(Instant now);

    [[nodiscard]] Instant deadline() const
    {
        return std::min(ping_at_, silent_at());
    }

private:
    [[nodiscard]] Instant silent_at() const
    {
        return std::min(heard_at_ + config_.silence_limit, doubted_until_);
    }

    struct SentPing {
        std::uint64_t id;
        Instant at;
    };

    static constexpr std::size_t max_unanswered = 16;

    Config config_;
    Instant heard_at_;
    Instant ping_at_;
    Instant doubted_until_ = never;
    std::uint64_t next_id_ = 1;
    std::deque<SentPing> unanswered_;
};

} // namespace narrowlink::control
