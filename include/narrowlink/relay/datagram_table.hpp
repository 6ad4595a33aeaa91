#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/relay/table.hpp"
#include "narrowlink/wire/relay_tag.hpp"

#include <map>
#include <unordered_map>
#include <vector>

namespace narrowlink::relay {

using wire::RelayTag;

/// Where datagrams go that nodes send to the gateway for their peers.
///
/// A node is known by the address that it has proved to be at; the tag in its packets says to which of
/// its peers they go. Both have to be right, so that nobody can send through somebody else's pair,
/// and nothing is ever sent to an address where nobody has asked for it.
class DatagramTable {
public:
    struct Route {
        SessionId to;
        Volume forwarded;
    };

    /// Where a node is, and which of our addresses it sends to.
    struct Place {
        SocketAddress address;
        IpAddress ours;
        Instant good_until = never; ///< afterwards somebody else may be there
    };

    /// The session's node has proved that it is there. One place for each family is kept; packets to
    /// the node go to the one that came last and is still good.
    void set_place(SessionId session, const Place& place);

    /// Null while there is none that is good.
    [[nodiscard]] const Place* place_of(Instant now, SessionId session) const;

    /// Its places and pairs are forgotten.
    void remove_session(SessionId session);

    /// From now on packets of either end with the tag of the other go there. False when an end has a
    /// pair with that tag already: this one has to do without.
    bool add_pair(SessionId a, const RelayTag& tag_of_a, SessionId b, const RelayTag& tag_of_b);
    void remove_pair(SessionId a, const RelayTag& tag_of_a, SessionId b, const RelayTag& tag_of_b);

    /// Null for strangers, unknown tags and peers that have not proved an address lately. The second is where the
    /// packets go. Good until the next change.
    struct Found {
        Route* route = nullptr;
        const Place* to = nullptr;
    };

    Found find(Instant now, const SocketAddress& from, const RelayTag& tag);

private:
    using Key = std::pair<SessionId, RelayTag>; ///< of the sender, and the tag of the receiver

    std::map<SocketAddress, SessionId> senders_;
    std::map<SessionId, std::vector<Place>> places_; ///< the latest last
    std::map<Key, Route> routes_;
};

} // namespace narrowlink::relay
