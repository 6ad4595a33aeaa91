// What has come from a router's PCP port. Where the response is taken, its bytes say what was read.
#include "narrowlink/wire/pcp.hpp"

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

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const Bytes datagram = std::as_bytes(std::span{data, size});
    const auto response = wire::decode_pcp_map_response(datagram);
    if (!response)
        return 0;
    require(size >= wire::PcpMapRequest::size && data[0] == 2 && data[1] == 0x81);
    require(response->result == data[3]);
    // A request with the same nonce, ports and lifetime has the same bytes where a response repeats
    // it.
    const auto same = wire::encode({.client = {},
                                    .nonce = response->nonce,
                                    .internal = response->internal,
                                    .external = response->external.port,
                                    .lifetime = response->lifetime});
    require(std::ranges::equal(Bytes{same}.subspan(4, 4), datagram.subspan(4, 4)));
    require(std::ranges::equal(Bytes{same}.subspan(24, 13), datagram.subspan(24, 13)));
    require(std::ranges::equal(Bytes{same}.subspan(40, 4), datagram.subspan(40, 4)));
    // Whatever follows does not matter.
    require(wire::decode_pcp_map_response(datagram.first(wire::PcpMapRequest::size)) == response);
    return 0;
}
