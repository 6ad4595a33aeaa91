#include "narrowlink/direct/socket_table.hpp"

#include <algorithm>

namespace narrowlink::direct {

SocketTable::SocketTable(Sockets& sockets, Random& random)
    : sockets_{&sockets}
    , random_{&random}
    , main_v4_{open(true, Socket::Use::main)}
    , main_v6_{open(false, Socket::Use::main)}
{
}

SocketPtr SocketTable::open(bool v4, Socket::Use use, unsigned number)
{
    const SocketId id{++last_id_};
    const auto port = sockets_->open(id, v4);
    if (!port)
        return nullptr;
    const auto close = [this](const Socket* socket) {
        open_.erase(socket->id);
        sockets_->close(socket->id);
        delete socket;
    };
    SocketPtr socket{new Socket{.id = id, .v4 = v4, .port = *port, .use = use, .number = number},
                     close};
    open_.emplace(id, socket.get());
    return socket;
}

const Socket* SocketTable::find(SocketId id) const
{
    const auto socket = open_.find(id);
    return socket == open_.end() ? nullptr : socket->second;
}

void SocketTable::send_probe(const Socket& socket, nat::ProbeChannel& channel,
                             const wire::Probe& probe, const SocketAddress& to, std::uint8_t ttl)
{
    wire::Probe complete = probe;
    complete.local_port = socket.port;
    sockets_->send(socket.id, to, channel.seal(complete, *random_), ttl);
}

void SocketTable::send_size_probe(const Socket& socket, nat::ProbeChannel& channel,
                                  const SocketAddress& to, std::size_t size)
{
    const nat::ProbePacket packet = channel.seal({.kind = wire::ProbeKind::size,
                                                  .token = static_cast<std::uint32_t>(size),
                                                  .local_port = socket.port,
                                                  .seen = {}},
                                                 *random_);
    padded_.resize(size);
    std::ranges::copy(packet, padded_.begin());
    random_->fill(MutableBytes{padded_}.subspan(packet.size()));
    sockets_->send(socket.id, to, padded_, 0); // what the interface does not take is an answer, too
}

} // namespace narrowlink::direct
