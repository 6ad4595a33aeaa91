#include "narrowlink/io/interfaces.hpp"

#include "narrowlink/base/result.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include <boost/system/system_error.hpp>

#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>

namespace narrowlink::io {
namespace {

/// Four or sixteen bytes of IPv4 or IPv6, kept apart from IpAddress: a netmask is none.
template <std::size_t n, class Native, class Part>
std::array<std::byte, n> bytes_of(const sockaddr* address, Part Native::*part)
{
    static_assert(sizeof(Part) == n);
    Native native;
    std::memcpy(&native, address, sizeof native);
    return std::bit_cast<std::array<std::byte, n>>(native.*part);
}

template <std::size_t n>
unsigned ones(const std::array<std::byte, n>& mask)
{
    unsigned count = 0;
    for (const std::byte b : mask)
        count += static_cast<unsigned>(std::popcount(std::to_integer<unsigned>(b)));
    return count;
}

struct InterfaceAddress {
    IpAddress ip;
    unsigned prefix_length = 0;
};

std::optional<InterfaceAddress> to_ip(const ifaddrs& entry)
{
    if (entry.ifa_addr == nullptr)
        return std::nullopt;
    const sockaddr* mask = entry.ifa_netmask;
    if (entry.ifa_addr->sa_family == AF_INET) {
        const auto ip = IpAddress::v4(bytes_of<4>(entry.ifa_addr, &sockaddr_in::sin_addr));
        return InterfaceAddress{ip, mask ? ones(bytes_of<4>(mask, &sockaddr_in::sin_addr)) : 32};
    }
    if (entry.ifa_addr->sa_family == AF_INET6) {
        const auto ip = IpAddress::v6(bytes_of<16>(entry.ifa_addr, &sockaddr_in6::sin6_addr));
        return InterfaceAddress{ip,
                                mask ? ones(bytes_of<16>(mask, &sockaddr_in6::sin6_addr)) : 128};
    }
    return std::nullopt;
}

bool means_this_host_to_others(const IpAddress& ip)
{
    static const std::array<IpPrefix, 6> others = {
        IpPrefix::parse("0.0.0.0/8").value(),   IpPrefix::parse("127.0.0.0/8").value(),
        IpPrefix::parse("224.0.0.0/4").value(), IpPrefix::parse("::/127").value(), // :: and ::1
        IpPrefix::parse("fe80::/10").value(),   IpPrefix::parse("ff00::/8").value()};
    return std::ranges::none_of(others, [&](const IpPrefix& p) { return p.contains(ip); });
}

IpPrefix network_of(const InterfaceAddress& address)
{
    auto bytes = address.ip.bytes();
    for (std::size_t bit = address.prefix_length; bit < address.ip.size() * 8; ++bit)
        bytes[bit / 8] &= ~(std::byte{0x80} >> bit % 8);
    if (!address.ip.is_v4())
        return {IpAddress::v6(bytes), address.prefix_length};
    return {IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]}), address.prefix_length};
}

std::vector<InterfaceAddress> addresses()
{
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0)
        throw boost::system::system_error{errno, boost::system::system_category()};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list{first, &::freeifaddrs};

    std::vector<InterfaceAddress> found;
    for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
        if ((entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_RUNNING) == 0 || (entry->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        const auto address = to_ip(*entry);
        if (address && means_this_host_to_others(address->ip))
            found.push_back(*address);
    }
    std::ranges::stable_partition(found, [](const InterfaceAddress& a) { return a.ip.is_v4(); });
    return found;
}

template <class T>
void append_once(std::vector<T>& list, const T& value)
{
    if (std::ranges::find(list, value) == list.end())
        list.push_back(value);
}

} // namespace

std::vector<IpAddress> interface_addresses()
{
    std::vector<IpAddress> ips;
    for (const InterfaceAddress& address : addresses())
        append_once(ips, address.ip);
    return ips;
}

std::vector<IpPrefix> connected_prefixes()
{
    std::vector<IpPrefix> prefixes;
    for (const InterfaceAddress& address : addresses())
        append_once(prefixes, network_of(address));
    return prefixes;
}

std::optional<IpAddress> default_router()
{
    std::ifstream routes{"/proc/net/route"};
    std::string line;
    std::getline(routes, line); // the heading
    while (std::getline(routes, line)) {
        std::istringstream words{line};
        std::string interface;
        std::uint32_t destination = 0, router = 0, flags = 0;
        words >> interface >> std::hex >> destination >> router >> flags;
        if (!words || destination != 0 || router == 0 || (flags & RTF_UP) == 0)
            continue;
        return IpAddress::v4(std::bit_cast<std::array<std::byte, 4>>(router)); // in network order
    }
    return std::nullopt;
}

} // namespace narrowlink::io
