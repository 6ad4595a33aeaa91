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
// agent reports every address from which it heard the peer: QUIC's path validation, which the
// client starts, is what decides.
//
// Where the peer's address is not known exactly, volleys take the place of that schedule, at
// packets_per_second: a spray goes to ports that the gateway has computed; the other side opens its
// mappings with packets of a limited TTL, once from each of its sockets and once again later. The
// first authentic probe ends the volleys, and its source address is a target like any other.
//
// What has to be computed from a fresh mapping is sampled first: socket 0 sends to the gateway,
// which tells the peer (aim()).
//
// Limits: most_packets punches, most_answers, most_targets pairs of socket and address. To an address
// that nobody but a packet's source has named go no more than three packets for each that came from
// there, as in RFC 9000 §8.1, until it has answered one: a probe that was recorded on its way and never
// arrived can be sent on from any address.

#include "narrowlink/nat/puncher.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace narrowlink::nat {
namespace {

using std::chrono::milliseconds;

/// After fire_at_, per target; then every last_interval until the attempt ends.
constexpr std::array<milliseconds, 7> schedule{
    milliseconds{0},   milliseconds{20},  milliseconds{50}, milliseconds{100},
    milliseconds{200}, milliseconds{400}, milliseconds{800}};
constexpr Duration last_interval = milliseconds{800};
constexpr Duration between_targets = milliseconds{3};
constexpr Duration between_packets = std::chrono::microseconds{1'000'000 / packets_per_second};
constexpr Duration between_rounds = milliseconds{200};
constexpr std::array<milliseconds, 3> sample_schedule{milliseconds{0}, milliseconds{50},
                                                      milliseconds{150}};
constexpr Duration wait_for_better = milliseconds{200};
/// Through the own router, and not through the provider's to the peer's.
constexpr std::uint8_t inside_ttl = 2;
constexpr int confirmations = 2; ///< of which one may be lost
constexpr unsigned credit_per_probe = 3;

} // namespace

std::uint16_t Spray::port(std::uint32_t i) const
{
    // Any order without repetition will do against ports that are random themselves.
    const std::uint64_t n = std::max(count, 1U);
    std::uint64_t stride = 1;
    if (order == Order::random) {
        stride = n * 5 / 8;
        while (std::gcd(stride, n) != 1)
            ++stride;
    }
    const std::uint64_t place = i * stride % n;
    const auto offset = static_cast<std::int64_t>(place) * step;
    const auto port = static_cast<std::uint16_t>(first + offset);
    return port == 0 ? 1 : port;
}

Puncher::Puncher(PunchPlan plan, Instant now)
    : plan_{std::move(plan)}, fire_at_{never}, stop_at_{now + aim_limit}, latest_{now}
{
    if (plan_.samples)
        next_sample_ = now;
    if (!plan_.waits)
        load(now);
}

void Puncher::aim(Instant now, PunchTargets targets)
{
    if (!plan_.waits || is_over_)
        return;
    plan_.waits = false;
    plan_.targets = std::move(targets);
    load(now);
}

void Puncher::load(Instant now)
{
    PunchTargets& targets = plan_.targets;
    fire_at_ = now + targets.fire_in;
    stop_at_ = fire_at_ + plan_.time;
    std::ranges::stable_sort(targets.candidates, {}, &Candidate::kind);
    if (targets.candidates.size() > most_targets)
        targets.candidates.resize(most_targets);
    if (plan_.retry_ttl != 0) {
        const std::size_t count = plan_.sockets * targets.candidates.size();
        const Duration lead = std::min<Duration>(first_ttl_lead, targets.fire_in);
        if (plan_.first_ttl != 0)
            volleys_.push_back({.next = fire_at_ - lead, .left = count, .ttl = plan_.first_ttl});
        const Duration first = between_packets * static_cast<int>(count);
        volleys_.push_back({.next = fire_at_ + std::max(plan_.retry_after, first),
                            .left = count,
                            .ttl = plan_.retry_ttl});
        return;
    }
    if (targets.spray && targets.spray->count > 0 && !targets.spray->addresses.empty())
        volleys_.push_back({.next = fire_at_, .left = plan_.packets, .sprays = true});
    Instant first = fire_at_;
    for (const Candidate& candidate : targets.candidates) {
        if (target_of(candidate.address, 0) != nullptr)
            continue;
        const bool opens = plan_.first_ttl != 0 && candidate.kind != CandidateKind::host &&
                           targets.fire_in >= first_ttl_lead;
        targets_.push_back({.candidate = candidate,
                            .next = opens ? first - first_ttl_lead : first,
                            .opener_due = opens,
                            .rtt = {}});
        first += between_targets;
    }
}

Puncher::Target* Puncher::target_of(const SocketAddress& address, unsigned socket)
{
    const auto found = std::ranges::find_if(targets_, [&](const Target& target) {
        return target.socket == socket && target.candidate.address == address;
    });
    return found == targets_.end() ? nullptr : &*found;
}

