#pragma once

#include "narrowlink/base/result.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink {

/// An IPv4 or IPv6 address. IPv4 is kept as such; an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2)
/// is turned into the IPv4 address it stands for, so that no rule can be dodged by its spelling.
class IpAddress {
public:
    IpAddress() = default; ///< 0.0.0.0

    static IpAddress v4(std::array<std::byte, 4> bytes);
    static IpAddress v6(std::array<std::byte, 16> bytes);

    /// Accepts dotted quad and RFC 4291 §2.2 text; no zone identifier, no brackets.
    static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] bool is_v4() const { return v4_; }

    /// Four or sixteen bytes in network order.
    [[nodiscard]] std::array<std::byte, 16> bytes() const { return bytes_; }

    [[nodiscard]] std::size_t size() const { return v4_ ? 4 : 16; }

    auto operator<=>(const IpAddress&) const = default;

private:
    bool v4_ = true;
    std::array<std::byte, 16> bytes_{};
};

std::string to_string(const IpAddress&);

/// An IP address and a port.
struct SocketAddress {
    IpAddress ip;
    std::uint16_t port = 0;

    /// As to_string() writes it. Empty for anything else, and for port 0.
    static std::optional<SocketAddress> parse(std::string_view text);

    auto operator<=>(const SocketAddress&) const = default;
};

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
std::string to_string(const SocketAddress&);

/// An address block in CIDR notation (RFC 4632 §3.1).
struct IpPrefix {
    IpAddress ip;
    unsigned length = 0; ///< in bits, at most 32 or 128

    /// A bare address is a prefix of full length; host bits beyond the length must be zero.
    static std::optional<IpPrefix> parse(std::string_view text);

    [[nodiscard]] bool contains(const IpAddress&) const;

    auto operator<=>(const IpPrefix&) const = default;
};

std::string to_string(const IpPrefix&);

/// A host, by name or by address, and a port: what a user types and what CONNECT carries.
struct HostPort {
    std::string host; ///< a DNS name in lower case or an IP address, without brackets
    std::uint16_t port = 0;

    /// `host:port`, `192.0.2.1:80`, `[2001:db8::1]:80` (RFC 3986 §3.2).
    ///
    /// Empty for a missing or out-of-range port, port 0, an empty host, a host longer than 253
    /// characters or one with characters outside letters, digits, `.`, `-` and `_`.
    static std::optional<HostPort> parse(std::string_view text);

    auto operator<=>(const HostPort&) const = default;
};

std::string to_string(const HostPort&);

} // namespace narrowlink
