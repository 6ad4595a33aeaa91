// Feeds any sequence of texts, binary messages, decisions and clock steps to a GatewaySession and
// checks what must always hold. Input: role, then steps `u8 action, u16 milliseconds, …`.
#include "narrowlink/base/bytes.hpp"
#include "narrowlink/control/gateway_session.hpp"

#include <cstdlib>

using namespace narrowlink;
using namespace narrowlink::control;

namespace {

/// What a node could say, so that a few bytes of input reach deep states.
std::string node_text(Reader& in)
{
    const std::uint8_t detail = in.u8();
    const std::optional<crypto::Pin> key = detail % 2 ? std::optional{crypto::Pin{}} : std::nullopt;
    switch (in.u8() % 7) {
    case 0: {
        Hello hello;
        hello.version_max = detail % 4 + 1U;
        hello.version_min = detail % 2 + 1U;
        hello.software = "s";
        return format(hello);
    }
    case 1: return format(Ping{detail});
    case 2: return format(Pong{detail});
    case 3: return format(List{detail});
    case 4: return format(Introduce{.id = 1, .agent = "a", .pair = {}, .resume = detail % 2 == 0});
    case 5: return format(Release{.pair = {}, .client_key = key});
    default: return format(Unknown{"weather"});
    }
}

bool may_come_from(Role role, const Message& message)
{
    if (const auto* release = std::get_if<Release>(&message))
        return release->client_key.has_value() == (role == Role::agent);
    return role == Role::client &&
           (std::holds_alternative<List>(message) || std::holds_alternative<Introduce>(message));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    Reader in{std::as_bytes(std::span{data, size})};
    const Role role = in.u8() % 2 ? Role::agent : Role::client;
    Instant now{std::chrono::hours{1}};
    const Instant born = now;
    GatewaySession session{{}, role, now};
    int hellos = 0, closings = 0, closed_texts = 0, texts = 0, messages = 0;
    bool accepted = false;

    while (!in.done() && in.ok()) {
        const std::uint8_t action = in.u8();
        now += std::chrono::milliseconds{in.u16() % 4'096};
        switch (action % 8) {
        case 0: session.handle_text(now, as_text(in.take(in.u8()))); break;
        case 1: session.handle_binary_seen(now); break;
        case 2:
            session.accept(now, {.session = "s", .name = "n", .user = "u"});
            accepted = accepted || session.is_established();
            break;
        case 3:
            if (in.u8() % 8 == 0)
                session.close(now, ClosingReason::revoked, "m");
            break;
        case 4: session.send(Interrupted{.pair = {}, .client_key = {}}); break;
        case 5: session.handle_timeout(now); break;
        default: session.handle_text(now, node_text(in)); break;
        }
        texts += action % 8 == 0 || action % 8 > 5;

        while (auto text = session.poll_transmit()) {
            const auto message = parse(*text);
            if (!message || closed_texts > 0)
                std::abort(); // closing is the last message
            closed_texts += std::holds_alternative<Closing>(*message);
            if (!accepted && !std::holds_alternative<Closing>(*message))
                std::abort(); // a stranger to us learns nothing
        }
        while (auto event = session.poll_event()) {
            if (closings > 0)
                std::abort();
            hellos += std::holds_alternative<GatewaySession::HelloReceived>(*event);
            closings += std::holds_alternative<GatewaySession::Closed>(*event);
            if (const auto* received = std::get_if<GatewaySession::MessageReceived>(&*event)) {
                ++messages;
                if (!accepted || !may_come_from(role, received->message))
                    std::abort();
            }
        }
        if (hellos > 1 || closings != closed_texts || (accepted && hellos == 0) ||
            (session.deadline() == never) != (closings == 1))
            std::abort();
        const auto allowance = 200 + 50 * (now - born) / std::chrono::seconds{1} + 1;
        if (closings == 0 && texts > allowance)
            std::abort();
    }
    return 0;
}
