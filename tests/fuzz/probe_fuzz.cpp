// Any bytes as a probe's body, as a sealed probe, and as a router's answer to a search.
#include "narrowlink/nat/probe_channel.hpp"
#include "narrowlink/wire/ssdp.hpp"

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

    const IpAddress router = *IpAddress::parse("192.168.1.1");
    if (const auto url = wire::decode_ssdp_answer(as_text(input), router);
        url && !wire::is_url_of(*url, router))
        std::abort();
    return 0;
}
