// Theory of operation
//
// Goal: keep one control session with a node that may be anyone who has a token: bounded in memory
// and in work, and gone within `silence_limit` of the node.
//
// States and events
//   AwaitHello     from construction; nothing is sent.
//     hello        → AwaitDecision, event HelloReceived; without a common version → Ended.
//   AwaitDecision  the owner looks at the hello. The node has to wait for it in silence.
//     accept()     → Live, welcome, first ping at once.
//     refuse()     → Ended, closing.
//   Live
//     list, introduce, release, as the role allows → event MessageReceived; ping → pong.
//     anything else a node may not say, silence → Ended, closing.
//   Ended          does nothing any more. Event Closed has been said once, whoever ended it.
//
// Timers: give_up_at before Live; the next ping and the silence limit in Live.
//
// Limits: text messages draw on a token bucket; binary ones are the relay's business.

#include "narrowlink/control/gateway_session.hpp"

#include "overloaded.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace narrowlink::control {
namespace {

constexpr Duration second = std::chrono::seconds{1};

std::vector<std::string> intersect(const std::vector<std::string>& ours,
                                   const std::vector<std::string>& theirs)
{
    std::vector<std::string> both;
    std::ranges::copy_if(ours, std::back_inserter(both), [&](const std::string& feature) {
        return std::ranges::find(theirs, feature) != theirs.end();
    });
    return both;
}

} // namespace

GatewaySession::GatewaySession(Config config, Role role, Instant now)
    : config_{std::move(config)}
    , role_{role}
    , state_{AwaitHello{now + config_.hello_timeout}}
    , allowance_{second / config_.messages_per_second * config_.message_burst}
    , allowance_at_{now}
{
}

void GatewaySession::handle_text(Instant now, std::string_view text)
{
    if (std::holds_alternative<Ended>(state_))
        return;
    if (!take_allowance(now)) {
        close(now, ClosingReason::protocol_error, "too many control messages in a short time");
        return;
    }
    Result<Message> message = parse(text);
    if (!message) {
        close(now, ClosingReason::protocol_error, message.error().message());
        return;
    }
    if (Live* live = std::get_if<Live>(&state_)) {
        live->liveness.handle_heard(now);
        handle_established(now, std::move(*message));
    } else if (std::holds_alternative<AwaitHello>(state_)) {
        handle_hello(now, std::move(*message));
    } else {
        close(now, ClosingReason::protocol_error, "a message came before the welcome was sent");
    }
}

void GatewaySession::handle_binary_seen(Instant now)
{
    if (Live* live = std::get_if<Live>(&state_))
        live->liveness.handle_heard(now);
    else
        close(now, ClosingReason::protocol_error, "a relay message came before the welcome");
}

void GatewaySession::handle_malformed_binary(Instant now)
{
    close(now, ClosingReason::protocol_error, "a binary message is not a relay message");
}

void GatewaySession::handle_timeout(Instant now)
{
    std::visit(Overloaded{
                   [&](const AwaitHello& state) {
                       if (now >= state.give_up_at)
                           close(now, ClosingReason::silence, "no hello came");
                   },
                   [&](const AwaitDecision& state) {
                       if (now >= state.give_up_at)
                           close(now, ClosingReason::limit, "the gateway is too busy");
                   },
                   [&](const Live&) { ping_if_due(now); },
                   [](const Ended&) {},
               },
               state_);
}

bool GatewaySession::take_allowance(Instant now)
{
    const Duration one = second / config_.messages_per_second;
    allowance_ = std::min(allowance_ + (now - allowance_at_), one * config_.message_burst);
    allowance_at_ = now;
    if (allowance_ < one)
        return false;
    allowance_ -= one;
    return true;
}

