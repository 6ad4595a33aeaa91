#include "narrowlink/direct/gateway_probes.hpp"

#include "narrowlink/nat/lifetime_survey.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace narrowlink::direct {
namespace {

using namespace std::chrono_literals;

/// Probes of all of the gateway's ports, then of the main one, so that the NAT keeps the mapping.
constexpr std::array<Duration, 3> first_intervals{100ms, 300ms, 600ms};

/// Then of the main one only, twice as long each time, until the gateway has heard where we are:
/// nothing is tried before that, and some of the first probes and their answers may have been lost.
constexpr Duration first_retry_interval = 300ms;

/// Who is seen at another address each time would send proof after proof.
constexpr Duration shortest_proof_interval = 100ms;
constexpr unsigned most_proofs = 3; ///< per address, as some may be lost
constexpr std::size_t most_proved = 16;

constexpr std::size_t most_answers = control::max_candidates * control::max_probe_ports;

/// Shows in the answer that the gateway has heard the cookie.
std::uint32_t token_of(std::uint64_t cookie)
{
    return static_cast<std::uint32_t>(cookie);
}

} // namespace

wire::ProbeSender probe_sender(control::Role role)
{
    return role == control::Role::client ? wire::ProbeSender::client : wire::ProbeSender::agent;
}

void GatewayProbes::observe(const control::Observe& message, const IpAddress& gateway)
{
    std::vector<IpAddress> addresses = message.addresses;
    if (addresses.empty())
        addresses.push_back(gateway);
    gateway_.emplace(Gateway{.channel = {message.channel, probe_sender(role_)},
                             .ports = message.ports,
                             .addresses = std::move(addresses),
                             .answers = {},
                             .retry_interval = first_retry_interval});
}

void GatewayProbes::handle_nat(const control::NatDescription& nat)
{
    if (nat.behaviour)
        lifetimes_[nat.family] = nat.behaviour->lifetime;
}

void GatewayProbes::start_over(Instant now)
{
    lifetimes_.clear();
    if (!gateway_)
        return;
    gateway_->rounds = 0;
    gateway_->proofs.clear();
    gateway_->proof_v4.is_heard = gateway_->proof_v6.is_heard = false;
    gateway_->retry_interval = first_retry_interval;
    gateway_->due = now;
}

bool GatewayProbes::is_overdue() const
{
    return gateway_ && gateway_->rounds > first_intervals.size();
}

std::map<SocketAddress, SocketAddress> GatewayProbes::answers() const
{
    return gateway_ ? gateway_->answers : std::map<SocketAddress, SocketAddress>{};
}

std::optional<SocketAddress> GatewayProbes::latest() const
{
    return gateway_ ? gateway_->latest : std::nullopt;
}

bool GatewayProbes::is_main_port(const SocketAddress& address) const
{
    return gateway_ && !gateway_->ports.empty() && address.port == gateway_->ports.front() &&
           std::ranges::find(gateway_->addresses, address.ip) != gateway_->addresses.end();
}

/// Where the gateway keeps from where it sees our main socket.
bool GatewayProbes::is_first_main_port(const SocketAddress& address) const
{
    const auto first = std::ranges::find(gateway_->addresses, address.ip.is_v4(), &IpAddress::is_v4);
    return is_main_port(address) && address.ip == *first;
}

bool GatewayProbes::is_channel(const wire::ProbeId& id) const
{
    return gateway_ && gateway_->channel.id() == id;
}

std::optional<wire::Probe> GatewayProbes::handle_probe(Instant now, const Socket& socket,
                                                       const SocketAddress& from, Bytes packet)
{
    const auto probe = gateway_->channel.open(packet);
    if (!probe)
        return std::nullopt;
    gateway_->answered = true;
    const bool is_main = socket.use == Socket::Use::main;
    if (probe->kind == wire::ProbeKind::observed && is_main && is_first_main_port(from)) {
        gateway_->latest = from;
        handle_observed(now, from.ip.is_v4(), *probe);
    } else if (probe->kind == wire::ProbeKind::observed) {
        prove_address(socket, from, *probe);
    }
    if (is_main && probe->seen && gateway_->answers.size() < most_answers)
        gateway_->answers.insert_or_assign(from, *probe->seen);
    return probe;
}

