#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/io/asio.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace narrowlink::io {

/// One unconnected UDP socket of one address family, fast enough to carry QUIC.
///
/// A train is a run of datagrams for one receiver: all of `segment_size` bytes but the last, which
/// may be shorter. With the kernel's segmentation offload (UDP_SEGMENT and UDP_GRO of udp(7)) a
/// train costs one pass through the network stack, without it one pass per datagram; callers see
/// no difference.
///
/// The kernel is asked for the DF bit and to ignore what it believes about path MTUs
/// (IP_PMTUDISC_PROBE of ip(7) and ipv6(7)): finding the path MTU is QUIC's work (RFC 8899).
/// Whatever option the kernel refuses is done without.
///
/// One thread: that of its executor. One receive() and one writable() may be outstanding at once;
/// when the socket is closed under them they end with net::error::operation_aborted. Moving is
/// allowed meanwhile. Only open() and the first receive() allocate.
class UdpSocket {
public:
    struct Options {
        bool offload = true; ///< false: one datagram per segment, in both directions

        /// receive() owns the product of these two as its buffer; pages that no datagram has
        /// touched cost nothing.
        std::size_t arrivals_per_call = 16;
        std::size_t longest_train = 65'536; ///< bytes; GRO is asked for only with the default
    };

    struct SendOptions {
        std::optional<IpAddress> from; ///< one of the host's own addresses, else the kernel chooses
        std::uint8_t ttl = 0;          ///< TTL or hop limit; 0: the system's default
        std::uint8_t ecn = 0;          ///< the two bits of RFC 3168 §5
    };

    /// A train that came in, without an empty datagram.
    struct Arrival {
        SocketAddress from;
        IpAddress to;             ///< which of our addresses it was sent to; 0.0.0.0: not known
        Bytes train;              ///< in the socket's buffer; never empty
        std::size_t segment_size; ///< in bytes; that of a single datagram is its size
        std::uint8_t ttl;         ///< TTL or hop limit as it arrived; 0: not known
        std::uint8_t ecn;         ///< the two bits of RFC 3168 §5
    };

    /// Binds to `local`; port 0 lets the kernel choose. Asks for 4 MiB of buffer in the kernel per
    /// direction and takes what net.core.rmem_max and wmem_max grant (socket(7)). An IPv6 socket
    /// has nothing to do with IPv4 (IPV6_V6ONLY).
    ///
    /// Throws system_error with the code of socket(2) or bind(2).
    static UdpSocket open(net::any_io_executor executor, const SocketAddress& local,
                          const Options& options);

    static UdpSocket open(net::any_io_executor executor, const SocketAddress& local)
    {
        return open(std::move(executor), local, Options{});
    }

    UdpSocket(UdpSocket&&) noexcept;
    UdpSocket& operator=(UdpSocket&&) noexcept; ///< closes what was there
    ~UdpSocket();                               ///< closes

    /// Waits until something has arrived and returns it: at least one train, at most
    /// `arrivals_per_call`. Valid until the next receive(). Always lets other tasks run first.
    ///
    /// Datagrams that are empty or longer than `longest_train` are dropped, and so are errors that
    /// ICMP messages cause: anyone may send those. Throws system_error:
    /// net::error::operation_aborted when cancelled, and what only a defect of ours can cause.
    net::awaitable<std::span<const Arrival>> receive();

    /// Sends `train` in datagrams of `segment_size` bytes, without waiting. Returns how many bytes
    /// are done with: all of them, or less when the kernel's buffer is full (EAGAIN or ENOBUFS).
    /// That is then a multiple of `segment_size`, perhaps 0; await writable() and send the rest.
    ///
    /// Done with is also what the kernel refused for any other reason: no route, longer than the
    /// interface allows, a `from` that is not ours, an address of the other family. Such datagrams
    /// are lost as on any network, and counted.
    ///
    /// Requires: segment_size > 0. An empty train sends nothing.
    std::size_t try_send(const SocketAddress& to, Bytes train, std::size_t segment_size,
                         const SendOptions& options);

    std::size_t try_send(const SocketAddress& to, Bytes train, std::size_t segment_size)
    {
        return try_send(to, train, segment_size, SendOptions{});
    }

    /// Waits until the kernel's buffer has room again: half of it, see socket(7).
    /// Throws system_error with net::error::operation_aborted when cancelled.
    net::awaitable<void> writable();

    /// Ends receive() and writable(). Whoever awaits one must keep this object until it has ended.
    void close();
    [[nodiscard]] bool is_open() const;

    /// Datagrams that try_send() took and that never left.
    [[nodiscard]] std::uint64_t lost_sends() const;

    /// Does a train leave with one system call? Becomes false for good when an interface turns out
    /// to be unable to do it (EIO of udp(7)).
    [[nodiscard]] bool has_segmentation_offload() const;

    /// What bind(2) made of `local`; the address may be 0.0.0.0 or ::.
    [[nodiscard]] SocketAddress local_address() const;

private:
    struct State;

    explicit UdpSocket(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

} // namespace narrowlink::io
