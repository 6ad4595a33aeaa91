// Any stream of capsules: however it is cut, the same datagrams come out. The first byte says how
// it is cut. The datagrams and the rest are tried as UDP payloads and as targets as well.
#include "narrowlink/wire/capsule.hpp"
#include "narrowlink/wire/udp_target.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

using namespace narrowlink;

namespace {

struct Outcome {
    std::vector<std::string> datagrams;
    bool failed = false;
    bool at_boundary = false;

    bool operator==(const Outcome&) const = default;
};

Outcome read_in_pieces(Bytes stream, std::size_t piece)
{
    Outcome outcome;
    wire::CapsuleReader reader;
    while (!stream.empty() && !outcome.failed) {
        Bytes input = stream.first(std::min(piece, stream.size()));
        stream = stream.subspan(input.size());
        for (;;) {
            const auto value = reader.read(input);
            outcome.failed = !value;
            if (!value || !*value)
                break;
            outcome.datagrams.emplace_back(as_text(**value));
        }
        if (!outcome.failed && !input.empty())
            std::abort(); // it asked for more while it had some
    }
    outcome.at_boundary = reader.at_boundary();
    return outcome;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    const std::size_t piece = in.u8() % 16 + std::size_t{1};
    const Bytes stream = in.rest();
    const Outcome whole = read_in_pieces(stream, stream.size() + 1);
    if (read_in_pieces(stream, piece) != whole)
        std::abort();
    for (const std::string& datagram : whole.datagrams) {
        if (datagram.size() > wire::max_datagram_capsule)
            std::abort();
        const auto payload = wire::decode_udp_payload(as_bytes(datagram));
        if (payload && *payload && (*payload)->size() > wire::max_udp_payload)
            std::abort();
    }
    const auto target = wire::parse_udp_path(as_text(stream));
    if (target && wire::parse_udp_path(wire::format_udp_path(*target)) != target)
        std::abort();
    return 0;
}
