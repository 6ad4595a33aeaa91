#include "listeners.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/io/asio_address.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/log.hpp"

#include <utility>

#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

constexpr std::uint16_t https_port = 443;
constexpr std::uint16_t fallback_port = 8443; ///< for those who may not use ports below 1024

std::string read_pem(const config::Located<std::filesystem::path>& file)
{
    constexpr std::size_t largest_pem = 1'024 * 1'024;
    auto text = io::read_file(file.value, largest_pem);
    if (!text)
        throw Failure{ExitCode::configuration,
                      fmt::format("{}: cannot read {}: {}", file.where, file.value.string(),
                                  text.error().message())};
    return std::move(*text);
}

io::PemCertificate read_certificate(const config::CertificateFiles& files)
{
    io::PemCertificate pem{read_pem(files.certificate), read_pem(files.key)};
    if (const auto checked = crypto::Identity::parse(pem.private_key, pem.chain); !checked)
        throw Failure{ExitCode::configuration,
                      fmt::format("{}: {}", files.certificate.where, checked.error().message())};
    return pem;
}

} // namespace

std::vector<io::WebListener> make_listeners(const std::vector<config::Service>& services,
                                            State& state, const std::string& public_host)
{
    std::vector<io::WebListener> listeners;
    for (const config::Service& service : services) {
        if (const auto* plain = std::get_if<config::WsService>(&service)) {
            listeners.push_back({plain->listen.value, std::nullopt});
            continue;
        }
        const auto& wss = std::get<config::WssService>(service);
        if (const auto* files = std::get_if<config::CertificateFiles>(&wss.tls)) {
            listeners.push_back({wss.listen.value, read_certificate(*files)});
            continue;
        }
        const crypto::Identity own =
            state.certificate(wss.domains.empty() ? std::vector{public_host} : wss.domains);
        listeners.push_back(
            {wss.listen.value, io::PemCertificate{own.certificate_pem, own.private_key_pem}});
    }
    return listeners;
}

IpAddress outbound_address()
{
    // Connecting a UDP socket sends nothing; the kernel only chooses the address it would send from.
    const SocketAddress anywhere{*IpAddress::parse("192.0.2.1"), 9};
    net::io_context context;
    udp::socket socket{context};
    ErrorCode error;
    socket.connect(io::to_udp_endpoint(anywhere), error);
    if (error)
        return *IpAddress::parse("127.0.0.1");
    return io::from_asio(socket.local_endpoint().address());
}

State::Endpoint endpoint_of(const config::GatewayConfig& config,
                            const std::optional<HostPort>& public_address, std::uint16_t port,
                            State& state)
{
    HostPort reached{to_string(outbound_address()), port};
    if (public_address)
        reached = *public_address;
    else if (config.public_address)
        reached = config.public_address->value;
    State::Endpoint endpoint{fmt::format("wss://{}/", to_string(reached)), std::nullopt};

    bool self_signed = config.services.empty();
    for (const config::Service& service : config.services)
        if (const auto* wss = std::get_if<config::WssService>(&service))
            self_signed = self_signed || std::holds_alternative<config::SelfSigned>(wss->tls);
    if (self_signed)
        endpoint.pin = state.certificate({reached.host}).pin;
    return endpoint;
}

SocketAddress default_address()
{
    const bool has_ipv6 = std::filesystem::exists("/proc/net/if_inet6");
    SocketAddress address{*IpAddress::parse(has_ipv6 ? "::" : "0.0.0.0"), https_port};
    net::io_context context;
    try {
        const tcp::acceptor attempt{context, io::to_tcp_endpoint(address)};
    } catch (const boost::system::system_error& error) {
        io::log_event(LogLevel::info, "port_unavailable", "port", https_port, "error",
                      error.code());
        address.port = fallback_port;
    }
    return address;
}

KnownEndpoint current_endpoint(State& state, const config::GatewayConfig& config,
                               const std::optional<HostPort>& public_address)
{
    const auto stored = state.endpoint();
    if (stored && !public_address)
        return {*stored, false};
    const bool is_guess = !stored && !public_address && !config.public_address;
    std::optional<std::uint16_t> port;
    for (const config::Service& service : config.services)
        if (const auto* wss = std::get_if<config::WssService>(&service))
            port = wss->listen.value.port;
    if (!port)
        port = is_guess ? default_address().port : https_port;
    State::Endpoint endpoint = endpoint_of(config, public_address, *port, state);
    if (stored)
        endpoint.pin = stored->pin; // of the certificate in use
    return {std::move(endpoint), is_guess};
}

} // namespace narrowlink::gateway
