#include "narrowlink/config/gateway_config.hpp"

#include "narrowlink/config/section.hpp"

#include <charconv>
#include <utility>

namespace narrowlink::config {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kib = 1'024;
constexpr std::size_t mib = 1'024 * kib;

Located<SocketAddress> read_listen(Section& section, std::string_view key)
{
    const auto address = section.socket_address(key);
    if (!address && !section.has(key))
        section.report(key, "is required");
    return {address.value_or(SocketAddress{}), section.where(key)};
}

std::optional<Located<std::filesystem::path>> read_path(Section& section, std::string_view key)
{
    auto path = section.file_path(key);
    if (!path)
        return std::nullopt;
    return Located<std::filesystem::path>{std::move(*path), section.where(key)};
}

Located<std::filesystem::path> read_required_path(Section& section, std::string_view key)
{
    auto path = read_path(section, key);
    if (!path && !section.has(key))
        section.report(key, "is required");
    return std::move(path).value_or(Located<std::filesystem::path>{});
}

std::variant<SelfSigned, CertificateFiles> read_tls(Section& service)
{
    auto section = service.tagged_section("tls_config");
    if (!section)
        return SelfSigned{};
    std::variant<SelfSigned, CertificateFiles> tls;
    if (section->tag() == "!File") {
        CertificateFiles files;
        files.certificate = read_required_path(*section, "cert_path");
        files.key = read_required_path(*section, "key_path");
        tls = std::move(files);
    } else if (section->tag() != "!SelfSigned") {
        section->report_tag({"!File", "!SelfSigned"});
        return tls; // its keys belong to a kind that we do not know
    }
    section->finish();
    return tls;
}

std::optional<Service> read_service(Section section)
{
    std::optional<Service> service;
    if (section.tag() == "!Wss") {
        WssService wss;
        wss.listen = read_listen(section, "listen_addr");
        wss.domains = section.strings("domains");
        wss.tls = read_tls(section);
        service = std::move(wss);
    } else if (section.tag() == "!Ws") {
        service = WsService{read_listen(section, "listen_addr")};
    } else {
        section.report_tag({"!Wss", "!Ws"});
        return std::nullopt;
    }
    section.finish();
    return service;
}

std::vector<Service> read_services(Section& root)
{
    std::vector<Service> services;
    if (const auto listen = root.socket_address("listen"))
        services.emplace_back(WssService{{*listen, root.where("listen")}, {}, SelfSigned{}});
    if (const auto listen = root.socket_address("listen_plain"))
        services.emplace_back(WsService{{*listen, root.where("listen_plain")}});
    for (Section& section : root.tagged_sections("services"))
        if (auto service = read_service(std::move(section)))
            services.push_back(std::move(*service));
    return services;
}

GatewayLimits read_limits(Section& root)
{
    GatewayLimits limits;
    Section section = root.section("limits");
    const auto count = [&](std::string_view key, std::size_t fallback) {
        return section.integer<std::size_t>(key, fallback, 1, 1'000'000);
    };
    limits.connections = count("connections", limits.connections);
    limits.unauthenticated = count("unauthenticated", limits.unauthenticated);
    limits.unauthenticated_per_address =
        count("unauthenticated_per_address", limits.unauthenticated_per_address);
    limits.connections_per_second_per_address =
        count("connections_per_second_per_address", limits.connections_per_second_per_address);
    limits.sessions_per_user = count("sessions_per_user", limits.sessions_per_user);
    limits.pairs_per_client = count("pairs_per_client", limits.pairs_per_client);
    limits.queue_time = section.duration("queue_time", limits.queue_time, 1ms, 10s);
    limits.queue_most = section.size("queue_most", limits.queue_most, 64 * kib, 1'024 * mib);
    limits.handshake_timeout =
        section.duration("handshake_timeout", limits.handshake_timeout, 1s, 2min);
    limits.messages_per_second = count("messages_per_second", limits.messages_per_second);
    section.finish();
    return limits;
}

std::optional<std::uint16_t> parse_port(const std::string& text)
{
    std::uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    if (error != std::errc{} || stop != end || port == 0)
        return std::nullopt;
    return port;
}

ProbeConfig read_probes(Section& root)
{
    constexpr std::size_t most_ports = 7; // what one control message lists, and the main one
    ProbeConfig probes;
    Section section = root.section("udp");
    probes.enabled = section.boolean("enabled", probes.enabled);
    if (const auto texts = section.strings("probe_ports"); section.has("probe_ports")) {
        probes.further_ports.clear();
        for (const std::string& text : texts)
            if (const auto port = parse_port(text); port && probes.further_ports.size() < most_ports)
                probes.further_ports.push_back(*port);
            else
                section.report("probe_ports", "expected at most 7 ports, 1 to 65535");
    }
    for (const std::string& text : section.strings("addresses")) {
        if (const auto ip = IpAddress::parse(text))
            probes.addresses.push_back(*ip);
        else
            section.report("addresses", "\"" + text + "\" is no IP address");
    }
    section.finish();
    return probes;
}

GatewayConfig read(Section& root)
{
    GatewayConfig config;
    config.state = read_path(root, "state");
    if (auto address = root.host_port("public"))
        config.public_address = {std::move(*address), root.where("public")};
    config.services = read_services(root);
    config.secret = read_path(root, "secret_path");
    config.trusted_proxies = root.prefixes("trusted_proxies");
    config.threads = root.integer<std::size_t>("threads", config.threads, 0, 256);
    config.site = read_path(root, "site");
    config.probes = read_probes(root);
    config.limits = read_limits(root);
    config.resume_window = root.duration("resume_window", config.resume_window, 10s, 24h);
    config.log = read_log(root);
    root.finish();
    return config;
}

} // namespace

Outcome<GatewayConfig> load_gateway_config(std::string_view text, std::string file)
{
    Problems problems{std::move(file)};
    const Value document = parse_document(text, problems);
    Section root{document, "", problems};
    GatewayConfig config = read(root);
    if (!problems.empty())
        return problems.sorted();
    return config;
}

std::set<std::string> gateway_config_keys()
{
    Problems problems{"keys"};
    const Value document =
        parse_document("services: [!Wss {tls_config: !File {}}, !Ws {}]", problems);
    Section root{document, "", problems};
    read(root);
    return problems.known_keys();
}

} // namespace narrowlink::config
