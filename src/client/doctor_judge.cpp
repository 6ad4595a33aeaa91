#include "doctor.hpp"
#include "narrowlink/nat/port_lease.hpp"
#include "narrowlink/nat/technique.hpp"

#include <algorithm>
#include <array>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

namespace narrowlink::client {
namespace {

using io::WebFailure;

constexpr std::chrono::seconds tolerated_clock_error{60};
constexpr std::chrono::days token_notice{7};

/// QUIC's least datagram (RFC 9000 §14.1) with the headers of UDP and IPv6.
constexpr unsigned least_mtu = 1'200 + 8 + 40;
constexpr unsigned usual_mtu = 1'280; // RFC 8200 §5: what every IPv6 link carries

Check make(std::string name, Verdict verdict, std::string finding, std::string remedy = {})
{
    return {.name = std::move(name),
            .verdict = verdict,
            .finding = std::move(finding),
            .remedy = std::move(remedy)};
}

Check skip(std::string name, std::string_view because)
{
    return make(std::move(name), Verdict::skipped, fmt::format("not checked: {}", because));
}

Check configuration(const DoctorFacts& facts)
{
    if (!facts.configuration_trouble.empty())
        return make("configuration", Verdict::failed, facts.configuration_trouble,
                    "mend that and run doctor again; nothing else can be checked before");
    const std::string file =
        facts.configuration_file ? *facts.configuration_file : "no client.yaml, so all defaults";
    return make("configuration", Verdict::ok,
                fmt::format("{}; state in {}; gateway {}{}", file, facts.state,
                            to_string(facts.gateway), facts.tls ? "" : " without TLS"));
}

Check name(const DoctorFacts& facts)
{
    if (!facts.name_trouble.empty())
        return make(
            "name", Verdict::failed,
            fmt::format("{} cannot be resolved: {}", facts.gateway.host, facts.name_trouble),
            "check the spelling in the join string and this machine's name servers "
            "(/etc/resolv.conf)");
    if (IpAddress::parse(facts.gateway.host))
        return make("name", Verdict::ok, "the gateway is known by its address, no name is needed");
    std::vector<std::string> addresses;
    for (const DoctorFacts::Dialled& dialled : facts.dialled)
        addresses.push_back(narrowlink::to_string(dialled.ip));
    return make("name", Verdict::ok,
                fmt::format("{} is {}", facts.gateway.host, fmt::join(addresses, ", ")));
}

Check tcp_port(const DoctorFacts& facts)
{
    if (facts.dialled.empty())
        return skip("tcp", "no address is known");
    std::vector<std::string> good, bad;
    for (const DoctorFacts::Dialled& dialled : facts.dialled) {
        const std::string at = narrowlink::to_string(SocketAddress{dialled.ip, facts.gateway.port});
        if (dialled.took)
            good.push_back(
                fmt::format("{} connects in {:.1f} ms", at,
                            std::chrono::duration<double, std::milli>(*dialled.took).count()));
        else
            bad.push_back(fmt::format("{}: {}", at, dialled.trouble));
    }
    const std::string remedy = fmt::format(
        "check that the gateway runs, that port {} is its own, and the firewalls on the way",
        facts.gateway.port);
    if (good.empty())
        return make("tcp", Verdict::failed, fmt::format("{}", fmt::join(bad, "; ")), remedy);
    if (!bad.empty())
        return make("tcp", Verdict::warning,
                    fmt::format("{}; but {}", fmt::join(good, "; "), fmt::join(bad, "; ")),
                    "each new connection may try an address in vain: mend the gateway there, or "
                    "remove the address from the name");
    return make("tcp", Verdict::ok, fmt::format("{}", fmt::join(good, "; ")));
}

Check certificate(const DoctorFacts& facts)
{
    if (!facts.door)
        return skip("tls", "there is no TCP connection");
    if (!facts.tls)
        return make("tls", Verdict::warning, "this client is configured to do without TLS",
                    "use a wss:// join string, unless the network up to a proxy is your own");
    const DoctorFacts::Door& door = *facts.door;
    if (!door.failure || *door.failure == WebFailure::not_a_gateway)
        return make("tls", Verdict::ok,
                    facts.pinned ? "the gateway has the key that the join string names"
                                 : "the certificate is trusted by this system's authorities");
    if (*door.failure == WebFailure::tls_pin_mismatch)
        return make("tls", Verdict::failed,
                    "another key answers than the one that the join string names: the gateway has "
                    "a new one, or a proxy or somebody else sits in between",
                    "compare with a new join string of the gateway's owner; on networks that "
                    "inspect TLS ask for an exception");
    return make("tls", Verdict::failed, door.sentence,
                *door.failure == WebFailure::tls_not_trusted
                    ? "renew the gateway's certificate, or on networks that inspect TLS ask for an "
                      "exception"
                    : "check that the port is the gateway's HTTPS port and that nothing in between "
                      "interferes");
}

Check clock(const DoctorFacts& facts)
{
    if (!facts.door || !facts.door->clock_ahead)
        return skip("clock", "the gateway has not said what time it has");
    const std::chrono::seconds ahead = *facts.door->clock_ahead;
    const auto off = std::chrono::abs(ahead);
    if (off <= tolerated_clock_error)
        return make(
            "clock", Verdict::ok,
            fmt::format("within {} s of the gateway's", std::max<std::int64_t>(off.count(), 1)));
    return make("clock", Verdict::warning,
                fmt::format("this machine's clock is {} s {} the gateway's", off.count(),
                            ahead.count() > 0 ? "ahead of" : "behind"),
                "set both clocks, best by NTP (timedatectl set-ntp true): certificates and tokens "
                "have dates");
}

Check session(const DoctorFacts& facts)
{
    if (!facts.session)
        return skip("session", "there is no connection to the gateway");
    if (!facts.session->trouble.empty())
        return make("session", Verdict::failed, facts.session->trouble,
                    facts.session->token_refused
                        ? "ask the gateway's owner for a new join string and give it to "
                          "`narrowlink-client join`"
                        : "check that host, port and path are the gateway's, and that a proxy in "
                          "between passes WebSockets on");
    const std::string who = fmt::format("the gateway knows this client as {} of user {}",
                                        facts.session->name, facts.session->user);
    if (!facts.token_expires)
        return make("session", Verdict::ok, who);
    const std::string until = fmt::format(
        "{:%Y-%m-%d %H:%M}", fmt::gmtime(facts.token_expires->time_since_epoch().count()));
    if (*facts.token_expires - facts.now < token_notice)
        return make("session", Verdict::warning,
                    fmt::format("{}; its token expires at {} UTC", who, until),
                    "ask the gateway's owner for a new join string in time");
    return make("session", Verdict::ok, fmt::format("{}, until {} UTC", who, until));
}

std::string_view label(control::Family family)
{
    return family == control::Family::v4 ? "ipv4" : "ipv6";
}

Check udp(const DoctorFacts::Probed& probed)
{
    const std::string check = fmt::format("udp-{}", label(probed.family));
    std::vector<std::string> silent;
    for (const SocketAddress& to : probed.asked)
        if (std::ranges::find(probed.answered, to) == probed.answered.end())
            silent.push_back(narrowlink::to_string(to));
    if (silent.empty())
        return make(check, Verdict::ok,
                    fmt::format("all {} probe ports of the gateway answer", probed.asked.size()));
    if (probed.answered.empty())
        return make(check, Verdict::warning,
                    "UDP is blocked: no probe port of the gateway answers, so everything stays on "
                    "the relay",
                    fmt::format("let UDP out of this network, and into the gateway's, to {}",
                                fmt::join(silent, ", ")));
    return make(check, Verdict::warning,
                fmt::format("{} of {} probe ports of the gateway answer; {} do not",
                            probed.answered.size(), probed.asked.size(), fmt::join(silent, ", ")),
                "let UDP through to these as well, at both ends: with fewer, less is found out "
                "about NATs");
}

bool maps_port(const DoctorFacts& facts)
{
    if (!facts.router)
        return false;
    return std::ranges::any_of(facts.router->asked, [&](const DoctorFacts::Asked& asked) {
        return asked.answer && asked.answer->external != 0 &&
               std::ranges::any_of(facts.probed, [&](const DoctorFacts::Probed& probed) {
                   return probed.seen == asked.answer->external_ip;
               });
    });
}

Check nat_kind(const DoctorFacts& facts, const DoctorFacts::Probed& probed)
{
    const std::string check = fmt::format("nat-{}", label(probed.family));
    if (probed.nat.empty())
        return skip(check, "the gateway has not surveyed it in time");
    if (!probed.behaviour)
        return make(check, Verdict::ok, probed.nat);
    const Reachable peers = reachable_peers(*probed.behaviour);
    if (peers.yes.empty())
        return make(check, Verdict::warning,
                    fmt::format("{}: no direct path to anybody", probed.nat),
                    "let UDP out of this network to all ports");
    if (peers.no.empty())
        return make(check, Verdict::ok, fmt::format("{}: direct paths to all peers", probed.nat));
    const std::string finding =
        fmt::format("{}: direct paths to peers {}, not to those {}", probed.nat,
                    fmt::join(peers.yes, " and "), fmt::join(peers.no, " or "));
    if (probed.family == control::Family::v4 && maps_port(facts))
        return make(check, Verdict::ok,
                    fmt::format("{}; with the router's port mapping to all", finding));
    return make(check, Verdict::warning, finding,
                "switch on NAT-PMP, PCP or UPnP in the router, use IPv6 at both ends, or leave it "
                "to the relay");
}

std::string_view name_of(PortMappingProtocol protocol)
{
    switch (protocol) {
    case PortMappingProtocol::nat_pmp: return "NAT-PMP";
    case PortMappingProtocol::pcp: return "PCP";
    case PortMappingProtocol::upnp: return "UPnP";
    }
    return "";
}

Check port_mapping(const DoctorFacts& facts)
{
    if (!facts.router)
        return skip("port-mapping", "there is no session with the gateway");
    const DoctorFacts::Router& router = *facts.router;
    if (router.mode == PortMappingMode::off)
        return make("port-mapping", Verdict::ok,
                    "switched off in the configuration (port_mapping: off)");
    if (!router.address)
        return make("port-mapping", Verdict::ok,
                    "no NAT stands before this machine in its own "
                    "network, so none is needed");
    std::vector<std::string> good, bad;
    std::optional<IpAddress> external;
    for (const DoctorFacts::Asked& asked : router.asked) {
        if (asked.answer && asked.answer->external != 0) {
            good.emplace_back(name_of(asked.protocol));
            external = asked.answer->external_ip;
        } else {
            bad.push_back(fmt::format("{} {}", name_of(asked.protocol),
                                      asked.answer ? "refuses" : "does not answer"));
        }
    }
    const std::string who = narrowlink::to_string(*router.address);
    if (!external)
        return make("port-mapping", Verdict::warning,
                    fmt::format("the router {} forwards no port: {}", who, fmt::join(bad, ", ")),
                    "direct paths work without it to most peers; for the others switch on NAT-PMP, "
                    "PCP or UPnP in the router");
    const std::string finding =
        fmt::format("the router {} forwards ports over {}", who, fmt::join(good, " and "));
    if (maps_port(facts))
        return make("port-mapping", Verdict::ok, finding);
    return make("port-mapping", Verdict::warning,
                fmt::format("{}, but at {}, which is not where the gateway sees this machine: "
                            "there is a second NAT",
                            finding, narrowlink::to_string(*external)),
                "set the provider's modem to bridge mode, or ask the provider for a public "
                "address");
}

Check path_mtu(const DoctorFacts& facts)
{
    if (!facts.path)
        return skip("mtu", "there is no session with the gateway");
    if (!facts.path->mtu)
        return make(
            "mtu", Verdict::warning,
            fmt::format("the kernel knows no path for UDP to the gateway: {}", facts.path->trouble),
            "check routes and firewalls of this machine");
    const unsigned mtu = *facts.path->mtu;
    const std::string finding = fmt::format(
        "{} bytes towards the gateway, as far as routers say so (silent losses are not seen)", mtu);
    if (mtu >= usual_mtu)
        return make("mtu", Verdict::ok, finding);
    return make("mtu", mtu >= least_mtu ? Verdict::warning : Verdict::failed,
                finding + (mtu >= least_mtu ? "" : "; direct paths need 1,248"),
                "raise the MTU of the VPN or tunnel that this machine's packets go through");
}

Check proxies(const DoctorFacts& facts)
{
    const bool intercepted = facts.door && (facts.door->failure == WebFailure::tls_pin_mismatch ||
                                            facts.door->failure == WebFailure::tls_not_trusted);
    if (intercepted)
        return make("proxy", Verdict::failed,
                    "what answers has a certificate that is not the gateway's, as a proxy that "
                    "inspects TLS does",
                    "ask who runs this network for an exception, or use another network");
    if (!facts.proxy_variables.empty())
        return make("proxy", Verdict::warning,
                    fmt::format("{} is set; Narrowlink connects without a proxy",
                                fmt::join(facts.proxy_variables, ", ")),
                    facts.door && !facts.door->failure
                        ? "nothing, as long as the gateway is reached without one, as it is now"
                        : "let connections to the gateway out of this network without the proxy");
    if (!facts.door)
        return skip("proxy", "there is no TCP connection");
    return make("proxy", Verdict::ok,
                "none is configured, and none answers in the gateway's place");
}

Check status_socket(const DoctorFacts& facts)
{
    if (!facts.status_trouble)
        return skip("status", "the state directory cannot be used");
    if (facts.status_trouble->empty())
        return make("status", Verdict::ok,
                    "clients on this machine can tell `status` what they do");
    return make("status", Verdict::warning,
                fmt::format("clients cannot tell `status` what they do: {}", *facts.status_trouble),
                fmt::format("check owner, mode and space of {}/run", facts.state));
}

} // namespace

Reachable reachable_peers(const nat::Behaviour& own)
{
    using nat::Allocation, nat::Behaviour, nat::Filtering, nat::Mapping, nat::Reach;
    const Behaviour none{
        .reach = Reach::open, .mapping = Mapping::none, .filtering = Filtering::none};
    const Behaviour home{.reach = Reach::open,
                         .mapping = Mapping::endpoint_independent,
                         .filtering = Filtering::address_and_port_dependent,
                         .allocation = Allocation::preserving};
    Behaviour counting{.reach = Reach::open,
                       .mapping = Mapping::address_and_port_dependent,
                       .filtering = Filtering::address_and_port_dependent,
                       .allocation = Allocation::sequential,
                       .delta = 1};
    Behaviour random = counting;
    random.allocation = Allocation::random;
    random.delta = 0;
    const std::array<std::pair<std::string_view, Behaviour>, 4> kinds{{
        {"without a NAT or with a port mapping", none},
        {"behind ordinary NATs", home},
        {"behind NATs that count ports", counting},
        {"behind NATs that choose ports at random", random},
    }};
    Reachable peers;
    for (const auto& [kind, peer] : kinds)
        (nat::choose(own, peer).empty() ? peers.no : peers.yes).push_back(kind);
    return peers;
}

std::vector<Check> judge(const DoctorFacts& facts)
{
    std::vector<Check> checks{configuration(facts)};
    if (!facts.configuration_trouble.empty())
        return checks;
    checks.push_back(name(facts));
    checks.push_back(tcp_port(facts));
    checks.push_back(certificate(facts));
    checks.push_back(clock(facts));
    checks.push_back(session(facts));
    if (!facts.session || !facts.session->trouble.empty()) {
        checks.push_back(skip("udp", "there is no session with the gateway"));
        checks.push_back(skip("nat", "there is no session with the gateway"));
    } else if (!facts.session->has_probe_service) {
        checks.push_back(make("udp", Verdict::warning,
                              "the gateway has no probe service, so there are no direct paths",
                              "set udp.enabled in the gateway's configuration, or update it"));
        checks.push_back(skip("nat", "the gateway has no probe service"));
    } else if (facts.probed.empty()) {
        checks.push_back(make("udp", Verdict::warning,
                              "this machine has no address of a family in which the gateway has one, so there "
                              "are no direct paths",
                              "give the gateway's udp.addresses one of this machine's family (IPv4 or IPv6)"));
        checks.push_back(skip("nat", "the gateway is not reached over UDP"));
    } else {
        for (const DoctorFacts::Probed& probed : facts.probed)
            checks.push_back(udp(probed));
        for (const DoctorFacts::Probed& probed : facts.probed)
            checks.push_back(nat_kind(facts, probed));
    }
    checks.push_back(port_mapping(facts));
    checks.push_back(path_mtu(facts));
    checks.push_back(proxies(facts));
    checks.push_back(status_socket(facts));
    return checks;
}

} // namespace narrowlink::client
