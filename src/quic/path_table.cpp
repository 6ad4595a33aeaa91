#include "path_table.hpp"

#include <array>
#include <cstring>

namespace narrowlink::quic {
namespace {

ngtcp2_sockaddr_in address_of(std::uint32_t number)
{
    // Not the port: to ngtcp2 a new port alone is a NAT's doing, and the congestion window stays.
    const std::array<std::uint8_t, 4> octets{127, static_cast<std::uint8_t>(number >> 16),
                                             static_cast<std::uint8_t>(number >> 8),
                                             static_cast<std::uint8_t>(number)};
    ngtcp2_sockaddr_in address{};
    address.sin_family = NGTCP2_AF_INET;
    address.sin_port = 1;
    std::memcpy(&address.sin_addr, octets.data(), octets.size());
    return address;
}

} // namespace

PathTable::Entry& PathTable::add(PathId path, const ConnectionId& to)
{
    if (entries_.size() == most_entries)
        entries_.erase(entries_.begin());
    const ngtcp2_sockaddr_in address = address_of(++last_number_);
    return entries_.emplace_back(Entry{path, to, address, address});
}

ngtcp2_path PathTable::path_of(Entry& entry)
{
    return {{reinterpret_cast<ngtcp2_sockaddr*>(&entry.local), sizeof entry.local},
            {reinterpret_cast<ngtcp2_sockaddr*>(&entry.remote), sizeof entry.remote},
            nullptr};
}

ngtcp2_path PathTable::open(PathId path)
{
    return path_of(add(path, {}));
}

void PathTable::rebind(const ngtcp2_path& address, PathId path)
{
    for (Entry& entry : entries_)
        if (entry.remote.sin_addr.s_addr == number_of(address))
            entry.path = path;
}

ngtcp2_path PathTable::arrival(PathId path, const ConnectionId& to)
{
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
        if (entry->path == path && entry->to == to)
            return path_of(*entry);
    return path_of(add(path, to));
}

void PathTable::rename(PathId path, const ConnectionId& old, const ConnectionId& to)
{
    for (Entry& entry : entries_)
        if (entry.path == path && entry.to == old)
            entry.to = to;
}

std::uint32_t PathTable::number_of(const ngtcp2_path& path)
{
    ngtcp2_sockaddr_in address{};
    std::memcpy(&address, path.remote.addr, sizeof address);
    return address.sin_addr.s_addr;
}

std::optional<PathId> PathTable::find(const ngtcp2_path& path) const
{
    if (path.remote.addrlen != sizeof(ngtcp2_sockaddr_in))
        return std::nullopt;
    const std::uint32_t number = number_of(path);
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
        if (entry->remote.sin_addr.s_addr == number)
            return entry->path;
    return std::nullopt;
}

} // namespace narrowlink::quic
