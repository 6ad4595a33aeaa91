// Theory of operation
//
// Goal: keep one control session with the gateway, and know within `silence_limit` when it is gone.
//
// States and events
//   HelloSent  from construction: the hello is the first transmit.
//     welcome  → Live, event Established, first ping at once (it measures the RTT).
//     closing  → Ended, event Closed.
//   Live
//     messages for this role → events; a list that comes in parts is one event.
//     ping     → pong.
//     closing, a message for the other role, a malformed message, silence → Ended, event Closed.
//   Ended      does and says nothing any more.
//
// Timers: give_up_at in HelloSent; the next ping and the silence limit in Live.
//
// Limits: a list has at most Config::max_agents entries. What the gateway makes us answer (pongs)
// is handed out by poll_transmit() after each call, so nothing piles up here.

#include "narrowlink/control/node_session.hpp"

#include "overloaded.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <utility>

namespace narrowlink::control {

NodeSession::NodeSession(Config config, Role role, Hello hello, Instant now)
    : config_{config}
    , role_{role}
    , version_min_{hello.version_min}
    , version_max_{hello.version_max}
    , state_{HelloSent{now + config.hello_timeout}}
{
    send(std::move(hello));
}

void NodeSession::handle_text(Instant now, std::string_view text)
{
    if (std::holds_alternative<Ended>(state_))
        return;
    Result<Message> message = parse(text);
    if (!message) {
        end(ClosingReason::protocol_error,
            fmt::format("the gateway broke the protocol: {}", message.error().message()));
        return;
    }
    if (Live* live = std::get_if<Live>(&state_)) {
        live->liveness.handle_heard(now);
        handle_established(now, std::move(*message));
        return;
    }
    handle_hello_answer(now, std::move(*message));
}

void NodeSession::handle_binary_seen(Instant now)
{
    if (Live* live = std::get_if<Live>(&state_))
        live->liveness.handle_heard(now);
}

void NodeSession::handle_timeout(Instant now)
{
    if (const auto* sent = std::get_if<HelloSent>(&state_)) {
        if (now >= sent->give_up_at)
            end(ClosingReason::silence, "the gateway did not answer the hello");
        return;
    }
    ping_if_due(now);
}

void NodeSession::handle_network_changed(Instant now)
{
    constexpr Duration patience = std::chrono::seconds{2};
    if (auto* live = std::get_if<Live>(&state_)) {
        live->liveness.doubt(now, patience);
        ping_if_due(now);
    }
}

void NodeSession::show_up(Instant now)
{
    constexpr Duration shortest_interval = std::chrono::seconds{1};
    if (auto* live = std::get_if<Live>(&state_)) {
        live->liveness.hasten(now, shortest_interval);
        ping_if_due(now);
    }
}

void NodeSession::handle_hello_answer(Instant now, Message message)
{
    std::visit(Overloaded{
                   [&](Welcome& m) {
                       if (m.version < version_min_ || m.version > version_max_) {
                           end(ClosingReason::version,
                               fmt::format("the gateway chose version {} of the protocol; this "
                                           "node speaks {} to {}",
                                           m.version, version_min_, version_max_));
                           return;
                       }
                       state_ = Live{.liveness = Liveness{{.ping_interval = config_.ping_interval,
                                                           .silence_limit = config_.silence_limit},
                                                          now},
                                     .partial_list = {}};
                       events_.push_back(Established{.version = m.version,
                                                     .features = std::move(m.features),
                                                     .session = std::move(m.session),
                                                     .name = std::move(m.name),
                                                     .user = std::move(m.user)});
                       ping_if_due(now);
                   },
                   [&](Closing& m) { end(m.reason, std::move(m.message)); },
                   [](const Unknown&) {},
                   [&](const auto&) {
                       end(ClosingReason::protocol_error,
                           "the gateway broke the protocol: it did not answer the hello first");
                   },
               },
               message);
}

void NodeSession::handle_established(Instant now, Message message)
{
    std::visit(
        Overloaded{
            [&](const Ping& m) { send(Pong{m.id}); },
            [&](const Pong& m) {
                if (const auto rtt = std::get<Live>(state_).liveness.handle_pong(now, m))
                    events_.push_back(RttMeasured{*rtt});
            },
            [&](Agents& m) { handle_agents(std::move(m)); },
            [&](Introduced& m) { report_to(Role::client, std::move(m)); },
            [&](Refused& m) { report_to(Role::client, std::move(m)); },
            [&](Introduction& m) { report_to(Role::agent, std::move(m)); },
            [&](Interrupted& m) { report_pair(m); },
            [&](Released& m) { report_pair(m); },
            [&](Observe& m) { events_.push_back(std::move(m)); },
            [&](SurveyRequest& m) { events_.push_back(std::move(m)); },
            [&](NatDescription& m) { events_.push_back(std::move(m)); },
            [&](Punch& m) { report_pair(std::move(m)); },
            [&](Aim& m) { report_pair(std::move(m)); },
            [&](Unreachable& m) { report_to(Role::client, std::move(m)); },
            [&](UdpRelay& m) { report_pair(std::move(m)); },
            [&](Closing& m) { end(m.reason, std::move(m.message)); },
            [](const Unknown&) {},
            [&](const auto&) {
                end(ClosingReason::protocol_error,
                    "the gateway broke the protocol: it sent a message that only nodes send");
            },
        },
        message);
}

void NodeSession::handle_agents(Agents part)
{
    if (role_ != Role::client) {
        report_to(Role::client, AgentList{});
        return;
    }
    std::optional<AgentList>& partial = std::get<Live>(state_).partial_list;
    if (!partial || partial->id != part.id)
        partial = AgentList{.id = part.id, .agents = {}};
    partial->agents.insert(partial->agents.end(), std::make_move_iterator(part.agents.begin()),
                           std::make_move_iterator(part.agents.end()));
    if (partial->agents.size() > config_.max_agents) {
        end(ClosingReason::protocol_error, "the gateway's list of agents is too long");
        return;
    }
    if (part.more)
        return;
    events_.push_back(std::move(*partial));
    partial.reset();
}

void NodeSession::report_to(Role role, Event event)
{
    if (role == role_)
        events_.push_back(std::move(event));
    else
        end(ClosingReason::protocol_error,
            fmt::format("the gateway broke the protocol: it sent a message for an {0} to this {1}",
                        to_string(role), to_string(role_)));
}

template <class PairMessage>
void NodeSession::report_pair(PairMessage message)
{
    if (message.client_key.has_value() != (role_ == Role::agent))
        end(ClosingReason::protocol_error,
            "the gateway broke the protocol: it did not name a pair as this node needs it");
    else
        events_.push_back(std::move(message));
}

void NodeSession::list(Instant, std::uint64_t id)
{
    if (is_established())
        send(List{id});
}

void NodeSession::introduce(Instant, std::uint64_t id, std::string agent, wire::PairId pair,
                            bool resume)
{
    if (is_established())
        send(Introduce{.id = id, .agent = std::move(agent), .pair = pair, .resume = resume});
}

void NodeSession::release(Instant, wire::PairId pair, std::optional<crypto::Pin> client_key)
{
    if (is_established())
        send(Release{.pair = pair, .client_key = client_key});
}

void NodeSession::tell_candidates(Instant, Candidates candidates)
{
    if (is_established())
        send(std::move(candidates));
}

void NodeSession::tell(Instant, const SurveyAnswer& answer)
{
    if (is_established())
        std::visit([this](const auto& message) { send(message); }, answer);
}

void NodeSession::meet(Instant, wire::PairId pair)
{
    if (is_established())
        send(Meet{pair});
}

void NodeSession::tell_punched(Instant, const Punched& punched)
{
    if (is_established())
        send(punched);
}

void NodeSession::ping_if_due(Instant now)
{
    Live* live = std::get_if<Live>(&state_);
    if (!live)
        return;
    if (live->liveness.is_silent(now)) {
        end(ClosingReason::silence, "nothing was heard from the gateway for too long");
        return;
    }
    if (const auto ping = live->liveness.poll_ping(now))
        send(*ping);
}

void NodeSession::send(const Message& message)
{
    transmits_.push_back(format(message));
}

void NodeSession::end(ClosingReason reason, std::string message)
{
    state_ = Ended{};
    transmits_.clear();
    events_.push_back(
        Closed{.reason = reason, .message = std::move(message), .may_retry = may_retry(reason)});
}

std::optional<std::string> NodeSession::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    std::string text = std::move(transmits_.front());
    transmits_.pop_front();
    return text;
}

std::optional<NodeSession::Event> NodeSession::poll_event()
{
    if (events_.empty())
        return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Instant NodeSession::deadline() const
{
    return std::visit(Overloaded{
                          [](const HelloSent& state) { return state.give_up_at; },
                          [](const Live& state) { return state.liveness.deadline(); },
                          [](const Ended&) { return never; },
                      },
                      state_);
}

} // namespace narrowlink::control
