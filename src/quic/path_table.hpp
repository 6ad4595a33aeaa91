#pragma once

#include "narrowlink/quic/connection.hpp"

#include <cstdint>
#include <optional>
#include <vector>

#include <ngtcp2/ngtcp2.h>

namespace narrowlink::quic {

/// The addresses that ngtcp2 knows the paths of one connection by. They are made up: 127.0.0.0/8,
/// one address for each time that a path is taken into use and never another time, because ngtcp2
/// drops packets of a path that it believes to have left. Both ends of a path differ from those of every
/// other path: if only the remote one did, a server would use one connection ID for two paths, retire it with
/// the first of them, and count it twice.
///
/// What is returned points into the table and holds until the next call.
class PathTable {
public:
    /// An address for `path` that nobody has used before (client).
    ngtcp2_path open(PathId path);

    /// What the last open() has returned is not used.
    void take_back() { entries_.pop_back(); }

    /// The address stands for another path from now on: to ngtcp2 nothing has changed (client).
    void rebind(const ngtcp2_path& address, PathId path);

    /// The address of a packet to our connection ID `to` that came by `path` (server). A client uses
    /// a new connection ID whenever it migrates (RFC 9000 §9.5), so a path that is taken up again
    /// is a new one.
    ngtcp2_path arrival(PathId path, const ConnectionId& to);

    /// Packets to `to` belong to the address that arrival() gave to packets to `old`.
    void rename(PathId path, const ConnectionId& old, const ConnectionId& to);

    /// Different for each time that a path is taken into use.
    [[nodiscard]] static std::uint32_t number_of(const ngtcp2_path&);

    /// Empty for an address that was given up long ago.
    [[nodiscard]] std::optional<PathId> find(const ngtcp2_path&) const;

private:
    static constexpr std::size_t most_entries = 64;

    struct Entry {
        PathId path;
        ConnectionId to;
        ngtcp2_sockaddr_in local, remote;
    };

    Entry& add(PathId path, const ConnectionId& to);
    static ngtcp2_path path_of(Entry&);

    std::uint32_t last_number_ = 1;
    std::vector<Entry> entries_; ///< the oldest first
};

} // namespace narrowlink::quic
