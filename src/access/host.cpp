#include "host.hpp"

#include <algorithm>

namespace narrowlink::access {
namespace {

constexpr std::size_t longest_name = 253; // RFC 1035 §2.3.4, without the final dot
constexpr std::size_t longest_label = 63;

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_label_character(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

bool is_hexadecimal(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

bool is_number(std::string_view label)
{
    if (label.starts_with("0x"))
        return std::ranges::all_of(label.substr(2), is_hexadecimal);
    return std::ranges::all_of(label, is_digit);
}

bool is_label(std::string_view label)
{
    return !label.empty() && label.size() <= longest_label &&
           std::ranges::all_of(label, is_label_character);
}

} // namespace

std::optional<std::string> canonical_name(std::string_view text)
{
    if (text.ends_with('.'))
        text.remove_suffix(1);
    if (text.empty() || text.size() > longest_name)
        return std::nullopt;
    std::string name{text};
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });

    std::string_view rest = name;
    for (;;) {
        const std::size_t dot = rest.find('.');
        const std::string_view label = rest.substr(0, dot);
        if (!is_label(label))
            return std::nullopt;
        if (dot == std::string_view::npos) {
            if (is_number(label))
                return std::nullopt;
            return name;
        }
        rest.remove_prefix(dot + 1);
    }
}

std::optional<Host> parse_host(std::string_view text)
{
    if (text.find('\0') != std::string_view::npos)
        return std::nullopt; // C functions would see another host than we do
    if (const auto ip = IpAddress::parse(text))
        return *ip;
    if (auto name = canonical_name(text))
        return *std::move(name);
    return std::nullopt;
}

IpAddress reached_by(const IpAddress& address)
{
    static const IpPrefix nat64 = IpPrefix::parse("64:ff9b::/96").value();
    static const IpAddress unspecified_v4 = IpAddress::v4({});
    static const IpAddress unspecified_v6 = IpAddress::v6({});
    static const IpAddress loopback_v4 = IpAddress::parse("127.0.0.1").value();
    static const IpAddress loopback_v6 = IpAddress::parse("::1").value();

    if (address == unspecified_v4)
        return loopback_v4;
    if (address == unspecified_v6)
        return loopback_v6;
    if (nat64.contains(address)) {
        const auto bytes = address.bytes();
        return IpAddress::v4({bytes[12], bytes[13], bytes[14], bytes[15]});
    }
    return address;
}

} // namespace narrowlink::access
