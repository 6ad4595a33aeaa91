#include "narrowlink/config/parse.hpp"

#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace narrowlink::config {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t size;
};

constexpr std::array<Unit, 5> time_units = {{
    {"d", 86'400'000'000'000},
    {"h", 3'600'000'000'000},
    {"m", 60'000'000'000},
    {"s", 1'000'000'000},
    {"ms", 1'000'000},
}};

constexpr std::array<Unit, 4> size_units = {{
    {"GiB", 1ULL << 30},
    {"MiB", 1ULL << 20},
    {"KiB", 1ULL << 10},
    {"B", 1},
}};

template <std::size_t N>
std::optional<std::uint64_t> parse_quantity(std::string_view text, const std::array<Unit, N>& units,
                                            std::uint64_t most)
{
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{})
        return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    for (const Unit& unit : units)
        if (unit.name == text)
            return count <= most / unit.size ? std::optional{count * unit.size} : std::nullopt;
    return std::nullopt;
}

template <std::size_t N>
std::string format_quantity(std::uint64_t quantity, const std::array<Unit, N>& units)
{
    for (const Unit& unit : units)
        if (quantity != 0 && quantity % unit.size == 0)
            return fmt::format("{}{}", quantity / unit.size, unit.name);
    return fmt::format("{}{}", quantity / units.back().size, units.back().name);
}

} // namespace

std::optional<Duration> parse_duration(std::string_view text)
{
    const auto quantity =
        parse_quantity(text, time_units, static_cast<std::uint64_t>(Duration::max().count()));
    if (!quantity)
        return std::nullopt;
    return Duration{static_cast<Duration::rep>(*quantity)};
}

std::string format_duration(Duration duration)
{
    return format_quantity(static_cast<std::uint64_t>(duration.count()), time_units);
}

std::optional<std::size_t> parse_size(std::string_view text)
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    std::size_t bytes = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (error == std::errc{} && end == text.data() + text.size())
        return bytes;
    return parse_quantity(text, size_units, most);
}

std::string format_size(std::size_t size)
{
    return format_quantity(size, size_units);
}

std::optional<SocketAddress> parse_socket_address(std::string_view text)
{
    const auto target = HostPort::parse(text);
    if (!target)
        return std::nullopt;
    const auto ip = IpAddress::parse(target->host);
    if (!ip)
        return std::nullopt;
    return SocketAddress{*ip, target->port};
}

} // namespace narrowlink::config
