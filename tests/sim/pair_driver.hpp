#pragma once

#include "narrowlink/direct/carried_pair.hpp"
#include "world.hpp"

#include <functional>
#include <map>
#include <optional>

namespace narrowlink::sim {

/// Plays drive::Stream: what the driver tells about one stream.
class StreamEnd {
public:
    virtual ~StreamEnd() = default;

    virtual void handle_response(const quic::Response&) {}

    /// Bytes or datagrams have come, or there is room again.
    virtual void handle_change() = 0;
    /// The code of a reset; empty when the whole pair is over.
    virtual void handle_failure(std::optional<std::uint64_t> code) = 0;
};

/// Plays drive::PairDriver.
class PairDriver final : public direct::CarriedPair {
public:
    class Owner {
    public:
        virtual ~Owner() = default;

        virtual void handle_connected() {}

        virtual void handle_request(quic::StreamId, const quic::Request&) {}

        virtual void handle_streams_available() {}

        virtual void handle_path_changed(const path::PathChanged&) {}
        virtual void handle_path_quiet() {}

        virtual void handle_closed(const quic::Closed&) = 0;
    };

    /// As drive::PairDriver::WakeCarriers.
    using WakeCarriers = std::function<void(std::optional<path::CarrierKind>)>;

    PairDriver(World& world, path::Pair pair, Owner& owner, WakeCarriers wake_carriers);

    path::Pair& pair() override { return pair_; }

    quic::Connection& connection() { return pair_.connection(); }

    [[nodiscard]] bool is_closed() const { return closed_; }

    path::CarrierId next_carrier() override { return path::CarrierId{++last_carrier_}; }

    void drain_events() override;
    void settle() override;

    void add(quic::StreamId id, StreamEnd& end) { streams_.emplace(id, &end); }

    void remove(quic::StreamId id) { streams_.erase(id); }

private:
    void tell(const path::Event&);
    void tell(const quic::Event&);
    void handle_timeout();

    World* world_;
    path::Pair pair_;
    Owner* owner_;
    WakeCarriers wake_carriers_;
    std::map<quic::StreamId, StreamEnd*> streams_;
    Timer timer_;
    Instant quiet_until_{};
    std::uint32_t last_carrier_ = 0;
    bool closed_ = false;
    bool telling_ = false;
};

} // namespace narrowlink::sim
