#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/direct/sockets.hpp"
#include "narrowlink/nat/probe_channel.hpp"

#include <map>
#include <memory>

namespace narrowlink::direct {

/// One UDP socket of a node.
struct Socket {
    enum class Use : std::uint8_t {
        main,    ///< for everything that does not need one of its own
        survey,  ///< of a survey of what stands before this node
        attempt, ///< of an attempt to open a direct path, and of the path that it found
    };

    SocketId id;
    bool v4;
    std::uint16_t port; ///< local
    Use use;
    unsigned number; ///< in the survey or in the attempt
};

/// Open for as long as anyone has one of these.
using SocketPtr = std::shared_ptr<const Socket>;

/// A node's sockets: one main socket per address family, and others that come and go. It must
/// outlive every SocketPtr it gives.
class SocketTable {
public:
    /// Opens the main sockets, as far as the system lets it. Both must outlive it.
    SocketTable(Sockets& sockets, Random& random);
    SocketTable(const SocketTable&) = delete;
    SocketTable& operator=(const SocketTable&) = delete;

    /// Without any main socket.
    [[nodiscard]] bool empty() const { return !main_v4_ && !main_v6_; }

    /// nullptr where this family cannot be had.
    [[nodiscard]] const SocketPtr& main(bool v4) const { return v4 ? main_v4_ : main_v6_; }

    /// nullptr when the system does not give one.
    SocketPtr open(bool v4, Socket::Use use, unsigned number = 0);

    /// nullptr when it is closed.
    [[nodiscard]] const Socket* find(SocketId) const;

    /// With the local port filled in. `ttl` 0: the usual one.
    void send_probe(const Socket&, nat::ProbeChannel&, const wire::Probe&, const SocketAddress& to,
                    std::uint8_t ttl = 0);

    /// One of `size` bytes, for path::MtuSearch.
    void send_size_probe(const Socket&, nat::ProbeChannel&, const SocketAddress& to,
                         std::size_t size);

private:
    Sockets* sockets_;
    Random* random_;
    std::map<SocketId, const Socket*> open_;
    std::uint64_t last_id_ = 0;
    std::vector<std::byte> padded_; ///< a size probe
    SocketPtr main_v4_, main_v6_;
};

} // namespace narrowlink::direct
