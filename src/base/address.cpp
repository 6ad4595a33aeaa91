#include "narrowlink/base/address.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace narrowlink {
namespace {

constexpr std::size_t longest_host_name = 253; // RFC 1035 §2.3.4, without the final dot

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0)
        return std::nullopt;
    return port;
}

bool is_host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

} // namespace

IpAddress IpAddress::v4(std::array<std::byte, 4> bytes)
{
    IpAddress address;
    std::ranges::copy(bytes, address.bytes_.begin());
    return address;
}

IpAddress IpAddress::v6(std::array<std::byte, 16> bytes)
{
    constexpr std::array<std::byte, 12> mapped = {
        {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xff}, std::byte{0xff}}};
    if (std::equal(mapped.begin(), mapped.end(), bytes.begin()))
        return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
    IpAddress address;
    address.v4_ = false;
    address.bytes_ = bytes;
    return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text)
{
    if (text.find('\0') != std::string_view::npos)
        return std::nullopt; // inet_pton would stop there
    const std::string terminated{text};
    std::array<std::byte, 16> bytes{};
    if (inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1)
        return v4({bytes[0], bytes[1], bytes[2], bytes[3]});
    if (inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1)
        return v6(bytes);
    return std::nullopt;
}

std::string to_string(const IpAddress& address)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    const auto bytes = address.bytes();
    inet_ntop(address.is_v4() ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size());
    return text.data();
}

std::string to_string(const SocketAddress& address)
{
    return fmt::format(fmt::runtime(address.ip.is_v4() ? "{}:{}" : "[{}]:{}"),
                       to_string(address.ip), address.port);
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text)
{
    const auto host_port = HostPort::parse(text);
    const auto ip = host_port ? IpAddress::parse(host_port->host) : std::nullopt;
    if (!ip)
        return std::nullopt;
    return SocketAddress{*ip, host_port->port};
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text)
{
    const std::size_t slash = text.find('/');
    const auto ip = IpAddress::parse(text.substr(0, slash));
    if (!ip)
        return std::nullopt;
    const auto bits = static_cast<unsigned>(ip->size() * 8);
    if (slash == std::string_view::npos)
        return IpPrefix{*ip, bits};

    const std::string_view digits = text.substr(slash + 1);
    unsigned length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || length > bits)
        return std::nullopt;

    const auto bytes = ip->bytes();
    for (unsigned bit = length; bit < bits; ++bit)
        if ((bytes[bit / 8] & (std::byte{0x80} >> bit % 8)) != std::byte{0})
            return std::nullopt;
    return IpPrefix{*ip, length};
}

bool IpPrefix::contains(const IpAddress& address) const
{
    if (address.is_v4() != ip.is_v4())
        return false;
    const auto a = address.bytes();
    const auto b = ip.bytes();
    const unsigned whole = length / 8;
    if (!std::equal(a.begin(), a.begin() + whole, b.begin()))
        return false;
    const unsigned rest = length % 8;
    if (rest == 0)
        return true;
    const auto mask = static_cast<std::byte>(0xff << (8 - rest) & 0xff);
    return (a[whole] & mask) == (b[whole] & mask);
}

std::string to_string(const IpPrefix& prefix)
{
    return fmt::format("{}/{}", to_string(prefix.ip), prefix.length);
}

std::optional<HostPort> HostPort::parse(std::string_view text)
{
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    const auto port = parse_port(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    if (!port || host.empty())
        return std::nullopt;

    if (host.front() == '[') {
        if (host.size() < 4 || host.back() != ']')
            return std::nullopt;
        const auto ip = IpAddress::parse(host.substr(1, host.size() - 2));
        if (!ip)
            return std::nullopt;
        return HostPort{to_string(*ip), *port};
    }
    if (host.front() == '.' || host.find("..") != std::string_view::npos)
        return std::nullopt; // no label may be empty (RFC 1035 §3.1) but the root's
    if (host.back() == '.')
        host.remove_suffix(1); // example.com. is example.com
    std::string name{host};
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (name.size() > longest_host_name || !std::ranges::all_of(name, is_host_character))
        return std::nullopt;
    return HostPort{std::move(name), *port};
}

std::string to_string(const HostPort& value)
{
    const bool literal_v6 = value.host.find(':') != std::string::npos;
    return fmt::format(fmt::runtime(literal_v6 ? "[{}]:{}" : "{}:{}"), value.host, value.port);
}

} // namespace narrowlink
