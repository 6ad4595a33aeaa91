#include "network_namespace.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace narrowlink::io::test {
namespace {

void check(bool ok, const char* what)
{
    if (!ok)
        throw std::system_error{errno, std::system_category(), what};
}

ifreq request_for(const std::string& interface)
{
    ifreq request{};
    interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
    return request;
}

void control(int family, unsigned long command, void* request, const char* what)
{
    const int descriptor = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(descriptor >= 0, "socket");
    const bool ok = ::ioctl(descriptor, command, request) == 0;
    const int error = errno;
    ::close(descriptor);
    errno = error;
    check(ok, what);
}

sockaddr to_sockaddr(std::array<std::byte, 16> bytes)
{
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, bytes.data(), sizeof v4.sin_addr);
    sockaddr address{};
    std::memcpy(&address, &v4, sizeof v4);
    return address;
}

void set_flags(const std::string& interface, short add, short remove)
{
    ifreq request = request_for(interface);
    control(AF_INET, SIOCGIFFLAGS, &request, "SIOCGIFFLAGS");
    request.ifr_flags = static_cast<short>((request.ifr_flags | add) & ~remove);
    control(AF_INET, SIOCSIFFLAGS, &request, "SIOCSIFFLAGS");
}

} // namespace

void on_thread(const std::function<void()>& body)
{
    std::exception_ptr failure;
    std::thread{[&] {
        try {
            body();
        } catch (...) {
            failure = std::current_exception();
        }
    }}.join();
    if (failure)
        std::rethrow_exception(failure);
}

bool in_network_namespace(const std::function<void()>& body)
{
    bool allowed = false;
    on_thread([&] {
        allowed = ::unshare(CLONE_NEWNET) == 0;
        if (allowed)
            body();
    });
    return allowed;
}

void set_up(const std::string& interface)
{
    set_flags(interface, IFF_UP, 0);
}

void set_mtu(const std::string& interface, int mtu)
{
    ifreq request = request_for(interface);
    request.ifr_mtu = mtu;
    control(AF_INET, SIOCSIFMTU, &request, "SIOCSIFMTU");
}

void add_address(const std::string& interface, const IpAddress& ip, unsigned prefix_length)
{
    if (ip.is_v4()) {
        ifreq request = request_for(interface);
        request.ifr_addr = to_sockaddr(ip.bytes());
        control(AF_INET, SIOCSIFADDR, &request, "SIOCSIFADDR");
        std::array<std::byte, 16> mask{};
        for (unsigned bit = 0; bit < prefix_length; ++bit)
            mask[bit / 8] |= std::byte{0x80} >> bit % 8;
        request.ifr_netmask = to_sockaddr(mask);
        control(AF_INET, SIOCSIFNETMASK, &request, "SIOCSIFNETMASK");
        return;
    }

    struct { // in6_ifreq of <linux/ipv6.h>, which does not go with <netinet/in.h>
        std::array<std::byte, 16> ip;
        std::uint32_t prefix_length;
        unsigned interface_index;
    } request{ip.bytes(), prefix_length, ::if_nametoindex(interface.c_str())};

    control(AF_INET6, SIOCSIFADDR, &request, "SIOCSIFADDR");
}

Tap::Tap() : descriptor_{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)}
{
    check(descriptor_ >= 0, "/dev/net/tun");
    ifreq request = request_for(tap_name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    check(::ioctl(descriptor_, TUNSETIFF, &request) == 0, "TUNSETIFF");
    add_address(tap_name, IpAddress::parse("192.0.2.1").value(), 24);
    set_up(tap_name);
}

Tap::~Tap()
{
    ::close(descriptor_);
}

void Tap::announce(const IpAddress& ip)
{
    arpreq request{};
    request.arp_pa = to_sockaddr(ip.bytes());
    request.arp_ha.sa_family = ARPHRD_ETHER;
    request.arp_ha.sa_data[0] = 2; // locally administered
    request.arp_ha.sa_data[5] = 1;
    request.arp_flags = ATF_COM | ATF_PERM;
    std::strcpy(request.arp_dev, tap_name);
    control(AF_INET, SIOCSARP, &request, "SIOCSARP");
}

void Tap::set_down()
{
    set_flags(tap_name, 0, IFF_UP);
}

std::optional<std::vector<std::byte>> Tap::next_packet()
{
    std::vector<std::byte> frame(65'536);
    for (;;) {
        const ssize_t size = ::read(descriptor_, frame.data(), frame.size());
        if (size < 0 && errno == EAGAIN)
            return std::nullopt;
        check(size >= ETHER_HDR_LEN, "read");
        const auto ether_type =
            std::to_integer<unsigned>(frame[12]) << 8 | std::to_integer<unsigned>(frame[13]);
        if (ether_type != ETHERTYPE_IP)
            continue; // ARP, IPv6 neighbour discovery
        return std::vector(frame.begin() + ETHER_HDR_LEN, frame.begin() + size);
    }
}

void fail_system_call(long number, int error)
{
    std::array<sock_filter, 4> program = {{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog filter{.len = program.size(), .filter = program.data()};
    check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    check(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0, "PR_SET_SECCOMP");
}

} // namespace narrowlink::io::test
