#include "narrowlink/wire/forwarded_for.hpp"

#include <algorithm>
#include <optional>

namespace narrowlink::wire {
namespace {

std::string_view trimmed(std::string_view text)
{
    constexpr std::string_view blank = " \t";
    const std::size_t first = text.find_first_not_of(blank);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`: all are seen.
std::optional<IpAddress> parse_hop(std::string_view hop)
{
    if (hop.starts_with('[')) {
        const std::size_t end = hop.find(']');
        if (end == std::string_view::npos)
            return std::nullopt;
        const std::string_view after = hop.substr(end + 1);
        if (!after.empty() && !after.starts_with(':'))
            return std::nullopt;
        return IpAddress::parse(hop.substr(1, end - 1));
    }
    const bool has_one_colon = std::ranges::count(hop, ':') == 1;
    return IpAddress::parse(has_one_colon ? hop.substr(0, hop.find(':')) : hop);
}

} // namespace

IpAddress forwarded_client(const IpAddress& peer, std::string_view field,
                           std::span<const IpPrefix> trusted)
{
    const auto is_trusted = [trusted](const IpAddress& ip) {
        return std::ranges::any_of(trusted, [&ip](const IpPrefix& p) { return p.contains(ip); });
    };
    IpAddress client = peer;
    bool more = !field.empty();
    while (more && is_trusted(client)) {
        const std::size_t comma = field.rfind(',');
        more = comma != std::string_view::npos;
        const auto hop = parse_hop(trimmed(more ? field.substr(comma + 1) : field));
        if (!hop)
            break;
        client = *hop;
        field = field.substr(0, more ? comma : 0);
    }
    return client;
}

} // namespace narrowlink::wire
