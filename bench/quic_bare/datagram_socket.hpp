#pragma once

#include "../sockets.hpp"

#include <chrono>
#include <cstddef>
#include <netinet/in.h>
#include <span>
#include <string>
#include <vector>

namespace narrowlink::bench {

/// A UDP socket over IPv4 that sends and receives trains: datagrams of one size, the last may be
/// shorter, with one pass through the kernel (UDP_SEGMENT and UDP_GRO of udp(7)).
///
/// Never fragments (DF). Throws std::system_error, also where the kernel lacks one of the two
/// options: a yardstick without them would be none.
class DatagramSocket {
public:
    struct Arrival {
        sockaddr_in from;
        std::span<const std::byte> train; ///< in the socket's buffer, until the next receive()
        std::size_t segment_size;         ///< bytes
    };

    /// Binds to IPV4:PORT; port 0 lets the kernel choose.
    explicit DatagramSocket(const std::string& local);

    [[nodiscard]] std::string local() const { return local_address(socket_); }

    /// Waits while the kernel's buffer is full. At most 64 datagrams and 65,507 bytes.
    void send(const sockaddr_in& to, std::span<const std::byte> train, std::size_t segment_size);

    /// Waits at most `timeout`; false when nothing has arrived.
    bool wait(std::chrono::nanoseconds timeout);

    /// What has arrived, at most 16 trains; does not wait.
    std::span<const Arrival> receive();

private:
    Descriptor socket_;
    std::vector<std::byte> buffer_;
    std::vector<Arrival> arrivals_;
};

} // namespace narrowlink::bench
