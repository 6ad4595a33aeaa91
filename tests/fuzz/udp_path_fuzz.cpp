// The input is read twice: as the `:path` of a connect-udp request, and as a target for which such
// a path is made. Either way path and target must stand for each other.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/wire/udp_target.hpp"

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

void check_round_trip(const HostPort& target)
{
    const std::string path = wire::format_udp_path(target);
    require(wire::parse_udp_path(path) == target);
    require(
        std::ranges::all_of(path, [](char c) { return c > ' ' && c < '\x7f'; })); // a field value
    require(std::ranges::count(path, '/') == 6);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text = as_text(std::as_bytes(std::span{data, size}));
    if (const auto target = wire::parse_udp_path(text)) {
        check_round_trip(*target);
        require(HostPort::parse(to_string(*target)) == target); // the same as for CONNECT
    }
    if (const auto target = HostPort::parse(text))
        check_round_trip(*target);
    return 0;
}
