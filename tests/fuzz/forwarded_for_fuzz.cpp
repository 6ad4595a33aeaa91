// One line, the peer's address; then the content of X-Forwarded-For. What a stranger writes may
// never replace an address that a trusted proxy has added.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/wire/forwarded_for.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace narrowlink;

namespace {

void require(bool holds)
{
    if (!holds)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    const std::string_view line = text.substr(0, text.find('\n'));
    const std::string_view field = text.substr(std::min(text.size(), line.size() + 1));
    const auto peer = IpAddress::parse(line);
    if (!peer)
        return 0;
    const std::array trusted{*IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("fd00::/8")};
    const auto is_trusted = [&trusted](const IpAddress& ip) {
        return std::ranges::any_of(trusted, [&ip](const IpPrefix& p) { return p.contains(ip); });
    };

    const IpAddress client = wire::forwarded_client(*peer, field, trusted);
    require(wire::forwarded_client(*peer, field, {}) == *peer);
    if (!is_trusted(*peer))
        require(client == *peer);
    if (is_trusted(*peer)) {
        const std::string honest = std::string{field} + ", 192.0.2.1";
        require(to_string(wire::forwarded_client(*peer, honest, trusted)) == "192.0.2.1");
        const std::string chain = std::string{field} + ",10.1.2.3";
        const IpAddress through = wire::forwarded_client(*peer, chain, trusted);
        require(through == client || client == *peer);
    }
    return 0;
}
