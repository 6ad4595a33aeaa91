#pragma once

#include "narrowlink/base/time.hpp"

#include <cstddef>
#include <optional>

namespace narrowlink::relay {

/// How fast a socket takes bytes while there is always more to send.
///
/// Only busy time counts: what a socket takes at once, because its buffer was empty, says nothing
/// about the network. The average is weighted by time (exponentially, over `memory`), so that many
/// writes that take no time do not outvote one that took long.
class RateMeter {
public:
    struct Config {
        Duration memory = std::chrono::milliseconds{100};
        double most_bytes_per_second = 1e9; ///< faster is not told apart
    };

    explicit RateMeter(Config config) : config_{config} {}

    /// `bytes` were taken within `busy`.
    void add(std::size_t bytes, Duration busy);

    /// Empty until enough was seen.
    [[nodiscard]] std::optional<double> bytes_per_second() const { return rate_; }

private:
    Config config_;
    std::optional<double> rate_;
    std::size_t pending_bytes_ = 0;
    Duration pending_time_{};
};

} // namespace narrowlink::relay
