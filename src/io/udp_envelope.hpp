#pragma once

#include "narrowlink/io/udp_socket.hpp"

#include "udp_control_block.hpp"

#include <cstddef>

#include <sys/socket.h>

namespace narrowlink::io {

/// What a system call needs beside the payload; the same for each datagram of a train.
class UdpEnvelope {
public:
    UdpEnvelope(const SocketAddress& to, const UdpSocket::SendOptions& options);

    void set_segment_size(std::size_t segment_size);
    void clear_segment_size();

    /// Valid while `payload` and the envelope are.
    msghdr address(iovec& payload);

private:
    template <class T>
    void append(int level, int type, const T& value);

    udp::endpoint to_;
    ControlBlock control_;
    std::size_t size_ = 0;
    std::size_t unsegmented_size_ = 0;
};

} // namespace narrowlink::io
