// Theory of operation
//
// States (RFC 8899 §5.2)
//   searching    every size above mtu_ is probed in each of three rounds.
//     an answer → mtu_ rises to that size; the rest of the rounds is for larger ones.
//     the largest size was found → resting.
//     rounds are over → resting. Without any answer the way may have been dead: the next search is not
//       `raise_interval` away but five seconds, and twice as long each time.
//   resting
//     large packets are sent, and the size was not confirmed for `confirmation_interval` →
//     confirming. `raise_interval` has passed → searching.
//   confirming   the size found is probed three times.
//     an answer → resting.
//     rounds are over → mtu_ is the base again, and soon searching.
// In every state with a size found: packets are not acknowledged, or the connection has left this way →
// confirming (black hole detection, RFC 8899 §4.3). Whoever comes back to this way then knows better.
//
// A probe that is longer than the interface takes is refused by the kernel: that is a lost one.
// What an ICMP message claims is not looked at.

#include "narrowlink/path/mtu_search.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::path {
namespace {

using namespace std::chrono_literals;

constexpr unsigned most_rounds = 3; // MAX_PROBES, RFC 8899 §5.1.2
constexpr Duration round_interval =
    400ms; ///< longer than most round trips; an answer may come later
/// In a black hole every one is felt; an answer after the last of them still counts.
constexpr Duration confirmation_round_interval = 250ms;
constexpr Duration confirmation_interval = 5s;
constexpr Duration doubt_interval = 1s;
constexpr Duration fallback_wait = 2s;
constexpr Duration first_silence_wait = 5s;
constexpr Duration raise_interval = 600s; // PMTU_RAISE_TIMER, RFC 8899 §5.1.1

/// IPv6's least, then what tunnels, PPPoE, Ethernet, and Ethernet with jumbo frames leave.
constexpr std::array<std::size_t, 6> link_mtus{1'280, 1'400, 1'420, 1'492, 1'500, 9'000};
/// Loopback; larger ones do not make QUIC cheaper.
constexpr std::size_t most = 16'368;

} // namespace

MtuSearch::MtuSearch(Instant now, bool is_v4) : silence_wait_{first_silence_wait}, due_{now}
{
    const std::size_t headers = is_v4 ? 20 + 8 : 40 + 8;
    std::ranges::transform(link_mtus, sizes_.begin(),
                           [&](std::size_t mtu) { return mtu - headers; });
    sizes_.back() = most;
    search(now);
}

void MtuSearch::search(Instant now)
{
    state_ = State::searching;
    rounds_ = 0;
    next_ = size_count;
    search_again_at_ = never;
    due_ = now;
}

void MtuSearch::rest(Instant now)
{
    state_ = State::resting;
    next_ = size_count;
    if (search_again_at_ == never)
        search_again_at_ = now + raise_interval;
    due_ = search_again_at_;
}

/// All rounds of a search are over.
void MtuSearch::conclude(Instant now)
{
    if (mtu_ == base) {
        search_again_at_ = now + silence_wait_;
        silence_wait_ = std::min(2 * silence_wait_, raise_interval);
    }
    rest(now);
}

void MtuSearch::confirm(Instant now)
{
    state_ = State::confirming;
    rounds_ = 0;
    next_ = size_count;
    due_ = now;
}

void MtuSearch::fall_back(Instant now)
{
    mtu_ = base;
    state_ = State::resting;
    search_again_at_ = now + fallback_wait;
    due_ = search_again_at_;
}

void MtuSearch::handle_timeout(Instant now)
{
    if (now < due_)
        return;
    switch (state_) {
    case State::searching:
        if (rounds_ == most_rounds)
            return conclude(now);
        next_ = 0;
        due_ = now + round_interval;
        break;
    case State::confirming:
        if (rounds_ == most_rounds)
            return fall_back(now);
        next_ = 0;
        due_ = now + confirmation_round_interval;
        break;
    case State::resting: return search(now);
    }
    ++rounds_;
}

std::optional<std::size_t> MtuSearch::poll_transmit()
{
    if (state_ == State::confirming && next_ != size_count) {
        next_ = size_count;
        return mtu_;
    }
    while (next_ != size_count)
        if (const std::size_t size = sizes_[next_++]; size > mtu_)
            return size;
    return std::nullopt;
}

bool MtuSearch::handle_answer(Instant now, std::size_t size)
{
    if (std::ranges::find(sizes_, size) == sizes_.end())
        return false;
    if (size < mtu_)
        return false;
    confirmed_at_ = now;
    silence_wait_ = first_silence_wait;
    if (state_ == State::confirming || (state_ == State::searching && size == sizes_.back()))
        rest(now);
    return std::exchange(mtu_, size) != size;
}

void MtuSearch::handle_large_packets(Instant now)
{
    if (state_ == State::resting && mtu_ != base && now >= confirmed_at_ + confirmation_interval)
        confirm(now);
}

void MtuSearch::handle_doubt(Instant now)
{
    if (now >= may_doubt_at())
        confirm(now);
}

Instant MtuSearch::may_doubt_at() const
{
    return mtu_ == base || state_ == State::confirming ? never : confirmed_at_ + doubt_interval;
}

void MtuSearch::handle_left(Instant now)
{
    if (may_doubt_at() != never)
        confirm(now);
}

} // namespace narrowlink::path
