// Theory of operation
//
// Goal: name what stands between node and gateway in the words of RFC 4787, from what the gateway
// itself has seen. Only the local port, the own addresses and the filter report come from the node.
//
//   S1 → U0…U3, V0, V1   reach, mapping, hops; ports preserved or not; no NAT at all
//   12 sockets → U0…U3   allocation, if S1 showed address-and-port-dependent mapping
//   S2 → U0              filtering, by what then arrives from U1 and V0
//   S2 → U1              poison: has the unsolicited packet from U1 changed the mapping towards it?
//
// Samples are put in the order in which the node sent them, not in which they arrived: the network
// between NAT and gateway may reorder, and deltas would suffer.
//
// A block is estimated from n samples with a margin of 4 gaps on either side (span · 4/n, a twelfth
// of the span for 48). The true border is further out in exp(-4), 2 % of the cases; a quarter of
// the span further out it is in 2e-5, and a remembered port from there belongs to another block. A
// port remembered from an earlier survey counts as a sample, so the margins become small.
//
// Limits: from one address of the gateway, EIM and ADM look alike, and so do EIF and ADF. No test
// tells a NAT that preserves ports from no NAT except the node's own addresses.

#include "narrowlink/nat/classify.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>

namespace narrowlink::nat {
namespace {

constexpr std::size_t least_samples = 12;
constexpr int largest_delta = 16;
constexpr int widest_block = 4'096;
constexpr int margin_in_gaps = 4;

/// First copies of the probes of one socket, by where they arrived: the order of sending.
using Arrivals = std::map<GatewaySocket, Observation>;

Arrivals arrivals_of(const Evidence& evidence, unsigned socket)
{
    Arrivals arrivals;
    for (const Observation& observation : evidence.observations)
        if (observation.socket == socket && evidence.gateway.contains(observation.at))
            arrivals.emplace(observation.at, observation);
    return arrivals;
}

Reach reach_of(const Arrivals& arrivals, GatewayPorts gateway)
{
    if (arrivals.empty())
        return Reach::blocked;
    const bool only_main =
        std::ranges::all_of(arrivals, [](const auto& arrival) { return arrival.first.port == 0; });
    return only_main && gateway.first > 1 ? Reach::main_port_only : Reach::open;
}

bool is_untranslated(const Arrivals& arrivals, const std::vector<IpAddress>& own_addresses)
{
    return !arrivals.empty() && std::ranges::all_of(arrivals, [&](const auto& arrival) {
        const Observation& observation = arrival.second;
        return observation.seen.port == observation.local_port &&
               std::ranges::find(own_addresses, observation.seen.ip) != own_addresses.end();
    });
}

bool preserves_ports(const Arrivals& arrivals)
{
    return !arrivals.empty() && std::ranges::all_of(arrivals, [](const auto& arrival) {
        return arrival.second.seen.port == arrival.second.local_port;
    });
}

void classify_mapping(const Arrivals& arrivals, Behaviour& behaviour)
{
    std::array<std::set<SocketAddress>, 2> seen;
    for (const auto& [at, observation] : arrivals)
        seen[at.address].insert(observation.seen);

    const bool from_two_addresses = !seen[0].empty() && !seen[1].empty();
    const bool same_for_all_ports = seen[0].size() <= 1 && seen[1].size() <= 1;
    const bool same_for_all_addresses = !from_two_addresses || seen[0] == seen[1];
    if (arrivals.size() < 2)
        behaviour.mapping = Mapping::unknown;
    else if (same_for_all_ports && same_for_all_addresses)
        behaviour.mapping = Mapping::endpoint_independent;
    else if (same_for_all_ports && arrivals.size() > 2)
        behaviour.mapping = Mapping::address_dependent;
    else // with one port of each address it has not been seen that the port does not matter
        behaviour.mapping = Mapping::address_and_port_dependent;
    behaviour.mapping_is_a_guess =
        behaviour.mapping == Mapping::endpoint_independent && !from_two_addresses;
}

std::vector<std::uint16_t> sampled_ports(const Evidence& evidence)
{
    std::map<std::pair<unsigned, GatewaySocket>, std::uint16_t> by_order;
    for (const Observation& observation : evidence.observations)
        if (observation.socket >= first_sample_socket &&
            observation.socket < first_sample_socket + sample_sockets &&
            evidence.gateway.contains(observation.at))
            by_order.emplace(std::pair{observation.socket, observation.at}, observation.seen.port);

    std::vector<std::uint16_t> ports;
    ports.reserve(by_order.size());
    for (const auto& [order, port] : by_order)
        ports.push_back(port);
    return ports;
}

void classify_allocation(const Evidence& evidence, const Arrivals& arrivals, Behaviour& behaviour)
{
    if (preserves_ports(arrivals)) {
        behaviour.allocation = Allocation::preserving;
        return;
    }
    if (behaviour.mapping != Mapping::address_and_port_dependent)
        return;
    const PortPattern pattern = classify_ports(sampled_ports(evidence), evidence.remembered_ports);
    behaviour.allocation = pattern.allocation;
    behaviour.delta = pattern.delta;
    behaviour.block_first = pattern.first;
    behaviour.block_last = pattern.last;
}

void classify_filtering(const Evidence& evidence, Behaviour& behaviour)
{
    if (!evidence.filter_report)
        return;
    const FilterReport& report = *evidence.filter_report;
    const bool has_second = evidence.gateway.second > 0;
    const bool translated = behaviour.mapping != Mapping::none;
    if (report.from_address && has_second) {
        behaviour.filtering = translated ? Filtering::endpoint_independent : Filtering::none;
    } else if (report.from_port) {
        // A host without NAT that lets other ports in has hardly a firewall that looks at
        // addresses.
        behaviour.filtering =
            translated || has_second ? Filtering::address_dependent : Filtering::none;
        behaviour.filtering_is_a_guess = !has_second;
    } else if (report.answered) {
        behaviour.filtering = Filtering::address_and_port_dependent;
    }
}

/// Compares the mapped addresses of S2 before and after the unsolicited packet.
void classify_poison(const Evidence& evidence, const Arrivals& arrivals, Behaviour& behaviour)
{
    const bool same_for_all_ports = behaviour.mapping == Mapping::endpoint_independent ||
                                    behaviour.mapping == Mapping::address_dependent;
    const auto before = arrivals.find(GatewaySocket{.address = 0, .port = 0});
    if (!same_for_all_ports || !evidence.poison_tested || before == arrivals.end())
        return;
    const auto after = arrivals.find(GatewaySocket{.address = 0, .port = 1});
    const bool let_in = evidence.filter_report && evidence.filter_report->from_port;
    if (after == arrivals.end()) {
        behaviour.poisonable = !let_in;
    } else if (after->second.seen.ip != before->second.seen.ip) {
        // A pool that gave S1 the same address each time, by chance.
        behaviour.mapping = Mapping::address_and_port_dependent;
        behaviour.mapping_is_a_guess = false;
    } else {
        behaviour.poisonable = after->second.seen.port != before->second.seen.port;
    }
}

bool has_address_pool(const Evidence& evidence)
{
    std::set<IpAddress> addresses;
    for (const Observation& observation : evidence.observations)
        addresses.insert(observation.seen.ip);
    return addresses.size() > 1;
}

unsigned first_hops(const Arrivals& arrivals)
{
    for (const auto& [at, observation] : arrivals)
        if (observation.ttl != 0)
            return hops_of(observation.ttl);
    return 0;
}

/// The delta most of `ports` differ by; 0 if there is none that a prediction could use.
int usual_delta(std::span<const std::uint16_t> ports)
{
    std::map<int, std::size_t> counts;
    for (std::size_t i = 1; i < ports.size(); ++i)
        ++counts[ports[i] - ports[i - 1]];
    const auto usual = std::ranges::max_element(
        counts, {}, [](const std::pair<const int, std::size_t>& count) { return count.second; });
    const bool is_usual = usual->second * 10 >= (ports.size() - 1) * 7;
    return is_usual && std::abs(usual->first) <= largest_delta ? usual->first : 0;
}

} // namespace

PortPattern classify_ports(std::span<const std::uint16_t> ports,
                           std::span<const std::uint16_t> remembered)
{
    if (ports.size() < least_samples)
        return {};
    if (const int delta = usual_delta(ports); delta != 0)
        return {.allocation = Allocation::sequential, .delta = delta};

    int least = std::ranges::min(ports);
    int most = std::ranges::max(ports);
    const int span = most - least;
    if (span >= widest_block)
        return {.allocation = Allocation::random};

    std::set<std::uint16_t> distinct; // a port that is remembered twice is no news
    for (const std::uint16_t port : remembered)
        if (port >= least - span / 4 && port <= most + span / 4)
            distinct.insert(port);
    if (!distinct.empty()) {
        least = std::min<int>(least, *distinct.begin());
        most = std::max<int>(most, *distinct.rbegin());
    }
    const int samples = static_cast<int>(ports.size() + distinct.size());
    const int margin = (most - least) * margin_in_gaps / samples;
    return {.allocation = Allocation::block,
            .first = static_cast<std::uint16_t>(std::max(least - margin, 1)),
            .last = static_cast<std::uint16_t>(std::min(most + margin, 65'535))};
}

unsigned hops_of(std::uint8_t ttl)
{
    if (ttl == 0)
        return 0;
    const unsigned initial = ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;
    return initial - ttl;
}

Behaviour classify(const Evidence& evidence)
{
    const Arrivals mapping_arrivals = arrivals_of(evidence, mapping_socket);
    const Arrivals filter_arrivals = arrivals_of(evidence, filter_socket);

    Behaviour behaviour;
    behaviour.reach = reach_of(mapping_arrivals, evidence.gateway);
    if (behaviour.reach == Reach::blocked)
        return behaviour;
    behaviour.hops = first_hops(mapping_arrivals);
    behaviour.address_pool = has_address_pool(evidence);
    if (is_untranslated(mapping_arrivals, evidence.own_addresses))
        behaviour.mapping = Mapping::none;
    else
        classify_mapping(mapping_arrivals, behaviour);
    classify_poison(evidence, filter_arrivals, behaviour);
    classify_filtering(evidence, behaviour);
    classify_allocation(evidence, mapping_arrivals, behaviour);
    return behaviour;
}

} // namespace narrowlink::nat
