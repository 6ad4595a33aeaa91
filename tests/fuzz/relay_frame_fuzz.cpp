// Any bytes as a relay message: what is accepted keeps its limits and survives a change of handle.
#include "narrowlink/relay/table.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const Bytes input = std::as_bytes(std::span{data, size});
    const auto frame = wire::decode_relay_frame(input);

    std::vector<std::byte> message{input.begin(), input.end()};
    relay::Table table;
    if (frame)
        table.add(frame->header.handle, wire::SessionId{1}, wire::PairHandle{0x01020304});
    const auto route = table.forward(message);
    if (route.has_value() != frame.has_value())
        std::abort();
    if (!frame)
        return 0;

    if (frame->segments() == 0 || frame->segments() > wire::max_relay_segments ||
        frame->payload.size() > wire::max_relay_payload || !*route)
        std::abort();
    const auto forwarded = wire::decode_relay_frame(message);
    if (!forwarded || forwarded->header.handle != wire::PairHandle{0x01020304} ||
        forwarded->header.segment_size != frame->header.segment_size ||
        !std::ranges::equal(forwarded->payload, frame->payload))
        std::abort();
    return 0;
}
