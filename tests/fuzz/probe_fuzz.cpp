// Any bytes as a probe's body and as a sealed probe.
#include "narrowlink/nat/probe_channel.hpp"

#include <algorithm>
#include <cstdlib>

using namespace narrowlink;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const Bytes input = std::as_bytes(std::span{data, size});

    // What is understood is said again in the same words, but for the room behind them.
    if (const auto probe = wire::decode_probe(input))
        if (wire::decode_probe(wire::encode_probe(*probe)) != probe)
            std::abort();

    nat::ProbeCredentials credentials;
    if (const auto id = wire::probe_id(input))
        credentials.id = *id;
    if (nat::ProbeChannel{credentials, wire::ProbeSender::agent}.open(input))
        std::abort(); // a key was guessed
    return 0;
}
