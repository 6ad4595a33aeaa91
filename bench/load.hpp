#pragma once

#include "sockets.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace narrowlink::bench {

enum class Direction { up, down };

struct Load {
    std::string to; ///< ADDRESS:PORT of the target itself, or of the near end of a tunnel to it
    SocketOptions socket_options;
    std::size_t streams = 1;
    Direction direction = Direction::up;
    std::chrono::milliseconds duration{5'000};
    std::size_t rounds = 5'000;
    std::size_t warm_up_rounds = 500;
};

/// Connects and waits for the target's greeting.
Descriptor open_stream(const Load&);

// Each prints one JSON object on stdout.

/// Moves bytes for `duration` on `streams` streams; the clock stops when all are known to be there.
void measure_throughput(const Load&);

/// Times `rounds` single bytes there and back, one after the other, on one open stream.
void measure_round_trip(const Load&);

/// Runs `command` and times from its start to its first byte on stdout, then ends it.
void measure_first_byte(const std::vector<std::string>& command);

} // namespace narrowlink::bench
