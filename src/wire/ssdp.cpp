#include "narrowlink/wire/ssdp.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace narrowlink::wire {
namespace {

constexpr std::size_t longest_url = 256;

char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix)
{
    return text.size() >= prefix.size() &&
           std::ranges::equal(text.substr(0, prefix.size()), prefix, {}, lower, lower);
}

std::string_view trimmed(std::string_view text)
{
    constexpr std::string_view space = " \t\r";
    const std::size_t first = text.find_first_not_of(space);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(space) - first + 1);
}

} // namespace

std::string ssdp_search(const IpAddress& router)
{
    // MX is for searches to all, but there are routers that ignore one without.
    return fmt::format("M-SEARCH * HTTP/1.1\r\n"
                       "HOST: {}:{}\r\n"
                       "MAN: \"ssdp:discover\"\r\n"
                       "MX: 1\r\n"
                       "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                       "\r\n",
                       to_string(router), ssdp_port);
}

bool is_url_of(std::string_view url, const IpAddress& router)
{
    const std::string begin = fmt::format("http://{}:", to_string(router));
    if (url.size() > longest_url || !starts_with_ignoring_case(url, begin))
        return false;
    const std::string_view rest = url.substr(begin.size());
    const std::string_view port = rest.substr(0, rest.find('/'));
    return SocketAddress::parse(fmt::format("{}:{}", to_string(router), port)).has_value() &&
           std::ranges::all_of(rest, [](char c) { return c > ' ' && c < '\x7f'; });
}

std::optional<std::string> decode_ssdp_answer(std::string_view answer, const IpAddress& router)
{
    if (!answer.starts_with("HTTP/1.1 200"))
        return std::nullopt;
    constexpr std::string_view name = "location:";
    while (!answer.empty()) {
        const std::size_t end = answer.find('\n');
        const std::string_view line = answer.substr(0, end);
        answer.remove_prefix(end == std::string_view::npos ? answer.size() : end + 1);
        if (!starts_with_ignoring_case(line, name))
            continue;
        const std::string_view url = trimmed(line.substr(name.size()));
        if (!is_url_of(url, router))
            return std::nullopt;
        return std::string{url};
    }
    return std::nullopt;
}

} // namespace narrowlink::wire
