// Theory of operation
//
// Each socket goes its own way, see Idle::State:
//   unheard   a probe arrives       → idle
//             none does             → stays so
//   idle      another probe arrives → idle, from now on
//             its time is over      → a packet goes out, sent
//   sent      the node says that it arrived → alive
//             it does not           → gone
// When none has a deadline any more, the longest time after which a packet arrived and the next one
// after which none did are the result. A packet that is lost on the way makes the lifetime look
// shorter, never longer.
//
// Limits: one packet per socket, to where an authentic probe came from, which sent two.

#include "narrowlink/nat/lifetime_survey.hpp"

#include <algorithm>
#include <utility>

namespace narrowlink::nat {
namespace {

using namespace std::chrono_literals;

constexpr GatewaySocket main_port{};
constexpr unsigned rounds = 2;
constexpr Duration probe_limit = idle_step_pause * rounds + 2s; ///< for the probes to arrive
constexpr Duration answer_limit = 3s;                           ///< includes the control session's RTT

constexpr Duration interval_while_unknown = 15s;
constexpr Duration longest_interval = 25s;
constexpr Duration shortest_interval = 5s;

} // namespace

LifetimeSurvey::LifetimeSurvey(Instant now)
{
    for (Idle& idle : idle_)
        idle.due = now + probe_limit;
}

LifetimeSurvey::Idle* LifetimeSurvey::find(unsigned socket)
{
    if (socket < first_idle_socket || socket - first_idle_socket >= idle_sockets)
        return nullptr;
    return &idle_[socket - first_idle_socket];
}

void LifetimeSurvey::handle_probe(Instant now, const Observation& observation)
{
    Idle* idle = find(observation.socket);
    if (idle == nullptr || observation.at != main_port ||
        (idle->state != Idle::State::unheard && idle->state != Idle::State::idle))
        return;
    *idle = {.state = Idle::State::idle,
             .due = now + idle_times[observation.socket - first_idle_socket],
             .mapped = observation.seen};
}

void LifetimeSurvey::handle_alive(Instant now, unsigned socket)
{
    Idle* idle = find(socket);
    if (idle == nullptr || idle->state != Idle::State::sent)
        return; // the node tells about a packet that was never sent, or twice
    *idle = {.state = Idle::State::alive};
    handle_timeout(now);
}

void LifetimeSurvey::handle_timeout(Instant now)
{
    for (Idle& idle : idle_) {
        if (now < idle.due)
            continue;
        if (idle.state == Idle::State::idle) {
            transmits_.push_back({.from = main_port, .to = idle.mapped});
            idle = {.state = Idle::State::sent, .due = now + answer_limit};
        } else {
            idle.due = never;
            if (idle.state == Idle::State::sent)
                idle.state = Idle::State::gone;
        }
    }
    if (!result_ && deadline() == never)
        conclude();
}

void LifetimeSurvey::conclude()
{
    MappingLifetime lifetime;
    for (std::size_t i = 0; i < idle_sockets; ++i) {
        const auto time = std::chrono::floor<std::chrono::seconds>(idle_times[i]);
        if (idle_[i].state == Idle::State::alive)
            lifetime = {.alive_after = time};
        else if (idle_[i].state == Idle::State::gone && lifetime.gone_after == 0s)
            lifetime.gone_after = time;
    }
    result_ = lifetime;
}

std::optional<SurveyStep> LifetimeSurvey::poll_request()
{
    if (std::exchange(requested_, true))
        return std::nullopt;
    return SurveyStep{.purpose = SurveyStep::Purpose::lifetime,
                      .first_socket = first_idle_socket,
                      .sockets = idle_sockets,
                      .to = {main_port},
                      .rounds = rounds};
}

std::optional<Survey::Transmit> LifetimeSurvey::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    const Survey::Transmit transmit = transmits_.front();
    transmits_.pop_front();
    return transmit;
}

Instant LifetimeSurvey::deadline() const
{
    return std::ranges::min(idle_, {}, &Idle::due).due;
}

Duration keep_alive_interval(const MappingLifetime& lifetime)
{
    if (lifetime == MappingLifetime{})
        return interval_while_unknown;
    return std::clamp(Duration{lifetime.alive_after} / 2, shortest_interval, longest_interval);
}

} // namespace narrowlink::nat
