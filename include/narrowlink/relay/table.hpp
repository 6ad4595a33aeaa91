#pragma once

#include "narrowlink/base/bytes.hpp"
#include "narrowlink/base/result.hpp"
#include "narrowlink/wire/pair.hpp"
#include "narrowlink/wire/relay_frame.hpp"

#include <cstdint>
#include <unordered_map>

namespace narrowlink::relay {

using wire::PairHandle;
using wire::SessionId;

/// Packets and bytes of packets, without relay headers.
struct Volume {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;

    void add(const wire::RelayFrame& frame)
    {
        packets += frame.segments();
        bytes += frame.payload.size();
    }

    bool operator==(const Volume&) const = default;
};

/// Where relay messages of one session go: the handle it knows leads to another session and the
/// handle that one knows. One Table per session, so that the thread of a session needs no other.
class Table {
public:
    struct Route {
        SessionId to;
        PairHandle handle_at_to;
        Volume forwarded; ///< includes what the queue of `to` then dropped
        Volume dropped;   ///< counted by the caller
    };

    /// False when the handle already has a route: handles are never used twice.
    bool add(PairHandle handle, SessionId to, PairHandle handle_at_to);

    /// False when there was none.
    bool remove(PairHandle handle);

    /// Null for an unknown handle. Good until the route is removed.
    Route* find(PairHandle handle);

    /// Checks a relay message of this session and makes it one for the session it goes to, in
    /// place. Returns the way it goes; null when its handle has none (any more): drop it.
    ///
    /// Errors: errc::bad_message when it is no relay message; the session breaks the protocol.
    Result<Route*> forward(MutableBytes message);

    /// Messages with a handle that has no route. Some are normal: a pair ends while they travel.
    [[nodiscard]] const Volume& strays() const { return strays_; }

    [[nodiscard]] std::size_t size() const { return routes_.size(); }

private:
    std::unordered_map<PairHandle, Route> routes_; // handles are the gateway's own counters
    Volume strays_;
};

} // namespace narrowlink::relay
