#include "narrowlink/gateway/run.hpp"

#include "listeners.hpp"

#include "narrowlink/base/failure.hpp"
#include "narrowlink/gateway/gateway.hpp"
#include "narrowlink/gateway/tokens.hpp"
#include "narrowlink/io/files.hpp"
#include "narrowlink/io/log.hpp"
#include "narrowlink/io/notify.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

config::Service self_signed_service(const SocketAddress& address)
{
    return config::WssService{.listen = {address}, .domains = {}, .tls = config::SelfSigned{}};
}

/// --listen takes the place of the HTTPS listeners; plain ones for a proxy in front stay.
void listen_instead(std::vector<config::Service>& services, const SocketAddress& address)
{
    std::erase_if(services, [](const config::Service& service) {
        return std::holds_alternative<config::WssService>(service);
    });
    services.insert(services.begin(), self_signed_service(address));
}

/// UDP next to TCP: on the addresses of the HTTPS listeners, on the port of the first.
ProbeService probe_service(const config::ProbeConfig& config,
                           const std::vector<io::WebListener>& listeners)
{
    const IpAddress any_v6 = *IpAddress::parse("::");
    ProbeService service;
    if (!config.enabled)
        return service;
    service.addresses = config.addresses;
    for (const io::WebListener& listener : listeners) {
        if (!listener.certificate || listener.address.port == 0)
            continue; // behind a proxy, which does not pass on UDP
        if (service.ports.empty())
            service.ports.push_back(listener.address.port);
        service.listen.push_back(listener.address.ip);
        if (listener.address.ip == any_v6)
            service.listen.push_back(*IpAddress::parse("0.0.0.0"));
    }
    if (!service.ports.empty())
        std::ranges::copy(config.further_ports, std::back_inserter(service.ports));
    return service;
}

Settings make_settings(const config::GatewayConfig& config, State& state,
                       const std::string& public_host)
{
    const config::GatewayLimits& limits = config.limits;
    Settings settings;
    settings.web.listeners = make_listeners(config.services, state, public_host);
    settings.web.trusted_proxies = config.trusted_proxies;
    settings.web.limits.quota = {.connections = limits.connections,
                                 .unauthenticated = limits.unauthenticated,
                                 .unauthenticated_per_source = limits.unauthenticated_per_address,
                                 .new_per_second_per_source =
                                     limits.connections_per_second_per_address};
    settings.web.limits.handshake_time = limits.handshake_timeout;
    settings.web.limits.request_time = limits.handshake_timeout;
    settings.threads = config.threads != 0
                           ? config.threads
                           : std::max<std::size_t>(std::thread::hardware_concurrency(), 1);
    settings.probes = probe_service(config.probes, settings.web.listeners);
    settings.secret = state.secret();
    settings.tokens_file = state.tokens_file();
    if (config.site)
        settings.site = config.site->value;
    settings.registry.resume_window = config.resume_window;
    settings.registry.pairs_per_session = limits.pairs_per_client;
    settings.registry.sessions_per_user = limits.sessions_per_user;
    settings.session.messages_per_second =
        static_cast<std::uint32_t>(std::min<std::size_t>(limits.messages_per_second, 1'000'000));
    settings.queue.queue_time = limits.queue_time;
    settings.queue.pair_most = limits.queue_most;
    settings.queue.pair_least = std::min(settings.queue.pair_least, limits.queue_most);
    settings.queue.pair_unmeasured = std::min(settings.queue.pair_unmeasured, limits.queue_most);
    return settings;
}

} // namespace

void run(const RunCommand& command, config::GatewayConfig config, State& state, Random& random)
{
    const std::filesystem::path lock_file = state.directory() / "gateway.lock";
    const auto lock = io::FileLock::try_take(lock_file);
    if (!lock)
        throw Failure{ExitCode::configuration,
                      fmt::format("another gateway (process {}) uses the state directory {}; stop "
                                  "it, or choose another with --state",
                                  io::FileLock::holder(lock_file).value_or(0),
                                  state.directory().string())};
    (void)state.tokens(); // a damaged registry would bring every revoked token back: throws Failure
    if (command.listen)
        listen_instead(config.services, *command.listen);

    const std::string public_host = command.public_address  ? command.public_address->host
                                    : config.public_address ? config.public_address->value.host
                                                            : to_string(outbound_address());
    if (config.services.empty())
        config.services = {self_signed_service(default_address())};
    std::optional<Gateway> gateway;
    try {
        gateway.emplace(make_settings(config, state, public_host), random);
    } catch (const io::ListenError& error) {
        throw Failure{ExitCode::address_in_use, error.what()};
    }
    const State::Endpoint endpoint = endpoint_of(
        config, command.public_address, gateway->addresses().front().port, state);
    if (state.endpoint() != endpoint)
        state.store_endpoint(endpoint);

    gateway->run([&] {
        for (const SocketAddress& address : gateway->addresses())
            io::log_event(LogLevel::info, "listening", "address", to_string(address));
        io::log_event(LogLevel::info, "ready", "public", endpoint.url, "state",
                      state.directory().string());
        if (!state.has_issued_tokens()) {
            fmt::print("{}", first_join_lines(state, endpoint, random));
            std::fflush(stdout);
        }
        if (const auto told = io::notify_ready(); !told)
            io::log_event(LogLevel::warning, "notify_failed", "error", told.error());
    });
    (void)io::notify_stopping();
}

} // namespace narrowlink::gateway
