#include "narrowlink/wire/pcp.hpp"

#include "narrowlink/io/clock.hpp"
#include "router_question.hpp"

#include <array>
#include <sys/socket.h>

namespace narrowlink::io {
namespace {

using namespace std::chrono_literals;

/// RFC 6887 §8.1.1 begins with 3 s and never ends; who has it answers at once.
constexpr std::array<Duration, 2> intervals{250ms, 750ms};

} // namespace

std::optional<RouterAnswer> ask_pcp(const RouterRequest& request, int abandoned)
{
    const RouterSocket socket{request.router, wire::pcp_port};
    const auto own = socket.own_address();
    if (!own)
        return std::nullopt;
    const auto question =
        wire::encode({.client = *own,
                      .nonce = request.nonce,
                      .internal = request.internal,
                      .external = request.ends_mapping() ? std::uint16_t{0} : request.external,
                      .lifetime = request.lifetime});
    for (const Duration interval : intervals) {
        if (::send(socket.get(), question.data(), question.size(), 0) < 0)
            return std::nullopt;
        if (!wait_readable(socket.get(), abandoned, io::now() + interval))
            continue;
        std::array<std::byte, 1'100> datagram{}; // the longest, RFC 6887 §7
        const auto size = ::recv(socket.get(), datagram.data(), datagram.size(), 0);
        if (size < 0)
            return std::nullopt; // nobody listens there
        const auto response =
            wire::decode_pcp_map_response(Bytes{datagram}.first(static_cast<std::size_t>(size)));
        if (!response || response->nonce != request.nonce || response->internal != request.internal)
            return std::nullopt; // NAT-PMP alone, as a rule
        if (response->result != wire::PcpMapResponse::success)
            return RouterAnswer{};
        return RouterAnswer{.external_ip = response->external.ip,
                            .external = response->external.port,
                            .lifetime = response->lifetime};
    }
    return std::nullopt;
}

} // namespace narrowlink::io
