#pragma once

#include "narrowlink/base/time.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/direct/carried_pair.hpp"
#include "narrowlink/direct/socket_table.hpp"
#include "narrowlink/path/mtu_search.hpp"
#include "narrowlink/wire/relay_tag.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>

namespace narrowlink::direct {

/// From which of our sockets to where.
struct WayName {
    SocketId socket;
    SocketAddress remote;
    wire::RelayTag tag{}; ///< ours in this pair, on the way through the gateway

    auto operator<=>(const WayName&) const = default;
};

/// What is to be sent by one way.
struct Train {
    WayName way;
    std::size_t size = 0; ///< in bytes; 0: there is nothing to send
    std::size_t segment_size = 0;
    std::uint8_t ecn = 0;
};

/// Packets that came in one after the other, from one address.
struct Arrival {
    Bytes train;
    std::size_t segment_size;
    std::uint8_t ecn = 0;
};

/// The carriers of a node's pairs that are made of its UDP sockets: direct ones, and those through
/// the gateway. Adds them to the pairs, moves their packets and finds their MTUs.
///
/// Contract: call handle_timeout() at deadline(), then drain poll_transmit().
class Ways {
public:
    /// `sockets` must outlive it.
    Ways(control::Role role, SocketTable& sockets) : role_{role}, sockets_{&sockets} {}

    /// All that one attempt finds stay: the client may have chosen any of them.
    void begin_attempt(CarriedPair&);

    /// A direct way has been found, by a probe whose source address may be forged. One of this pair
    /// is restored, one of another pair taken over if nothing comes by it any more; too many of this
    /// pair: the oldest that is not in use is closed. `channel` must outlive it, and may change
    /// meanwhile.
    void open(Instant now, CarriedPair&, const SocketPtr&, const SocketAddress& remote,
              nat::ProbeChannel& channel);

    /// The gateway takes packets of this pair. Returns whether that is new.
    bool open_relay(Instant now, CarriedPair&, const SocketPtr&, const SocketAddress& gateway,
                    const wire::RelayTag& tag);

    /// All of this pair.
    void close(Instant now, CarriedPair&);

    [[nodiscard]] bool contains(const WayName& name) const { return ways_.contains(name); }

    /// Why the direct ways of this pair are not used, as the end of a sentence; empty if it has none.
    [[nodiscard]] std::string obstacle(CarriedPair&) const;

    /// May this be a probe of the MTU of this way?
    [[nodiscard]] bool is_size_probe(const WayName&, Bytes datagram) const;

    /// A probe that was sealed in `channel` came in by this way, `size` bytes long.
    void handle_size_probe(Instant now, const WayName&, const nat::ProbeChannel& channel,
                           const wire::Probe&, std::size_t size);

    /// For the pair of this way, if there is one.
    void handle_packets(Instant now, const WayName&, const Arrival&);

    void handle_timeout(Instant now);

    [[nodiscard]] std::size_t size() const { return ways_.size(); }

    /// Fills `block` with a train of the next way in turn. When size() calls have brought nothing,
    /// there is nothing.
    Train poll_transmit(Instant now, MutableBytes block);

    [[nodiscard]] Instant deadline() const;

private:
    struct Way {
        CarriedPair* pair;
        path::CarrierId carrier;
        SocketPtr socket;
        nat::ProbeChannel* channel = nullptr;      ///< of direct ones
        std::optional<path::MtuSearch> mtu_search; ///< likewise, once QUIC has validated the path
        bool in_use = false;                       ///< when it was looked at last
    };

    /// The direct ways of one pair.
    struct Direct {
        std::deque<WayName> ways;   ///< the oldest first
        std::size_t of_attempt = 0; ///< found in the last one; at most nat::Puncher::most_targets
    };

    [[nodiscard]] static bool is_alive(Instant now, const Way&);
    void make_room(Instant now, Direct&, std::size_t most);
    void close(Instant now, const WayName&);
    void close_relay(Instant now, CarriedPair&);
    void search_mtu(Instant now, const WayName&, Way&);
    static void doubt_mtu(Instant now, Way&);

    control::Role role_;
    SocketTable* sockets_;
    std::map<WayName, Way> ways_;
    std::map<CarriedPair*, Direct> direct_;
    WayName last_served_{};
};

} // namespace narrowlink::direct
