#include "narrowlink/wire/udp_target.hpp"

#include "narrowlink/wire/random_id.hpp"

#include <array>
#include <fmt/format.h>

namespace narrowlink::wire {
namespace {

constexpr std::string_view prefix = "/.well-known/masque/udp/";
constexpr std::size_t longest_encoded_host = 3 * 253;

bool is_unreserved(char c) // RFC 3986 §2.3
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

std::string percent_encode(std::string_view text)
{
    std::string encoded;
    for (const char c : text) {
        if (is_unreserved(c))
            encoded += c;
        else
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

std::optional<std::string> percent_decode(std::string_view text)
{
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += text[i];
            continue;
        }
        std::string digits{text.substr(i + 1, 2)};
        for (char& digit : digits) // RFC 3986 §2.1: the digits are case-insensitive
            digit = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
        std::array<std::byte, 1> byte{};
        if (!parse_hex(digits, byte))
            return std::nullopt;
        decoded += static_cast<char>(byte[0]);
        i += 2;
    }
    return decoded;
}

} // namespace

std::string format_udp_path(const HostPort& target)
{
    return fmt::format("{}{}/{}/", prefix, percent_encode(target.host), target.port);
}

std::optional<HostPort> parse_udp_path(std::string_view path)
{
    if (!path.starts_with(prefix))
        return std::nullopt;
    path.remove_prefix(prefix.size());
    const std::size_t slash = path.find('/');
    if (slash == std::string_view::npos || slash > longest_encoded_host || path.back() != '/')
        return std::nullopt;
    const std::string_view rest = path.substr(slash + 1);
    if (rest.empty())
        return std::nullopt; // no port: the only slash was the last character
    const std::string_view port = rest.substr(0, rest.size() - 1);
    const auto host = percent_decode(path.substr(0, slash));
    if (!host || host->starts_with('['))
        return std::nullopt;
    const bool literal_v6 = host->find(':') != std::string::npos;
    return HostPort::parse(
        fmt::format(fmt::runtime(literal_v6 ? "[{}]:{}" : "{}:{}"), *host, port));
}

} // namespace narrowlink::wire
