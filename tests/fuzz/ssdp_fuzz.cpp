// One line, the router's address; then what has come from it on the port of the search. Whatever it
// says, a URL that is taken leads to this router and nowhere else.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/wire/ssdp.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace narrowlink;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

/// What RFC 3986 §3.2 calls the authority of a URL of HTTP, found without the parser under test.
std::string_view authority_of(std::string_view url)
{
    require(url.size() > 7 && url.substr(4, 3) == "://");
    url.remove_prefix(7);
    return url.substr(0, url.find_first_of("/?#\\"));
}

void check_url(std::string_view url, const IpAddress& router)
{
    require(router.is_v4()); // only IPv4 routers are searched for
    require(url.size() <= 256);
    require(std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; }));
    const auto authority = SocketAddress::parse(authority_of(url));
    require(authority && authority->ip == router && authority->port != 0);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string_view answer = text.substr(std::min(text.size(), line.size() + 1));
    const auto router = IpAddress::parse(line);
    if (!router || !router->is_v4())
        return 0;

    if (wire::is_url_of(answer, *router)) // as the description's URLs are
        check_url(answer, *router);

    const auto url = wire::decode_ssdp_answer(answer, *router);
    if (!url)
        return 0;
    check_url(*url, *router);
    require(wire::is_url_of(*url, *router));
    require(answer.starts_with("HTTP/1.1 200") && answer.find(*url) != std::string_view::npos);
    // The first one counts; who could add to the answer cannot replace it.
    const std::string more =
        std::string{answer} + "\nLOCATION: http://" + std::string{line} + ":1/";
    require(wire::decode_ssdp_answer(more, *router) == url);
    return 0;
}