void GatewaySession::handle_hello(Instant now, Message message)
{
    Hello* hello = std::get_if<Hello>(&message);
    if (!hello) {
        close(now, ClosingReason::protocol_error, "the first message is not a hello");
        return;
    }
    if (hello->version_max < oldest_version || hello->version_min > newest_version) {
        close(now, ClosingReason::version,
              fmt::format("the node speaks versions {} to {} of the protocol, this gateway {} to "
                          "{}; update the older one",
                          hello->version_min, hello->version_max, oldest_version, newest_version));
        return;
    }
    if (role_ == Role::agent && !hello->policies.empty()) {
        close(now, ClosingReason::protocol_error, "an agent has no policies");
        return;
    }
    const auto& waiting = std::get<AwaitHello>(state_);
    state_ = AwaitDecision{.give_up_at = waiting.give_up_at,
                           .version = std::min(hello->version_max, newest_version),
                           .features = intersect(config_.features, hello->features)};
    events_.push_back(HelloReceived{std::move(*hello)});
}

void GatewaySession::accept(Instant now, Acceptance acceptance)
{
    AwaitDecision* waiting = std::get_if<AwaitDecision>(&state_);
    if (!waiting)
        return;
    transmits_.push_back(format(Welcome{.version = waiting->version,
                                        .features = std::move(waiting->features),
                                        .session = std::move(acceptance.session),
                                        .name = std::move(acceptance.name),
                                        .user = std::move(acceptance.user)}));
    state_ = Live{Liveness{
        {.ping_interval = config_.ping_interval, .silence_limit = config_.silence_limit}, now}};
    ping_if_due(now);
}

void GatewaySession::close(Instant, ClosingReason reason, std::string message)
{
    if (std::holds_alternative<Ended>(state_))
        return;
    state_ = Ended{};
    transmits_.push_back(format(Closing{.reason = reason, .message = message}));
    events_.push_back(Closed{.reason = reason, .message = std::move(message)});
}

void GatewaySession::send(const Message& message)
{
    if (is_established())
        transmits_.push_back(format(message));
}

void GatewaySession::handle_established(Instant now, Message message)
{
    std::visit(Overloaded{
                   [&](const Ping& m) { send(Pong{m.id}); },
                   [&](const Pong& m) {
                       if (const auto rtt = std::get<Live>(state_).liveness.handle_pong(now, m))
                           events_.push_back(RttMeasured{*rtt});
                   },
                   [&](List& m) { report_from_client(now, m); },
                   [&](Introduce& m) { report_from_client(now, std::move(m)); },
                   [&](Candidates& m) { events_.push_back(MessageReceived{std::move(m)}); },
                   [&](Filtered& m) { events_.push_back(MessageReceived{m}); },
                   [&](MappingAlive& m) { events_.push_back(MessageReceived{m}); },
                   [&](Meet& m) { report_from_client(now, m); },
                   [&](Punched& m) { report_from_client(now, m); },
                   [&](Release& m) {
                       if (m.client_key.has_value() != (role_ == Role::agent))
                           close(now, ClosingReason::protocol_error,
                                 "an agent names the client's key in a release, a client does not");
                       else
                           events_.push_back(MessageReceived{m});
                   },
                   [](const Unknown&) {},
                   [&](const auto&) {
                       close(now, ClosingReason::protocol_error,
                             "a message came that nodes do not send after their hello");
                   },
               },
               message);
}

template <class ClientMessage>
void GatewaySession::report_from_client(Instant now, ClientMessage message)
{
    if (role_ == Role::client)
        events_.push_back(MessageReceived{std::move(message)});
    else
        close(now, ClosingReason::protocol_error, "a message came that only clients send");
}

void GatewaySession::ping_if_due(Instant now)
{
    Live& live = std::get<Live>(state_);
    if (live.liveness.is_silent(now)) {
        close(now, ClosingReason::silence, "nothing was heard from this node for too long");
        return;
    }
    if (const auto ping = live.liveness.poll_ping(now))
        send(*ping);
}

std::optional<std::string> GatewaySession::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    std::string text = std::move(transmits_.front());
    transmits_.pop_front();
    return text;
}

std::optional<GatewaySession::Event> GatewaySession::poll_event()
{
    if (events_.empty())
        return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Instant GatewaySession::deadline() const
{
    return std::visit(Overloaded{
                          [](const AwaitHello& state) { return state.give_up_at; },
                          [](const AwaitDecision& state) { return state.give_up_at; },
                          [](const Live& state) { return state.liveness.deadline(); },
                          [](const Ended&) { return never; },
                      },
                      state_);
}

} // namespace narrowlink::control
