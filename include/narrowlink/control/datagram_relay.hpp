#pragma once

#include "narrowlink/control/message.hpp"
#include "narrowlink/control/rendezvous.hpp"
#include "narrowlink/relay/datagram_table.hpp"

#include <deque>
#include <map>
#include <optional>
#include <set>

namespace narrowlink::control {

/// Which pairs may send their packets as datagrams, and where those go. Both ends are told as soon
/// as both have the feature and have proved where they are.
///
/// Contract: drain poll_message() after each call.
class DatagramRelay {
public:
    using PairName = Rendezvous::PairName;

    struct Send {
        SessionId to;
        UdpRelay message;
    };

    /// A node that has the feature `udp-relay`.
    void add_session(SessionId);
    void remove_session(SessionId);

    /// Nothing happens unless both ends have the feature.
    void add_pair(Instant now, const PairName&, SessionId client, SessionId agent);
    void remove_pair(const PairName&);

    /// The node has proved that it is there.
    void handle_place(Instant now, SessionId, relay::DatagramTable::Place);

    std::optional<Send> poll_message();

    relay::DatagramTable& table() { return table_; }

private:
    struct Pair {
        SessionId client, agent;
        relay::RelayTag tag_of_client, tag_of_agent;
        bool told = false;
    };

    void tell_if_ready(Instant now, const PairName&, Pair&);

    std::set<SessionId> sessions_;
    std::map<PairName, Pair> pairs_;
    relay::DatagramTable table_;
    std::deque<Send> messages_;
};

} // namespace narrowlink::control
