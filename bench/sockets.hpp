#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <span>
#include <string>
#include <sys/epoll.h>
#include <utility>
#include <vector>

namespace narrowlink::bench {

using Clock = std::chrono::steady_clock;

/// Large enough that system calls cost little, small enough to stay in the second-level cache.
constexpr std::size_t chunk_size = 64 * 1024;

/// Without one byte for this long a transfer has hung, and waiting on would only hide it.
constexpr std::chrono::seconds patience{30};

/// Owns a file descriptor.
class Descriptor {
public:
    Descriptor() = default;

    explicit Descriptor(int number) : number_{number} {}

    Descriptor(Descriptor&& from) noexcept : number_{std::exchange(from.number_, -1)} {}

    Descriptor& operator=(Descriptor&& from) noexcept
    {
        std::swap(number_, from.number_);
        return *this;
    }

    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();

    [[nodiscard]] int get() const { return number_; }

    void close();

private:
    int number_ = -1;
};

/// A waiting set; the tag given with a descriptor comes back with its events.
class Epoll {
public:
    Epoll();
    void add(const Descriptor&, std::uint32_t events, void* tag);
    void change(const Descriptor&, std::uint32_t events, void* tag);

    /// Empty when the time has passed.
    std::span<epoll_event> wait(std::chrono::milliseconds timeout);

private:
    Descriptor descriptor_;
    std::array<epoll_event, 64> events_{};
};

struct SocketOptions {
    std::string congestion; ///< TCP_CONGESTION of each socket; empty leaves the system's choice
};

/// Of the form IPV4:PORT; throws when it is not.
sockaddr_in parse_address(const std::string& text);

Descriptor connect_to(const std::string& address, const SocketOptions&);
Descriptor listen_on(const std::string& address, const SocketOptions&);
std::string local_address(const Descriptor&);
void set_non_blocking(const Descriptor&);

/// Both wait as long as it takes (at most `patience`) for all of the bytes.
void send_all(const Descriptor&, std::span<const std::byte>);
void receive_all(const Descriptor&, std::span<std::byte>);

/// What sending and receiving return when nothing can be moved now.
constexpr std::ptrdiff_t would_block = -1;

/// Bytes moved, 0 at the end of the stream, or would_block; any other failure throws.
std::ptrdiff_t send_some(const Descriptor&, std::span<const std::byte>);
std::ptrdiff_t receive_some(const Descriptor&, std::span<std::byte>);

/// `chunk_size` bytes that do not compress.
std::vector<std::byte> random_chunk();

[[noreturn]] void fail(const std::string& what);

} // namespace narrowlink::bench
