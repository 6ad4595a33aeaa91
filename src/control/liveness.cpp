#include "narrowlink/control/liveness.hpp"

namespace narrowlink::control {

Liveness::Liveness(Config config, Instant now) : config_{config}, heard_at_{now}, ping_at_{now} {}

std::optional<Duration> Liveness::handle_pong(Instant now, Pong pong)
{
    const auto sent = std::ranges::find(unanswered_, pong.id, &SentPing::id);
    if (sent == unanswered_.end())
        return std::nullopt;
    const Duration rtt = now - sent->at;
    // A WebSocket keeps the order: what was sent before will not be answered any more.
    unanswered_.erase(unanswered_.begin(), sent + 1);
    return rtt;
}

void Liveness::doubt(Instant now, Duration patience)
{
    ping_at_ = now;
    doubted_until_ = std::min(doubted_until_, now + patience);
}

std::optional<Ping> Liveness::poll_ping(Instant now)
{
    if (now < ping_at_)
        return std::nullopt;
    ping_at_ = now + config_.ping_interval;
    if (unanswered_.size() == max_unanswered)
        unanswered_.pop_front(); // a peer that talks but does not answer pings
    unanswered_.push_back({next_id_, now});
    return Ping{next_id_++};
}

} // namespace narrowlink::control
