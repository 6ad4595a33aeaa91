#include "narrowlink/relay/datagram_table.hpp"

#include <algorithm>

namespace narrowlink::relay {

void DatagramTable::set_place(SessionId session, const Place& place)
{
    const SocketAddress& address = place.address;
    // Who was there before has gone: a NAT gives an address to one node at a time.
    if (const auto known = senders_.find(address);
        known != senders_.end() && known->second != session)
        std::erase_if(places_[known->second],
                      [&](const Place& old) { return old.address == address; });
    std::vector<Place>& own = places_[session];
    if (const auto same = std::ranges::find(own, address, &Place::address); same != own.end()) {
        *same = place; // which is not later than the others for that
        return;
    }
    std::erase_if(own, [&](const Place& old) {
        if (old.address.ip.is_v4() != address.ip.is_v4())
            return false;
        senders_.erase(old.address);
        return true;
    });
    own.push_back(place);
    senders_.insert_or_assign(address, session);
}

const DatagramTable::Place* DatagramTable::place_of(Instant now, SessionId session) const
{
    const Place* latest = nullptr;
    if (const auto known = places_.find(session); known != places_.end())
        for (const Place& place : known->second)
            if (now < place.good_until)
                latest = &place;
    return latest;
}

void DatagramTable::remove_session(SessionId session)
{
    if (const auto known = places_.find(session); known != places_.end()) {
        for (const Place& place : known->second)
            senders_.erase(place.address);
        places_.erase(known);
    }
    std::erase_if(routes_, [session](const auto& entry) {
        return entry.first.first == session || entry.second.to == session;
    });
}

bool DatagramTable::add_pair(SessionId a, const RelayTag& tag_of_a, SessionId b,
                             const RelayTag& tag_of_b)
{
    const Key forth{a, tag_of_b}, back{b, tag_of_a};
    if (routes_.contains(forth) || routes_.contains(back))
        return false;
    routes_.emplace(forth, Route{.to = b, .forwarded = {}});
    routes_.emplace(back, Route{.to = a, .forwarded = {}});
    return true;
}

void DatagramTable::remove_pair(SessionId a, const RelayTag& tag_of_a, SessionId b,
                                const RelayTag& tag_of_b)
{
    routes_.erase({a, tag_of_b});
    routes_.erase({b, tag_of_a});
}

DatagramTable::Found DatagramTable::find(Instant now, const SocketAddress& from,
                                         const RelayTag& tag)
{
    const auto sender = senders_.find(from);
    if (sender == senders_.end())
        return {};
    const auto route = routes_.find({sender->second, tag});
    if (route == routes_.end())
        return {};
    const Place* to = place_of(now, route->second.to);
    return to == nullptr ? Found{} : Found{&route->second, to};
}

} // namespace narrowlink::relay
