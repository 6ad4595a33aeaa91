#include "narrowlink/relay/table.hpp"

namespace narrowlink::relay {

bool Table::add(PairHandle handle, SessionId to, PairHandle handle_at_to)
{
    return routes_
        .try_emplace(handle,
                     Route{.to = to, .handle_at_to = handle_at_to, .forwarded = {}, .dropped = {}})
        .second;
}

bool Table::remove(PairHandle handle)
{
    return routes_.erase(handle) != 0;
}

Table::Route* Table::find(PairHandle handle)
{
    const auto route = routes_.find(handle);
    return route == routes_.end() ? nullptr : &route->second;
}

Result<Table::Route*> Table::forward(MutableBytes message)
{
    const Result<wire::RelayFrame> frame = wire::decode_relay_frame(message);
    if (!frame)
        return frame.error();
    Route* route = find(frame->header.handle);
    if (!route) {
        strays_.add(*frame);
        return nullptr;
    }
    route->forwarded.add(*frame);
    wire::rewrite_handle(message, route->handle_at_to);
    return route;
}

} // namespace narrowlink::relay
