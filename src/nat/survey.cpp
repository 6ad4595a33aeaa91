// Theory of operation
//
// Goal: the Behaviour of one way to one node, within about one RTT and 300 ms for a common NAT.
//
// States and events
//   mapping     S1 → U0…U3, V0, V1, two rounds.
//     all arrived, or no more came      → allocation if the ports differ, else filtering
//     nothing, or only on the main port → done
//   allocation  twelve new sockets → U0…U3, one round.
//     all arrived, or no more came      → filtering
//   filtering   S2 → U0, two rounds. Each that arrives is answered from U1, and V0 if there is one.
//     report, or none                   → poisoning if U1 did not get through, else done
//   poisoning   S2 → U1, two rounds.
//     the first arrived, or none        → done
//
// Timers: of the current step only; see deadline().
//
// Data flow: what is expected in the current step is kept as evidence, once per pair of sockets;
// classify() judges it after the mapping step, to choose the next one, and again at the end.
//
// Limits: evidence is bounded by the pairs of sockets there are. FILTER packets go to mapped
// addresses of authenticated probes, four at most. The poison test is left out where it could say
// nothing: without NAT, with a mapping per port, when no FILTER packet was sent or it was let in.

#include "narrowlink/nat/survey.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace narrowlink::nat {
namespace {

using Purpose = SurveyStep::Purpose;

constexpr GatewaySocket main_port{.address = 0, .port = 0};
constexpr GatewaySocket uncontacted_port{.address = 0, .port = 1};
constexpr GatewaySocket uncontacted_address{.address = 1, .port = 0};

std::vector<GatewaySocket> ports_of(unsigned address, unsigned count)
{
    std::vector<GatewaySocket> sockets;
    for (unsigned port = 0; port < count; ++port)
        sockets.push_back({.address = address, .port = port});
    return sockets;
}

SurveyStep mapping_step(GatewayPorts gateway)
{
    SurveyStep step{.purpose = Purpose::mapping,
                    .first_socket = mapping_socket,
                    .to = ports_of(0, gateway.first),
                    .rounds = 2};
    const std::vector<GatewaySocket> second = ports_of(1, gateway.second);
    step.to.insert(step.to.end(), second.begin(), second.end());
    return step;
}

} // namespace

std::string_view to_string(Purpose purpose)
{
    switch (purpose) {
    case Purpose::mapping: return "mapping";
    case Purpose::allocation: return "allocation";
    case Purpose::filtering: return "filtering";
    case Purpose::poisoning: return "poisoning";
    case Purpose::lifetime: return "lifetime";
    }
    return "";
}

std::optional<Purpose> parse_purpose(std::string_view text)
{
    for (const Purpose purpose : {Purpose::mapping, Purpose::allocation, Purpose::filtering,
                                  Purpose::poisoning, Purpose::lifetime})
        if (text == to_string(purpose))
            return purpose;
    return std::nullopt;
}

Survey::Survey(Config config, Instant now) : config_{std::move(config)}
{
    // Four ports and two are what the method knows to use; more would only make more evidence.
    config_.gateway.first = std::min(config_.gateway.first, 4U);
    config_.gateway.second = std::min(config_.gateway.second, 2U);
    evidence_.gateway = config_.gateway;
    evidence_.own_addresses = std::move(config_.own_addresses);
    evidence_.remembered_ports = std::move(config_.remembered_ports);
    enter(now, mapping_step(config_.gateway));
}

void Survey::handle_probe(Instant now, const Observation& observation)
{
    if (!is_expected(observation))
        return;
    // Before the copies are sorted out: each round of S2 gets its FILTER packets.
    if (phase_ == Purpose::filtering)
        send_filter_packets(observation.seen);

    const auto is_copy = [&](const Observation& known) {
        return known.socket == observation.socket && known.at == observation.at;
    };
    if (std::ranges::any_of(evidence_.observations, is_copy))
        return;
    evidence_.observations.push_back(observation);
    heard_at_ = now;
    ++heard_;
    if (is_complete())
        advance(now);
}

void Survey::handle_filter_report(Instant now, const FilterReport& report)
{
    if (phase_ != Purpose::filtering)
        return;
    if (filter_rounds_ > 0) // else the node tells about packets that were never sent
        evidence_.filter_report = report;
    advance(now);
}

void Survey::handle_timeout(Instant now)
{
    if (now >= deadline())
        advance(now);
}

