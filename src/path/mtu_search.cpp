// Theory of operation
//
// States (RFC 8899 §5.2)
//   searching    every size above mtu_ is probed in each of three rounds.
//     an answer → mtu_ rises to that size; the rest of the rounds is for larger ones.
//     rounds are over, or the largest size was found → resting.
//   resting
//     large packets are sent, and the size was not confirmed for `confirmation_interval` →
//     confirming. `raise_interval` has passed → searching.
//   confirming   the size found is probed three times.
//     an answer → resting.
//     rounds are over → mtu_ is the base again, and soon searching.
//
// A probe that is longer than the interface takes is refused by the kernel: that is a lost one.
// What an ICMP message claims is not looked at.

#include "narrowlink/path/mtu_search.hpp"

#include <algorithm>

namespace narrowlink::path {
namespace {

using namespace std::chrono_literals;

constexpr unsigned most_rounds = 3; // MAX_PROBES, RFC 8899 §5.1.2
constexpr Duration round_interval =
    400ms; ///< longer than most round trips; an answer may come later
constexpr Duration confirmation_interval = 5s;
constexpr Duration fallback_wait = 2s;
constexpr Duration raise_interval = 600s; // PMTU_RAISE_TIMER, RFC 8899 §5.1.1

/// IPv6's least, then what tunnels, PPPoE, Ethernet, and Ethernet with jumbo frames leave.
constexpr std::array<std::size_t, 6> link_mtus{1'280, 1'400, 1'420, 1'492, 1'500, 9'000};
/// Loopback; larger ones do not make QUIC cheaper.
constexpr std::size_t most = 16'368;

} // namespace

MtuSearch::MtuSearch(Instant now, bool is_v4) : due_{now}
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
    confirm_from_ = now + confirmation_interval;
    if (search_again_at_ == never)
        search_again_at_ = now + raise_interval;
    due_ = search_again_at_;
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
            return rest(now);
        next_ = 0;
        break;
    case State::confirming:
        if (rounds_ == most_rounds)
            return fall_back(now);
        next_ = 0;
        break;
    case State::resting: return search(now);
    }
    ++rounds_;
    due_ = now + round_interval;
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
    if (state_ == State::confirming && size >= mtu_)
        rest(now);
    if (size <= mtu_)
        return false;
    mtu_ = size;
    if (state_ == State::searching && size == sizes_.back())
        rest(now);
    return true;
}

void MtuSearch::handle_large_packets(Instant now)
{
    if (state_ != State::resting || now < confirm_from_ || mtu_ == base)
        return;
    state_ = State::confirming;
    rounds_ = 0;
    next_ = size_count;
    due_ = now;
}

} // namespace narrowlink::path
