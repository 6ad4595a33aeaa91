// Feeds any sequence of texts, signs of life, commands and clock steps to a NodeSession and checks
// what must always hold. Input: role, then steps `u8 action, u16 milliseconds, …`.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/control/node_session.hpp"

#include <cstdlib>

using namespace narrowlink;
using namespace narrowlink::control;

namespace {

/// What a gateway could say, so that a few bytes of input reach deep states.
std::string gateway_text(Reader& in)
{
    wire::PairId pair;
    pair.bytes[0] = static_cast<std::byte>(in.u8() % 4);
    const std::optional<crypto::Pin> key =
        in.u8() % 2 ? std::optional{crypto::Pin{}} : std::nullopt;
    switch (in.u8() % 10) {
    case 0:
        return format(Welcome{
            .version = in.u8() % 3U, .features = {}, .session = "s", .name = "n", .user = "u"});
    case 1: return format(Ping{in.u8()});
    case 2: return format(Pong{in.u8()});
    case 3:
        return format(Agents{.id = in.u8() % 2U,
                             .agents = {{.name = "a", .software = "s", .address = {}}},
                             .more = in.u8() % 2 == 0});
    case 4: return format(Introduced{.pair = pair, .agent = "a"});
    case 5: return format(Introduction{.pair = pair, .client = "c", .user = "u", .policies = {}});
    case 6: return format(Refused{.id = 1, .reason = RefusalReason::limit, .message = "m"});
    case 7: return format(Interrupted{.pair = pair, .client_key = key});
    case 8: return format(Released{.pair = pair, .client_key = key});
    default: return format(Closing{.reason = ClosingReason::shutdown, .message = "m"});
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    const Role role = in.u8() % 2 ? Role::agent : Role::client;
    Instant now{std::chrono::hours{1}};
    Instant heard_at = now;
    Hello hello;
    hello.software = "s";
    const NodeSession::Config config;
    NodeSession session{config, role, hello, now};
    int closings = 0, welcomes = 0, rtts = 0, pings = 0;

    while (!in.done() && in.ok()) {
        const std::uint8_t action = in.u8();
        now += std::chrono::milliseconds{in.u16() % 4'096};
        switch (action % 8) {
        case 0: session.handle_text(now, as_text(in.take(in.u8()))); break;
        case 1: session.handle_binary_seen(now); break;
        case 2: session.list(now, 1); break;
        case 3: session.introduce(now, 2, "a", {}, true); break;
        case 4: session.release(now, {}, crypto::Pin{}); break;
        case 5: session.handle_timeout(now); break;
        default: session.handle_text(now, gateway_text(in)); break;
        }
        if (action % 8 < 2 || action % 8 > 5)
            heard_at = now; // at most: not every text counts
        session.handle_timeout(now);

        while (auto text = session.poll_transmit()) {
            const auto message = parse(*text);
            if (!message || closings > 0)
                std::abort(); // we keep to the protocol, and are silent after the end
            pings += std::holds_alternative<Ping>(*message);
        }
        while (auto event = session.poll_event()) {
            if (closings > 0)
                std::abort(); // Closed is the last event
            welcomes += std::holds_alternative<NodeSession::Established>(*event);
            rtts += std::holds_alternative<NodeSession::RttMeasured>(*event);
            closings += std::holds_alternative<NodeSession::Closed>(*event);
        }
        if (welcomes > 1 || rtts > pings || (session.deadline() == never) != (closings == 1))
            std::abort();
        if (session.deadline() <= now)
            std::abort(); // its owner would spin
        if (session.is_established() && now - heard_at >= config.silence_limit)
            std::abort(); // it should have noticed
    }
    return 0;
}
