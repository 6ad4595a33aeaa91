#pragma once

#include "narrowlink/base/time.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace narrowlink::path {

/// Finds the largest datagram that a way takes, with probes that carry nothing else (Datagram
/// Packetization Layer Path MTU Discovery, RFC 8899).
///
/// Probes of every size that links commonly have go out together, so that one round trip finds the
/// largest. A size that was found is probed again while packets of that size are sent, and at once
/// when they may have been lost: a way that takes it no longer falls back to the base, and the search
/// begins anew.
///
/// Sizes are those of UDP payloads, in bytes.
class MtuSearch {
public:
    /// What every way takes that QUIC may use (BASE_PLPMTU; RFC 9000 §14.1).
    static constexpr std::size_t base = 1'200;

    /// Begins at once.
    MtuSearch(Instant now, bool is_v4);

    [[nodiscard]] std::size_t mtu() const { return mtu_; }

    void handle_timeout(Instant now);

    /// A probe of this size is to be sent now.
    std::optional<std::size_t> poll_transmit();

    /// The other end has seen a probe of `size` bytes. Returns whether mtu() has changed.
    bool handle_answer(Instant now, std::size_t size);

    /// Packets of more than the base size have been sent.
    void handle_large_packets(Instant now);

    /// Packets on this way are not acknowledged. Before may_doubt_at() it changes nothing.
    void handle_doubt(Instant now);

    /// never: no size has been found, or it is being confirmed.
    [[nodiscard]] Instant may_doubt_at() const;

    /// The connection has left this way.
    void handle_left(Instant now);

    [[nodiscard]] Instant deadline() const { return due_; }

private:
    enum class State {
        searching, ///< which sizes get through?
        resting,   ///< until packets of the size found are sent, or it is time to search for larger
                   ///< ones
        confirming, ///< does the size found still get through?
    };

    static constexpr std::size_t size_count = 7;

    void search(Instant now);
    void rest(Instant now);
    void conclude(Instant now);
    void confirm(Instant now);
    void fall_back(Instant now);

    std::array<std::size_t, size_count> sizes_; ///< ascending
    std::size_t mtu_ = base;
    State state_ = State::searching;
    unsigned rounds_ = 0;    ///< of probes that were sent in this state
    std::size_t next_ = 0;   ///< in sizes_; size_count: none of this round is left
    Instant confirmed_at_{}; ///< the size found
    Instant search_again_at_ = never;
    Duration silence_wait_; ///< after a search without any answer
    Instant due_;
};

} // namespace narrowlink::path
