#pragma once

#include "narrowlink/base/address.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace narrowlink::io::test {

/// Runs `body` on a thread of its own and throws what it threw. What the thread does to itself, a
/// system-call filter or another network, ends with it.
void on_thread(const std::function<void()>& body);

/// Runs `body` on a thread in a new network namespace, where even lo is down. Returns false without
/// calling it when that is not allowed (it takes CAP_SYS_ADMIN).
[[nodiscard]] bool in_network_namespace(const std::function<void()>& body);

void set_up(const std::string& interface);
void set_mtu(const std::string& interface, int mtu);
void add_address(const std::string& interface, const IpAddress& ip, unsigned prefix_length);

/// An Ethernet whose other end is this test (tap of Linux).
class Tap {
public:
    /// Up, with 192.0.2.1/24.
    Tap();
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;
    ~Tap();

    /// Until then the kernel keeps what goes to `ip` and asks for it by ARP.
    void announce(const IpAddress& ip);

    void set_down();

    /// The next IPv4 packet that the kernel has sent; empty when there is none.
    std::optional<std::vector<std::byte>> next_packet();

private:
    int descriptor_;
};

inline constexpr const char* tap_name = "tap0";

/// From now on the system call `number` fails with `error` on this thread, and nothing else.
void fail_system_call(long number, int error);

} // namespace narrowlink::io::test
