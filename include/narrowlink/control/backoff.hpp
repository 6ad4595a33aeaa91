#pragma once

#include "narrowlink/base/random.hpp"
#include "narrowlink/base/time.hpp"

namespace narrowlink::control {

/// How long to wait before the next attempt to connect: exponential, with jitter, so that the
/// nodes of a restarted gateway do not all come back at the same moment.
class Backoff {
public:
    struct Config {
        Duration first = std::chrono::milliseconds{100};
        Duration most = std::chrono::seconds{30}; ///< before jitter
        double factor = 2;
        double jitter = 0.25; ///< each wait is off by up to this share, either way
    };

    explicit Backoff(Config config);

    /// The wait before the next attempt; each call is one failed attempt.
    Duration next(Random& random);

    /// After a success, or when the network has changed.
    void reset();

    /// Changes the ceiling: low while streams wait for the gateway, high otherwise. It holds from
    /// the next wait on; a raised ceiling is approached from where the old one stood.
    void set_most(Duration most);

private:
    Config config_;
    Duration wait_;
};

} // namespace narrowlink::control