/// The main socket proves that it is where the gateway has sent the cookie.
void GatewayProbes::handle_observed(Instant now, bool v4, const wire::Probe& answer)
{
    Proof& proof = gateway_->proof(v4);
    if (proof.cookie != 0 && !proof.is_heard && answer.token == token_of(proof.cookie)) {
        proof.is_heard = true;
        if (gateway_->rounds > first_intervals.size() && is_placed())
            gateway_->due = std::max(gateway_->due, gateway_->sent_at + keep_alive_interval());
    }
    if (answer.cookie == 0 || answer.cookie == proof.cookie)
        return;
    proof = {.cookie = answer.cookie};
    gateway_->retry_interval = first_retry_interval;
    gateway_->due = std::min(gateway_->due, std::max(now, gateway_->may_prove_at));
    gateway_->may_prove_at = gateway_->due + shortest_proof_interval;
}

/// The gateway knows where each main socket is.
bool GatewayProbes::is_placed()
{
    return std::ranges::all_of(gateway_->addresses, [this](const IpAddress& ip) {
        return gateway_->proof(ip.is_v4()).is_heard || !sockets_->main(ip.is_v4());
    });
}

/// That we are at an external address which only some of our sockets have. Those that have to stay
/// idle prove nothing.
void GatewayProbes::prove_address(const Socket& socket, const SocketAddress& gateway,
                                  const wire::Probe& answer)
{
    const auto main = std::ranges::find_if(gateway_->answers, [&](const auto& seen) {
        return is_first_main_port(seen.first) && seen.first.ip.is_v4() == socket.v4;
    });
    if (answer.cookie == 0 || !answer.seen || main == gateway_->answers.end() ||
        main->second.ip == answer.seen->ip || socket.number >= nat::first_idle_socket)
        return;
    auto& proofs = gateway_->proofs;
    if (!proofs.contains(answer.seen->ip) && proofs.size() == most_proved)
        return;
    if (proofs[answer.seen->ip]++ < most_proofs)
        sockets_->send_probe(socket, gateway_->channel,
                             {.kind = wire::ProbeKind::survey,
                              .socket = static_cast<std::uint8_t>(socket.number),
                              .seen = {},
                              .cookie = answer.cookie},
                             gateway);
}

void GatewayProbes::send_survey_probe(const Socket& socket, nat::GatewaySocket to)
{
    if (!gateway_ || to.port >= gateway_->ports.size())
        return;
    unsigned address = 0;
    for (const IpAddress& ip : gateway_->addresses)
        if (ip.is_v4() == socket.v4 && address++ == to.address)
            sockets_->send_probe(socket, gateway_->channel,
                                 {.kind = wire::ProbeKind::survey,
                                  .socket = static_cast<std::uint8_t>(socket.number),
                                  .seen = {}},
                                 {ip, gateway_->ports[to.port]});
}

void GatewayProbes::send_sample(const Socket& socket, nat::ProbeChannel& channel,
                                const wire::Probe& probe)
{
    if (!gateway_ || gateway_->ports.empty())
        return;
    const auto ip = std::ranges::find(gateway_->addresses, socket.v4, &IpAddress::is_v4);
    if (ip != gateway_->addresses.end())
        sockets_->send_probe(socket, channel, probe, {*ip, gateway_->ports.front()});
}

void GatewayProbes::handle_timeout(Instant now)
{
    if (!gateway_ || now < gateway_->due)
        return;
    const bool all = gateway_->rounds < first_intervals.size();
    const std::size_t most = all ? control::max_probe_ports : 1;
    const std::span ports{gateway_->ports};
    for (const std::uint16_t port : ports.first(std::min(most, ports.size())))
        for (const IpAddress& ip : gateway_->addresses)
            if (const auto& socket = sockets_->main(ip.is_v4())) {
                const std::uint64_t cookie = gateway_->proof(ip.is_v4()).cookie;
                sockets_->send_probe(*socket, gateway_->channel,
                                     {.kind = wire::ProbeKind::survey,
                                      .token = token_of(cookie),
                                      .seen = {},
                                      .cookie = cookie},
                                     {ip, port});
            }
    Duration interval = keep_alive_interval();
    if (all) {
        interval = first_intervals[gateway_->rounds];
    } else if (!is_placed()) {
        interval = std::min(interval, gateway_->retry_interval);
        gateway_->retry_interval = 2 * interval;
    }
    gateway_->sent_at = now;
    gateway_->due = now + interval;
    ++gateway_->rounds;
}

/// Between probes to the gateway once it knows everything: no mapping may end meanwhile.
Duration GatewayProbes::keep_alive_interval() const
{
    Duration shortest = nat::keep_alive_interval({});
    if (!lifetimes_.empty())
        shortest = Duration::max();
    for (const auto& [family, lifetime] : lifetimes_)
        shortest = std::min(shortest, nat::keep_alive_interval(lifetime));
    return shortest;
}

} // namespace narrowlink::direct
