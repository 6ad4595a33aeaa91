#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace narrowlink::io {

/// How many connections a listening program takes on. A source is an IPv4 address or an IPv6 /64,
/// the smallest block that one person surely has.
struct ConnectionQuota {
    std::size_t connections = 20'000;    ///< in total
    std::size_t unauthenticated = 2'000; ///< of these, without an accepted token
    std::size_t unauthenticated_per_source = 64;
    std::size_t new_per_second_per_source = 128;
};

/// Counts connections and says no in time. Thread-safe.
class ConnectionLimits : public std::enable_shared_from_this<ConnectionLimits> {
public:
    /// A place among the connections; destruction gives it back.
    class Place {
    public:
        Place(std::shared_ptr<ConnectionLimits> limits, std::optional<IpPrefix> source);
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        ~Place();

        /// It showed a good token: from now on it counts in the total only.
        void authenticate();

    private:
        std::shared_ptr<ConnectionLimits> limits_;
        std::optional<IpPrefix> source_;
        bool authenticated_ = false;
    };

    struct Counters {
        std::size_t connections = 0;
        std::size_t unauthenticated = 0;
        std::uint64_t admitted = 0; ///< since the start, as the next two
        std::uint64_t refused_in_total = 0;
        std::uint64_t refused_by_source = 0;
    };

    explicit ConnectionLimits(ConnectionQuota quota) : quota_{quota} {}

    /// Null when a limit is reached. `source` is empty for a trusted proxy, which speaks for many.
    /// Requires: `now` does not go back by more than the threads' scheduling.
    std::shared_ptr<Place> admit(Instant now, const std::optional<IpAddress>& source);

    [[nodiscard]] Counters counters() const;

private:
    struct Source {
        std::size_t unauthenticated = 0;
        std::size_t in_this_second = 0;
        Instant second_began{};
    };

    void no_longer_unauthenticated(const std::optional<IpPrefix>& source);
    void forget_quiet_sources(Instant now);

    const ConnectionQuota quota_;
    mutable std::mutex mutex_;
    std::map<IpPrefix, Source> sources_;
    Instant next_sweep_{};
    Counters counters_;
};

} // namespace narrowlink::io