std::optional<Survey::Transmit> Survey::poll_transmit()
{
    if (transmits_.empty())
        return std::nullopt;
    const Transmit transmit = transmits_.front();
    transmits_.pop_front();
    return transmit;
}

std::optional<SurveyStep> Survey::poll_request()
{
    if (requests_.empty())
        return std::nullopt;
    std::optional<SurveyStep> request{std::move(requests_.front())};
    requests_.pop_front();
    return request;
}

std::optional<Survey::Finished> Survey::poll_event()
{
    if (events_.empty())
        return std::nullopt;
    std::optional<Finished> event{std::move(events_.front())};
    events_.pop_front();
    return event;
}

Instant Survey::deadline() const
{
    if (!phase_)
        return never;
    if (phase_ == Purpose::filtering)
        return entered_at_ + config_.report_limit;
    const Instant silent_at = entered_at_ + config_.silence_limit;
    if (!heard_at_)
        return silent_at;
    const Instant settled_at = *heard_at_ + config_.settle_time;
    const Instant due_at = phase_ == Purpose::mapping && !has_left_main_port()
                               ? std::max(silent_at, settled_at)
                               : settled_at;
    return std::min(due_at, entered_at_ + config_.step_limit);
}

bool Survey::is_expected(const Observation& observation) const
{
    return phase_ && observation.socket >= step_.first_socket &&
           observation.socket - step_.first_socket < step_.sockets &&
           std::ranges::find(step_.to, observation.at) != step_.to.end();
}

bool Survey::is_complete() const
{
    return phase_ != Purpose::filtering && heard_ == step_.sockets * step_.to.size();
}

bool Survey::has_left_main_port() const
{
    return std::ranges::any_of(evidence_.observations, [](const Observation& observation) {
        return observation.at.port != 0;
    });
}

void Survey::enter(Instant now, SurveyStep step)
{
    phase_ = step.purpose;
    entered_at_ = now;
    heard_at_.reset();
    heard_ = 0;
    requests_.push_back(step);
    step_ = std::move(step);
}

void Survey::advance(Instant now)
{
    if (!phase_)
        return;
    const Behaviour so_far = classify(evidence_);
    switch (*phase_) {
    case Purpose::mapping:
        if (so_far.reach != Reach::open)
            finish();
        else if (so_far.mapping == Mapping::address_and_port_dependent &&
                 so_far.allocation != Allocation::preserving)
            enter(now, {.purpose = Purpose::allocation,
                        .first_socket = first_sample_socket,
                        .sockets = sample_sockets,
                        .to = ports_of(0, config_.gateway.first)});
        else
            ask_for_filtering(now);
        return;
    case Purpose::allocation: ask_for_filtering(now); return;
    case Purpose::filtering: {
        const bool can_be_poisoned = so_far.mapping == Mapping::endpoint_independent ||
                                     so_far.mapping == Mapping::address_dependent;
        const bool let_in = evidence_.filter_report && evidence_.filter_report->from_port;
        if (!can_be_poisoned || filter_rounds_ == 0 || let_in ||
            !config_.gateway.contains(uncontacted_port)) {
            finish();
            return;
        }
        evidence_.poison_tested = true;
        enter(now, {.purpose = Purpose::poisoning,
                    .first_socket = filter_socket,
                    .to = {uncontacted_port},
                    .rounds = 2});
        return;
    }
    case Purpose::poisoning:
    case Purpose::lifetime: finish(); return; // the latter is not ours
    }
}

void Survey::ask_for_filtering(Instant now)
{
    enter(now, {.purpose = Purpose::filtering,
                .first_socket = filter_socket,
                .to = {main_port},
                .rounds = 2});
}

void Survey::send_filter_packets(SocketAddress to)
{
    if (filter_rounds_ == most_filter_rounds)
        return;
    ++filter_rounds_;
    for (const GatewaySocket from : {uncontacted_port, uncontacted_address})
        if (config_.gateway.contains(from))
            transmits_.push_back({.from = from, .to = to});
}

void Survey::finish()
{
    phase_.reset();
    std::set<SocketAddress> seen;
    for (const Observation& observation : evidence_.observations)
        seen.insert(observation.seen);
    events_.push_back(
        {.behaviour = classify(evidence_), .mapped_addresses = {seen.begin(), seen.end()}});
}

} // namespace narrowlink::nat