Puncher::Target* Puncher::find_or_add(Instant now, const SocketAddress& address, unsigned socket)
{
    if (Target* known = target_of(address, socket))
        return known;
    if (targets_.size() == most_targets)
        return nullptr;
    targets_.push_back({.socket = socket,
                        .candidate = {address, CandidateKind::reflexive},
                        .next = now,
                        .rtt = {}});
    return &targets_.back();
}

void Puncher::sample(Instant now)
{
    transmits_.push_back({.probe = {.kind = wire::ProbeKind::sample, .seen = {}}, .to = {}});
    ++samples_;
    next_sample_ = samples_ < sample_schedule.size()
                       ? now + (sample_schedule[samples_] - sample_schedule[samples_ - 1])
                       : never;
}

void Puncher::send_punch(Instant now, const SocketAddress& to, unsigned socket, std::uint8_t ttl)
{
    if (punches_ == most_packets)
        return;
    ++punches_;
    sent_at_.emplace(++last_token_, now);
    transmits_.push_back(
        {{.kind = wire::ProbeKind::punch, .token = last_token_, .seen = to}, to, ttl, socket});
}

void Puncher::answer(wire::ProbeKind kind, std::uint32_t token, Target& target)
{
    if (answers_ == most_answers || !use_credit(target))
        return;
    ++answers_;
    const SocketAddress& to = target.candidate.address;
    transmits_.push_back({{.kind = kind, .token = token, .seen = to}, to, 0, target.socket});
}

/// For one packet. False: it may not be sent.
bool Puncher::use_credit(Target& target)
{
    if (!target.may_be_forged())
        return true;
    if (target.credit == 0)
        return false;
    --target.credit;
    return true;
}

void Puncher::fire(Instant now, Volley& volley)
{
    const std::size_t i = volley.sent++;
    --volley.left;
    volley.next += between_packets;
    if (!volley.sprays) {
        const auto& candidates = plan_.targets.candidates;
        send_punch(now, candidates[i % candidates.size()].address,
                   static_cast<unsigned>(i / candidates.size()), volley.ttl);
        return;
    }
    const Spray& spray = *plan_.targets.spray;
    const std::size_t round = spray.count * spray.addresses.size() * plan_.sockets;
    const std::size_t of_socket = i % (spray.count * spray.addresses.size());
    const auto socket = static_cast<unsigned>(i % round / (spray.count * spray.addresses.size()));
    send_punch(now,
               {spray.addresses[of_socket / spray.count],
                spray.port(static_cast<std::uint32_t>(of_socket % spray.count))},
               socket, volley.ttl);
    if ((i + 1) % round == 0)
        volley.next += between_rounds;
}

void Puncher::punch(Instant now, Target& target)
{
    if (!use_credit(target)) {
        target.next = never; // until it says more
        return;
    }
    const bool opens = std::exchange(target.opener_due, false);
    const bool is_near = target.candidate.kind == CandidateKind::inside;
    const std::uint8_t opener_ttl = is_near ? inside_ttl : plan_.first_ttl;
    send_punch(now, target.candidate.address, target.socket, opens ? opener_ttl : 0);
    if (opens) {
        target.next += first_ttl_lead;
        return;
    }
    ++target.sent;
    target.next = target.sent < schedule.size()
                      ? target.next + (schedule[target.sent] - schedule[target.sent - 1])
                      : target.next + last_interval;
}

void Puncher::handle_probe(Instant now, const wire::Probe& probe, const SocketAddress& from,
                           unsigned socket)
{
    latest_ = std::max(latest_, now);
    if (probe.kind != wire::ProbeKind::punch && probe.kind != wire::ProbeKind::answer &&
        probe.kind != wire::ProbeKind::confirm)
        return;
    Target* target = find_or_add(now, from, socket);
    if (target == nullptr)
        return;
    volleys_.clear(); // what they were looking for is found
    target->credit += credit_per_probe;
    if (target->next == never)
        target->next = now;
    if (probe.kind == wire::ProbeKind::punch)
        answer(wire::ProbeKind::answer, probe.token, *target);
    else if (probe.kind == wire::ProbeKind::answer)
        handle_answer(now, probe.token, *target);
    if (!plan_.is_client)
        tell(*target);
    handle_timeout(now);
}

void Puncher::handle_answer(Instant now, std::uint32_t token, Target& target)
{
    const auto sent = sent_at_.find(token);
    if (sent == sent_at_.end())
        return;
    if (!target.rtt)
        for (int i = 0; i < confirmations; ++i)
            answer(wire::ProbeKind::confirm, token, target);
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
    events_.emplace_back(Opened{target.candidate, target.rtt, target.socket});
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
    if (next_sample_ <= now)
        sample(now);
    for (Volley& volley : volleys_)
        while (volley.left > 0 && volley.next <= now)
            fire(now, volley);
    for (Target& target : targets_)
        while (!target.rtt && target.next <= now)
            punch(now, target);
}

std::optional<Puncher::Transmit> Puncher::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    const Transmit transmit = transmits_.front();
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
    Instant next = std::min({stop_at_, decide_at_, next_sample_});
    for (const Volley& volley : volleys_)
        if (volley.left > 0)
            next = std::min(next, volley.next);
    for (const Target& target : targets_)
        if (!target.rtt)
            next = std::min(next, target.next);
    return next;
}

} // namespace narrowlink::nat
