#pragma once

#include "narrowlink/io/udp_socket.hpp"

#include "udp_control_block.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <sys/socket.h>

namespace narrowlink::io {

/// Where recvmmsg(2) puts what came.
class UdpInbox {
public:
    explicit UdpInbox(const UdpSocket::Options& options);
    UdpInbox(const UdpInbox&) = delete; // the headers point into it
    UdpInbox& operator=(const UdpInbox&) = delete;
    ~UdpInbox() = default;

    /// False, with errno, when recvmmsg(2) has failed. arrivals() may be empty even if not.
    bool fetch(int descriptor);

    [[nodiscard]] std::span<const UdpSocket::Arrival> arrivals() const { return arrivals_; }

private:
    struct Slot {
        sockaddr_storage from;
        ControlBlock control;
        iovec payload;
    };

    void accept(const Slot& slot, mmsghdr& message);

    const std::size_t train_capacity_;
    std::unique_ptr<std::byte[]> block_;
    std::vector<Slot> slots_;
    std::vector<mmsghdr> headers_;
    std::vector<UdpSocket::Arrival> arrivals_;
};

} // namespace narrowlink::io
