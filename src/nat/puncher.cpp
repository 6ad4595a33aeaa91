// Theory of operation
//
// Goal: the best way between two NATs, found by as few packets as possible, without ever being a
// nuisance to somebody who is not part of it.
//
// Punches go to every candidate at growing intervals from fire_at_ on, all candidates at the same
// time, a few milliseconds apart. The first packets of both sides cross, which opens NATs that let
// only answers in; the later ones are for losses and for NATs that the first packet has opened too
// late.
//
//   punch from an unknown address → that address is a target too (peer-reflexive, RFC 8445 §7.3.1.3)
//   answer to our token           → the way works in both directions; confirm
//   confirm                       → the peer has had our answer; our own punch may still be on its way
//
// The client waits a moment for a better candidate than the first that works, then chooses. The
// agent reports every address from which it heard the peer: QUIC's path validation, which the client
// starts, is what decides.
//
// Limits: most_probes packets, most_targets addresses, one answer per probe that came in.

#include "narrowlink/nat/puncher.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace narrowlink::nat {
namespace {

using std::chrono::milliseconds;

/// After fire_at_, per target; then every last_interval until the attempt ends.
constexpr std::array<milliseconds, 7> schedule{milliseconds{0},   milliseconds{20},
                                               milliseconds{50},  milliseconds{100},
                                               milliseconds{200}, milliseconds{400},
                                               milliseconds{800}};
/// The first punch dies on its way: it opens our own NAT and does not reach the other one, where a
/// router that is itself open to packets from outside would take its mapping for used up. Own router,
/// the provider's first two.
constexpr std::uint8_t opener_ttl = 4;
constexpr Duration opener_lead = milliseconds{30};
constexpr Duration last_interval = milliseconds{800};
constexpr Duration between_targets = milliseconds{3};
constexpr Duration attempt_time = std::chrono::seconds{4}; ///< for round trips of a second
constexpr Duration wait_for_better = milliseconds{200};
constexpr int confirmations = 2; ///< of which one may be lost

} // namespace

Puncher::Puncher(PunchPlan plan, Instant now)
    : plan_{std::move(plan)}
    , fire_at_{now + plan_.fire_in}
    , stop_at_{fire_at_ + attempt_time}
    , latest_{now}
{
    std::ranges::stable_sort(plan_.candidates, {}, &Candidate::kind);
    Instant first = fire_at_;
    for (const Candidate& candidate : plan_.candidates) {
        if (targets_.size() == most_targets || target_of(candidate.address) != nullptr)
            continue;
        const bool opens = candidate.kind != CandidateKind::host && plan_.fire_in >= opener_lead;
        targets_.push_back({.candidate = candidate,
                            .next = opens ? first - opener_lead : first,
                            .opener_due = opens,
                            .rtt = {}});
        first += between_targets;
    }
}

Puncher::Target* Puncher::target_of(const SocketAddress& address)
{
    const auto found = std::ranges::find(
        targets_, address, [](const Target& target) { return target.candidate.address; });
    return found == targets_.end() ? nullptr : &*found;
}

Puncher::Target* Puncher::find_or_add(Instant now, const SocketAddress& address)
{
    if (Target* known = target_of(address))
        return known;
    if (targets_.size() == most_targets)
        return nullptr;
    targets_.push_back({.candidate = {address, CandidateKind::reflexive}, .next = now, .rtt = {}});
    return &targets_.back();
}

void Puncher::send(wire::ProbeKind kind, std::uint32_t token, const SocketAddress& to,
                   std::uint8_t ttl)
{
    if (probes_ == most_probes)
        return;
    ++probes_;
    transmits_.push_back({{.kind = kind, .token = token, .seen = to}, to, ttl});
}

void Puncher::punch(Instant now, Target& target)
{
    const bool opens = std::exchange(target.opener_due, false);
    send(wire::ProbeKind::punch, ++last_token_, target.candidate.address, opens ? opener_ttl : 0);
    sent_at_.emplace(last_token_, now);
    if (opens) {
        target.next += opener_lead;
        return;
    }
    ++target.sent;
    target.next = target.sent < schedule.size()
                      ? target.next + (schedule[target.sent] - schedule[target.sent - 1])
                      : target.next + last_interval;
}

void Puncher::handle_probe(Instant now, const wire::Probe& probe, const SocketAddress& from)
{
    latest_ = std::max(latest_, now);
    Target* target = find_or_add(now, from);
    if (target == nullptr)
        return;
    if (probe.kind == wire::ProbeKind::punch)
        send(wire::ProbeKind::answer, probe.token, from);
    else if (probe.kind == wire::ProbeKind::answer)
        handle_answer(now, probe.token, from);
    if (!plan_.is_client)
        tell(*target);
    handle_timeout(now);
}

void Puncher::handle_answer(Instant now, std::uint32_t token, const SocketAddress& from)
{
    const auto sent = sent_at_.find(token);
    if (sent == sent_at_.end())
        return;
    Target& target = *target_of(from);
    if (!target.rtt)
        for (int i = 0; i < confirmations; ++i)
            send(wire::ProbeKind::confirm, token, from);
    const Duration rtt = now - sent->second;
    target.rtt = std::min(target.rtt.value_or(rtt), rtt);
    if (!plan_.is_client)
        return;
    const bool is_best = std::ranges::none_of(targets_, [&](const Target& other) {
        return other.candidate.kind < target.candidate.kind;
    });
    decide_at_ = std::min(decide_at_, is_best ? now : now + wait_for_better);
}

void Puncher::tell(Target& target)
{
    if (std::exchange(target.told, true))
        return;
    stop_at_ = std::min(stop_at_, plan_.is_client ? Instant{} : latest_ + wait_for_better);
    has_opened_ = true;
    events_.emplace_back(Opened{target.candidate, target.rtt});
}

/// The client's choice.
void Puncher::decide(Instant now)
{
    if (has_opened_ || now < decide_at_)
        return;
    Target* best = nullptr;
    for (Target& target : targets_)
        if (target.rtt && (best == nullptr || std::pair{target.candidate.kind, *target.rtt} <
                                                  std::pair{best->candidate.kind, *best->rtt}))
            best = &target;
    if (best != nullptr)
        tell(*best);
}

void Puncher::handle_timeout(Instant now)
{
    latest_ = std::max(latest_, now);
    if (plan_.is_client)
        decide(now);
    if (now >= stop_at_) {
        if (!std::exchange(is_over_, true) && !has_opened_)
            events_.emplace_back(Failed{});
        return;
    }
    for (Target& target : targets_)
        while (!target.rtt && target.next <= now)
            punch(now, target);
}

std::optional<Puncher::Transmit> Puncher::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    Transmit transmit = transmits_.front();
    transmits_.pop_front();
    return transmit;
}

std::optional<Puncher::Event> Puncher::poll_event()
{
    if (events_.empty())
        return std::nullopt;
    Event event = events_.front();
    events_.pop_front();
    return event;
}

Instant Puncher::deadline() const
{
    if (is_over_)
        return never;
    Instant next = std::min(stop_at_, decide_at_);
    for (const Target& target : targets_)
        if (!target.rtt)
            next = std::min(next, target.next);
    return next;
}

} // namespace narrowlink::nat
