#pragma once

#include "narrowlink/direct/carried_pair.hpp"
#include "narrowlink/io/event.hpp"

#include <functional>
#include <unordered_map>

namespace narrowlink::drive {

class Stream;

/// Runs one pair: its timers and its events. Packets are moved by whoever drives a carrier, see
/// RelayNode; after anything that may have changed the pair, it calls settle().
///
/// Single-threaded. run() must have ended, and every Stream be gone, before the driver goes away.
class PairDriver final : public direct::CarriedPair {
public:
    /// What the owner is told. Called from settle(); must not destroy the driver.
    class Owner {
    public:
        virtual ~Owner() = default;
        virtual void handle_connected() {}
        /// An agent answers by making a Stream for it.
        virtual void handle_request(quic::StreamId, const quic::Request&) {}
        virtual void handle_path_changed(const path::PathChanged&) {}
        virtual void handle_path_measured(const path::PathMeasured&) {}
        virtual void handle_path_quiet() {}
        virtual void handle_streams_available() {}
        virtual void handle_closed(const quic::Closed&) = 0;
    };

    /// Is called when there may be packets to send: with the kind of the only carrier that may have
    /// some, or with nothing when any may.
    using WakeCarriers = std::function<void(std::optional<path::CarrierKind>)>;

    PairDriver(net::any_io_executor executor, path::Pair pair, Owner& owner,
               WakeCarriers wake_carriers);
    PairDriver(const PairDriver&) = delete;
    PairDriver& operator=(const PairDriver&) = delete;

    path::Pair& pair() override { return pair_; }

    quic::Connection& connection() { return pair_.connection(); }

    [[nodiscard]] bool is_closed() const { return closed_; }

    path::CarrierId next_carrier() override { return path::CarrierId{++last_carrier_}; }

    /// Tells the events that have come up and adjusts the timer; for who drives a carrier.
    void drain_events() override;

    /// The same, and wakes the carrier in use: for everybody else.
    void settle() override;

    /// The timers. Ends when the pair is over; until then only by cancellation.
    net::awaitable<void> run();

private:
    friend class Stream;

    void tell(const path::Event&);
    void tell(const quic::Event&);

    net::any_io_executor executor_;
    path::Pair pair_;
    Owner* owner_;
    WakeCarriers wake_carriers_;
    std::unordered_map<std::int64_t, Stream*> streams_;
    io::Event timer_changed_;
    Instant armed_until_ = never;
    Instant quiet_until_{}; ///< a timer that only a blocked carrier can satisfy must not spin
    std::uint32_t last_carrier_ = 0;
    bool closed_ = false;
    bool telling_ = false;
};

} // namespace narrowlink::drive
